//! Processor use since the previous reading, from sysinfo.

use pika_protocol::CpuMetrics;
use sysinfo::System;

use super::StatFile;
use crate::collect::number::clamp_percent;
use crate::collect::{CollectError, Collector, Tick};

/// The CPU collector.
pub(in crate::collect) struct Cpu {
    system: Option<System>,
}

impl Cpu {
    /// Takes a first reading, so that the first [`collect`](Cpu::collect) has something to compare with.
    pub(in crate::collect) fn new(_: StatFile, _: Tick) -> Cpu {
        let mut system = System::new().ok();
        if let Some(system) = &mut system {
            system.refresh_cpu_usage();
        }
        Cpu { system }
    }
}

impl Collector for Cpu {
    type Output = Option<CpuMetrics>;

    /// Returns the usage since the previous call, without a breakdown.
    fn collect(&mut self, _: Tick) -> Result<Option<CpuMetrics>, CollectError> {
        let system = self.system.as_mut().ok_or(CollectError::Unsupported)?;
        system.refresh_cpu_usage();
        let core_count = i32::try_from(system.cpus().len()).unwrap_or(i32::MAX);
        if core_count == 0 {
            return Err(CollectError::NoData("the operating system reports no processor"));
        }
        let usage_percent = clamp_percent(f64::from(system.global_cpu_usage()));
        Ok(usage_percent.map(|usage_percent| CpuMetrics {
            usage_percent,
            core_count,
            ..CpuMetrics::default()
        }))
    }
}

#[cfg(test)]
#[test]
fn this_machine_has_cores() {
    let metrics = Cpu::new(StatFile, Tick { uptime_ms: 0 }).collect(Tick { uptime_ms: 1 }).unwrap().unwrap();
    assert!(1 <= metrics.core_count);
    assert!((0.0..=100.0).contains(&metrics.usage_percent));
}
