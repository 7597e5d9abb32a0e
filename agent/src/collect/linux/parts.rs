//! The collectors of a machine's parts: sensors, volumes, graphics processors, cores, and control groups. All of them may
//! block, and share what other programs have read.

use pika_protocol::Sample;
use pika_protocol::limits::{
    CORES_PER_SAMPLE_MAX, GPUS_PER_SAMPLE_MAX, SENSORS_PER_SAMPLE_MAX, VOLUMES_PER_SAMPLE_MAX,
};

use super::core::Core;
use super::gpu::Gpu;
use super::group::ControlGroups;
use super::readings::SharedReadings;
use super::sensor::Sensor;
use super::volume::Volume;
use crate::collect::Setup;
use crate::collect::blocking::Blocking;
use crate::collect::round::Round;

/// The collectors that are enabled.
pub(in crate::collect) struct Parts {
    sensor: Option<Blocking<Sensor>>,
    volume: Option<Blocking<Volume>>,
    groups: Option<Blocking<ControlGroups>>,
    gpu: Option<Blocking<Gpu>>,
    core: Option<Blocking<Core>>,
}

impl Parts {
    pub(in crate::collect) fn new(setup: &Setup<'_>) -> Parts {
        let Setup { roots, config, .. } = *setup;
        let enabled = &config.collectors;
        let is_hardware = setup.view.shows_hardware();
        let (dir, owner_uid) = (config.readings_dir.clone(), config.readings_owner_uid);
        let readings = SharedReadings::new(dir, owner_uid, setup.clock.clone());
        let sensor = || Blocking::Idle(Sensor::new(roots, config.sensor.clone(), readings.clone()));
        let volume = || Blocking::Idle(Volume::new(roots, readings.clone()));
        let groups = || Blocking::Idle(ControlGroups::new(roots, config.cgroup.clone(), readings.clone()));
        let gpu = || Blocking::Idle(Gpu::new(roots, readings.clone()));
        let core = || Blocking::Idle(Core::new(roots, setup.stat.clone()));
        Parts {
            sensor: (enabled.sensor.enabled && is_hardware).then(sensor),
            volume: (enabled.volume.enabled && is_hardware).then(volume),
            groups: enabled.cgroup.enabled.then(groups),
            gpu: (enabled.gpu.enabled && is_hardware).then(gpu),
            core: (enabled.core.enabled && is_hardware).then(core),
        }
    }

    /// Reads what is due into the sample.
    pub(in crate::collect) async fn read(
        &mut self,
        round: &mut Round<'_>,
        is_slow_due: bool,
        sample: &mut Sample,
    ) {
        sample.gpus = round.read_blocking("gpu", self.gpu.as_mut()).await.unwrap_or_default();
        round.bound("graphics processors", &mut sample.gpus, GPUS_PER_SAMPLE_MAX);
        if !is_slow_due {
            return;
        }
        sample.cores = round.read_blocking("core", self.core.as_mut()).await.unwrap_or_default();
        sample.cgroups = round.read_blocking("cgroup", self.groups.as_mut()).await.unwrap_or_default();
        sample.volumes = round.read_blocking("volume", self.volume.as_mut()).await.unwrap_or_default();
        sample.sensors = round.read_blocking("sensor", self.sensor.as_mut()).await.unwrap_or_default();
        round.bound("cores", &mut sample.cores, CORES_PER_SAMPLE_MAX);
        round.bound("volumes", &mut sample.volumes, VOLUMES_PER_SAMPLE_MAX);
        round.bound("sensors", &mut sample.sensors, SENSORS_PER_SAMPLE_MAX);
    }
}

#[cfg(test)]
mod tests;
