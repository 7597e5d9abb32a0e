//! Resource usage of processes on this machine, from `/proc`.

use std::path::Path;

use rustix::param::clock_ticks_per_second;

/// CPU time used so far and current memory of a process or group.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) memory_kib: u64,
}

/// A process or group to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Metered {
    /// One process.
    Process(u32),
    /// A PostgreSQL server: the postmaster and its children.
    Postgres(u32),
}

impl Metered {
    /// Returns the usage; `None` if there is no such process on this machine.
    pub(crate) fn usage(self) -> Option<Usage> {
        match self {
            Metered::Process(pid) => {
                let memory_kib = field_kib(&status(pid)?, "VmRSS")?;
                Some(Usage { cpu_seconds: seconds(stat(pid)?.own_ticks), memory_kib })
            }
            Metered::Postgres(pid) => postgres_usage(pid),
        }
    }
}

/// Returns the peak memory of a process.
pub(crate) fn memory_peak_kib(pid: u32) -> Option<u64> {
    field_kib(&status(pid)?, "VmHWM")
}

/// Returns the parent of a PostgreSQL backend, if that backend runs on this machine.
pub(crate) fn postmaster_of(backend: u32) -> Option<u32> {
    let stat = stat(backend)?;
    (stat.name.starts_with("postgres")).then_some(stat.parent)
}

/// Backends share most of their memory, which is counted once.
fn postgres_usage(postmaster: u32) -> Option<Usage> {
    let first = stat(postmaster)?;
    let mut ticks = first.own_ticks + first.ended_children_ticks;
    let (mut private_kib, mut shared_kib) = (0, 0);
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // Processes come and go while they are read.
        let Some(stat) = stat(pid) else { continue };
        if pid != postmaster && stat.parent != postmaster {
            continue;
        }
        if pid != postmaster {
            ticks += stat.own_ticks;
        }
        if let Some(status) = status(pid) {
            private_kib += field_kib(&status, "RssAnon").unwrap_or(0);
            shared_kib = shared_kib.max(field_kib(&status, "RssShmem").unwrap_or(0));
        }
    }
    Some(Usage { cpu_seconds: seconds(ticks), memory_kib: private_kib + shared_kib })
}

/// The relevant fields of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    name: String,
    parent: u32,
    own_ticks: u64,
    ended_children_ticks: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name may contain blanks and parentheses: the last one ends it.
    let (start, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        name: start.split_once('(')?.1.to_owned(),
        parent: fields.get(1)?.parse().ok()?,
        own_ticks: ticks(11)? + ticks(12)?,
        ended_children_ticks: ticks(13)? + ticks(14)?,
    })
}

fn status(pid: u32) -> Option<String> {
    std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).ok()
}

fn field_kib(status: &str, name: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.split_whitespace().next()?.parse().ok()
}

#[expect(clippy::cast_precision_loss, reason = "seconds for people")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / clock_ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_have_any_name() {
        let text = "42 (a) b (c) S 7 42 42 0 -1 4194304 100 0 0 0 11 22 33 44 20 0 1 0 500 1000 25";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.name.as_str(), stat.parent), ("a) b (c", 7));
        assert_eq!((stat.own_ticks, stat.ended_children_ticks), (33, 77));
        assert!(parse_stat("42 (short) S 7").is_none());
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let status = "VmRSSx:\t1 kB\nVmHWM:\t  300 kB\nVmRSS:\t  200 kB\n";
        assert_eq!(field_kib(status, "VmRSS"), Some(200));
        assert_eq!(field_kib(status, "VmHWM"), Some(300));
        assert_eq!(field_kib(status, "RssAnon"), None);
    }

    #[test]
    fn this_process_uses_something() {
        let usage = Metered::Process(std::process::id()).usage().unwrap();
        assert!(0 < usage.memory_kib, "{usage:?}");
        assert!(Metered::Process(u32::MAX).usage().is_none());
    }
}
