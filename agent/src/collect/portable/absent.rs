//! What only Linux has.

use std::marker::PhantomData;

use pika_protocol::{DiskIoMetrics, PressureMetrics, Sample, SystemMetrics};

use crate::collect::round::Round;
use crate::collect::{CollectError, Collector, Roots, Setup, Tick, View};

pub(in crate::collect) type DiskIo = Absent<Vec<DiskIoMetrics>>;
pub(in crate::collect) type Pressure = Absent<Option<PressureMetrics>>;
pub(in crate::collect) type System = Absent<Option<SystemMetrics>>;

/// A collector that returns nothing.
pub(in crate::collect) struct Absent<T>(PhantomData<T>);

impl<T> Absent<T> {
    pub(in crate::collect) fn new(_: &Setup<'_>) -> Absent<T> {
        Absent(PhantomData)
    }
}

impl<T: Default> Collector for Absent<T> {
    type Output = T;

    fn collect(&mut self, _: Tick) -> Result<T, CollectError> {
        Ok(T::default())
    }
}

/// The collectors of a machine's parts; nothing here.
pub(in crate::collect) struct Parts;

impl Parts {
    pub(in crate::collect) fn new(_: &Setup<'_>) -> Parts {
        Parts
    }

    #[expect(clippy::unused_async, reason = "the signature is that of Linux")]
    pub(in crate::collect) async fn read(&mut self, _: &mut Round<'_>, _: bool, _: &mut Sample) {}
}

/// Returns that the agent sees the whole machine: there are no containers.
pub(in crate::collect) fn view(_: &Roots) -> View {
    View::Host
}
