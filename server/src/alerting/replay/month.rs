//! A month of a fleet, replayed with the built-in rules: a healthy one is silent, and each failure raises its own alert.

use super::tests::{SETTLE_MS, START, TICK_MS, agent, rule};
use super::*;
use crate::domain::alert::builtin;
use crate::domain::alert::past::{FreeSpace, Point, PointValue};
use crate::domain::presence::PresenceChange;
use crate::domain::tier::DAY_MS;

/// Agents of the fleet. Without optimization a thousand would take minutes.
const AGENTS: i32 = if cfg!(debug_assertions) { 10 } else { 1_000 };
const DAYS: i64 = 30;
const HOURS: i64 = DAYS * 24;
const GIB: f64 = 1_073_741_824.0;
const DISK_GIB: f64 = 100.0;

/// What goes wrong with one agent, from the tenth day on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Nothing,
    Dies,
    FillsSlowly,
    FillsAtOnce,
    LosesDisk,
    RunsOutOfInodes,
    LeaksMemory,
    IsStolenFrom,
    HasABrokenCable,
    GoesSilent,
    DropsSamples,
}
use Failure::*;

/// Each failure, and the rule that tells of it.
const FAILURES: [(Failure, &str); 10] = [
    (Dies, "agent-offline"),
    (FillsSlowly, "disk-full-soon"),
    (FillsAtOnce, "disk-space"),
    (LosesDisk, "disk-missing"),
    (RunsOutOfInodes, "inodes"),
    (LeaksMemory, "memory"),
    (IsStolenFrom, "cpu-steal"),
    (HasABrokenCable, "network-errors"),
    (GoesSilent, "no-data"),
    (DropsSamples, "samples-dropped"),
];

/// The hour in which a failure begins, and for how many hours it lasts.
const FAILS_AT: i64 = 10 * 24;
const FAILS_FOR: i64 = 30;

/// A machine, as its samples show it.
#[derive(Clone, Copy)]
struct Machine {
    number: i32,
    failure: Failure,
}

impl Machine {
    fn fails(self, failure: Failure, hour: i64) -> bool {
        self.failure == failure && (FAILS_AT..FAILS_AT + FAILS_FOR).contains(&hour)
    }

    /// 0 to 1, the same for the same arguments.
    fn noise(self, seed: i64, hour: i64) -> f64 {
        let mut mixed =
            (i64::from(self.number) << 40 ^ seed << 32 ^ hour).wrapping_mul(0x2545_F491_4F6C_DD1D);
        mixed ^= mixed.rotate_left(29).wrapping_mul(0x1656_67B1_9E37_79F9);
        f64::from(u16::try_from(mixed >> 16 & 0xFFFF).unwrap()) / f64::from(u16::MAX)
    }

    /// A daily curve from 0 to 1, busiest in the afternoon.
    fn day(hour: i64) -> f64 {
        let angle = f64::from(i32::try_from(hour % 24).unwrap()) / 24.0 * std::f64::consts::TAU;
        0.5 - 0.5 * (angle + 0.5).cos()
    }

    fn free_gib(self, hour: i64) -> f64 {
        // A dump each night for five hours, and logs that are rotated each week.
        let dump = if hour % 24 < 5 { 12.0 } else { 0.0 };
        let logs = f64::from(i32::try_from(hour % 168).unwrap()) / 168.0 * 3.0;
        let free = 45.0 + 10.0 * self.noise(1, 0) - dump - logs - 0.2 * self.noise(2, hour);
        let since = f64::from(i32::try_from((hour - FAILS_AT).max(0)).unwrap());
        match self.failure {
            // It ends with a disk that is neither full nor nearly so.
            FillsSlowly => (45.0 - since / 24.0 * 8.0).max(20.5) - 0.2 * self.noise(2, hour),
            FillsAtOnce if self.fails(FillsAtOnce, hour) => 3.0,
            _ => free,
        }
    }

    /// The average, smallest and largest value of a metric in an hour.
    fn values(self, family: Family, metric: &str, hour: i64) -> [f64; 3] {
        let noise = self.noise(i64::from(metric.as_bytes()[0]) + i64::try_from(metric.len()).unwrap(), hour);
        let around = |value: f64, spread: f64| [value, (value - spread).max(0.0), value + spread];
        let failing = |failure| self.fails(failure, hour);
        match (family, metric) {
            (Family::Cpu, "stealPercent") if failing(IsStolenFrom) => around(30.0, 5.0),
            (Family::Cpu, "stealPercent") => [2.0 * noise, 0.0, 40.0 * noise],
            // Peaks to the full are normal.
            (Family::Cpu, _) => [20.0 + 50.0 * Self::day(hour), 1.0, 100.0],
            (Family::Memory, _) if failing(LeaksMemory) => around(98.5, 0.5),
            (Family::Memory, _) => around(50.0 + 25.0 * Self::day(hour) + 5.0 * noise, 15.0),
            (Family::Disk, "inodesUsagePercent") if failing(RunsOutOfInodes) => around(98.0, 0.0),
            (Family::Disk, "inodesUsagePercent") => around(30.0 + noise, 1.0),
            (Family::Disk, "freeBytes") => around(self.free_gib(hour) * GIB, 0.1 * GIB),
            (Family::Disk, _) => around(100.0 - self.free_gib(hour) / DISK_GIB * 100.0, 0.1),
            (Family::Network, _) if failing(HasABrokenCable) => around(100.0, 20.0),
            (Family::Network, _) => [0.1 * noise, 0.0, 30.0 * noise],
            _ => around(1.0, 0.5),
        }
    }

    fn points(self, query: &WindowQuery, series: i32) -> Vec<Point> {
        let is_there = |hour: &i64| match query.family {
            Family::Disk => series == 1 || !self.fails(LosesDisk, *hour),
            _ => !self.fails(GoesSilent, *hour),
        };
        let point = |hour: i64| {
            let at = START + hour * HOUR_MS;
            let value = |(metric, _): &(&crate::domain::family::Metric, _)| {
                let [avg, min, max] = self.values(query.family, metric.name, hour);
                Some(PointValue { weight: 240.0, total: 240.0 * avg, min, max })
            };
            let values = query.values.iter().map(value).collect();
            Point { at, n: 240, oldest: at, newest: at + HOUR_MS - 1, values }
        };
        (-30..HOURS).filter(is_there).map(point).collect()
    }

    fn past(self, rule: &Rule) -> AgentPast {
        let has_series = |family: Family| family.series_column().is_some();
        let points = queries_of(rule)
            .iter()
            .map(|query| {
                let series = if has_series(query.family) { vec![1, 2] } else { vec![0] };
                series.into_iter().map(|series| (series, self.points(query, series))).collect()
            })
            .collect();
        let hours = |_| {
            let hour = |hour: i64| {
                let free_bytes = self.free_gib(hour) * GIB;
                let used_percent = 100.0 - self.free_gib(hour) / DISK_GIB * 100.0;
                FreeSpace { at: START + (hour + 1) * HOUR_MS, free_bytes, used_percent }
            };
            (-80..HOURS).map(hour).collect()
        };
        let is_of_trend = history_ms(std::iter::once(&rule.definition)).is_some();
        AgentPast {
            presence: self.presence(),
            gaps: if self.failure == DropsSamples {
                vec![(START + FAILS_AT * HOUR_MS, 5)]
            } else {
                Vec::new()
            },
            points,
            free_space: (1..=2).filter(|_| is_of_trend).map(|disk| (disk, hours(disk))).collect(),
        }
    }

    /// It is updated each week, and restarted for that.
    fn presence(self) -> Vec<PresenceChange> {
        let change = |at: i64, online| PresenceChange { at, online: Some(online) };
        let mut changes = vec![change(START - DAY_MS, true)];
        for week in 0..DAYS / 7 {
            let at = START + (week * 7 + 3) * DAY_MS + i64::from(self.number) * MINUTE_MS;
            changes.extend([change(at, false), change(at + 90_000, true)]);
        }
        if self.failure == Dies {
            let at = START + FAILS_AT * HOUR_MS;
            changes.extend([change(at, false), change(at + HOUR_MS, true)]);
        }
        changes.sort_by_key(|change| change.at);
        changes
    }

    /// The keys of the rules whose alerts would have fired.
    fn alerts(self, rules: &[(&'static str, Rule)]) -> Vec<&'static str> {
        let disk = |key, name: &str| WatchedSeries {
            key,
            agent: self.number,
            name: name.to_owned(),
            fs_type: "ext4".to_owned(),
        };
        let agent = WatchedAgent { key: self.number, ..agent() };
        let mut fired = Vec::new();
        for (key, rule) in rules {
            let past = self.past(rule);
            // Without samples it is cheap to look at every tick.
            let bucket_ms =
                if past.points.is_empty() && past.free_space.is_empty() { TICK_MS } else { HOUR_MS };
            // Twice in the month the server is restarted.
            let blind = [5, 20].map(|day| START + day * DAY_MS).map(|at| (at, at + 5 * MINUTE_MS)).to_vec();
            let span = (START, START + HOURS * HOUR_MS);
            let replay = Replay::new(rule.clone(), span, bucket_ms, blind, (TICK_MS, SETTLE_MS));
            let replayed = replay.run(&agent, vec![disk(1, "/"), disk(2, "/srv")], &past);
            fired.extend(replayed.alerts.iter().map(|_| *key));
        }
        fired
    }
}

fn enabled_rules() -> Vec<(&'static str, Rule)> {
    let rules = builtin::rules().into_iter();
    let replayable =
        |rule: &builtin::BuiltinRule| rule.definition.conditions.iter().all(Condition::is_replayable);
    rules.filter(|one| one.enabled && replayable(one)).map(|one| (one.key, rule(one.key))).collect()
}

#[test]
fn a_month_of_a_healthy_fleet_is_silent() {
    let rules = enabled_rules();
    for number in 0..AGENTS {
        let alerts = Machine { number, failure: Nothing }.alerts(&rules);
        assert_eq!(alerts, Vec::<&str>::new(), "machine {number}");
    }
}

#[test]
fn each_failure_raises_its_own_alert() {
    let rules = enabled_rules();
    for (number, (failure, key)) in (AGENTS..).zip(FAILURES) {
        let mut alerts = Machine { number, failure }.alerts(&rules);
        // Both disks are on the same machine.
        alerts.dedup();
        assert_eq!(alerts, [key], "{failure:?}");
    }
}
