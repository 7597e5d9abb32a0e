//! State kept between runs besides the identity and samples: the reserved frame numbers, and the clock offset last
//! received from the server.

use std::ops::Range;
use std::path::Path;

use pika_protocol::limits::CLOCK_OFFSET_TOLERANCE_MS;
use serde::{Deserialize, Serialize};
use tracing::info;

use crate::files::StateFile;

/// Name of the file within the state directory.
const FILE_NAME: &str = "state.json";

/// How many frame numbers are reserved at a time. After a crash the next run begins after the reservation, so numbers
/// may be skipped but are never reused, and the file is written only once per reservation.
const SEQ_BLOCK: u64 = 1_000;

/// Maximum frame number at the start of a run. A larger one in the file is damage: the clock's microseconds are far
/// smaller, and there is room to count on after it.
const SEQ_MAX: u64 = u64::MAX >> 1;

/// Maximum number of [`Saved::deferred_offsets`]; the oldest are dropped, and their samples get the next offset.
const DEFERRED_OFFSETS_MAX: usize = 16;

/// The saved values. Losing the file is harmless: numbers then begin at the clock's microseconds, which are larger than
/// any used before, unless the clock was also turned back.
#[derive(Debug)]
pub struct State {
    file: StateFile,
    saved: Saved,
    seq_next: u64,
    is_unsaved: bool,
}

/// The offset received for `clockOffsetMs`, and the clock that it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ClockOffset {
    /// The offset, in milliseconds.
    #[serde(rename = "clockOffsetMs")]
    pub ms: i64,
    /// When the machine was booted, by the clock whose offset this is, in milliseconds since the Unix epoch: the offset
    /// is invalid for a clock that gives another boot time. `None` if unknown.
    #[serde(rename = "bootedAtMs", default, skip_serializing_if = "Option::is_none")]
    pub booted_at_ms: Option<i64>,
}

impl ClockOffset {
    /// Returns by how much the clock was set since the server sent the offset, in milliseconds.
    fn set_by_ms(self, booted_at_ms: Option<i64>) -> Option<i64> {
        let set_by_ms = booted_at_ms?.saturating_sub(self.booted_at_ms?);
        (CLOCK_OFFSET_TOLERANCE_MS < set_by_ms.saturating_abs()).then_some(set_by_ms)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Saved {
    seq_reserved: u64,
    /// `None` until the server has sent it, or sent it again after the clock was set.
    #[serde(flatten)]
    clock_offset: Option<ClockOffset>,
    /// The offsets of samples that were taken while none was known, in ascending order.
    #[serde(rename = "untold", skip_serializing_if = "Vec::is_empty")]
    deferred_offsets: Vec<DeferredOffset>,
}

/// The offset of samples that were taken before it was known: they are always sent with it.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct DeferredOffset {
    /// The number after the last of these samples.
    end_id: u64,
    clock_offset_ms: i64,
}

impl State {
    /// Reads the state from `state_dir`. `now_ms` is the wall clock, and `booted_at_ms` the boot time by that clock, if
    /// known.
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

    /// Returns the number for a new frame, larger than all before.
    pub fn next_seq(&mut self) -> u64 {
        self.seq_next += 1;
        if self.saved.seq_reserved < self.seq_next {
            self.saved.seq_reserved = self.seq_next + SEQ_BLOCK;
            self.save();
        }
        self.seq_next
    }

    /// Returns the offset last received for `clockOffsetMs`, in milliseconds; `None` if none was received yet, or none
    /// since the clock was set.
    pub fn clock_offset_ms(&self) -> Option<i64> {
        self.saved.clock_offset.map(|offset| offset.ms)
    }

    /// Returns the offset for the sample `id`, which was stored without one.
    pub fn clock_offset_ms_of(&self, id: u64) -> Option<i64> {
        let deferred = self.saved.deferred_offsets.iter().find(|deferred| id < deferred.end_id);
        deferred.map(|deferred| deferred.clock_offset_ms).or(self.clock_offset_ms())
    }

    /// Discards the offset if it was for a different clock setting.
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

    /// Stores an offset from the server. `open_ids` are the numbers of unacknowledged samples; those without an offset
    /// get this one.
    ///
    /// It is written immediately if such samples may be sent with it from now on, and otherwise by
    /// [`save_changes`](State::save_changes): the server must not control how often the agent writes to disk.
    pub fn set_clock_offset(&mut self, offset: ClockOffset, open_ids: Range<u64>) {
        let known = self.saved.clock_offset;
        // The boot time is not accurate to the millisecond.
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
            let deferred = &mut self.saved.deferred_offsets;
            // Earlier ones stay: samples may have been sent with them.
            deferred.retain(|deferred| open_ids.start < deferred.end_id && deferred.end_id <= open_ids.end);
            if deferred.last().map_or(open_ids.start, |last| last.end_id) < open_ids.end {
                deferred.push(DeferredOffset { end_id: open_ids.end, clock_offset_ms: offset.ms });
            }
            deferred.drain(..deferred.len().saturating_sub(DEFERRED_OFFSETS_MAX));
            self.save();
        }
    }

    /// Writes changes, if any.
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
