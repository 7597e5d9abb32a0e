//! When samples are taken: at a fixed rate, on multiples of the interval.

use std::sync::Arc;
use std::time::Duration;

use pika_protocol::limits::INTERVAL_MS_MIN;
use pika_shared::Clock;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep};
use tokio_util::sync::CancellationToken;

use crate::collect::Collectors;
use crate::outbox::Outbox;

/// How long after the start the first sample is taken: long enough for the processor's use to mean something, and
/// soon enough for somebody who watches.
const FIRST_SAMPLE_DELAY: Duration = Duration::from_secs(1);

/// Longest wait for a file system within a sample.
const DEADLINE_MAX: Duration = Duration::from_secs(2);

/// Takes samples and puts them into the outbox.
pub struct Sampler {
    collectors: Collectors,
    outbox: Arc<Outbox>,
    interval_ms: watch::Receiver<u64>,
    clock: Clock,
    phase_key: u64,
    /// When the last sample was taken; before the first one, when the sampler was made.
    last_sample: Instant,
}

impl Sampler {
    /// `agent_id` decides where within the interval this agent's samples lie.
    pub fn new(
        collectors: Collectors,
        outbox: Arc<Outbox>,
        interval_ms: watch::Receiver<u64>,
        clock: Clock,
        agent_id: &str,
    ) -> Sampler {
        Sampler {
            collectors,
            outbox,
            interval_ms,
            clock,
            phase_key: phase_key(agent_id),
            last_sample: Instant::now(),
        }
    }

    /// Takes samples until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        tokio::select! {
            () = self.run_on() => {}
            () = shutdown.cancelled() => {}
        }
    }

    async fn run_on(&mut self) {
        sleep(FIRST_SAMPLE_DELAY).await;
        self.sample().await;
        let mut ticks = self.ticks();
        loop {
            tokio::select! {
                _ = ticks.tick() => self.sample().await,
                changed = self.interval_ms.changed() => {
                    if changed.is_err() {
                        // Whoever could change it is gone; the interval stays.
                        ticks.tick().await;
                        self.sample().await;
                    } else {
                        ticks = self.ticks();
                    }
                }
            }
        }
    }

    async fn sample(&mut self) {
        self.last_sample = Instant::now();
        let interval = Duration::from_millis(*self.interval_ms.borrow());
        let reading = self.collectors.collect(self.clock.now(), DEADLINE_MAX.min(interval / 2)).await;
        self.outbox.push(reading);
    }

    /// Ticks on multiples of the interval, shifted by this agent's phase. After the machine was suspended the missed
    /// ones are left out.
    fn ticks(&mut self) -> Interval {
        let interval_ms = *self.interval_ms.borrow_and_update();
        // A server that sets ever new intervals must not get more samples by it than by the shortest one.
        let since_last_ms = u64::try_from(self.last_sample.elapsed().as_millis()).unwrap_or(u64::MAX);
        let wait_ms_min = INTERVAL_MS_MIN.saturating_sub(since_last_ms);
        let wait_ms = wait_ms(self.clock.now(), interval_ms, self.phase_key, wait_ms_min);
        let mut ticks =
            interval_at(Instant::now() + Duration::from_millis(wait_ms), Duration::from_millis(interval_ms));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        ticks
    }
}

/// Milliseconds until the next multiple of the interval, shifted by the phase, that is at least `wait_ms_min` away;
/// at least 1.
fn wait_ms(now_ms: i64, interval_ms: u64, phase_key: u64, wait_ms_min: u64) -> u64 {
    let interval_ms = interval_ms.max(1);
    let earliest_ms = u64::try_from(now_ms).unwrap_or(0) + wait_ms_min;
    let phase_ms = phase_key % interval_ms;
    let into_interval_ms = (earliest_ms % interval_ms + interval_ms - phase_ms) % interval_ms;
    wait_ms_min + interval_ms - into_interval_ms
}

/// Spreads a fleet over the interval, so that its samples do not reach the server all in one moment, and gives
/// each agent the same place after every restart. FNV-1a.
fn phase_key(agent_id: &str) -> u64 {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    agent_id.bytes().fold(0xcbf2_9ce4_8422_2325, mix)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_next_tick_is_on_the_grid(now_ms in 0i64..1 << 45, interval_ms in 1u64..4_000_000, key: u64, min in 0u64..2_000) {
            let wait = wait_ms(now_ms, interval_ms, key, min);
            prop_assert!(min < wait && wait <= min + interval_ms);
            let tick = u64::try_from(now_ms).unwrap() + wait;
            prop_assert_eq!(tick % interval_ms, key % interval_ms);
        }
    }

    #[test]
    fn a_fleet_is_spread_over_the_interval() {
        let mut tenths = [0; 10];
        for number in 0..1_000 {
            let key = phase_key(&format!("01890a5d-ac96-774b-bcce-b302099a{number:04}"));
            tenths[usize::try_from(key % 5_000 / 500).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|&count| (50..150).contains(&count)), "{tenths:?}");
    }
}
