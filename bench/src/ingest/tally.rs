//! Counts what a fleet sends and what is acknowledged.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::time::Instant;

use super::rows::Expected;
use crate::error::BenchError;

/// Maximum recorded latency, in microseconds; longer ones count as this.
const LATENCY_US_MAX: u64 = 600_000_000;

/// A phase of the run. A frame belongs to the one in which it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    WarmUp,
    Steady,
    Saturation,
    Storm,
}

/// Counts of the whole run.
#[derive(Debug)]
pub(super) struct Tally {
    phases: [Mutex<PhaseTally>; 4],
    /// Currently registered agents.
    pub(super) registered: AtomicUsize,
    /// Connections of registered agents that have ended.
    pub(super) ended: AtomicU64,
    /// Unacknowledged samples.
    outstanding: AtomicI64,
    /// Frames with refused parts.
    pub(super) refusals: AtomicU64,
    /// The first refusal.
    pub(super) first_refusal: OnceLock<String>,
    /// Connections not ended by the benchmark.
    pub(super) disconnects: AtomicU64,
    /// Failed attempts to connect or register.
    pub(super) failed_attempts: AtomicU64,
    /// The reason of the first failed attempt.
    pub(super) first_failure: OnceLock<String>,
    /// The samples taken by each agent.
    ledgers: Vec<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    samples: AtomicI64,
    timestamp_sum: AtomicI64,
}

/// Counts of one phase.
#[derive(Clone, Debug)]
pub(super) struct PhaseTally {
    pub(super) samples_taken: u64,
    pub(super) samples_acknowledged: u64,
    pub(super) last_acknowledged_at: Option<Instant>,
    latencies_us: Histogram<u64>,
}

/// Latency of acknowledgements.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Latency {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

impl PhaseTally {
    fn new() -> Result<Self, BenchError> {
        let latencies_us = Histogram::new_with_max(LATENCY_US_MAX, 3)?;
        Ok(Self { samples_taken: 0, samples_acknowledged: 0, last_acknowledged_at: None, latencies_us })
    }

    fn acknowledge(&mut self, samples: u64, latency: Duration) {
        self.samples_acknowledged += samples;
        self.last_acknowledged_at = Some(Instant::now());
        self.latencies_us.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    pub(super) fn latency(&self) -> Latency {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds for people")]
        let ms = |us: u64| us as f64 / 1_000.0;
        Latency {
            p50_ms: ms(self.latencies_us.value_at_quantile(0.5)),
            p99_ms: ms(self.latencies_us.value_at_quantile(0.99)),
            max_ms: ms(self.latencies_us.max()),
        }
    }
}

impl Tally {
    pub(super) fn new(n_agents: u32) -> Result<Self, BenchError> {
        let phase = || PhaseTally::new().map(Mutex::new);
        Ok(Self {
            phases: [phase()?, phase()?, phase()?, phase()?],
            registered: AtomicUsize::new(0),
            ended: AtomicU64::new(0),
            outstanding: AtomicI64::new(0),
            refusals: AtomicU64::new(0),
            first_refusal: OnceLock::new(),
            disconnects: AtomicU64::new(0),
            failed_attempts: AtomicU64::new(0),
            first_failure: OnceLock::new(),
            ledgers: (0..n_agents).map(|_| Ledger::default()).collect(),
        })
    }

    /// Records samples taken by an agent, which must be stored in the end.
    pub(super) fn taken(&self, agent: u32, phase: Phase, timestamps: &[i64]) {
        let count = timestamps.len();
        let signed = i64::try_from(count).unwrap_or(i64::MAX);
        self.outstanding.fetch_add(signed, Ordering::Relaxed);
        if let Some(ledger) = usize::try_from(agent).ok().and_then(|index| self.ledgers.get(index)) {
            ledger.samples.fetch_add(signed, Ordering::Relaxed);
            ledger.timestamp_sum.fetch_add(timestamps.iter().sum(), Ordering::Relaxed);
        }
        self.with(phase, |tally| tally.samples_taken += count as u64);
    }

    /// Records the acknowledgement of a frame that was sent in a phase.
    pub(super) fn acknowledged(&self, phase: Phase, samples: usize, latency: Duration) {
        self.outstanding.fetch_sub(i64::try_from(samples).unwrap_or(i64::MAX), Ordering::Relaxed);
        self.with(phase, |tally| tally.acknowledge(samples as u64, latency));
    }

    pub(super) fn is_acknowledged(&self) -> bool {
        self.outstanding.load(Ordering::Relaxed) == 0
    }

    pub(super) fn outstanding(&self) -> i64 {
        self.outstanding.load(Ordering::Relaxed)
    }

    pub(super) fn phase(&self, phase: Phase) -> PhaseTally {
        self.with(phase, |tally| tally.clone())
    }

    /// Returns what the database must contain for each agent, by the agents' numbers.
    pub(super) fn expected(&self) -> Vec<Expected> {
        let expected = |ledger: &Ledger| Expected {
            samples: ledger.samples.load(Ordering::Relaxed),
            timestamp_sum: ledger.timestamp_sum.load(Ordering::Relaxed),
        };
        self.ledgers.iter().map(expected).collect()
    }

    fn with<T>(&self, phase: Phase, work: impl FnOnce(&mut PhaseTally) -> T) -> T {
        work(&mut self.phases[phase as usize].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_summed_up_by_phase() {
        let tally = Tally::new(1).unwrap();
        for milliseconds in (1..=100).rev() {
            tally.taken(0, Phase::Steady, &[milliseconds]);
            let latency = Duration::from_millis(u64::try_from(milliseconds).unwrap());
            tally.acknowledged(Phase::Steady, 1, latency);
        }
        let steady = tally.phase(Phase::Steady);
        let latency = steady.latency();
        // Three significant digits.
        assert!((latency.p50_ms - 50.0).abs() < 0.1, "{latency:?}");
        assert!((latency.p99_ms - 99.0).abs() < 0.1, "{latency:?}");
        assert!((latency.max_ms - 100.0).abs() < 0.1, "{latency:?}");
        assert_eq!((steady.samples_taken, steady.samples_acknowledged), (100, 100));
        assert_eq!(tally.phase(Phase::Storm).samples_taken, 0);
    }

    #[test]
    fn what_is_sent_twice_is_expected_once() {
        let tally = Tally::new(2).unwrap();
        tally.taken(1, Phase::WarmUp, &[10, 20]);
        assert!(!tally.is_acknowledged());
        tally.taken(1, Phase::Steady, &[30]);
        tally.acknowledged(Phase::Steady, 3, Duration::ZERO);
        assert!(tally.is_acknowledged());
        assert_eq!(tally.expected()[1], Expected { samples: 3, timestamp_sum: 60 });
        assert_eq!(tally.expected()[0], Expected::default());
    }
}
