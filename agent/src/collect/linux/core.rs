//! Each processor core by itself: its use, from `/proc/stat`, and its frequency.
//!
//! Asking for a frequency took some kernels 20 ms a core. It is asked once for all cores that share it, and no longer than
//! a moment; those whose turn did not come are first the next time. Runs on a blocking thread.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use pika_protocol::CoreMetrics;

use super::attribute;
use super::stat::{StatFile, Times};
use crate::collect::number::{float, percent};
use crate::collect::{CollectError, Collector, Roots, Tick};

/// How long frequencies may be asked for within one sample.
const FREQUENCIES_TIME_MAX: Duration = Duration::from_millis(200);

/// The collector of cores.
pub(in crate::collect) struct Core {
    stat: StatFile,
    previous: BTreeMap<u32, Times>,
    /// `/sys/devices/system/cpu/cpufreq`
    policies: PathBuf,
    /// How many policies to pass over at first, because they had their turn.
    first_policy: usize,
}

impl Core {
    pub(in crate::collect) fn new(roots: &Roots, stat: StatFile) -> Core {
        let policies = roots.sys.join("devices/system/cpu/cpufreq");
        Core { stat, previous: BTreeMap::new(), policies, first_policy: 0 }
    }

    /// Returns the frequencies in hertz, by number of the core.
    fn frequencies(&mut self) -> BTreeMap<u32, i64> {
        let mut policies = attribute::entries(&self.policies);
        policies.retain(|entry| entry.starts_with("policy"));
        let mut frequencies = BTreeMap::new();
        if policies.is_empty() {
            return frequencies;
        }
        let first = self.first_policy % policies.len();
        policies.rotate_left(first);
        let started = Instant::now();
        let mut asked = 0;
        for policy in &policies {
            if FREQUENCIES_TIME_MAX < started.elapsed() {
                break;
            }
            let dir = self.policies.join(policy);
            let kilohertz =
                attribute::number::<i64>(&dir.join("scaling_cur_freq")).filter(|value| 0 <= *value);
            let cores = attribute::text(&dir.join("affected_cpus")).unwrap_or_default();
            if let Some(hertz) = kilohertz.map(|kilohertz| kilohertz.saturating_mul(1_000)) {
                let cores = cores.split_ascii_whitespace().filter_map(|core| core.parse().ok());
                frequencies.extend(cores.map(|core| (core, hertz)));
            }
            asked += 1;
        }
        self.first_policy = if asked == policies.len() { 0 } else { first + asked };
        frequencies
    }
}

impl Collector for Core {
    type Output = Vec<CoreMetrics>;

    /// Returns one entry per core that was online at the previous call, too. May block.
    fn collect(&mut self, tick: Tick) -> Result<Vec<CoreMetrics>, CollectError> {
        let stat = self.stat.read(tick)?;
        let previous = std::mem::replace(&mut self.previous, stat.cores.iter().copied().collect());
        let frequencies = self.frequencies();
        let metrics = |&(core, times): &(u32, Times)| {
            let passed = times.since(*previous.get(&core)?);
            let total = float(passed.total());
            (0.0 < total).then(|| CoreMetrics {
                core: core.to_string(),
                usage_percent: percent(float(passed.busy()), total),
                iowait_percent: Some(percent(float(passed.iowait), total)),
                frequency_hertz: frequencies.get(&core).copied(),
            })
        };
        Ok(stat.cores.iter().filter_map(metrics).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn each_core_has_its_use_and_the_frequency_of_its_policy() {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots::below(root.path());
        let policies = roots.sys.join("devices/system/cpu/cpufreq");
        for (policy, cores, kilohertz) in [("policy0", "0 1", "2400000"), ("policy2", "2", "<unknown>")] {
            fs::create_dir_all(policies.join(policy)).unwrap();
            fs::write(policies.join(policy).join("affected_cpus"), format!("{cores}\n")).unwrap();
            fs::write(policies.join(policy).join("scaling_cur_freq"), format!("{kilohertz}\n")).unwrap();
        }
        fs::create_dir(&roots.proc).unwrap();
        let stat = |text: &str| fs::write(roots.proc.join("stat"), text).unwrap();
        stat("cpu  0 0 0 0\ncpu0 0 0 0 0 0\ncpu1 0 0 0 0 0\ncpu2 7 0 0 0 0\n");
        let mut core = Core::new(&roots, StatFile::new(&roots));
        assert!(core.collect(Tick { uptime_ms: 1 }).unwrap().is_empty(), "nothing to compare with");
        // Core 2 was idle in the time between, as far as the kernel's clock tells; core 3 is new.
        stat("cpu  0 0 0 0\ncpu0 25 0 25 40 10\ncpu1 0 0 0 100 0\ncpu2 7 0 0 0 0\ncpu3 1 0 0 0 0\n");
        let found = core.collect(Tick { uptime_ms: 2 }).unwrap();
        let expected = |core: &str, usage, iowait| CoreMetrics {
            core: core.to_owned(),
            usage_percent: usage,
            iowait_percent: Some(iowait),
            frequency_hertz: Some(2_400_000_000),
        };
        assert_eq!(found, [expected("0", 50.0, 10.0), expected("1", 0.0, 0.0)]);
    }
}
