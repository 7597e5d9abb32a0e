//! The rules that Pika comes with.

use super::condition::{
    Condition, Function, Levels, MetricCondition, Operator, SystemCheck, Threshold, TrendCondition,
};
use super::rule::Definition;
use super::scope::SeriesFilter;
use super::severity::Severity;
use crate::domain::family::Family;
use crate::domain::tier::{DAY_MS, MINUTE_MS};

/// The version of these rules. Rules that nobody has changed are updated.
pub const VERSION: i32 = 2;

const GIB: f64 = 1_073_741_824.0;

/// File systems that are not disks.
const FS_TYPES: [&str; 6] = ["tmpfs", "devtmpfs", "overlay", "squashfs", "iso9660", "ramfs"];
/// Mount points of no interest.
const MOUNT_POINTS: [&str; 6] =
    ["/snap", "/snap/*", "/run", "/run/*", "/var/lib/docker", "/var/lib/docker/*"];
/// Virtual interfaces.
const INTERFACES: [&str; 5] = ["lo", "veth*", "docker*", "br-*", "virbr*"];

/// A built-in rule.
#[derive(Clone, Debug, PartialEq)]
pub struct BuiltinRule {
    /// The key among the built-in rules.
    pub key: &'static str,
    /// The name shown to people.
    pub name: &'static str,
    /// Whether it is enabled in a new installation.
    pub enabled: bool,
    /// The definition.
    pub definition: Definition,
}

fn threshold(threshold: f64, recovery_threshold: f64) -> Option<Threshold> {
    Some(Threshold { threshold, recovery_threshold })
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// The default filter of a family's mount points or interfaces.
pub fn default_series(family: &str) -> SeriesFilter {
    match family {
        "disk" => SeriesFilter {
            exclude: strings(&MOUNT_POINTS),
            fs_types_exclude: strings(&FS_TYPES),
            ..SeriesFilter::default()
        },
        "network" => SeriesFilter { exclude: strings(&INTERFACES), ..SeriesFilter::default() },
        _ => SeriesFilter::default(),
    }
}

/// A metric's condition: above a threshold, in a window of this many minutes.
fn above(family: &str, metric: &str, function: Function, minutes: i64, levels: Levels) -> Condition {
    Condition::Metric(MetricCondition {
        family: family.to_owned(),
        metric: metric.to_owned(),
        function,
        window_ms: minutes * MINUTE_MS,
        operator: Operator::Above,
        levels,
    })
}

fn warning_and_critical(warning: Option<Threshold>, critical: Option<Threshold>) -> Levels {
    Levels { info: None, warning, critical }
}

fn info(info: Option<Threshold>) -> Levels {
    Levels { info, ..Levels::default() }
}

/// A rule with its times in minutes. Critical alerts are repeated every day.
fn rule(
    key: &'static str,
    name: &'static str,
    enabled: bool,
    conditions: Vec<Condition>,
    (for_minutes, recover_minutes): (i64, i64),
) -> BuiltinRule {
    let family = conditions.iter().find_map(|condition| condition.series_family());
    let has_critical = conditions.iter().any(|condition| condition.has_own(Severity::Critical));
    let usual = Definition::of(Condition::Offline { severity: Severity::Critical });
    let definition = Definition {
        conditions,
        series: default_series(family.map_or("", Family::name)),
        for_ms: for_minutes * MINUTE_MS,
        recover_for_ms: recover_minutes * MINUTE_MS,
        cooldown_ms: if has_critical { 2 } else { 10 } * MINUTE_MS,
        repeat_ms: has_critical.then_some(DAY_MS),
        ..usual
    };
    BuiltinRule { key, name, enabled, definition }
}

/// Returns all built-in rules.
pub fn rules() -> Vec<BuiltinRule> {
    let mut rules = presence_rules();
    rules.extend(metric_rules());
    rules.extend(health_rules());
    rules.extend(data_rules());
    rules.extend(system_rules());
    rules
}

fn presence_rules() -> Vec<BuiltinRule> {
    let severity = Severity::Critical;
    vec![
        rule("agent-offline", "Agent offline", true, vec![Condition::Offline { severity }], (3, 1)),
        rule("fleet-outage", "Fleet outage", true, vec![Condition::FleetOutage { severity }], (1, 2)),
        rule("tag-outage", "Tag outage", true, vec![Condition::TagOutage { severity }], (1, 2)),
    ]
}

fn metric_rules() -> Vec<BuiltinRule> {
    let space = above(
        "disk",
        "usagePercent",
        Function::Max,
        5,
        warning_and_critical(threshold(85.0, 80.0), threshold(95.0, 92.0)),
    );
    // A percentage alone would alert about the last terabyte of a large disk.
    let free = Condition::Metric(MetricCondition {
        family: "disk".to_owned(),
        metric: "freeBytes".to_owned(),
        function: Function::Min,
        window_ms: 5 * MINUTE_MS,
        operator: Operator::Below,
        levels: warning_and_critical(threshold(20.0 * GIB, 25.0 * GIB), threshold(5.0 * GIB, 6.0 * GIB)),
    });
    let full_soon = Condition::FullWithin(TrendCondition {
        levels: warning_and_critical(threshold(4.0, 8.0), threshold(1.0, 2.0)),
        history_ms: 3 * DAY_MS,
    });
    let inodes = warning_and_critical(threshold(90.0, 85.0), threshold(97.0, 95.0));
    let memory = warning_and_critical(threshold(92.0, 88.0), threshold(97.0, 94.0));
    let cpu = warning_and_critical(threshold(95.0, 85.0), None);
    let iowait = warning_and_critical(threshold(40.0, 20.0), None);
    let steal = info(threshold(10.0, 5.0));
    let swap = above(
        "memory",
        "swapUsedPercent",
        Function::Min,
        15,
        warning_and_critical(threshold(80.0, 60.0), None),
    );
    // Swap in use alone is normal.
    let no_memory =
        above("memory", "usagePercent", Function::Min, 15, warning_and_critical(threshold(85.0, 80.0), None));
    let load = warning_and_critical(threshold(4.0, 2.0), None);
    vec![
        rule("disk-space", "Disk space", true, vec![space, free], (5, 10)),
        rule("disk-full-soon", "Disk full soon", true, vec![full_soon], (60, 120)),
        rule(
            "inodes",
            "Inodes",
            true,
            vec![above("disk", "inodesUsagePercent", Function::Max, 5, inodes)],
            (10, 10),
        ),
        rule(
            "memory",
            "Memory",
            true,
            vec![above("memory", "usagePercent", Function::Min, 10, memory)],
            (10, 10),
        ),
        rule("swap", "Swap", false, vec![swap, no_memory], (15, 15)),
        rule("cpu", "CPU", false, vec![above("cpu", "usagePercent", Function::Avg, 15, cpu)], (15, 15)),
        rule(
            "cpu-steal",
            "CPU steal",
            true,
            vec![above("cpu", "stealPercent", Function::Avg, 20, steal)],
            (20, 60),
        ),
        rule(
            "iowait",
            "CPU iowait",
            false,
            vec![above("cpu", "iowaitPercent", Function::Avg, 15, iowait)],
            (30, 30),
        ),
        rule("load", "Load", false, vec![above("load", "load15PerCore", Function::Min, 15, load)], (15, 15)),
        rule(
            "network-errors",
            "Network errors",
            true,
            vec![above("network", "errorsPerSecond", Function::Avg, 10, info(threshold(10.0, 1.0)))],
            (60, 60),
        ),
    ]
}

/// The health of the machine.
fn health_rules() -> Vec<BuiltinRule> {
    // 2 is degraded, 3 failed; a drive that sleeps (4) is well.
    let volume = vec![
        above(
            "volume",
            "state",
            Function::Min,
            5,
            warning_and_critical(threshold(1.5, 1.5), threshold(2.5, 2.5)),
        ),
        Condition::Metric(MetricCondition {
            family: "volume".to_owned(),
            metric: "state".to_owned(),
            function: Function::Max,
            window_ms: 5 * MINUTE_MS,
            operator: Operator::Below,
            levels: warning_and_critical(threshold(3.5, 3.5), threshold(3.5, 3.5)),
        }),
    ];
    let one =
        |family, metric, function, minutes, levels| vec![above(family, metric, function, minutes, levels)];
    let wear = warning_and_critical(threshold(90.0, 89.0), threshold(100.0, 99.0));
    let hot = warning_and_critical(threshold(95.0, 90.0), threshold(100.0, 95.0));
    let kills = warning_and_critical(threshold(0.0, 0.0), None);
    let failed = warning_and_critical(threshold(0.5, 0.5), None);
    let tracked = warning_and_critical(threshold(90.0, 80.0), None);
    let reboot = info(threshold(0.5, 0.5));
    let errors = warning_and_critical(None, threshold(0.0, 0.0));
    vec![
        rule("volume", "RAID, pool or file system", true, volume, (2, 10)),
        rule(
            "drive-wear",
            "Drive worn out",
            true,
            one("volume", "wearPercent", Function::Max, 15, wear),
            (10, 60),
        ),
        rule(
            "oom-kill",
            "Out of memory",
            true,
            one("paging", "oomKillsPerHour", Function::Max, 5, kills),
            (0, 30),
        ),
        rule(
            "unit-failed",
            "Unit failed",
            true,
            one("health", "failedUnits", Function::Min, 10, failed),
            (5, 5),
        ),
        rule(
            "temperature",
            "Temperature",
            true,
            one("temperature", "criticalPercent", Function::Min, 5, hot),
            (5, 10),
        ),
        rule(
            "memory-errors",
            "Memory errors",
            true,
            one("health", "memoryErrorsUncorrectedPerHour", Function::Max, 10, errors),
            (0, 60),
        ),
        rule(
            "conntrack",
            "Connection tracking",
            true,
            one("socket", "conntrackUsagePercent", Function::Avg, 10, tracked),
            (5, 10),
        ),
        rule(
            "reboot-required",
            "Reboot required",
            false,
            one("health", "rebootRequired", Function::Min, 60, reboot),
            (60, 10),
        ),
    ]
}

fn data_rules() -> Vec<BuiltinRule> {
    let no_data = Condition::NoData { severity: Severity::Warning, stale_ms: 5 * MINUTE_MS };
    let missing = Condition::MissingSeries { severity: Severity::Warning, family: "disk".to_owned() };
    let levels = Levels {
        info: None,
        warning: threshold(30_000.0, 5_000.0),
        critical: threshold(120_000.0, 30_000.0),
    };
    let gap = Condition::Gap { severity: Severity::Info, min_samples: 1 };
    let conflict = Condition::IdentityConflict { severity: Severity::Critical };
    vec![
        rule("no-data", "No data", true, vec![no_data], (10, 5)),
        rule("disk-missing", "Disk missing", true, vec![missing], (15, 5)),
        rule("clock", "Clock", true, vec![Condition::ClockOffset { levels }], (15, 15)),
        rule("samples-dropped", "Samples dropped", true, vec![gap], (0, 60)),
        rule("identity-conflict", "Identity conflict", true, vec![conflict], (0, 60)),
    ]
}

/// Pika's own health.
fn system_rules() -> Vec<BuiltinRule> {
    let severity = Severity::Warning;
    let of = |key, name, check, minutes| {
        rule(key, name, true, vec![Condition::System { severity, check }], minutes)
    };
    vec![
        of("pika-channel", "Channel fails", SystemCheck::ChannelFailing, (5, 5)),
        of("pika-database-jobs", "Database jobs", SystemCheck::DatabaseJobs, (5, 5)),
        of("pika-maintenance", "Maintenance", SystemCheck::Maintenance, (5, 5)),
        of("pika-ingest", "Ingest stalled", SystemCheck::IngestStalled, (5, 5)),
        of("pika-evaluation", "Evaluation too slow", SystemCheck::EvaluationSlow, (5, 5)),
        of("pika-database", "Database away", SystemCheck::DatabaseAway, (0, 0)),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_are_valid_and_have_different_names() {
        let rules = rules();
        for rule in &rules {
            assert_eq!(rule.definition.check(), Ok(()), "{}", rule.key);
        }
        let keys: BTreeSet<_> = rules.iter().map(|rule| rule.key).collect();
        let names: BTreeSet<_> = rules.iter().map(|rule| rule.name.to_lowercase()).collect();
        assert_eq!((keys.len(), names.len()), (rules.len(), rules.len()));
    }
}
