//! `/proc/stat`, read once a sample for all collectors that use it: with many processors the kernel takes a while to
//! count its interrupts.

use std::sync::{Arc, Mutex, PoisonError};

use crate::collect::proc_file::ProcFile;
use crate::collect::{CollectError, Roots, Tick};

/// The file, shared by collectors.
#[derive(Clone)]
pub(in crate::collect) struct StatFile(Arc<Mutex<Cached>>);

struct Cached {
    file: ProcFile,
    newest: Option<(Tick, Arc<Stat>)>,
}

/// The file's contents.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::collect) struct Stat {
    /// All processors together.
    pub(in crate::collect) total: Times,
    /// Each processor that is online, with its number.
    pub(in crate::collect) cores: Vec<(u32, Times)>,
    pub(in crate::collect) context_switches: Option<u64>,
    pub(in crate::collect) forks: Option<u64>,
    pub(in crate::collect) runnable_tasks: Option<u64>,
    pub(in crate::collect) blocked_tasks: Option<u64>,
}

/// Clock ticks since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::collect) struct Times {
    pub(in crate::collect) user: u64,
    pub(in crate::collect) system: u64,
    pub(in crate::collect) idle: u64,
    pub(in crate::collect) iowait: u64,
    pub(in crate::collect) steal: u64,
}

impl Times {
    /// Returns the ticks between two readings. The kernel's idle and iowait occasionally run backwards; that counts as
    /// no time.
    pub(in crate::collect) fn since(self, earlier: Times) -> Times {
        Times {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
            idle: self.idle.saturating_sub(earlier.idle),
            iowait: self.iowait.saturating_sub(earlier.iowait),
            steal: self.steal.saturating_sub(earlier.steal),
        }
    }

    /// Returns the ticks that were not idle.
    pub(in crate::collect) fn busy(self) -> u64 {
        self.user.saturating_add(self.system).saturating_add(self.steal)
    }

    /// Returns all ticks.
    pub(in crate::collect) fn total(self) -> u64 {
        self.busy().saturating_add(self.idle).saturating_add(self.iowait)
    }
}

impl StatFile {
    pub(in crate::collect) fn new(roots: &Roots) -> StatFile {
        let file = ProcFile::new(roots.proc.join("stat"));
        StatFile(Arc::new(Mutex::new(Cached { file, newest: None })))
    }

    /// Returns the contents, as first read for this tick.
    pub(in crate::collect) fn read(&self, tick: Tick) -> Result<Arc<Stat>, CollectError> {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, stat)) = cached.newest.as_ref().filter(|(of, _)| *of == tick) {
            return Ok(Arc::clone(stat));
        }
        let stat = Arc::new(parse(cached.file.read()?).ok_or(CollectError::Format("/proc/stat"))?);
        cached.newest = Some((tick, Arc::clone(&stat)));
        Ok(stat)
    }
}

/// Guest time is included in `user` and `nice`, so it is not added again.
pub(super) fn parse(text: &str) -> Option<Stat> {
    let mut stat = Stat::default();
    let mut has_total = false;
    for line in text.lines() {
        let Some((key, values)) = line.split_once(' ') else { continue };
        let number = || values.split_ascii_whitespace().next()?.parse().ok();
        match key {
            "cpu" => {
                stat.total = parse_times(values)?;
                has_total = true;
            }
            "ctxt" => stat.context_switches = number(),
            "processes" => stat.forks = number(),
            "procs_running" => stat.runnable_tasks = number(),
            "procs_blocked" => stat.blocked_tasks = number(),
            _ => {
                let core = key.strip_prefix("cpu").and_then(|core| core.parse().ok());
                stat.cores.extend(core.zip(core.and_then(|_| parse_times(values))));
            }
        }
    }
    has_total.then_some(stat)
}

fn parse_times(values: &str) -> Option<Times> {
    let mut fields = values.split_ascii_whitespace();
    let mut next = || fields.next()?.parse::<u64>().ok();
    let [user, nice, system, idle] = [next()?, next()?, next()?, next()?];
    // Kernels before 2.6.11 have fewer fields.
    let [iowait, irq, softirq, steal] = std::array::from_fn(|_| next().unwrap_or(0));
    Some(Times {
        user: user.saturating_add(nice),
        system: system.saturating_add(irq).saturating_add(softirq),
        idle,
        iowait,
        steal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "\
cpu  1000 50 300 8000 100 20 30 40 500 10
cpu0 500 25 150 4000 50 10 15 20 250 5
cpu2 500 25 150 4000 50 10 15 20 250 5
intr 12345 0 0
ctxt 99
btime 1700000000
processes 17
procs_running 3
procs_blocked 1
";

    #[test]
    fn every_line_is_read() {
        let stat = parse(STAT).unwrap();
        let total = Times { user: 1_050, system: 350, idle: 8_000, iowait: 100, steal: 40 };
        assert_eq!((stat.total, total.busy(), total.total()), (total, 1_440, 9_540));
        assert_eq!(stat.cores.iter().map(|(core, _)| *core).collect::<Vec<_>>(), [0, 2]);
        assert_eq!((stat.context_switches, stat.forks), (Some(99), Some(17)));
        assert_eq!((stat.runnable_tasks, stat.blocked_tasks), (Some(3), Some(1)));
        assert_eq!(parse("cpu  1 2 3 4\ncpu0 1 2 3 4\n").unwrap().total.steal, 0);
        for text in ["", "cpu", "cpu  1 2 3", "cpu  a b c d", "intr 1"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn it_is_read_once_a_sample() {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots::below(root.path());
        std::fs::create_dir(&roots.proc).unwrap();
        std::fs::write(roots.proc.join("stat"), STAT).unwrap();
        let file = StatFile::new(&roots);
        let first = file.read(Tick { uptime_ms: 1 }).unwrap();
        std::fs::write(roots.proc.join("stat"), STAT.replace("ctxt 99", "ctxt 100")).unwrap();
        assert_eq!(file.clone().read(Tick { uptime_ms: 1 }).unwrap(), first);
        assert_eq!(file.read(Tick { uptime_ms: 2 }).unwrap().context_switches, Some(100));
    }
}
