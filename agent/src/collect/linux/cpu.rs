//! Processor use since the previous reading, over all cores. In a container these are the numbers of the whole machine.

use pika_protocol::CpuMetrics;

use super::stat::{StatFile, Times};
use crate::collect::number::{float, percent};
use crate::collect::{CollectError, Collector, Tick};

/// The CPU collector.
pub(in crate::collect) struct Cpu {
    stat: StatFile,
    previous: Option<Times>,
}

impl Cpu {
    /// Takes a first reading, so that the first [`collect`](Cpu::collect) has something to compare with.
    pub(in crate::collect) fn new(stat: StatFile, tick: Tick) -> Cpu {
        let previous = stat.read(tick).ok().map(|stat| stat.total);
        Cpu { stat, previous }
    }
}

impl Collector for Cpu {
    type Output = Option<CpuMetrics>;

    /// Returns the usage since the previous call; `None` if there was none, or no time has passed since.
    fn collect(&mut self, tick: Tick) -> Result<Option<CpuMetrics>, CollectError> {
        let stat = self.stat.read(tick)?;
        let previous = self.previous.replace(stat.total);
        let core_count = i32::try_from(stat.cores.len()).unwrap_or(i32::MAX);
        Ok(previous.and_then(|previous| metrics(stat.total.since(previous), core_count)))
    }
}

fn metrics(passed: Times, core_count: i32) -> Option<CpuMetrics> {
    let total = float(passed.total());
    if total <= 0.0 {
        return None;
    }
    let share = |ticks| percent(float(ticks), total);
    Some(CpuMetrics {
        usage_percent: share(passed.busy()),
        core_count,
        user_percent: Some(share(passed.user)),
        system_percent: Some(share(passed.system)),
        iowait_percent: Some(share(passed.iowait)),
        steal_percent: Some(share(passed.steal)),
    })
}

#[cfg(test)]
mod tests {
    use super::super::stat::parse;
    use super::*;
    use crate::collect::Roots;

    #[test]
    fn percentages_are_of_the_time_between_two_readings() {
        let before = parse("cpu  1000 50 300 8000 100 20 30 40 500 10\n").unwrap();
        // 10 user, 5 nice, 20 system, 50 idle, 5 iowait, 3 irq, 2 softirq, 5 steal; guest is within user.
        let now = parse("cpu  1010 55 320 8050 105 23 32 45 510 10\n").unwrap();
        let metrics = metrics(now.total.since(before.total), 2).unwrap();
        assert_eq!(metrics.usage_percent, 45.0);
        assert_eq!(metrics.user_percent, Some(15.0));
        assert_eq!(metrics.system_percent, Some(25.0));
        assert_eq!(metrics.iowait_percent, Some(5.0));
        assert_eq!(metrics.steal_percent, Some(5.0));
        assert_eq!(metrics.core_count, 2);
    }

    #[test]
    fn counters_that_run_backwards_count_as_no_time() {
        let times = Times { user: 1_050, system: 350, idle: 8_000, iowait: 100, steal: 40 };
        assert_eq!(metrics(times.since(times), 2), None, "no time has passed");
        let later = Times { user: times.user + 10, iowait: times.iowait - 50, ..times };
        assert_eq!(metrics(later.since(times), 2).unwrap().usage_percent, 100.0);
        assert_eq!(metrics(later.since(times), 2).unwrap().iowait_percent, Some(0.0));
    }

    #[test]
    fn this_machine_has_cores() {
        let mut cpu = Cpu::new(StatFile::new(&Roots::default()), Tick { uptime_ms: 1 });
        assert!(cpu.previous.is_some(), "the warm-up reading");
        if let Some(metrics) = cpu.collect(Tick { uptime_ms: 2 }).unwrap() {
            assert!(1 <= metrics.core_count);
        }
    }
}
