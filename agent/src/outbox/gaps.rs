//! Gaps of dropped samples, kept until the server knows them, so that gaps in charts can be explained.

use std::path::Path;

use pika_protocol::message::{Gap, GapReason};

use crate::files::StateFile;

/// Name of the file within the state directory.
const FILE_NAME: &str = "gaps.json";

/// Maximum number of pending gaps. A further one is merged into the newest: the count stays correct, and the span
/// covers both.
const GAPS_MAX: usize = 64;

/// Gaps that the server has not acknowledged.
pub(super) struct Gaps {
    file: StateFile,
    /// Oldest first.
    waiting: Vec<Gap>,
    /// The number of the frame in flight with the first of `waiting`, which no longer changes.
    in_flight: Option<u64>,
    /// The number after the last dropped sample: a drop that continues there belongs to the same gap.
    end_id: Option<u64>,
    is_unsaved: bool,
}

/// A range of dropped samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dropped {
    /// The number of the first sample.
    pub(super) start_id: u64,
    /// The number after the last sample.
    pub(super) end_id: u64,
    /// How many of them were not acknowledged.
    pub(super) samples: u64,
    /// The time of the first sample, in milliseconds since the Unix epoch.
    pub(super) start: i64,
    /// The time of the last sample, in milliseconds since the Unix epoch.
    pub(super) end: i64,
    /// The reason.
    pub(super) reason: GapReason,
}

impl Gaps {
    /// Reads the gaps left by an earlier run.
    pub(super) fn open(state_dir: &Path) -> Gaps {
        let file = StateFile::new(state_dir, FILE_NAME);
        let waiting = file.load().unwrap_or_default();
        Gaps { file, waiting, in_flight: None, end_id: None, is_unsaved: false }
    }

    /// Adds dropped samples.
    pub(super) fn note(&mut self, dropped: Dropped) {
        let Dropped { start_id, end_id, samples, start, end, reason } = dropped;
        let goes_on = self.end_id == Some(start_id);
        let is_full = GAPS_MAX <= self.waiting.len();
        let n_fixed = usize::from(self.in_flight.is_some());
        let gap = Gap { start, end, samples: i64::try_from(samples).unwrap_or(i64::MAX), reason };
        match self.waiting.get_mut(n_fixed..).and_then(<[Gap]>::last_mut) {
            Some(last) if is_full || (goes_on && last.reason == reason) => {
                last.start = last.start.min(gap.start);
                last.end = last.end.max(gap.end);
                last.samples = last.samples.saturating_add(gap.samples);
            }
            _ => self.waiting.push(gap),
        }
        self.end_id = Some(end_id);
        self.is_unsaved = true;
    }

    /// Returns the oldest gap, unless one is in flight already.
    pub(super) fn next(&self) -> Option<Gap> {
        if self.in_flight.is_some() { None } else { self.waiting.first().copied() }
    }

    /// Marks the gap returned by [`next`](Gaps::next) as in flight in the frame with this number.
    pub(super) fn launch(&mut self, seq: u64) {
        self.in_flight = Some(seq);
        if self.waiting.len() == 1 {
            self.end_id = None;
        }
    }

    /// Removes the gap in the frame with this number, which the server has stored.
    pub(super) fn acknowledge(&mut self, seq: u64) {
        if self.in_flight == Some(seq) {
            self.in_flight = None;
            self.waiting.remove(0);
            self.is_unsaved = true;
        }
    }

    /// Makes the gap in flight pending again.
    pub(super) fn connection_lost(&mut self) {
        self.in_flight = None;
    }

    /// Writes changes, if any.
    pub(super) fn save_changes(&mut self) {
        if self.is_unsaved {
            self.is_unsaved = !self.file.save(&self.waiting);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dropped(start_id: u64, n: u64, reason: GapReason) -> Dropped {
        let time = |id: u64| i64::try_from(id).unwrap() * 10;
        let end_id = start_id + n;
        Dropped { start_id, end_id, samples: n, start: time(start_id), end: time(end_id - 1), reason }
    }

    #[test]
    fn drops_that_follow_each_other_are_one_gap() {
        let dir = tempfile::tempdir().unwrap();
        let mut gaps = Gaps::open(dir.path());
        gaps.note(dropped(1, 2, GapReason::SpoolFull));
        gaps.note(dropped(3, 1, GapReason::SpoolFull));
        gaps.note(dropped(7, 1, GapReason::SpoolFull));
        gaps.note(dropped(8, 1, GapReason::Expired));
        let spans: Vec<_> = gaps.waiting.iter().map(|gap| (gap.start, gap.end, gap.samples)).collect();
        assert_eq!(spans, [(10, 30, 3), (70, 70, 1), (80, 80, 1)]);
    }

    #[test]
    fn a_gap_on_its_way_does_not_grow() {
        let dir = tempfile::tempdir().unwrap();
        let mut gaps = Gaps::open(dir.path());
        gaps.note(dropped(1, 1, GapReason::SpoolFull));
        let sent = gaps.next().unwrap();
        gaps.launch(5);
        assert_eq!(gaps.next(), None, "one at a time");
        gaps.note(dropped(2, 1, GapReason::SpoolFull));
        assert_eq!(gaps.waiting.first(), Some(&sent));
        gaps.acknowledge(4);
        gaps.acknowledge(5);
        assert_eq!(gaps.next().map(|gap| gap.start), Some(20));
    }

    #[test]
    fn a_gap_survives_lost_connections_and_restarts_and_their_number_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut gaps = Gaps::open(dir.path());
        for id in 0..200 {
            gaps.note(dropped(2 * id, 1, GapReason::SpoolFull));
        }
        assert_eq!(gaps.waiting.len(), GAPS_MAX);
        assert_eq!(gaps.waiting.iter().map(|gap| gap.samples).sum::<i64>(), 200);
        gaps.launch(1);
        gaps.connection_lost();
        gaps.acknowledge(1);
        gaps.save_changes();
        assert_eq!(Gaps::open(dir.path()).waiting, gaps.waiting);
    }
}
