//! Load averages; Windows has none.

use pika_protocol::LoadMetrics;
use sysinfo::System;

use super::CollectError;
use super::number::finite;

/// The load averages of the last 1, 5 and 15 minutes; `None` where the operating system keeps none.
pub(super) fn collect() -> Result<Option<LoadMetrics>, CollectError> {
    // sysinfo makes up an average on Windows that is no more than the length of one queue.
    if cfg!(windows) {
        return Ok(None);
    }
    let load = System::load_average()
        .map_err(|_| CollectError::NoData("the operating system tells no load average"))?;
    let metrics = finite(load.one).zip(finite(load.five)).zip(finite(load.fifteen));
    Ok(metrics.map(|((load1, load5), load15)| LoadMetrics { load1, load5, load15 }))
}

#[cfg(test)]
#[test]
fn this_machine_has_a_load() {
    let load = collect().unwrap();
    assert!(load.is_some_and(|load| 0.0 <= load.load15) || cfg!(windows));
}
