//! What the agent remembers from one run to the next besides its identity and its samples: how far frame
//! numbers were given out, and the clock offset that the server last told it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::files::StateFile;

/// Name of the file within the state directory.
const FILE_NAME: &str = "state.json";

/// How many frame numbers are reserved at a time. After a crash the next run begins behind the reservation, so
/// numbers may be left out but never come twice, and the file is written once in so many frames.
const SEQ_BLOCK: u64 = 1_000;

/// The remembered values. Losing the file is harmless: numbers then begin at the clock's microseconds, which are
/// larger than any given out before unless the clock was turned back as well.
#[derive(Debug)]
pub struct State {
    file: StateFile,
    saved: Saved,
    seq_next: u64,
    is_unsaved: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Saved {
    seq_reserved: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_offset_ms: Option<i64>,
}

impl State {
    /// Reads what is remembered in `state_dir`; `now_ms` is the wall clock.
    pub fn open(state_dir: &Path, now_ms: i64) -> State {
        let file = StateFile::new(state_dir, FILE_NAME);
        let saved = file.load::<Saved>();
        let fresh = || Saved {
            seq_reserved: u64::try_from(now_ms).unwrap_or(0).saturating_mul(1_000),
            clock_offset_ms: None,
        };
        let saved = saved.unwrap_or_else(fresh);
        State { file, saved, seq_next: saved.seq_reserved, is_unsaved: false }
    }

    /// A number for a new frame, larger than every one before.
    pub fn next_seq(&mut self) -> u64 {
        self.seq_next += 1;
        if self.saved.seq_reserved < self.seq_next {
            self.saved.seq_reserved = self.seq_next + SEQ_BLOCK;
            self.save();
        }
        self.seq_next
    }

    /// What the server last told the agent to put into `clockOffsetMs`, in milliseconds; `None` before the first time.
    pub fn clock_offset_ms(&self) -> Option<i64> {
        self.saved.clock_offset_ms
    }

    /// Remembers a new clock offset, for the next run as soon as [`save_changes`](State::save_changes) is called.
    pub fn set_clock_offset_ms(&mut self, clock_offset_ms: i64) {
        self.is_unsaved |= self.saved.clock_offset_ms != Some(clock_offset_ms);
        self.saved.clock_offset_ms = Some(clock_offset_ms);
    }

    /// Writes what has changed. Not done at every change, because the server must not decide how often this machine
    /// writes to its disk.
    pub fn save_changes(&mut self) {
        if self.is_unsaved {
            self.save();
        }
    }

    fn save(&mut self) {
        self.is_unsaved &= !self.file.save(&self.saved);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn numbers_grow_over_restarts_even_after_a_crash() {
        let dir = tempfile::tempdir().unwrap();
        let mut last = 0;
        for _ in 0..5 {
            // The clock stands still, and no run ends in an orderly way.
            let mut state = State::open(dir.path(), 1_000);
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
        let mut state = State::open(dir.path(), 0);
        assert_eq!(state.clock_offset_ms(), None);
        for told_ms in [-4_711, 0] {
            state.set_clock_offset_ms(told_ms);
            state.save_changes();
            assert_eq!(State::open(dir.path(), 0).clock_offset_ms(), Some(told_ms));
        }
    }

    #[test]
    fn a_lost_file_does_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE_NAME), "garbage").unwrap();
        let mut state = State::open(dir.path(), 1_700_000_000_000);
        assert!(1_700_000_000_000_000 < state.next_seq());
    }
}
