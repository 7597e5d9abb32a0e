//! Rules over made-up pasts.

use super::*;
use crate::domain::alert::builtin;
use crate::domain::alert::past::{FreeSpace, Point, PointValue};
use crate::domain::presence::PresenceChange;
use crate::domain::tier::DAY_MS;

const START: TimestampMs = 1_795_392_000_000;
const SETTLE_MS: i64 = 155_000;
const TICK_MS: i64 = 15_000;

fn rule(key: &str) -> Rule {
    let rule = builtin::rules().into_iter().find(|rule| rule.key == key).unwrap();
    Rule::unsaved(rule.name.to_owned(), rule.definition)
}

fn agent() -> WatchedAgent {
    WatchedAgent {
        key: 7,
        id: Uuid::from_u128(7),
        name: "web-7".to_owned(),
        tags: Vec::new(),
        online: true,
        last_seen_at: 0,
        clock_offset_ms: 0,
        identity_conflict_at: None,
        is_revoked: false,
        newest_at: None,
    }
}

fn online(changes: &[(i64, Option<bool>)]) -> Vec<PresenceChange> {
    changes
        .iter()
        .map(|(minute, online)| PresenceChange { at: START + minute * MINUTE_MS, online: *online })
        .collect()
}

/// Points of four samples a minute, from an hour before the start, without those for which there is no value.
fn points(minutes: i64, value: impl Fn(i64) -> Option<f64>) -> Vec<Point> {
    let point = |minute: i64| {
        let (value, at) = (value(minute)?, START + minute * MINUTE_MS);
        let value = PointValue { weight: 4.0, total: 4.0 * value, min: value, max: value };
        Some(Point { at, n: 4, oldest: at, newest: at + MINUTE_MS - 1, values: vec![Some(value)] })
    };
    (-60..minutes).filter_map(point).collect()
}

/// Alerts as the minutes between which they fired.
fn fired(
    rule: Rule,
    minutes: i64,
    blind: &[(i64, i64)],
    series: Vec<WatchedSeries>,
    past: &AgentPast,
) -> Vec<(i64, Option<i64>)> {
    let minute = |at: TimestampMs| (at - START) / MINUTE_MS;
    let blind = blind.iter().map(|(from, to)| (START + from * MINUTE_MS, START + to * MINUTE_MS)).collect();
    let span = (START, START + minutes * MINUTE_MS);
    let replay = Replay::new(rule, span, MINUTE_MS, blind, (TICK_MS, SETTLE_MS));
    let alerts = replay.run(&agent(), series, past).alerts;
    alerts.into_iter().map(|alert| (minute(alert.fired_at), alert.ended_at.map(minute))).collect()
}

#[test]
fn a_metric_fires_when_its_window_is_beyond_the_threshold_for_long_enough() {
    let busy =
        |from: i64, to: i64| move |minute: i64| Some(if (from..to).contains(&minute) { 99.0 } else { 20.0 });
    let past = |value: &dyn Fn(i64) -> Option<f64>| AgentPast {
        presence: online(&[(-600, Some(true))]),
        points: vec![HashMap::from([(0, points(600, value))])],
        ..AgentPast::default()
    };
    // The smallest value of ten minutes is beyond the threshold from minute 110 on, and has to be so for ten more.
    let found = fired(rule("memory"), 600, &[], Vec::new(), &past(&busy(100, 200)));
    assert_eq!(found, [(120, Some(211))]);
    assert_eq!(fired(rule("memory"), 600, &[], Vec::new(), &past(&busy(100, 119))), []);
    // Without samples nothing ends, and nothing begins.
    let holes = |minute: i64| busy(100, 200)(minute).filter(|_| !(150..260).contains(&minute));
    assert_eq!(fired(rule("memory"), 300, &[], Vec::new(), &past(&holes)), [(120, Some(276))]);
    // Nor does anything while nobody evaluates.
    assert_eq!(fired(rule("memory"), 160, &[(115, 150)], Vec::new(), &past(&busy(100, 200))), [(155, None)]);
    let longer = Replay::new(
        rule("memory"),
        (START, START + 600 * MINUTE_MS),
        MINUTE_MS,
        Vec::new(),
        (TICK_MS, SETTLE_MS),
    );
    let replayed = longer.run(&agent(), Vec::new(), &past(&busy(100, 132)));
    assert_eq!((replayed.alerts.len(), replayed.with_longer), (1, [1, 0]));
}

#[test]
fn offline_counts_from_the_last_sign_of_life() {
    let past = AgentPast {
        presence: online(&[
            (-600, Some(true)),
            (100, Some(false)),
            (200, Some(true)),
            (300, Some(false)),
            (302, Some(true)),
        ]),
        ..AgentPast::default()
    };
    assert_eq!(fired(rule("agent-offline"), 600, &[], Vec::new(), &past), [(103, Some(201))]);
    // While its presence is unknown, it is not offline.
    let unknown = AgentPast { presence: online(&[(100, None), (200, Some(true))]), ..AgentPast::default() };
    assert_eq!(fired(rule("agent-offline"), 600, &[], Vec::new(), &unknown), []);
    // After a blind spot it takes a while to tell.
    assert_eq!(fired(rule("agent-offline"), 150, &[(90, 120)], Vec::new(), &past), [(123, None)]);
}

#[test]
fn restarts_are_counted_and_what_is_derived_is_judged() {
    let restarted = Condition::Restarted { severity: Severity::Warning, times: 2, window_ms: 60 * MINUTE_MS };
    let definition = Definition { for_ms: 0, recover_for_ms: 0, ..Definition::of(restarted) };
    let restarts = || Rule::unsaved("Restarts".to_owned(), definition.clone());
    let changes =
        [(-600, Some(true)), (100, Some(false)), (101, Some(true)), (120, Some(false)), (125, Some(true))];
    let past = AgentPast { presence: online(&changes), ..AgentPast::default() };
    assert_eq!(fired(restarts(), 600, &[], Vec::new(), &past), [(125, Some(161))]);
    // A server that was not there has seen nothing.
    let unseen = [(-600, Some(true)), (100, None), (101, Some(true)), (120, None), (125, Some(true))];
    let past = AgentPast { presence: online(&unseen), ..AgentPast::default() };
    assert_eq!(fired(restarts(), 600, &[], Vec::new(), &past), []);

    let load = points(600, |minute| Some(if (100..200).contains(&minute) { 40.0 } else { 1.0 }));
    let past = AgentPast {
        presence: online(&[(-600, Some(true))]),
        points: vec![HashMap::from([(0, load)]), HashMap::from([(0, points(600, |_| Some(8.0)))])],
        ..AgentPast::default()
    };
    // Five for each of eight cores.
    assert_eq!(fired(rule("load"), 600, &[], Vec::new(), &past), [(132, Some(218))]);
}

#[test]
fn missing_data_and_dropped_samples_are_seen() {
    let silent = AgentPast {
        presence: online(&[(-600, Some(true))]),
        points: vec![HashMap::from([(
            0,
            points(600, |minute| (!(100..200).contains(&minute)).then_some(1.0)),
        )])],
        ..AgentPast::default()
    };
    assert_eq!(fired(rule("no-data"), 600, &[], Vec::new(), &silent), [(115, Some(206))]);
    let gaps = AgentPast {
        presence: online(&[(-600, Some(true))]),
        gaps: vec![(START + 100 * MINUTE_MS, 5)],
        ..AgentPast::default()
    };
    assert_eq!(fired(rule("samples-dropped"), 600, &[], Vec::new(), &gaps), [(100, Some(220))]);
}

#[test]
fn disks_are_judged_one_by_one() {
    let disk =
        |key, name: &str| WatchedSeries { key, agent: 7, name: name.to_owned(), fs_type: "ext4".to_owned() };
    let disks = || vec![disk(1, "/"), disk(2, "/srv"), disk(3, "/run/user")];
    let gone = |from: i64| points(600, move |minute| (minute < from).then_some(1.0));
    let past = AgentPast {
        presence: online(&[(-600, Some(true))]),
        points: vec![HashMap::from([(1, gone(600)), (2, gone(100)), (3, gone(50))])],
        ..AgentPast::default()
    };
    // Ten minutes without a report, and fifteen of holding; evaluated every five.
    assert_eq!(fired(rule("disk-missing"), 600, &[], disks(), &past), [(125, None)]);
    let hours = |falls: f64| -> Vec<FreeSpace> {
        let gib = 1_073_741_824.0;
        let free = |hour: i32| f64::from(hour).mul_add(-falls / 24.0, 40.0) * gib;
        let of = |hour: i32| FreeSpace {
            at: START + i64::from(hour) * 60 * MINUTE_MS,
            free_bytes: free(hour),
            used_percent: 80.0,
        };
        (-96..=240).map(of).collect()
    };
    let trend = AgentPast {
        presence: online(&[(-10_000, Some(true))]),
        free_space: HashMap::from([(1, hours(4.0)), (2, hours(0.0))]),
        ..AgentPast::default()
    };
    let found = fired(rule("disk-full-soon"), 10 * DAY_MS / MINUTE_MS, &[], disks(), &trend);
    // It falls by 4 GiB a day and has 40 GiB at the start: four days are left on the sixth.
    assert_eq!(found.len(), 1);
    assert!((6 * 1_440..6 * 1_440 + 180).contains(&found[0].0), "{found:?}");
}
