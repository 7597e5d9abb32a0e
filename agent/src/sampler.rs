//! Takes samples at a fixed rate, on multiples of the interval.

use std::sync::Arc;
use std::time::Duration;

use pika_protocol::limits::INTERVAL_MS_MIN;
use pika_shared::Clock;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep};
use tokio_util::sync::CancellationToken;

use crate::boot_clock::booted_at_ms;
use crate::collect::Collectors;
use crate::outbox::Outbox;

/// Delay of the first sample after the start: long enough for a meaningful CPU usage, and short enough for somebody who
/// is watching.
const FIRST_SAMPLE_DELAY: Duration = Duration::from_secs(1);

/// Timeout for file systems within a sample.
const DEADLINE_MAX: Duration = Duration::from_secs(2);

/// Takes samples and puts them into the outbox.
pub struct Sampler {
    collectors: Collectors,
    outbox: Arc<Outbox>,
    interval_ms: watch::Receiver<u64>,
    slow: SlowSamples,
    clock: Clock,
    phase_key: u64,
    /// When the last sample was taken, or when the sampler was created.
    last_sample: Instant,
}

impl Sampler {
    /// Creates a sampler; `agent_id` determines its phase within the interval.
    pub fn new(
        collectors: Collectors,
        outbox: Arc<Outbox>,
        interval_ms: watch::Receiver<u64>,
        slow_interval_ms: u64,
        clock: Clock,
        agent_id: &str,
    ) -> Sampler {
        let phase_key = phase_key(agent_id);
        Sampler {
            collectors,
            outbox,
            interval_ms,
            slow: SlowSamples { interval_ms: slow_interval_ms, phase_key, last: None },
            clock,
            phase_key,
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
                _ = ticks.interval.tick() => {
                    self.sample().await;
                    if !ticks.are_on_grid {
                        ticks = self.ticks();
                    }
                }
                // If the sender is gone, the interval stays.
                Ok(()) = self.interval_ms.changed() => ticks = self.ticks(),
            }
        }
    }

    async fn sample(&mut self) {
        self.last_sample = Instant::now();
        let interval_ms = *self.interval_ms.borrow();
        let interval = Duration::from_millis(interval_ms);
        let now_ms = self.clock.now();
        let is_slow_due = self.slow.is_due(now_ms, interval_ms);
        self.outbox.observe_clock(booted_at_ms(now_ms));
        let mut reading = self.collectors.collect(now_ms, is_slow_due, DEADLINE_MAX.min(interval / 2)).await;
        if let Some(system) = &mut reading.sample.system {
            system.spool_bytes = self.outbox.spool_bytes().and_then(|bytes| i64::try_from(bytes).ok());
        }
        self.outbox.push(reading);
    }

    /// Returns ticks on multiples of the interval, shifted by this agent's phase. Ticks missed while the machine was
    /// suspended are skipped.
    ///
    /// The first tick depends on when the last sample was taken, not on when this is called: a server that keeps
    /// changing the interval can neither postpone the next sample nor get more samples than at the minimum interval.
    fn ticks(&mut self) -> Ticks {
        let interval_ms = *self.interval_ms.borrow_and_update();
        let since_last_ms = i64::try_from(self.last_sample.elapsed().as_millis()).unwrap_or(i64::MAX);
        let last_ms = self.clock.now().saturating_sub(since_last_ms);
        let (distance_ms, is_on_grid) = distance_ms(last_ms, interval_ms, self.phase_key);
        let now = Instant::now();
        let due = self.last_sample + Duration::from_millis(distance_ms);
        let mut interval = interval_at(due.max(now), Duration::from_millis(interval_ms));
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Ticks { interval, are_on_grid: is_on_grid && now <= due }
    }
}

/// The times at which samples are due.
struct Ticks {
    interval: Interval,
    /// Whether ticks after the first are used.
    are_on_grid: bool,
}

/// Decides which samples have the slow families: the first one, and then the ones nearest to the multiples of the slow
/// interval, shifted by the agent's phase.
struct SlowSamples {
    interval_ms: u64,
    phase_key: u64,
    /// The multiple that the last of them was for.
    last: Option<u64>,
}

impl SlowSamples {
    /// Returns whether the sample taken now is one of them. `sample_interval_ms` is the time until the next sample.
    fn is_due(&mut self, now_ms: i64, sample_interval_ms: u64) -> bool {
        // The sample may be a little early.
        let nearest_ms = u64::try_from(now_ms).unwrap_or(0) + sample_interval_ms.min(self.interval_ms) / 2;
        let multiple = (nearest_ms + self.interval_ms - self.phase_key % self.interval_ms) / self.interval_ms;
        self.last.replace(multiple) != Some(multiple)
    }
}

/// Returns how long after the last sample the next one is due, in milliseconds, and whether that is on a multiple of
/// the interval shifted by the phase. It is at least the minimum interval and at most `interval_ms`; if the next
/// multiple is further away, there is one sample in between.
fn distance_ms(last_ms: i64, interval_ms: u64, phase_key: u64) -> (u64, bool) {
    let interval_ms = interval_ms.max(INTERVAL_MS_MIN);
    let earliest_ms = u64::try_from(last_ms).unwrap_or(0) + INTERVAL_MS_MIN;
    let into_interval_ms = (earliest_ms % interval_ms + interval_ms - phase_key % interval_ms) % interval_ms;
    let to_grid_ms = INTERVAL_MS_MIN + (interval_ms - into_interval_ms) % interval_ms;
    if to_grid_ms <= interval_ms { (to_grid_ms, true) } else { (INTERVAL_MS_MIN.max(to_grid_ms / 2), false) }
}

/// Hashes the id (FNV-1a) to spread a fleet over the interval, so that its samples do not reach the server all at once,
/// and to give each agent the same phase after every restart.
fn phase_key(agent_id: &str) -> u64 {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    agent_id.bytes().fold(0xcbf2_9ce4_8422_2325, mix)
}

#[cfg(test)]
mod tests {
    use pika_protocol::family::Table;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_next_sample_is_near_and_soon_on_the_grid(
            last_ms in 0i64..1 << 45,
            interval_ms in INTERVAL_MS_MIN..4_000_000,
            key: u64,
        ) {
            let (distance, is_on_grid) = distance_ms(last_ms, interval_ms, key);
            prop_assert!(INTERVAL_MS_MIN <= distance && distance <= interval_ms);
            let next_ms = last_ms + i64::try_from(distance).unwrap();
            let then = distance_ms(next_ms, interval_ms, key).0;
            let next = u64::try_from(next_ms).unwrap() + if is_on_grid { 0 } else { then };
            // Intervals shorter than twice the minimum leave no room for a sample in between.
            prop_assert!(next % interval_ms == key % interval_ms || interval_ms < 2 * INTERVAL_MS_MIN);
        }
    }

    /// Returns a wall clock that follows the test's paused time.
    fn test_clock() -> Clock {
        let started_at = Instant::now();
        Clock::new(move || 1_700_000_000_123 + i64::try_from(started_at.elapsed().as_millis()).unwrap())
    }

    /// Returns the distance to the next multiple of the interval.
    fn to_grid_ms(now_ms: i64, interval_ms: u64, key: u64) -> u64 {
        let now_ms = u64::try_from(now_ms).unwrap();
        interval_ms - (now_ms % interval_ms + interval_ms - key % interval_ms) % interval_ms
    }

    /// Runs a sampler for `duration` while a server sets the interval every few milliseconds to what `choose` returns
    /// for the time and the phase key. Returns when samples were taken, in milliseconds since the start.
    async fn taken_while(duration: Duration, mut choose: impl FnMut(i64, u64) -> u64) -> Vec<u128> {
        let off =
            |table: &Table| format!("{}: {{ enabled: false }}", table.name.trim_end_matches("_metrics"));
        let yaml = format!("collectors: {{ {} }}", Table::ALL.map(off).join(", "));
        let config =
            crate::config::Config::from_yaml("test", &yaml, |_| None, &crate::config::Overrides::default())
                .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let outbox = Arc::new(Outbox::open(dir.path(), &config.outbox, 0, None).unwrap().0);
        let started = Instant::now();
        let clock = test_clock();
        let (intervals, interval) = watch::channel(choose(clock.now(), phase_key("agent")));
        let collectors = Collectors::new(&config, None);
        let sampler = Sampler::new(collectors, Arc::clone(&outbox), interval, 60_000, clock.clone(), "agent");
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(sampler.run(shutdown.clone()));
        let mut taken = Vec::new();
        while started.elapsed() < duration {
            sleep(Duration::from_millis(7)).await;
            taken.resize(usize::try_from(outbox.counts().taken).unwrap(), started.elapsed().as_millis());
            intervals.send_replace(choose(clock.now(), phase_key("agent")));
        }
        shutdown.cancel();
        running.await.unwrap();
        taken
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_sets_ever_new_intervals_postpones_no_sample() {
        // Always the interval that would make the next sample come last.
        let taken = taken_while(Duration::from_secs(300), |now_ms, key| {
            (10_000..10_500)
                .step_by(50)
                .max_by_key(|interval_ms| to_grid_ms(now_ms, *interval_ms, key))
                .unwrap()
        })
        .await;
        let gaps: Vec<_> = taken.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(29 <= taken.len() && gaps.iter().all(|gap| (1_000..10_500).contains(gap)), "{gaps:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_sets_ever_new_intervals_gets_no_more_samples_than_by_the_shortest() {
        let mut is_short = false;
        let taken = taken_while(Duration::from_secs(60), |_, _| {
            is_short = !is_short;
            if is_short { INTERVAL_MS_MIN } else { INTERVAL_MS_MIN + 1 }
        })
        .await;
        let gaps: Vec<_> = taken.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(40 <= taken.len() && gaps.iter().all(|gap| 990 <= *gap), "{gaps:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn samples_come_to_lie_on_the_grid_whatever_came_before() {
        for interval_ms in [2_000, 30_000] {
            let mut n = 0;
            let taken = taken_while(Duration::from_secs(200), |_, _| {
                n += 1;
                if n < 1_000 { interval_ms + n % 3 * 100 } else { interval_ms }
            })
            .await;
            let last = i64::try_from(*taken.last().unwrap()).unwrap() + 1_700_000_000_123;
            let off = u64::try_from(last).unwrap() % interval_ms - phase_key("agent") % interval_ms;
            assert!(off <= 8, "{off} ms off, of {interval_ms}");
        }
    }

    proptest! {
        /// Samples at every interval, each a little early or late: one in every slow interval has the slow families, the
        /// one nearest to its multiple.
        #[test]
        fn slow_samples_are_those_nearest_to_the_multiples(
            key: u64,
            per_slow in 1u64..20,
            interval_ms in INTERVAL_MS_MIN..60_000,
            jitters in proptest::collection::vec(-100i64..100, 200),
        ) {
            let mut slow = SlowSamples { interval_ms: interval_ms * per_slow, phase_key: key, last: None };
            let slow_phase = key % slow.interval_ms;
            let start = slow_phase + slow.interval_ms * 1_000;
            for (n, jitter) in (0..).zip(jitters) {
                let on_grid = i64::try_from(start + n * interval_ms).unwrap();
                prop_assert_eq!(slow.is_due(on_grid + jitter, interval_ms), n % per_slow == 0, "sample {}", n);
            }
        }
    }

    #[test]
    fn slow_families_come_no_more_often_than_samples_and_survive_a_set_clock() {
        let mut slow = SlowSamples { interval_ms: 10_000, phase_key: 7, last: None };
        assert!((0..50).all(|n| slow.is_due(n * 60_000, 60_000)), "samples are rarer");
        let mut slow = SlowSamples { interval_ms: 60_000, phase_key: 7, last: None };
        assert!(slow.is_due(1_700_000_000_000, 5_000), "the first");
        assert!(slow.is_due(1_600_000_000_000, 5_000), "the clock was set back");
        assert!(!slow.is_due(1_600_000_005_000, 5_000) || !slow.is_due(1_600_000_010_000, 5_000));
        assert!(slow.is_due(-5, 5_000), "before 1970");
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
