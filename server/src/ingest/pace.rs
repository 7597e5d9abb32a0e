//! Limits how fast one agent is read, over all its connections: token buckets of samples, rows and bytes per second,
//! and of rows per day. A frame is read when no bucket is empty and may take more than is left; the next one waits
//! until the deficit is made up. The agent is slowed down, and nothing is lost.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config;
use crate::domain::id::AgentKey;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What a frame takes from the buckets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    pub(super) samples: usize,
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

/// A pause in reading, because a limit was exceeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pause {
    /// Nothing more should be read until then.
    pub(super) until: Instant,
    /// The exceeded limit, for people.
    pub(super) limit: String,
}

/// What an agent may send within a period.
#[derive(Debug)]
struct Bucket {
    max: f64,
    period: Duration,
    /// What is counted, and per which period.
    unit: &'static str,
    /// Negative after a frame that took more than was left.
    allowance: f64,
}

impl Bucket {
    fn full(max: u32, period: Duration, unit: &'static str) -> Self {
        let max = f64::from(max);
        Self { max, period, unit, allowance: max }
    }

    fn fill(&mut self, elapsed: Duration) {
        let filled = self.max * elapsed.div_duration_f64(self.period);
        self.allowance = self.max.min(self.allowance + filled);
    }

    fn take(&mut self, count: usize) {
        self.allowance -= f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// How long until the bucket is no longer overdrawn.
    fn pause(&self) -> Duration {
        self.period.mul_f64((-self.allowance / self.max).max(0.0))
    }
}

/// What one agent may still send.
#[derive(Debug)]
pub(super) struct Pace {
    samples: Bucket,
    rows: Bucket,
    bytes: Bucket,
    daily_rows: Bucket,
    filled_at: Instant,
}

impl Pace {
    fn new(config: &config::IngestConfig, now: Instant) -> Self {
        Self {
            samples: Bucket::full(config.samples_per_second_max, SECOND, "samples a second"),
            rows: Bucket::full(config.rows_per_second_max, SECOND, "rows a second"),
            bytes: Bucket::full(config.bytes_per_second_max, SECOND, "bytes a second"),
            daily_rows: Bucket::full(config.rows_per_day_max, DAY, "rows a day"),
            filled_at: now,
        }
    }

    /// Takes a frame's load. Returns the pause before the next frame, if any.
    pub(super) fn take(&mut self, load: Load, now: Instant) -> Option<Pause> {
        self.fill(now);
        self.samples.take(load.samples);
        self.bytes.take(load.bytes);
        // An empty frame is some work, too.
        let rows = load.rows.max(1);
        self.rows.take(rows);
        self.daily_rows.take(rows);
        self.pause(now)
    }

    /// Returns the pause before the next frame, if any.
    pub(super) fn pause(&mut self, now: Instant) -> Option<Pause> {
        self.fill(now);
        let longest = self.buckets().into_iter().max_by_key(|bucket| bucket.pause())?;
        let pause = longest.pause();
        let limit = || format!("{} {}", longest.max, longest.unit);
        (!pause.is_zero()).then(|| Pause { until: now + pause, limit: limit() })
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled_at);
        self.filled_at = now;
        self.buckets().into_iter().for_each(|bucket| bucket.fill(elapsed));
    }

    fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.buckets().into_iter().all(|bucket| bucket.max <= bucket.allowance)
    }

    fn buckets(&mut self) -> [&mut Bucket; 4] {
        [&mut self.samples, &mut self.rows, &mut self.bytes, &mut self.daily_rows]
    }
}

/// One agent's pace, shared by its connections.
#[derive(Clone, Debug)]
pub(super) struct SharedPace(Arc<Mutex<Pace>>);

impl SharedPace {
    pub(super) fn lock(&self) -> MutexGuard<'_, Pace> {
        // A panic while the lock is held leaves an allowance that is off by one frame.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The paces of all agents that have sent something lately, so that a new connection gets no new allowance.
#[derive(Debug)]
pub(super) struct Paces {
    config: config::IngestConfig,
    agents: Mutex<HashMap<AgentKey, SharedPace>>,
}

impl Paces {
    pub(super) fn new(config: config::IngestConfig) -> Self {
        Self { config, agents: Mutex::default() }
    }

    /// Returns the pace of an agent.
    pub(super) fn of(&self, agent: AgentKey, now: Instant) -> SharedPace {
        let new = || SharedPace(Arc::new(Mutex::new(Pace::new(&self.config, now))));
        self.lock().entry(agent).or_insert_with(new).clone()
    }

    /// Forgets agents that have no connection and a full allowance.
    pub(super) fn forget_idle(&self, now: Instant) {
        self.lock().retain(|_, pace| 1 < Arc::strong_count(&pace.0) || !pace.lock().is_full(now));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AgentKey, SharedPace>> {
        // A panic while the lock is held cannot leave the map half-changed.
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use pika_protocol::{
        Batch, CpuMetrics, DiskMetrics, LoadMetrics, MemoryMetrics, NetworkMetrics, Sample, limits,
    };

    use super::*;
    use crate::config::Config;

    /// Interval between frames of older samples, by an agent's defaults.
    const BACKLOG_FRAME_INTERVAL: Duration = Duration::from_millis(200);
    const BACKLOG_SAMPLES_PER_FRAME: usize = 100;

    fn defaults() -> config::IngestConfig {
        Config::load(None, &[]).unwrap().ingest
    }

    fn rows(rows: usize) -> Load {
        Load { rows, ..Load::default() }
    }

    #[test]
    fn a_second_of_rows_may_come_at_once_and_the_rest_at_its_pace() {
        let start = Instant::now();
        let config = config::IngestConfig { rows_per_second_max: 100, ..defaults() };
        let mut pace = Pace::new(&config, start);
        assert_eq!(pace.take(rows(100), start), None);
        let pause = pace.take(rows(50), start).unwrap();
        assert_eq!(
            pause,
            Pause { until: start + Duration::from_millis(500), limit: "100 rows a second".to_owned() }
        );
        let later = start + Duration::from_millis(500);
        assert_eq!(pace.pause(later), None);
        let pause = pace.take(rows(200), later + Duration::from_secs(60)).unwrap();
        assert_eq!(pause.until, later + Duration::from_secs(61), "what was not used is gone");
    }

    #[test]
    fn a_frame_without_rows_is_counted_as_one() {
        let start = Instant::now();
        let config = config::IngestConfig { rows_per_second_max: 2, ..defaults() };
        let mut pace = Pace::new(&config, start);
        let pauses = [(); 3].map(|()| pace.take(Load::default(), start).is_some());
        assert_eq!(pauses, [false, false, true]);
    }

    #[test]
    fn a_returning_agent_keeps_its_pace_and_is_forgotten_once_its_buckets_are_full() {
        let start = Instant::now();
        let config = config::IngestConfig { rows_per_second_max: 100, ..defaults() };
        let paces = Paces::new(config);
        assert!(paces.of(AgentKey(1), start).lock().take(rows(1_000), start).is_some());
        let other = paces.of(AgentKey(2), start);
        paces.forget_idle(start);
        assert!(paces.of(AgentKey(1), start).lock().pause(start).is_some());
        paces.forget_idle(start + DAY);
        assert_eq!(paces.lock().keys().collect::<Vec<_>>(), [&AgentKey(2)]);
        drop(other);
    }

    /// A sample as large as they come, of a machine with this many disks and interfaces.
    fn sample(n_disks: usize, n_networks: usize) -> Sample {
        let disk = |n| DiskMetrics {
            mount_point: format!("/mnt/{n}"),
            device: format!("/dev/sd{n}"),
            fs_type: "ext4".to_owned(),
            total: 1 << 40,
            used: 1 << 39,
            free: 1 << 39,
            usage_percent: 50.1,
            inodes_usage_percent: Some(25.1),
            ..DiskMetrics::default()
        };
        let network = |n| NetworkMetrics {
            interface: format!("veth{n}"),
            received_bytes_total: 1 << 40,
            sent_bytes_total: 1 << 40,
            received_bytes_delta: Some(1_000_000),
            sent_bytes_delta: Some(1_000_000),
            interval_ms: Some(5_000),
            ..NetworkMetrics::default()
        };
        Sample {
            timestamp: 1_795_403_972_760,
            cpu: Some(CpuMetrics { usage_percent: 45.5, core_count: 8, ..CpuMetrics::default() }),
            memory: Some(MemoryMetrics { total: 1 << 34, used: 1 << 33, ..MemoryMetrics::default() }),
            disks: (0..n_disks).map(disk).collect(),
            networks: (0..n_networks).map(network).collect(),
            load: Some(LoadMetrics::default()),
            ..Sample::default()
        }
    }

    /// A frame filled with as many of these samples as it has room for.
    fn frame(sample: &Sample) -> Load {
        let bytes = |samples| serde_json::to_string(&Batch { samples }).unwrap().len();
        let bytes_per_sample = bytes(vec![sample.clone()]);
        let samples = BACKLOG_SAMPLES_PER_FRAME.min(limits::FRAME_BYTES_MAX / bytes_per_sample);
        Load { samples, rows: samples * sample.len(), bytes: samples * bytes_per_sample }
    }

    #[test]
    fn an_agent_that_sends_what_it_has_kept_for_a_day_is_not_slowed_down() {
        for (n_disks, n_networks) in
            [(0, 0), (4, 3), (16, 16), (limits::DISKS_PER_SAMPLE_MAX, limits::NETWORKS_PER_SAMPLE_MAX)]
        {
            let sample = sample(n_disks, n_networks);
            let kept = frame(&sample);
            let newest = Load { samples: 1, rows: sample.len(), bytes: kept.bytes / kept.samples };
            let start = Instant::now();
            let mut pace = Pace::new(&defaults(), start);
            // A sample every second, the shortest interval, together with those of the day before until all are sent.
            let mut n_kept = 24 * 60 * 60;
            for n in 0..24 * 60 * 60 * 5 {
                let now = start + n * BACKLOG_FRAME_INTERVAL;
                if n % 5 == 0 {
                    assert_eq!(pace.take(newest, now), None, "{n_disks} disks, frame {n}");
                }
                if 0 < n_kept {
                    n_kept -= kept.samples.min(n_kept);
                    assert_eq!(pace.take(kept, now), None, "{n_disks} disks, {n_kept} kept");
                }
            }
            assert_eq!(n_kept, 0);
        }
    }

    #[test]
    fn an_agent_that_sends_all_it_can_stores_no_more_than_an_honest_one_could() {
        let start = Instant::now();
        let mut pace = Pace::new(&defaults(), start);
        let frame = frame(&sample(limits::DISKS_PER_SAMPLE_MAX, limits::NETWORKS_PER_SAMPLE_MAX));
        let (mut now, mut n_rows) = (start, 0);
        while now < start + 2 * DAY {
            n_rows += frame.rows;
            now = pace.take(frame, now).map_or(now, |pause| pause.until);
        }
        let honest = 259 * 24 * 60 * 60;
        assert!(n_rows < 4 * honest, "{n_rows} rows in two days, {honest} a day are honest");
    }
}
