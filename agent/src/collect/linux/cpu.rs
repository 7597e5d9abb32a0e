//! Processor use since the previous reading, over all cores, from the deltas of `/proc/stat`.
//!
//! Guest time is included in `user` and `nice`, so it is not added again. In a container these are the numbers of the
//! whole machine.

use pika_protocol::CpuMetrics;

use crate::collect::number::{float, percent};
use crate::collect::proc_file::ProcFile;
use crate::collect::{CollectError, Collector, Roots};

/// The CPU collector.
pub(in crate::collect) struct Cpu {
    file: ProcFile,
    previous: Option<Times>,
}

/// Clock ticks since boot.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Times {
    user: u64,
    system: u64,
    idle: u64,
    iowait: u64,
    steal: u64,
}

impl Cpu {
    /// Takes a first reading, so that the first [`collect`](Cpu::collect) has something to compare with.
    pub(in crate::collect) fn new(roots: &Roots) -> Cpu {
        let mut cpu = Cpu { file: ProcFile::new(roots.proc.join("stat")), previous: None };
        cpu.previous = cpu.file.read().ok().and_then(parse).map(|(times, _)| times);
        cpu
    }
}

impl Collector for Cpu {
    type Output = Option<CpuMetrics>;

    /// Returns the usage since the previous call; `None` if there was none, or no time has passed since.
    fn collect(&mut self) -> Result<Option<CpuMetrics>, CollectError> {
        let (times, core_count) = parse(self.file.read()?).ok_or(CollectError::Format("/proc/stat"))?;
        let previous = self.previous.replace(times);
        Ok(previous.and_then(|previous| metrics(previous, times, core_count)))
    }
}

fn parse(text: &str) -> Option<(Times, i32)> {
    let mut fields = text.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace();
    let mut next = || fields.next()?.parse::<u64>().ok();
    let [user, nice, system, idle] = [next()?, next()?, next()?, next()?];
    // Kernels before 2.6.11 have fewer fields.
    let [iowait, irq, softirq, steal] = std::array::from_fn(|_| next().unwrap_or(0));
    let times = Times {
        user: user.saturating_add(nice),
        system: system.saturating_add(irq).saturating_add(softirq),
        idle,
        iowait,
        steal,
    };
    let core_count = text.lines().skip(1).take_while(|line| line.starts_with("cpu")).count();
    Some((times, i32::try_from(core_count).ok()?))
}

fn metrics(previous: Times, current: Times, core_count: i32) -> Option<CpuMetrics> {
    // The kernel's idle and iowait occasionally run backwards; that counts as no time.
    let delta = |field: fn(&Times) -> u64| float(field(&current).saturating_sub(field(&previous)));
    let user = delta(|times| times.user);
    let system = delta(|times| times.system);
    let idle = delta(|times| times.idle);
    let iowait = delta(|times| times.iowait);
    let steal = delta(|times| times.steal);
    let total = user + system + idle + iowait + steal;
    if total <= 0.0 {
        return None;
    }
    Some(CpuMetrics {
        usage_percent: percent(user + system + steal, total),
        core_count,
        user_percent: Some(percent(user, total)),
        system_percent: Some(percent(system, total)),
        iowait_percent: Some(percent(iowait, total)),
        steal_percent: Some(percent(steal, total)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "\
cpu  1000 50 300 8000 100 20 30 40 500 10
cpu0 500 25 150 4000 50 10 15 20 250 5
cpu1 500 25 150 4000 50 10 15 20 250 5
intr 12345 0 0
ctxt 99
";

    #[test]
    fn the_first_line_is_summed_and_cores_are_counted() {
        let (times, core_count) = parse(STAT).unwrap();
        assert_eq!(times, Times { user: 1_050, system: 350, idle: 8_000, iowait: 100, steal: 40 });
        assert_eq!(core_count, 2);
        assert_eq!(parse("cpu  1 2 3 4\ncpu0 1 2 3 4\n").unwrap().0.steal, 0);
        for text in ["", "cpu", "cpu  1 2 3", "cpu  a b c d", "intr 1"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn percentages_are_of_the_time_between_two_readings() {
        let (previous, core_count) = parse(STAT).unwrap();
        // 10 user, 5 nice, 20 system, 50 idle, 5 iowait, 3 irq, 2 softirq, 5 steal; guest is within user.
        let (current, _) = parse("cpu  1010 55 320 8050 105 23 32 45 510 10\n").unwrap();
        let metrics = metrics(previous, current, core_count).unwrap();
        assert_eq!(metrics.usage_percent, 45.0);
        assert_eq!(metrics.user_percent, Some(15.0));
        assert_eq!(metrics.system_percent, Some(25.0));
        assert_eq!(metrics.iowait_percent, Some(5.0));
        assert_eq!(metrics.steal_percent, Some(5.0));
        assert_eq!(metrics.core_count, 2);
    }

    #[test]
    fn counters_that_run_backwards_count_as_no_time() {
        let (times, _) = parse(STAT).unwrap();
        assert_eq!(metrics(times, times, 2), None, "no time has passed");
        let later = Times { user: times.user + 10, iowait: times.iowait - 50, ..times };
        assert_eq!(metrics(times, later, 2).unwrap().usage_percent, 100.0);
        assert_eq!(metrics(times, later, 2).unwrap().iowait_percent, Some(0.0));
    }

    #[test]
    fn this_machine_has_cores() {
        let mut cpu = Cpu::new(&Roots::default());
        assert!(cpu.previous.is_some(), "the warm-up reading");
        if let Some(metrics) = cpu.collect().unwrap() {
            assert!(1 <= metrics.core_count);
        }
    }
}
