//! Pressure (`/proc/pressure`, in a container that of its control group), the scheduler (`/proc/stat`), and paging
//! (`/proc/vmstat`, in a container the files of its control group).
//!
//! The kernel's averages decay; the total times, which are used here, give the exact share of each interval. A kernel
//! without pressure information has no files, or files that cannot be read: that is no failure.

use std::sync::Arc;

use pika_protocol::PressureMetrics;

use super::keyed;
use super::page::page_bytes;
use super::stat::{Stat, StatFile};
use crate::collect::delta::{Counters, Width};
use crate::collect::number::{float, percent, small};
use crate::collect::proc_file::ProcFile;
use crate::collect::{CollectError, Collector, Setup, Tick, View};

/// The pressure collector.
pub(in crate::collect) struct Pressure {
    stat: StatFile,
    /// Processor, memory, input and output, interrupts.
    pressure: [ProcFile; 4],
    paging: ProcFile,
    /// Where `oom_kill` is, if not among the others.
    events: Option<ProcFile>,
    page_bytes: u64,
    counters: Counters<12>,
    previous: Option<Arc<Stat>>,
}

impl Pressure {
    /// Takes a first reading of the processors, so that the first sample has the busiest of them.
    pub(in crate::collect) fn new(setup: &Setup<'_>) -> Pressure {
        let Setup { roots, view, stat, tick, .. } = setup;
        let group = roots.sys.join("fs/cgroup");
        let is_whole = *view == View::Host;
        let pressure = |name: &str| {
            ProcFile::new(if is_whole {
                roots.proc.join("pressure").join(name)
            } else {
                group.join(format!("{name}.pressure"))
            })
        };
        Pressure {
            pressure: ["cpu", "memory", "io", "irq"].map(pressure),
            paging: ProcFile::new(if is_whole {
                roots.proc.join("vmstat")
            } else {
                group.join("memory.stat")
            }),
            events: (!is_whole).then(|| ProcFile::new(group.join("memory.events"))),
            page_bytes: page_bytes(roots),
            counters: Counters::new([Width::Full; 12]),
            previous: stat.read(*tick).ok(),
            stat: stat.clone(),
        }
    }
}

impl Collector for Pressure {
    type Output = Option<PressureMetrics>;

    fn collect(&mut self, tick: Tick) -> Result<Option<PressureMetrics>, CollectError> {
        let stat = self.stat.read(tick)?;
        let [cpu, memory, io, irq] =
            self.pressure.each_mut().map(|file| file.read().map(parse).unwrap_or_default());
        let paging = self.paging.read().unwrap_or_default();
        let page_bytes = self.page_bytes;
        let swapped = |key| keyed::number(paging, key).and_then(|pages| pages.checked_mul(page_bytes));
        let major_faults = keyed::number(paging, "pgmajfault");
        let [swap_in, swap_out] = ["pswpin", "pswpout"].map(swapped);
        let oom_kills = match &mut self.events {
            Some(events) => keyed::number(events.read().unwrap_or_default(), "oom_kill"),
            None => keyed::number(paging, "oom_kill"),
        };
        let current = [
            cpu.some,
            memory.some,
            memory.full,
            io.some,
            io.full,
            irq.full,
            stat.context_switches,
            stat.forks,
            major_faults,
            swap_in,
            swap_out,
            oom_kills,
        ];
        let moved = self.counters.advance(tick.uptime_ms, current);
        let [cpu_some_us, memory_some_us, memory_full_us, io_some_us, io_full_us, irq_full_us, rest @ ..] =
            moved.amounts;
        let [context_switches, forks, major_faults, swap_in_bytes, swap_out_bytes, oom_kills] = rest;
        let previous = self.previous.replace(Arc::clone(&stat));
        Ok(Some(PressureMetrics {
            interval_ms: moved.interval_ms,
            cpu_some_us,
            memory_some_us,
            memory_full_us,
            io_some_us,
            io_full_us,
            irq_full_us,
            context_switches,
            forks,
            major_faults,
            swap_in_bytes,
            swap_out_bytes,
            oom_kills,
            runnable_tasks: stat.runnable_tasks.and_then(small),
            blocked_tasks: stat.blocked_tasks.and_then(small),
            busiest_core_percent: previous.and_then(|previous| busiest_core_percent(&previous, &stat)),
        }))
    }
}

/// The total times of one file, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Waited {
    some: Option<u64>,
    full: Option<u64>,
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=123`, and the same for `full`.
fn parse(text: &str) -> Waited {
    let total = |kind| keyed::value(text, kind)?.rsplit_once("total=")?.1.parse().ok();
    Waited { some: total("some"), full: total("full") }
}

/// Returns the largest share of its time that a processor was busy between two readings.
fn busiest_core_percent(previous: &Stat, current: &Stat) -> Option<f32> {
    // Both are in ascending order; a processor may have gone offline or come online.
    let shares = current.cores.iter().filter_map(|(core, now)| {
        let at = previous.cores.binary_search_by_key(core, |(core, _)| *core).ok()?;
        let passed = now.since(previous.cores[at].1);
        (0 < passed.total()).then(|| percent(float(passed.busy()), float(passed.total())))
    });
    shares.max_by(f32::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::super::stat;
    use super::*;

    #[test]
    fn totals_are_read() {
        let text = "some avg10=13.63 avg60=9.14 avg300=11.28 total=32242065178\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
        assert_eq!(parse(text), Waited { some: Some(32_242_065_178), full: Some(7) });
        assert_eq!(parse("full avg10=0.00 total=9"), Waited { some: None, full: Some(9) });
        assert_eq!(parse("some total=x\nfull"), Waited::default());
    }

    #[test]
    fn the_busiest_core_counts() {
        let stat = |text: &str| stat::parse(&format!("cpu  0 0 0 0\n{text}")).unwrap();
        let before = stat("cpu0 100 0 0 100\ncpu1 100 0 0 100\ncpu3 1 0 0 1\n");
        let now = stat("cpu0 110 0 0 190\ncpu1 175 0 0 125\ncpu2 500 0 0 0\ncpu3 1 0 0 1\n");
        assert_eq!(
            busiest_core_percent(&before, &now),
            Some(75.0),
            "without the one that has just come online"
        );
        assert_eq!(busiest_core_percent(&now, &now), None);
    }
}
