//! What the agent remembers from one run to the next besides its identity and its samples: how far frame
//! numbers were given out, and the clock offset that the server last told it.

use std::ops::Range;
use std::path::Path;

use pika_protocol::limits::CLOCK_OFFSET_TOLERANCE_MS;
use serde::{Deserialize, Serialize};
use tracing::info;

use crate::files::StateFile;

/// Name of the file within the state directory.
const FILE_NAME: &str = "state.json";

/// How many frame numbers are reserved at a time. After a crash the next run begins behind the reservation, so
/// numbers may be left out but never come twice, and the file is written once in so many frames.
const SEQ_BLOCK: u64 = 1_000;

/// Largest frame number with which a run begins. A larger one in the file is damage: the clock's microseconds come nowhere near
/// it, and there is room behind it to count on.
const SEQ_MAX: u64 = u64::MAX >> 1;

/// Most entries of [`Saved::untold`]; the oldest go first, and their samples get the offset of the next.
const UNTOLD_MAX: usize = 16;

/// The remembered values. Losing the file is harmless: numbers then begin at the clock's microseconds, which are
/// larger than any given out before unless the clock was turned back as well.
#[derive(Debug)]
pub struct State {
    file: StateFile,
    saved: Saved,
    seq_next: u64,
    is_unsaved: bool,
}

/// What the server told the agent to put into `clockOffsetMs`, and the clock that it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ClockOffset {
    /// In milliseconds.
    #[serde(rename = "clockOffsetMs")]
    pub ms: i64,
    /// When the machine was booted, by the clock whose offset this is, in milliseconds since the Unix epoch: the offset is for
    /// no clock that tells another time. `None` where that is not known.
    #[serde(rename = "bootedAtMs", default, skip_serializing_if = "Option::is_none")]
    pub booted_at_ms: Option<i64>,
}

impl ClockOffset {
    /// By how much the clock was set since the server told the offset, in milliseconds.
    fn set_by_ms(self, booted_at_ms: Option<i64>) -> Option<i64> {
        let set_by_ms = booted_at_ms?.saturating_sub(self.booted_at_ms?);
        (CLOCK_OFFSET_TOLERANCE_MS < set_by_ms.saturating_abs()).then_some(set_by_ms)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Saved {
    seq_reserved: u64,
    /// `None` as long as the server has not told it, and since the clock was set until it has told it again.
    #[serde(flatten)]
    clock_offset: Option<ClockOffset>,
    /// The offsets of samples that were taken while none was known, in ascending order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    untold: Vec<Untold>,
}

/// Samples that carry no offset, and the one that was told next: it is theirs at every try.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Untold {
    /// The number behind the last of them.
    end_id: u64,
    clock_offset_ms: i64,
}

impl State {
    /// Reads what is remembered in `state_dir`. `now_ms` is the wall clock, and `booted_at_ms` when by that the machine was
    /// booted, where that is known.
    pub fn open(state_dir: &Path, now_ms: i64, booted_at_ms: Option<i64>) -> State {
        let file = StateFile::new(state_dir, FILE_NAME);
        let saved = file.load::<Saved>().filter(|saved| saved.seq_reserved <= SEQ_MAX);
        let seq_reserved = u64::try_from(now_ms).unwrap_or(0).saturating_mul(1_000).min(SEQ_MAX);
        let saved = saved.unwrap_or_else(|| Saved { seq_reserved, ..Saved::default() });
        let seq_next = saved.seq_reserved;
        let mut state = State { file, saved, seq_next, is_unsaved: false };
        state.observe_clock(booted_at_ms);
        state
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

    /// What the server last told the agent to put into `clockOffsetMs`, in milliseconds; `None` when it has not told it yet, or
    /// not since the clock was set.
    pub fn clock_offset_ms(&self) -> Option<i64> {
        self.saved.clock_offset.map(|offset| offset.ms)
    }

    /// The offset of the sample with the number `id`, which carries none.
    pub fn clock_offset_ms_of(&self, id: u64) -> Option<i64> {
        let told = self.saved.untold.iter().find(|untold| id < untold.end_id);
        told.map(|untold| untold.clock_offset_ms).or(self.clock_offset_ms())
    }

    /// Compares the clock with the one for which the offset was told, and forgets an offset that does not fit any longer.
    pub fn observe_clock(&mut self, booted_at_ms: Option<i64>) {
        let set_by_ms = self.saved.clock_offset.and_then(|offset| offset.set_by_ms(booted_at_ms));
        if let Some(set_by_ms) = set_by_ms {
            info!(
                set_by_ms,
                "the clock was set, or the machine was booted; the server is asked how far off the clock is"
            );
            self.saved.clock_offset = None;
            self.is_unsaved = true;
        }
    }

    /// Remembers what the server told. `open_ids` are the numbers of the samples that are not acknowledged; those that carry no
    /// offset have this one.
    ///
    /// It is written at once when such samples may be sent with it from now on, and otherwise by
    /// [`save_changes`](State::save_changes): the server must not decide how often this machine writes to its disk.
    pub fn set_clock_offset(&mut self, offset: ClockOffset, open_ids: Range<u64>) {
        let known = self.saved.clock_offset;
        // The time of the boot is not measured to the millisecond.
        let is_same = |known: ClockOffset| {
            let [before, now] = [known, offset].map(|offset| (offset.ms, offset.booted_at_ms.is_some()));
            before == now && known.set_by_ms(offset.booted_at_ms).is_none()
        };
        if known.is_some_and(is_same) {
            return;
        }
        self.saved.clock_offset = Some(offset);
        self.is_unsaved = true;
        if known.is_none() {
            let untold = &mut self.saved.untold;
            // What was told before stays: samples may have been sent with it.
            untold.retain(|untold| open_ids.start < untold.end_id && untold.end_id <= open_ids.end);
            if untold.last().map_or(open_ids.start, |last| last.end_id) < open_ids.end {
                untold.push(Untold { end_id: open_ids.end, clock_offset_ms: offset.ms });
            }
            untold.drain(..untold.len().saturating_sub(UNTOLD_MAX));
            self.save();
        }
    }

    /// Writes what has changed.
    pub fn save_changes(&mut self) {
        if self.is_unsaved {
            self.save();
        }
    }

    fn save(&mut self) {
        self.is_unsaved = !self.file.save(&self.saved);
    }
}

#[cfg(test)]
mod tests;
