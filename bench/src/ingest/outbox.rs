//! The unacknowledged samples of a simulated agent, with the order and limits of `pika-agent`: the newest sample alone,
//! older ones many per frame; frames in flight when a connection breaks are sent again.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::tally::Phase;

/// Maximum number of frames in flight, half of which may carry older samples. The defaults of `pika-agent`.
const FRAMES_IN_FLIGHT_MAX: usize = 8;
const BACKLOG_FRAMES_IN_FLIGHT_MAX: usize = FRAMES_IN_FLIGHT_MAX / 2;
/// Minimum time between two frames of older samples.
const BACKLOG_FRAME_INTERVAL: Duration = Duration::from_millis(200);

/// A frame in flight.
#[derive(Debug)]
struct Frame {
    seq: u64,
    phase: Phase,
    sent_at: Instant,
    timestamps: Vec<i64>,
}

/// A frame that was acknowledged.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AcknowledgedFrame {
    pub(super) phase: Phase,
    pub(super) samples: usize,
    pub(super) latency: Duration,
}

/// The samples of one agent.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// The newest sample, if it is not sent yet.
    newest: Option<i64>,
    /// Older samples that are not in flight, in order.
    waiting: VecDeque<i64>,
    in_flight: Vec<Frame>,
    seq: u64,
    last_timestamp: i64,
    backlog_due: Option<Instant>,
}

impl Outbox {
    /// Takes a sample now. Times are never repeated.
    pub(super) fn take_sample(&mut self, now: i64) -> i64 {
        self.last_timestamp = now.max(self.last_timestamp + 1);
        self.waiting.extend(self.newest.replace(self.last_timestamp));
        self.last_timestamp
    }

    /// Takes this many samples, of the last milliseconds.
    pub(super) fn take_samples(&mut self, count: u16, now: i64) -> Vec<i64> {
        let first = (now - i64::from(count) + 1).max(self.last_timestamp + 1);
        let timestamps: Vec<i64> = (first..first + i64::from(count)).collect();
        self.last_timestamp = first + i64::from(count) - 1;
        timestamps
    }

    /// Returns the samples of the next frame; `None` if there are none, or it is not time yet.
    pub(super) fn next_frame(&mut self, samples_max: usize) -> Option<Vec<i64>> {
        if FRAMES_IN_FLIGHT_MAX <= self.in_flight.len() {
            return None;
        }
        if let Some(newest) = self.newest.take() {
            return Some(vec![newest]);
        }
        let has_room = self.in_flight.len() < BACKLOG_FRAMES_IN_FLIGHT_MAX;
        let is_due = self.backlog_due.is_none_or(|due| due <= Instant::now());
        if self.waiting.is_empty() || !has_room || !is_due {
            return None;
        }
        self.backlog_due = Some(Instant::now() + BACKLOG_FRAME_INTERVAL);
        let count = samples_max.min(self.waiting.len());
        Some(self.waiting.drain(..count).collect())
    }

    /// Returns when the next frame of older samples may be sent.
    pub(super) fn backlog_due(&self) -> Option<Instant> {
        if self.waiting.is_empty() { None } else { self.backlog_due }
    }

    /// Returns the number of the next frame.
    pub(super) fn next_seq(&self) -> u64 {
        self.seq + 1
    }

    /// Records that this frame is being sent.
    pub(super) fn sending(&mut self, timestamps: Vec<i64>, phase: Phase) {
        self.seq += 1;
        self.in_flight.push(Frame { seq: self.seq, phase, sent_at: Instant::now(), timestamps });
    }

    pub(super) fn acknowledge(&mut self, seq: u64) -> Option<AcknowledgedFrame> {
        let position = self.in_flight.iter().position(|frame| frame.seq == seq)?;
        let frame = self.in_flight.swap_remove(position);
        Some(AcknowledgedFrame {
            phase: frame.phase,
            samples: frame.timestamps.len(),
            latency: frame.sent_at.elapsed(),
        })
    }

    pub(super) fn n_in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Makes the samples in flight pending again.
    pub(super) fn connection_lost(&mut self) {
        self.in_flight.sort_unstable_by_key(|frame| frame.seq);
        for frame in self.in_flight.drain(..).rev() {
            for timestamp in frame.timestamps.into_iter().rev() {
                self.waiting.push_front(timestamp);
            }
        }
        self.backlog_due = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_on_its_way_is_sent_again() {
        let mut outbox = Outbox::default();
        for now in [10, 20] {
            outbox.take_sample(now);
            let frame = outbox.next_frame(100).unwrap();
            assert_eq!(frame, [now]);
            outbox.sending(frame, Phase::Steady);
        }
        assert_eq!(outbox.acknowledge(1).unwrap().samples, 1);
        assert!(outbox.acknowledge(1).is_none());
        outbox.take_sample(30);
        outbox.connection_lost();
        assert_eq!(outbox.n_in_flight(), 0);
        assert_eq!(outbox.next_frame(100).unwrap(), [30], "the newest first");
        let frame = outbox.next_frame(100).unwrap();
        assert_eq!(frame, [20]);
        assert_eq!(outbox.next_seq(), 3, "a number of its own");
    }

    #[tokio::test(start_paused = true)]
    async fn older_samples_are_sent_at_their_pace() {
        let mut outbox = Outbox::default();
        (1..=5).for_each(|now| {
            outbox.take_sample(now);
        });
        assert_eq!(outbox.next_frame(2).unwrap(), [5]);
        assert_eq!(outbox.next_frame(2).unwrap(), [1, 2]);
        assert!(outbox.next_frame(2).is_none());
        tokio::time::sleep_until(outbox.backlog_due().unwrap()).await;
        assert_eq!(outbox.next_frame(2).unwrap(), [3, 4]);
        assert!(outbox.backlog_due().is_none());
    }

    #[test]
    fn no_time_comes_twice() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.take_sample(1_000), 1_000);
        assert_eq!(outbox.take_sample(1_000), 1_001);
        assert_eq!(outbox.take_samples(3, 1_002), [1_002, 1_003, 1_004]);
        assert_eq!(outbox.take_samples(2, 2_000), [1_999, 2_000]);
    }
}
