//! Failed units, a needed reboot, the clock, heat, and errors of memory.

use std::path::{Path, PathBuf};

use pika_protocol::SystemMetrics;

use super::super::attribute;
use super::bus::SystemBus;
use crate::collect::delta::{Counters, Width};
use crate::collect::{Roots, Tick, View};

/// Reads the health.
pub(super) struct Health {
    bus: SystemBus,
    run: PathBuf,
    /// The modules of the running kernel.
    modules: Option<PathBuf>,
    /// Whether they were ever seen: a kernel may have been started without any.
    had_modules: bool,
    /// How often processors were slowed down, once a core and once a package.
    throttles: Vec<PathBuf>,
    memory_controllers: Vec<PathBuf>,
    counters: Counters<3>,
}

impl Health {
    pub(super) fn new(roots: &Roots, view: View) -> Health {
        let is_whole = view.shows_hardware();
        let release = attribute::text(&roots.proc.join("sys/kernel/osrelease")).filter(|_| is_whole);
        let (mut throttles, mut memory_controllers) = (Vec::new(), Vec::new());
        if is_whole {
            throttles = find_throttles(&roots.sys.join("devices/system/cpu"));
            memory_controllers = find_memory_controllers(&roots.sys.join("devices/system/edac/mc"));
        }
        // Sums over processors, which shrink when one goes offline.
        let widths = [Width::Bits32, Width::Full, Width::Full];
        Health {
            bus: SystemBus::new(roots.run.join("dbus/system_bus_socket")),
            run: roots.run.clone(),
            modules: release.map(|release| roots.modules.join(release)),
            had_modules: false,
            throttles,
            memory_controllers,
            counters: Counters::new(widths),
        }
    }

    /// Fills in what is there.
    pub(super) fn read(&mut self, tick: Tick, metrics: &mut SystemMetrics) {
        metrics.failed_units = self.bus.failed_units();
        metrics.reboot_required = self.is_reboot_required().map(i32::from);
        let timesync = self.run.join("systemd/timesync");
        metrics.time_synchronized =
            timesync.is_dir().then(|| i32::from(timesync.join("synchronized").exists()));
        let sum = |paths: &mut dyn Iterator<Item = PathBuf>| {
            let values = paths.filter_map(|path| attribute::number::<u64>(&path));
            values.reduce(u64::saturating_add)
        };
        let errors =
            |name: &str| sum(&mut self.memory_controllers.iter().map(|directory| directory.join(name)));
        let current = [sum(&mut self.throttles.iter().cloned()), errors("ce_count"), errors("ue_count")];
        let moved = self.counters.advance(tick.uptime_ms, current);
        [metrics.thermal_throttles, metrics.memory_errors_corrected, metrics.memory_errors_uncorrected] =
            moved.amounts;
    }

    /// Returns whether an update waits for a reboot: because the distribution says so, or because the running kernel's
    /// modules are gone. `None` if nothing tells.
    fn is_reboot_required(&mut self) -> Option<bool> {
        if self.run.join("reboot-required").exists() {
            return Some(true);
        }
        let has_modules = self.modules.as_ref()?.is_dir();
        self.had_modules |= has_modules;
        self.had_modules.then_some(!has_modules)
    }
}

/// Returns the counters of one processor of each core, and of one core of each package.
fn find_throttles(cpus: &Path) -> Vec<PathBuf> {
    let mut seen = Vec::new();
    let mut found = Vec::new();
    let is_processor = |name: &&String| {
        name.strip_prefix("cpu")
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|digit| digit.is_ascii_digit()))
    };
    for name in attribute::entries(cpus).iter().filter(is_processor) {
        let directory = cpus.join(name);
        if !directory.join("thermal_throttle").is_dir() {
            continue;
        }
        let topology =
            |name: &str| attribute::text(&directory.join("topology").join(name)).unwrap_or_default();
        let package = topology("physical_package_id");
        let core = format!("{package}:{}", topology("core_id"));
        for (key, file) in [(core, "core_throttle_count"), (package, "package_throttle_count")] {
            if !seen.contains(&key) {
                seen.push(key);
                found.push(directory.join("thermal_throttle").join(file));
            }
        }
    }
    found
}

fn find_memory_controllers(controllers: &Path) -> Vec<PathBuf> {
    let names = attribute::entries(controllers);
    names.iter().filter(|name| name.starts_with("mc")).map(|name| controllers.join(name)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::collect::tests::fixture::Machine;

    #[test]
    fn a_reboot_is_required_when_the_kernel_is_replaced() {
        let machine = Machine::new("== proc/sys/kernel/osrelease\n6.1.0\n== run/x\n");
        let roots = machine.roots();
        let mut health = Health::new(&roots, View::Host);
        assert_eq!(health.is_reboot_required(), None, "a kernel without modules");
        machine.write("lib/modules/6.1.0/modules.dep", "");
        assert_eq!(health.is_reboot_required(), Some(false));
        fs::remove_dir_all(roots.modules.join("6.1.0")).unwrap();
        assert_eq!(health.is_reboot_required(), Some(true));
        let mut container = Health::new(&roots, View::Container);
        assert_eq!(container.is_reboot_required(), None);
        machine.write("run/reboot-required", "");
        assert_eq!(container.is_reboot_required(), Some(true));
    }
}
