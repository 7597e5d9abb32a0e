//! Tests of samples' clock offsets.

use super::*;

/// Returns everything that is sent, with its offset.
fn offsets(outbox: &Outbox) -> Vec<(i64, Option<i64>)> {
    let mut offsets = Vec::new();
    while let Some(batch) = outbox.take_live().or_else(|| outbox.take_backlog()) {
        offsets.extend(batch.samples.iter().map(|sample| (sample.timestamp, sample.clock_offset_ms)));
    }
    offsets.sort_unstable();
    offsets
}

fn reopen(outbox: Outbox, dir: &Path, booted_at_ms: Option<i64>) -> Outbox {
    outbox.lock().state.save_changes();
    drop(outbox);
    Outbox::open(dir, &config(""), 0, booted_at_ms).unwrap().0
}

#[test]
fn the_clock_offset_is_that_of_when_a_sample_was_taken() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path(), "");
    push(&outbox, [1]);
    tell(&outbox, -7_000);
    push(&outbox, [2]);
    let outbox = reopen(outbox, dir.path(), None);
    push(&outbox, [3]);
    assert_eq!(
        offsets(&outbox),
        [(1, Some(0)), (2, Some(-7_000)), (3, Some(-7_000))],
        "also when the server cannot be reached after a restart"
    );
}

#[test]
fn a_sample_that_was_taken_before_the_offset_was_known_has_the_first_at_every_try() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(dir.path(), &config(""), 0, None).unwrap().0;
    push(&outbox, [1, 2]);
    assert!(outbox.needs_clock_offset() && outbox.take_live().is_none() && outbox.take_backlog().is_none());
    tell(&outbox, -100);
    let expected = [(1, Some(-100)), (2, Some(-100))];
    assert_eq!(offsets(&outbox), expected);
    // Another connection measures something else.
    outbox.connection_lost();
    tell(&outbox, -3_000);
    assert_eq!(offsets(&outbox), expected);
    // The agent was killed.
    drop(outbox);
    let outbox = Outbox::open(dir.path(), &config(""), 0, None).unwrap().0;
    tell(&outbox, -5_000);
    push(&outbox, [3]);
    assert_eq!(offsets(&outbox), [(1, Some(-100)), (2, Some(-100)), (3, Some(-5_000))]);
}

#[test]
fn an_offset_is_for_the_clock_for_which_it_was_told() {
    const BOOTED: i64 = 1_000_000_000;
    let told = |ms, booted_at_ms| ClockOffset { ms, booted_at_ms: Some(booted_at_ms) };
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(dir.path(), &config(""), 0, Some(BOOTED)).unwrap().0;
    outbox.set_clock_offset(told(0, BOOTED));
    outbox.observe_clock(Some(BOOTED + 2_000));
    push(&outbox, [1]);
    // Set an hour ahead, without a new offset yet, which is received on another connection after a restart.
    outbox.observe_clock(Some(BOOTED + 3_600_000));
    push(&outbox, [2]);
    assert!(outbox.needs_clock_offset());
    outbox.set_clock_offset(told(-3_600_000, BOOTED + 3_600_000));
    outbox.observe_clock(Some(BOOTED + 3_599_990));
    push(&outbox, [3]);
    let expected = [(1, Some(0)), (2, Some(-3_600_000)), (3, Some(-3_600_000))];
    assert_eq!(offsets(&outbox), expected);
    let outbox = reopen(outbox, dir.path(), Some(BOOTED + 3_600_010));
    assert_eq!(offsets(&outbox), expected, "the same boot and the same clock");
    // Set right while the agent did not run, or booted in between.
    let outbox = reopen(outbox, dir.path(), Some(BOOTED));
    push(&outbox, [4]);
    assert!(outbox.needs_clock_offset());
    outbox.set_clock_offset(told(40, BOOTED));
    assert_eq!(offsets(&outbox), [&expected[..], &[(4, Some(40))]].concat());
}
