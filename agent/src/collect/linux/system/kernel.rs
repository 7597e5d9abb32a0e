//! Processes, threads, open files, sessions and uptime.

use std::fs::{self, DirEntry};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use pika_protocol::SystemMetrics;

use super::super::attribute;
use crate::collect::number::{signed, small};
use crate::collect::{Roots, View};

/// Reads the kernel's tables.
pub(super) struct Kernel {
    proc: PathBuf,
    sessions: PathBuf,
    view: View,
    /// The links of `/proc` that no process has: its own two, and one for each other directory.
    other_links: u64,
}

impl Kernel {
    pub(super) fn new(roots: &Roots, view: View) -> Kernel {
        let entries = fs::read_dir(&roots.proc).into_iter().flatten().filter_map(Result::ok);
        let is_other = |entry: &DirEntry| {
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            is_directory && !is_process(&entry.file_name().to_string_lossy())
        };
        let directories = entries.filter(is_other).count();
        Kernel {
            proc: roots.proc.clone(),
            sessions: roots.run.join("systemd/sessions"),
            view,
            other_links: 2 + directories as u64,
        }
    }

    /// Fills in what is there. In a container, what the kernel counts for the whole machine is left out.
    pub(super) fn read(&self, metrics: &mut SystemMetrics) {
        metrics.processes = self.processes().and_then(small);
        metrics.sessions = count_sessions(&self.sessions);
        let uptime = attribute::text(&self.proc.join("uptime"));
        metrics.uptime_seconds =
            uptime.and_then(|text| text.split(['.', ' ']).next()?.parse().ok()).map(signed);
        if self.view == View::Host {
            metrics.threads = attribute::text(&self.proc.join("loadavg")).as_deref().and_then(parse_threads);
            let files = attribute::text(&self.proc.join("sys/fs/file-nr"));
            (metrics.open_files, metrics.open_files_max) = files
                .as_deref()
                .and_then(parse_file_nr)
                .map_or((None, None), |(open, max)| (Some(open), Some(max)));
        }
    }

    /// Returns the number of processes. The links of `/proc` tell it even where other users' processes are hidden; in a
    /// container they are those of the whole machine.
    fn processes(&self) -> Option<u64> {
        if self.view == View::Host {
            let links = fs::metadata(&self.proc).ok()?.nlink();
            return links.checked_sub(self.other_links).filter(|processes| 0 < *processes);
        }
        let processes = attribute::entries(&self.proc).iter().filter(|name| is_process(name)).count();
        Some(processes as u64)
    }
}

fn is_process(name: &str) -> bool {
    name.bytes().all(|digit| digit.is_ascii_digit())
}

/// Counts the files of sessions; the pipes beside them, by which logind notices their end, are not counted.
fn count_sessions(directory: &Path) -> Option<i32> {
    let entries = fs::read_dir(directory).ok()?.filter_map(Result::ok);
    let sessions = entries.filter(|entry| !entry.file_name().to_string_lossy().ends_with(".ref")).count();
    i32::try_from(sessions).ok()
}

/// `0.20 0.18 0.12 1/80 11206`: the fourth tells running and all threads.
fn parse_threads(text: &str) -> Option<i32> {
    text.split_ascii_whitespace().nth(3)?.split_once('/')?.1.parse().ok().and_then(small)
}

/// Open files, an unused number, and the maximum, which is practically none on new systems.
fn parse_file_nr(text: &str) -> Option<(i64, i64)> {
    let mut numbers = text.split_ascii_whitespace().map(|number| number.parse::<u64>().ok().map(signed));
    Some((numbers.next()??, numbers.nth(1)??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found() {
        assert_eq!(parse_threads("0.25 0.50 12.75 1/80 11206\n"), Some(80));
        assert_eq!(parse_file_nr("1504\t0\t2466177\n"), Some((1_504, 2_466_177)));
        assert_eq!(parse_file_nr("1504\t0\t18446744073709551615\n"), Some((1_504, i64::MAX)));
        assert_eq!((parse_threads("0.25 0.50 12.75 80"), parse_file_nr("1504 0")), (None, None));
    }

    #[test]
    fn links_of_proc_tell_the_processes() {
        let mut metrics = SystemMetrics::default();
        Kernel::new(&Roots::default(), View::Host).read(&mut metrics);
        let listed = attribute::entries(Path::new("/proc")).iter().filter(|name| is_process(name)).count();
        let counted = usize::try_from(metrics.processes.unwrap()).unwrap();
        assert!(counted.abs_diff(listed) < 50, "{counted} counted, {listed} listed");
        assert!(0 < metrics.uptime_seconds.unwrap());
    }

    #[test]
    fn sessions_are_files_without_their_pipes() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(count_sessions(&directory.path().join("none")), None);
        for name in ["1", "1.ref", "c2"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        assert_eq!(count_sessions(directory.path()), Some(2));
    }
}
