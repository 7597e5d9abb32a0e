//! Tests of the agent's state.

use std::fs;

use super::*;

fn told(ms: i64) -> ClockOffset {
    ClockOffset { ms, booted_at_ms: None }
}

#[test]
fn numbers_grow_over_restarts_even_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let mut last = 0;
    for _ in 0..5 {
        // The clock stands still, and no run ends cleanly.
        let mut state = State::open(dir.path(), 1_000, None);
        for _ in 0..SEQ_BLOCK + 3 {
            let seq = state.next_seq();
            assert!(last < seq);
            last = seq;
        }
    }
}

#[test]
fn the_clock_offset_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = State::open(dir.path(), 0, None);
    assert_eq!(state.clock_offset_ms(), None);
    for told_ms in [-4_711, 0] {
        state.set_clock_offset(told(told_ms), 0..0);
        state.save_changes();
        assert_eq!(State::open(dir.path(), 0, None).clock_offset_ms(), Some(told_ms));
    }
}

#[test]
fn what_earlier_versions_wrote_is_understood() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(FILE_NAME), r#"{"seqReserved":7,"clockOffsetMs":-5}"#).unwrap();
    let mut state = State::open(dir.path(), 0, Some(1_000_000));
    assert_eq!((state.next_seq(), state.clock_offset_ms()), (8, Some(-5)));
    // From now on it is known for which clock that is.
    state.set_clock_offset(ClockOffset { ms: -5, booted_at_ms: Some(1_000_000) }, 0..0);
    state.observe_clock(Some(1_003_000));
    assert_eq!(state.clock_offset_ms(), None);
    fs::write(dir.path().join(FILE_NAME), r#"{"seqReserved":7}"#).unwrap();
    assert_eq!(State::open(dir.path(), 0, None).clock_offset_ms(), None);
}

#[test]
fn a_lost_or_damaged_file_does_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    for damaged in ["garbage", r#"{"seqReserved":18446744073709551615}"#] {
        fs::write(dir.path().join(FILE_NAME), damaged).unwrap();
        let mut state = State::open(dir.path(), 1_700_000_000_000, None);
        assert_eq!(state.next_seq(), 1_700_000_000_000_001);
    }
    fs::remove_file(dir.path().join(FILE_NAME)).unwrap();
    assert!(0 < State::open(dir.path(), i64::MAX, None).next_seq());
}

#[test]
fn the_server_does_not_decide_how_often_the_disk_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = State::open(dir.path(), 0, None);
    state.set_clock_offset(told(1), 0..3);
    let path = dir.path().join(FILE_NAME);
    let written = fs::read(&path).unwrap();
    for ms in 0..100 {
        state.set_clock_offset(told(ms), 0..3);
    }
    assert_eq!(fs::read(&path).unwrap(), written);
    state.save_changes();
    assert_ne!(fs::read(&path).unwrap(), written);
}

#[test]
fn samples_keep_the_offset_that_was_told_after_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = State::open(dir.path(), 0, None);
    let mut tell = |ms, open_ids: Range<u64>| {
        state.saved.clock_offset = None;
        state.set_clock_offset(told(ms), open_ids);
        state.saved.deferred_offsets.clone()
    };
    let deferred = |end_id, clock_offset_ms| DeferredOffset { end_id, clock_offset_ms };
    assert_eq!(tell(1, 0..0), []);
    assert_eq!(tell(2, 3..5), [deferred(5, 2)]);
    assert_eq!(tell(3, 4..5), [deferred(5, 2)], "that one may have been sent");
    assert_eq!(tell(4, 4..9), [deferred(5, 2), deferred(9, 4)]);
    assert_eq!(tell(5, 5..9), [deferred(9, 4)], "the others have arrived");
    assert_eq!(tell(6, 1..3), [deferred(3, 6)], "a lost spool counts anew");
    for end_id in 4..100 {
        assert!(tell(7, 1..end_id).len() <= DEFERRED_OFFSETS_MAX);
    }
    let of = [1, 99, 100].map(|id| state.clock_offset_ms_of(id));
    assert_eq!(of, [Some(7); 3]);
}
