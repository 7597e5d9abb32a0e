//! Tests of control groups: made up ones, and real ones of the kernel.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::*;
use crate::collect::tests::fixture::{Machine, NOW_MS, clock};

const MINUTE_MS: i64 = 60_000;

fn collector(roots: &Roots, readings_dir: PathBuf) -> ControlGroups {
    let config = CgroupConfig {
        include_containers: Vec::new(),
        exclude_containers: Vec::new(),
        include_units: Vec::new(),
    };
    let owner_uid = std::os::unix::fs::MetadataExt::uid(&roots.sys.metadata().unwrap());
    ControlGroups::new(roots, config, SharedReadings::new(readings_dir, owner_uid, clock()))
}

fn collect(groups: &mut ControlGroups, minute: i64) -> Vec<CgroupMetrics> {
    groups.collect(Tick { uptime_ms: minute * MINUTE_MS }).unwrap()
}

/// The name of the group of a container with this number.
fn docker(number: usize) -> String {
    format!("docker-{number:064x}.scope")
}

const VERSION_2: &str = "== sys/fs/cgroup/cgroup.controllers\ncpu\n";

#[test]
fn a_group_has_a_name_after_a_minute_and_until_then_counts_among_others() {
    let machine = Machine::new(VERSION_2);
    let cpu = |number, usage_us: u64| {
        machine.write(
            &format!("sys/fs/cgroup/system.slice/{}/cpu.stat", docker(number)),
            &format!("usage_usec {usage_us}\n"),
        );
    };
    let mut groups = collector(&machine.roots(), machine.root().join("none"));
    cpu(1, 1_000);
    assert_eq!(collect(&mut groups, 0), [], "how long it has existed is unknown");
    cpu(1, 1_600);
    cpu(2, 70);
    let found = collect(&mut groups, 1);
    assert_eq!(found.len(), 2);
    assert_eq!(
        (found[0].cgroup.as_str(), found[0].cpu_us, found[0].restarts),
        ("000000000000", Some(600), Some(0))
    );
    assert_eq!(
        (found[1].cgroup.as_str(), found[1].cpu_us, found[1].interval_ms),
        (OTHER, Some(70), Some(MINUTE_MS))
    );
    assert_eq!((found[1].tasks, found[1].memory_bytes), (None, None), "there are no controllers for them");
    cpu(2, 100);
    let found = collect(&mut groups, 2);
    let shown: Vec<_> = found.iter().map(|group| (group.cgroup.as_str(), group.cpu_us)).collect();
    assert_eq!(shown, [("000000000000", Some(0)), ("000000000000 000000000000", Some(30))], "names differ");
    assert_eq!(groups.collect(Tick { uptime_ms: 2 * MINUTE_MS + 9_999 }).unwrap(), [], "not so often");
}

#[test]
fn a_container_that_was_gone_is_started_again() {
    let machine = Machine::new(VERSION_2);
    let path = format!("sys/fs/cgroup/system.slice/{}", docker(1));
    let cpu = |usage_us: u64| machine.write(&format!("{path}/cpu.stat"), &format!("usage_usec {usage_us}\n"));
    let mut groups = collector(&machine.roots(), machine.root().join("none"));
    cpu(1_000);
    collect(&mut groups, 0);
    cpu(2_000);
    assert_eq!(collect(&mut groups, 1)[0].cpu_us, Some(1_000));
    fs::remove_dir_all(machine.root().join(&path)).unwrap();
    assert_eq!(collect(&mut groups, 2), []);
    assert_eq!(collect(&mut groups, 3), []);
    // More than before it went, but all of it is new.
    cpu(5_000);
    let found = collect(&mut groups, 4);
    assert_eq!((found[0].cgroup.as_str(), found[0].restarts), ("000000000000", Some(1)), "it keeps its name");
    assert_eq!((found[0].cpu_us, found[0].interval_ms), (Some(5_000), Some(MINUTE_MS)));
    assert_eq!(collect(&mut groups, 5)[0].restarts, Some(0));
    fs::remove_dir_all(machine.root().join(&path)).unwrap();
    for minute in 6..200 {
        collect(&mut groups, minute);
    }
    assert_eq!(groups.known.len(), 0, "it is forgotten at last");
}

#[test]
fn names_are_those_that_somebody_tells_and_stay() {
    let machine = Machine::new(VERSION_2);
    let id = format!("{:064x}", 7);
    machine.write(&format!("sys/fs/cgroup/docker/{id}/cpu.stat"), "usage_usec 1\n");
    let path = "run/pika-readings/names.json";
    let text = format!(r#"{{"takenAt":{NOW_MS},"intervalMs":60000,"names":{{"{id}":"web"}}}}"#);
    machine.write(path, &text);
    let mut groups = collector(&machine.roots(), machine.root().join("run/pika-readings"));
    collect(&mut groups, 0);
    let found = collect(&mut groups, 1);
    assert_eq!((found[0].cgroup.as_str(), found[0].container_id.as_str()), ("web", "000000000000"));
    fs::remove_file(machine.root().join(path)).unwrap();
    assert_eq!(collect(&mut groups, 2)[0].cgroup, "web");
}

/// Control groups below one that the test has made, in the kernel's own hierarchy.
struct KernelGroups {
    root: PathBuf,
    base: PathBuf,
    /// The group of this process before.
    before: String,
}

impl KernelGroups {
    /// Makes the group; `None`, with a word about it, where there is no version 2, or the kernel forbids it.
    fn new() -> Option<KernelGroups> {
        let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        let Some(root) = roots.into_iter().find(|root| root.join("cgroup.controllers").exists()) else {
            eprintln!("SKIPPED: this kernel has no control groups version 2");
            return None;
        };
        let base = root.join(format!("pika-test-{}", std::process::id()));
        if let Err(error) = fs::create_dir(&base) {
            use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
            assert!(matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem), "{error}");
            eprintln!("SKIPPED: no control group can be made here: {error}");
            return None;
        }
        // Those that there are; without them, memory and tasks are absent.
        for controller in ["+cpu", "+io", "+memory", "+pids"] {
            drop(fs::write(base.join("cgroup.subtree_control"), controller));
        }
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        let before = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap().to_owned();
        Some(KernelGroups { root: root.to_owned(), base, before })
    }

    /// Moves this process into a group.
    fn enter(group: &Path) {
        fs::write(group.join("cgroup.procs"), std::process::id().to_string()).unwrap();
    }

    /// Moves it back to where it was.
    fn leave(&self) {
        Self::enter(&self.root.join(self.before.trim_start_matches('/')));
    }
}

impl Drop for KernelGroups {
    fn drop(&mut self) {
        // A group with a process in it cannot be removed.
        self.leave();
        let entries = fs::read_dir(&self.base).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.path().is_dir()) {
            drop(fs::remove_dir(entry.path()));
        }
        drop(fs::remove_dir(&self.base));
    }
}

/// Uses some of a processor's time.
fn work() {
    let started = Instant::now();
    let mut number = 1u64;
    while started.elapsed() < Duration::from_millis(60) {
        number = std::hint::black_box(number.wrapping_mul(3));
    }
}

#[test]
fn numbers_are_the_kernels() {
    let Some(kernel) = KernelGroups::new() else { return };
    let machine = Machine::new("");
    fs::create_dir_all(machine.root().join("sys/fs")).unwrap();
    std::os::unix::fs::symlink(&kernel.base, machine.root().join("sys/fs/cgroup")).unwrap();
    let mut groups = collector(&machine.roots(), machine.root().join("none"));

    let container = kernel.base.join(docker(1));
    fs::create_dir(&container).unwrap();
    let usage = || -> i64 {
        let text = fs::read_to_string(container.join("cpu.stat")).unwrap();
        text.lines().find_map(|line| line.strip_prefix("usage_usec ")).unwrap().parse().unwrap()
    };
    KernelGroups::enter(&container);
    let at_first = usage();
    assert_eq!(collect(&mut groups, 0), []);
    let after_first = usage();
    work();
    let before_second = usage();
    let found = collect(&mut groups, 1);
    let after_second = usage();
    assert_eq!((found.len(), found[0].cgroup.as_str(), found[0].restarts), (1, "000000000000", Some(0)));
    let cpu_us = found[0].cpu_us.unwrap();
    assert!(
        0 < cpu_us && (before_second - after_first..=after_second - at_first).contains(&cpu_us),
        "{cpu_us}"
    );
    let number =
        |file: &str| -> Option<i64> { fs::read_to_string(container.join(file)).ok()?.trim().parse().ok() };
    assert_eq!(found[0].memory_bytes.is_some(), number("memory.current").is_some());
    assert_eq!(found[0].tasks.is_some(), number("pids.current").is_some());
    if let Some((memory, now)) = found[0].memory_bytes.zip(number("memory.current")) {
        assert!(0 < memory && memory <= now + 16 * 1024 * 1024, "{memory} of {now}");
    }

    // The container is started again: its group is made anew, and counts from zero.
    kernel.leave();
    fs::remove_dir(&container).unwrap();
    fs::create_dir(&container).unwrap();
    KernelGroups::enter(&container);
    work();
    let low = usage();
    let found = collect(&mut groups, 2);
    let high = usage();
    assert_eq!((found[0].cgroup.as_str(), found[0].restarts), ("000000000000", Some(1)));
    assert!((low..=high).contains(&found[0].cpu_us.unwrap()), "{found:?}, not from {low} to {high}");

    kernel.leave();
    fs::remove_dir(&container).unwrap();
    assert_eq!(collect(&mut groups, 3), [], "it is gone");
}
