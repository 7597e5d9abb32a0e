//! What the agent itself uses.

use pika_protocol::SystemMetrics;
use rustix::time::{ClockId, clock_gettime};

use super::super::keyed;
use crate::collect::number::{finite, signed};
use crate::collect::proc_file::ProcFile;
use crate::collect::{Roots, Tick};

/// Reads the agent's use of processor and memory.
pub(super) struct Own {
    status: ProcFile,
    /// Of the previous reading: milliseconds since boot, and seconds of processor time.
    previous: Option<(i64, f64)>,
}

impl Own {
    pub(super) fn new(roots: &Roots) -> Own {
        Own { status: ProcFile::new(roots.proc.join("self/status")), previous: None }
    }

    /// Fills in both.
    pub(super) fn read(&mut self, tick: Tick, metrics: &mut SystemMetrics) {
        let status = self.status.read().unwrap_or_default();
        let memory = keyed::number(status, "VmRSS").and_then(|kib| kib.checked_mul(1024));
        metrics.agent_memory_bytes = memory.map(signed);
        let used = clock_gettime(ClockId::ProcessCPUTime);
        #[expect(clippy::cast_precision_loss, reason = "a share in percent")]
        let used = used.tv_sec as f64 + used.tv_nsec as f64 / 1e9;
        let previous = self.previous.replace((tick.uptime_ms, used));
        metrics.agent_cpu_percent = previous.and_then(|(then_ms, before)| {
            let passed_ms = u32::try_from(tick.uptime_ms.checked_sub(then_ms)?).ok().filter(|ms| 0 < *ms)?;
            finite((used - before).max(0.0) / f64::from(passed_ms) * 100_000.0)
        });
    }
}

#[cfg(test)]
#[test]
fn the_test_uses_something() {
    let mut own = Own::new(&Roots::default());
    let mut metrics = SystemMetrics::default();
    own.read(Tick { uptime_ms: 1_000 }, &mut metrics);
    assert!(100_000 < metrics.agent_memory_bytes.unwrap() && metrics.agent_cpu_percent.is_none());
    let (_, before) = own.previous.unwrap();
    own.previous = Some((1_000, before - 0.5));
    own.read(Tick { uptime_ms: 2_000 }, &mut metrics);
    assert!(50.0 <= metrics.agent_cpu_percent.unwrap());
}
