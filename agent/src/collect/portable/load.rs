//! Load averages, from sysinfo; Windows has none.

use pika_protocol::LoadMetrics;
use sysinfo::System;

use crate::collect::number::finite;
use crate::collect::{CollectError, Collector, Roots, Tick};

/// The load collector.
pub(in crate::collect) struct Load;

impl Load {
    pub(in crate::collect) fn new(_: &Roots) -> Load {
        Load
    }
}

impl Collector for Load {
    type Output = Option<LoadMetrics>;

    /// Returns `None` if the operating system has none.
    fn collect(&mut self, _: Tick) -> Result<Option<LoadMetrics>, CollectError> {
        // On Windows, sysinfo makes up an average from the length of one queue.
        if cfg!(windows) {
            return Ok(None);
        }
        let load = System::load_average()
            .map_err(|_| CollectError::NoData("the operating system reports no load average"))?;
        let metrics = finite(load.one).zip(finite(load.five)).zip(finite(load.fifteen));
        Ok(metrics.map(|((load1, load5), load15)| LoadMetrics { load1, load5, load15 }))
    }
}

#[cfg(test)]
#[test]
fn this_machine_has_a_load() {
    let load = Load::new(&Roots::default()).collect(Tick { uptime_ms: 1 }).unwrap();
    assert!(load.is_some_and(|load| 0.0 <= load.load15) || cfg!(windows));
}
