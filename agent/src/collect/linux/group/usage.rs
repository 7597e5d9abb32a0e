//! What one control group uses, from its files. Each file is read once: reading makes the kernel add up its counters.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::{attribute, keyed};

/// Number of counters.
pub(super) const N_COUNTERS: usize = 6;

/// The values of a group. What the group has no controller for is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Usage {
    pub(super) cpu_us: Option<u64>,
    pub(super) periods: Option<u64>,
    pub(super) throttled_periods: Option<u64>,
    pub(super) read_bytes: Option<u64>,
    pub(super) written_bytes: Option<u64>,
    pub(super) oom_kills: Option<u64>,
    pub(super) memory_bytes: Option<u64>,
    pub(super) memory_limit_bytes: Option<u64>,
    pub(super) tasks: Option<i32>,
}

impl Usage {
    /// Reads the files of a group; `None` if it is gone.
    pub(super) fn read(dir: &Path, devices: &mut Devices) -> Option<Usage> {
        // Every group has this file, whatever its controllers.
        let cpu = attribute::contents(&dir.join("cpu.stat"))?;
        let value = |key: &str| keyed::number(&cpu, key);
        let io = attribute::contents(&dir.join("io.stat")).map(|text| devices.sum(&text));
        let inactive = || {
            let stat = attribute::contents(&dir.join("memory.stat"))?;
            keyed::number(&stat, "inactive_file")
        };
        let memory = attribute::number::<u64>(&dir.join("memory.current"));
        let events = attribute::contents(&dir.join("memory.events"));
        Some(Usage {
            cpu_us: value("usage_usec"),
            periods: value("nr_periods"),
            throttled_periods: value("nr_throttled"),
            read_bytes: io.map(|(read, _)| read),
            written_bytes: io.map(|(_, written)| written),
            oom_kills: events.and_then(|events| keyed::number(&events, "oom_kill")),
            memory_bytes: memory.map(|memory| memory.saturating_sub(inactive().unwrap_or(0))),
            // `max` is no number.
            memory_limit_bytes: attribute::number(&dir.join("memory.max")),
            tasks: attribute::number(&dir.join("pids.current")).filter(|tasks| 0 <= *tasks),
        })
    }

    /// Returns what only grows, in the order of `CgroupMetrics`.
    pub(super) fn counters(&self) -> [Option<u64>; N_COUNTERS] {
        [
            self.cpu_us,
            self.periods,
            self.throttled_periods,
            self.read_bytes,
            self.written_bytes,
            self.oom_kills,
        ]
    }
}

/// Block devices, of which some repeat what happens on others.
pub(super) struct Devices {
    /// `/sys/dev/block`
    dir: PathBuf,
    /// Whether a device counts, by its numbers; asked once a sample.
    counts: BTreeMap<String, bool>,
}

impl Devices {
    pub(super) fn new(dir: PathBuf) -> Devices {
        Devices { dir, counts: BTreeMap::new() }
    }

    /// Returns the bytes read and written in lines of the form `major:minor rbytes=… wbytes=… …`.
    fn sum(&mut self, io_stat: &str) -> (u64, u64) {
        let (mut read, mut written) = (0u64, 0u64);
        for line in io_stat.lines() {
            let mut fields = line.split_ascii_whitespace();
            let Some(device) = fields.next() else { continue };
            if !self.counts(device) {
                continue;
            }
            for (key, value) in fields.filter_map(|field| field.split_once('=')) {
                let value = value.parse().unwrap_or(0);
                match key {
                    "rbytes" => read = read.saturating_add(value),
                    "wbytes" => written = written.saturating_add(value),
                    _ => {}
                }
            }
        }
        (read, written)
    }

    /// Returns whether a device is one that holds the data itself: neither made of others, nor a file.
    fn counts(&mut self, device: &str) -> bool {
        const LOOP_MAJOR: &str = "7";
        let Some((major, minor)) = device.split_once(':') else { return false };
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if major == LOOP_MAJOR || !is_number(major) || !is_number(minor) {
            return false;
        }
        if let Some(&counts) = self.counts.get(device) {
            return counts;
        }
        let counts = attribute::entries(&self.dir.join(device).join("slaves")).is_empty();
        self.counts.insert(device.to_owned(), counts);
        counts
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_happens_on_a_stack_of_devices_counts_once() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("253:0/slaves/sda")).unwrap();
        fs::create_dir_all(root.path().join("8:0/slaves")).unwrap();
        let mut devices = Devices::new(root.path().to_owned());
        let text = "253:0 rbytes=10 wbytes=20 rios=1\n8:0 rbytes=1 wbytes=2 rios=1 wios=1 dbytes=9\n\
                    7:1 rbytes=5 wbytes=5\n259:1 rbytes=100\n../..:0 rbytes=7\n8: rbytes=7\n\nx\n8:0 wbytes=x\n";
        assert_eq!(devices.sum(text), (101, 2));
        assert_eq!(devices.sum(""), (0, 0));
    }

    #[test]
    fn what_has_no_controller_is_absent() {
        let root = tempfile::tempdir().unwrap();
        let mut devices = Devices::new(root.path().to_owned());
        assert_eq!(Usage::read(root.path(), &mut devices), None, "it is gone");
        fs::write(root.path().join("cpu.stat"), "usage_usec 7\nuser_usec 5\n").unwrap();
        let expected = Usage { cpu_us: Some(7), ..Usage::default() };
        assert_eq!(Usage::read(root.path(), &mut devices), Some(expected.clone()));
        for (file, text) in
            [("memory.current", "100\n"), ("memory.max", "max\n"), ("pids.current", "3\n"), ("io.stat", "")]
        {
            fs::write(root.path().join(file), text).unwrap();
        }
        let expected = Usage {
            memory_bytes: Some(100),
            tasks: Some(3),
            read_bytes: Some(0),
            written_bytes: Some(0),
            ..expected
        };
        assert_eq!(Usage::read(root.path(), &mut devices), Some(expected));
    }
}
