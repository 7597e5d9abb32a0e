//! What containers, virtual machines and units use, from control groups version 2. No engine is asked: the groups are
//! known by their paths.
//!
//! A group is reported by name once it has existed for a minute, and while there are not too many. Until then and beyond
//! that, it counts in the series `(other)`: thousands of short-lived containers make no series of their own, and the
//! sums are still right.

mod discover;
mod identity;
mod known;
mod usage;

use std::collections::BTreeSet;
use std::path::PathBuf;

use pika_protocol::CgroupMetrics;
use pika_protocol::limits::CGROUPS_PER_SAMPLE_MAX;
use tracing::{info, warn};

use self::discover::{GROUPS_MAX, Group};
use self::identity::{Identity, Kind};
use self::known::{Known, KnownGroups};
use self::usage::{Devices, Usage};
use super::attribute;
use super::readings::{Given, SharedReadings};
use crate::collect::number::signed;
use crate::collect::{CollectError, Collector, Roots, Tick};
use crate::config::CgroupConfig;
use crate::glob;

/// The series of all groups that are too young or too many.
const OTHER: &str = "(other)";

/// Maximum number of groups that are reported by name.
const NAMED_MAX: usize = CGROUPS_PER_SAMPLE_MAX - 1;

/// Maximum number of groups whose files are read for one sample.
const READ_MAX: usize = 2 * CGROUPS_PER_SAMPLE_MAX;

/// Minimum time between two readings, in milliseconds.
const INTERVAL_MS_MIN: i64 = 10_000;

/// The collector of control groups.
pub(in crate::collect) struct ControlGroups {
    /// `/sys/fs/cgroup`
    root: PathBuf,
    /// `/sys/dev/block`
    block_devices: PathBuf,
    config: CgroupConfig,
    readings: SharedReadings,
    known: KnownGroups,
    /// Whether there were too many groups last time.
    are_too_many: bool,
    has_told_version: bool,
}

impl ControlGroups {
    pub(in crate::collect) fn new(
        roots: &Roots,
        config: CgroupConfig,
        readings: SharedReadings,
    ) -> ControlGroups {
        ControlGroups {
            root: roots.sys.join("fs/cgroup"),
            block_devices: roots.sys.join("dev/block"),
            config,
            readings,
            known: KnownGroups::default(),
            are_too_many: false,
            has_told_version: false,
        }
    }

    /// Returns whether groups are of version 2, and says once if they are not.
    fn is_version_2(&mut self) -> bool {
        if self.root.join("cgroup.controllers").exists() {
            return true;
        }
        if !self.has_told_version && self.root.exists() {
            self.has_told_version = true;
            info!(
                "containers are not reported: this machine uses control groups version 1; systemd uses version 2 with \
                 the kernel parameter systemd.unified_cgroup_hierarchy=1"
            );
        }
        false
    }

    /// Returns the groups that the configuration selects, those that are known first.
    fn groups(&mut self) -> Vec<Group> {
        let CgroupConfig { include_containers, exclude_containers, include_units } = &self.config;
        let mut groups = discover::groups(&self.root, |unit| glob::matches_any(include_units, unit));
        let n_found = groups.len();
        groups.retain(|Group { identity, .. }| {
            let is_listed = |list: &[String]| {
                [Some(identity.name.as_str()), identity.id.as_deref()]
                    .into_iter()
                    .flatten()
                    .any(|name| glob::matches_any(list, name))
            };
            identity.kind == Kind::Unit
                || if include_containers.is_empty() {
                    !is_listed(exclude_containers)
                } else {
                    is_listed(include_containers)
                }
        });
        self.known.sort(&mut groups);
        let are_too_many = READ_MAX < groups.len() || GROUPS_MAX <= n_found;
        if are_too_many && !self.are_too_many {
            warn!(
                found = groups.len(),
                read = READ_MAX,
                "too many control groups; the newest ones are left out"
            );
        }
        self.are_too_many = are_too_many;
        groups
    }
}

impl Collector for ControlGroups {
    type Output = Vec<CgroupMetrics>;

    /// Returns one entry per group that is reported by name, and one for all others, if there are any. May block.
    fn collect(&mut self, tick: Tick) -> Result<Vec<CgroupMetrics>, CollectError> {
        let is_early = |last_ms: i64| tick.uptime_ms.saturating_sub(last_ms) < INTERVAL_MS_MIN;
        if !self.is_version_2() || self.known.read_at_ms().is_some_and(is_early) {
            return Ok(Vec::new());
        }
        let groups = self.groups();
        let given = self.readings.at(tick);
        let mut devices = Devices::new(self.block_devices.clone());
        let mut named: Vec<CgroupMetrics> = Vec::new();
        let mut names = BTreeSet::from([OTHER.to_owned()]);
        let mut other = None;
        for (index, group) in groups.iter().enumerate() {
            let usage = if index < READ_MAX { Usage::read(&group.path, &mut devices) } else { None };
            let Some(known) = self.known.note(group, usage.as_ref(), tick.uptime_ms) else { continue };
            let Some(usage) = usage else { continue };
            let metrics = metrics(&usage, known);
            if known.is_named(tick.uptime_ms) && named.len() < NAMED_MAX {
                known.has_series = true;
                let name = name(&group.identity, known, &given, &mut names);
                named.push(CgroupMetrics {
                    cgroup: name,
                    kind: group.identity.kind.name().to_owned(),
                    container_id: group.identity.short_id().to_owned(),
                    ..metrics
                });
            } else {
                add(other.get_or_insert_with(CgroupMetrics::default), &metrics);
            }
        }
        let since_last_ms = self.known.end(tick.uptime_ms);
        // At the first reading nothing is known about how long groups have existed.
        named.extend(other.filter(|_| since_last_ms.is_some()).map(|other| CgroupMetrics {
            cgroup: OTHER.to_owned(),
            kind: Kind::Container.name().to_owned(),
            interval_ms: since_last_ms.filter(|_| other.cpu_us.is_some()),
            ..other
        }));
        Ok(named)
    }
}

/// Returns the name to report, which no other group has. A name that was known stays, even if nobody tells it any more.
fn name(identity: &Identity, known: &mut Known, given: &Given, names: &mut BTreeSet<String>) -> String {
    let by_id = |id: &str| given.names.get(id).or_else(|| given.names.get(id.get(..12)?));
    if let Some(name) = identity.id.as_deref().and_then(by_id) {
        known.name = Some(attribute::label(name));
    }
    let name = known.name.clone().filter(|name| !name.is_empty());
    let mut name = name.unwrap_or_else(|| attribute::label(&identity.name));
    if names.contains(&name) {
        let mark = if identity.id.is_some() { identity.short_id() } else { identity.kind.name() };
        let unmarked = name;
        name = attribute::label(&format!("{mark} {unmarked}"));
        let mut number = 2;
        while names.contains(&name) {
            name = attribute::label(&format!("{mark} {number} {unmarked}"));
            number += 1;
        }
    }
    names.insert(name.clone());
    name
}

/// Returns the numbers of one group.
fn metrics(usage: &Usage, known: &Known) -> CgroupMetrics {
    let [cpu_us, periods, throttled_periods, read_bytes, written_bytes, oom_kills] = known.moved.amounts;
    CgroupMetrics {
        interval_ms: known.moved.interval_ms,
        cpu_us,
        periods,
        throttled_periods,
        read_bytes,
        written_bytes,
        oom_kills,
        restarts: known.moved.interval_ms.map(|_| known.restarts),
        memory_bytes: usage.memory_bytes.map(signed),
        memory_limit_bytes: usage.memory_limit_bytes.map(signed),
        tasks: usage.tasks,
        ..CgroupMetrics::default()
    }
}

/// Adds the numbers of a group to those of others. Limits do not add up.
fn add(sum: &mut CgroupMetrics, added: &CgroupMetrics) {
    let fields: [fn(&mut CgroupMetrics) -> &mut Option<i64>; 8] = [
        |metrics| &mut metrics.cpu_us,
        |metrics| &mut metrics.periods,
        |metrics| &mut metrics.throttled_periods,
        |metrics| &mut metrics.read_bytes,
        |metrics| &mut metrics.written_bytes,
        |metrics| &mut metrics.oom_kills,
        |metrics| &mut metrics.restarts,
        |metrics| &mut metrics.memory_bytes,
    ];
    let mut added = added.clone();
    for field in fields {
        if let Some(value) = *field(&mut added) {
            let sum = field(sum).get_or_insert(0);
            *sum = sum.saturating_add(value);
        }
    }
    if let Some(tasks) = added.tasks {
        sum.tasks = Some(sum.tasks.unwrap_or(0).saturating_add(tasks));
    }
}

#[cfg(test)]
mod tests;
