//! Tests the state machine against a slow but obvious reference, and by invariants of every sequence.

use proptest::prelude::*;

use super::super::condition::Condition;
use super::*;

const TICK_MS: i64 = 15_000;

fn definition(for_ms: i64, recover_for_ms: i64) -> Definition {
    let condition = Condition::Offline { severity: Severity::Critical };
    Definition { for_ms, recover_for_ms, cooldown_ms: 0, ..Definition::of(condition) }
}

fn verdict(outcome: Outcome) -> Verdict {
    let reason = (outcome == Outcome::Unknown).then_some(Reason::NoData);
    Verdict { levels: [None, None, Some(outcome)], value: None, reason, observed_ms: 0 }
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => Just(Outcome::Holds),
        1 => Just(Outcome::Between),
        3 => Just(Outcome::Clear),
        1 => Just(Outcome::Unknown),
    ]
}

/// Sequences of outcomes, each with the time since the previous look. More than a tick or two is a restart.
fn looks() -> impl Strategy<Value = Vec<(Outcome, i64)>> {
    proptest::collection::vec(
        (outcome(), 0..4_i64).prop_map(|(outcome, ticks)| (outcome, ticks * TICK_MS)),
        1..80,
    )
}

struct Run {
    now: i64,
    state: State,
    changes: Vec<(usize, Change)>,
}

fn run(definition: &Definition, looks: &[(Outcome, i64)]) -> Run {
    let mut run = Run { now: 1_000_000, state: State::default(), changes: Vec::new() };
    for (index, (outcome, delta_ms)) in looks.iter().enumerate() {
        run.now += delta_ms;
        let (state, change) = step(definition, &run.state, &verdict(*outcome), *delta_ms, run.now);
        run.state = state;
        run.changes.extend(change.map(|change| (index, change)));
    }
    run
}

/// Returns whether it fires after each look, by going back over everything seen, each time from the start. Ignores
/// damping, and the end of alerts by missing data.
fn reference(looks: &[(Outcome, i64)], for_ms: i64, recover_ms: i64) -> Vec<bool> {
    // The time between two looks counts if both were conclusive.
    let counted: Vec<i64> = (0..looks.len())
        .map(|i| if i == 0 || looks[i - 1].0 == Outcome::Unknown { 0 } else { looks[i].1 })
        .collect();
    let lasted = |end: usize, what: Outcome, since: usize| {
        let mut total = None;
        for i in (since..=end).rev() {
            match looks[i].0 {
                Outcome::Unknown => {}
                seen if seen == what => {
                    total = Some(total.unwrap_or(0) + if i == since { 0 } else { counted[i] });
                }
                _ => break,
            }
        }
        // The first look of a run begins it, and adds nothing.
        let first = (since..=end).rev().take_while(|i| [what, Outcome::Unknown].contains(&looks[*i].0));
        let first = first.filter(|i| looks[*i].0 == what).last();
        total
            .map(|total: i64| total - first.filter(|first| *first != since).map_or(0, |first| counted[first]))
    };
    let (mut fires, mut since, mut all) = (false, 0, Vec::new());
    for (end, (outcome, _)) in looks.iter().enumerate() {
        if *outcome == Outcome::Unknown {
            all.push(fires);
            continue;
        }
        if !fires && lasted(end, Outcome::Holds, since).is_some_and(|ms| for_ms <= ms) {
            (fires, since) = (true, end);
        } else if fires && lasted(end, Outcome::Clear, since).is_some_and(|ms| recover_ms <= ms) {
            (fires, since) = (false, end);
        }
        all.push(fires);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn it_fires_when_the_reference_does(looks in looks(), for_ticks in 0..6_i64, recover_ticks in 0..6_i64) {
        let definition = definition(for_ticks * TICK_MS, recover_ticks * TICK_MS);
        let expected = reference(&looks, definition.for_ms, definition.recover_for_ms);
        let mut state = State::default();
        for (index, (outcome, delta_ms)) in looks.iter().enumerate() {
            // As if earlier firings were long ago, and nothing were missing for long.
            state.recent.clear();
            state.unknown_ms = 0;
            (state, _) = step(&definition, &state, &verdict(*outcome), *delta_ms, 0);
            prop_assert_eq!(state.severity().is_some(), expected[index], "after {:?}", &looks[..=index]);
        }
    }

    #[test]
    fn every_firing_has_one_end_or_is_what_is_so(looks in looks()) {
        let run = run(&definition(2 * TICK_MS, TICK_MS), &looks);
        let mut fires = false;
        for (_, change) in &run.changes {
            match change {
                Change::Fired { .. } => prop_assert!(!std::mem::replace(&mut fires, true)),
                Change::Ended(_) => prop_assert!(std::mem::replace(&mut fires, false)),
                Change::Escalated(_) | Change::Deescalated(_) => prop_assert!(fires),
            }
        }
        prop_assert_eq!(fires, run.state.severity().is_some());
    }

    /// Looking more often at the same changes nothing.
    #[test]
    fn splitting_a_time_changes_nothing(looks in looks(), at in any::<prop::sample::Index>()) {
        let definition = definition(3 * TICK_MS, 2 * TICK_MS);
        // What begins at a look began some time before it: splitting that would be another observation.
        let (at, mut looks) = (at.index(looks.len()) + 1, looks);
        looks.insert(at, (looks[at - 1].0, 2 * TICK_MS));
        let mut split = looks.clone();
        split[at].1 /= 3;
        split.insert(at + 1, (looks[at].0, looks[at].1 - split[at].1));
        let (one, other) = (run(&definition, &looks), run(&definition, &split));
        prop_assert_eq!(one.state.levels, other.state.levels);
        prop_assert_eq!(one.changes.len(), other.changes.len());
    }

    #[test]
    fn what_cannot_be_judged_changes_nothing(looks in looks(), delta_ms in 0..TICK_MS) {
        let definition = definition(3 * TICK_MS, 2 * TICK_MS);
        let before = run(&definition, &looks);
        let (after, change) = step(&definition, &before.state, &verdict(Outcome::Unknown), delta_ms, before.now);
        if change.is_none() && after.unknown_ms < PENDING_UNKNOWN_MS_MAX {
            prop_assert_eq!(after.levels, before.state.levels);
        }
    }

    /// A time in which nobody looked adds nothing, however long it was.
    #[test]
    fn a_blind_time_fires_nothing(looks in looks(), blind_ms in 0..1_000_000_000_i64) {
        let definition = definition(3 * TICK_MS, 2 * TICK_MS);
        let before = run(&definition, &looks);
        let (after, _) = step(&definition, &before.state, &verdict(Outcome::Unknown), 0, before.now + blind_ms);
        let (after, change) = step(&definition, &after, &verdict(Outcome::Holds), blind_ms, before.now + blind_ms);
        let has_fired = matches!(change, Some(Change::Fired { .. }));
        prop_assert!(!has_fired || definition.for_ms <= before.state.levels[2].held_ms, "{:?}", after);
    }

    /// A stricter threshold never fires when the laxer one does not.
    #[test]
    fn stricter_is_never_more(values in proptest::collection::vec(0..100_i32, 1..60)) {
        let definition = definition(2 * TICK_MS, TICK_MS);
        let of = |threshold: i32| {
            let see = |value: &i32| (if threshold < *value { Outcome::Holds } else { Outcome::Clear }, TICK_MS);
            run(&definition, &values.iter().map(see).collect::<Vec<_>>())
        };
        let (lax, strict) = (of(50), of(70));
        let first = |run: &Run| run.changes.iter().find_map(|(index, change)| matches!(change, Change::Fired { .. }).then_some(*index));
        let is_never_more = match (first(&lax), first(&strict)) {
            (_, None) => true,
            (Some(lax), Some(strict)) => lax <= strict,
            (None, Some(_)) => false,
        };
        prop_assert!(is_never_more);
    }
}

#[test]
fn a_worse_level_escalates_and_a_better_one_steps_down() {
    let definition = definition(TICK_MS, TICK_MS);
    let see = |warning, critical| Verdict {
        levels: [None, Some(warning), Some(critical)],
        value: None,
        reason: None,
        observed_ms: 0,
    };
    let mut state = State::default();
    let mut changes = Vec::new();
    for (tick, (warning, critical)) in [
        (Outcome::Holds, Outcome::Clear),
        (Outcome::Holds, Outcome::Holds),
        (Outcome::Holds, Outcome::Holds),
        (Outcome::Holds, Outcome::Clear),
        (Outcome::Holds, Outcome::Clear),
        (Outcome::Clear, Outcome::Clear),
        (Outcome::Clear, Outcome::Clear),
    ]
    .into_iter()
    .enumerate()
    {
        let now = 1_000_000 + i64::try_from(tick).unwrap() * TICK_MS;
        let change;
        (state, change) = step(&definition, &state, &see(warning, critical), TICK_MS, now);
        changes.extend(change);
    }
    assert_eq!(
        changes,
        [
            Change::Fired { severity: Severity::Warning, reopens: false },
            Change::Escalated(Severity::Critical),
            Change::Deescalated(Severity::Warning),
            Change::Ended(EndReason::Recovered),
        ]
    );
}

#[test]
fn what_comes_and_goes_is_damped_and_called_so() {
    let mut definition = definition(0, TICK_MS);
    definition.cooldown_ms = 10 * MINUTE_MS;
    let (mut state, mut now, mut firings) = (State::default(), 1_000_000, Vec::new());
    let mut was_flapping = false;
    // On for a minute, off for a minute, for an hour.
    for tick in 0..240 {
        now += TICK_MS;
        let outcome = if tick / 4 % 2 == 0 { Outcome::Holds } else { Outcome::Clear };
        let change;
        (state, change) = step(&definition, &state, &verdict(outcome), TICK_MS, now);
        if let Some(Change::Fired { reopens, .. }) = change {
            firings.push(reopens);
        }
        assert!(firings.len() < FLAPPING_FIRINGS || was_flapping || state.flapping, "{state:?}");
        was_flapping |= state.flapping;
    }
    // Finally it is not clear for long enough to end.
    assert!(was_flapping && (FLAPPING_FIRINGS..8).contains(&firings.len()), "{firings:?}");
    assert!(!firings[0] && firings[1..].iter().all(|reopens| *reopens), "{firings:?}");
    for _ in 0..(FLAPPING_MS / TICK_MS + 12) {
        now += TICK_MS;
        (state, _) = step(&definition, &state, &verdict(Outcome::Clear), TICK_MS, now);
    }
    assert!(!state.flapping && state.severity().is_none());
    assert!(state.is_forgettable(&definition, now + HOUR_MS));
}

#[test]
fn without_data_an_alert_ends_as_its_rule_says() {
    for (no_data, patience_ms) in [(NoData::Keep, HOUR_MS), (NoData::Resolve, 2 * TICK_MS)] {
        let definition = Definition { no_data, no_data_end_ms: HOUR_MS, ..definition(0, 2 * TICK_MS) };
        let (mut state, _) = step(&definition, &State::default(), &verdict(Outcome::Holds), 0, 1_000_000);
        let mut ended = None;
        for tick in 0..1_000 {
            let now = 1_000_000 + (tick + 1) * TICK_MS;
            let change;
            (state, change) = step(&definition, &state, &verdict(Outcome::Unknown), TICK_MS, now);
            if change.is_some() {
                assert_eq!(change, Some(Change::Ended(EndReason::NoData)));
                ended = Some(tick * TICK_MS);
                break;
            }
        }
        assert_eq!(ended, Some(patience_ms), "{no_data:?}");
    }
}

#[test]
fn what_was_observed_before_counts() {
    let definition = definition(180_000, 0);
    let offline = Verdict { observed_ms: 125_000, ..verdict(Outcome::Holds) };
    let (state, change) = step(&definition, &State::default(), &offline, TICK_MS, 1_000_000);
    assert_eq!((change, state.started_at), (None, 875_000));
    let (_, change) = step(&definition, &state, &offline, 55_000, 1_055_000);
    assert!(matches!(change, Some(Change::Fired { .. })), "{change:?}");
}
