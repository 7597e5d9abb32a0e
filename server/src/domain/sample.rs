//! From a sample as an agent sent it to rows that may be stored: every value is checked here, and nowhere else.

use std::collections::HashMap;

use pika_protocol::limits;
use pika_protocol::{CpuMetrics, DiskMetrics, ErrorCode, LoadMetrics, MemoryMetrics, NetworkMetrics, Sample};

use super::TimestampMs;
use super::family::Family;
use super::history::{Counter, InterfaceCounters, SampleHistory, Spacing};
use super::id::AgentKey;
use super::refused::{Refused, check_text};
use super::row::{CpuRow, DiskRow, LoadRow, MemoryRow, NetworkRow, Rows};
use super::tier::DAY_MS;

/// Most disks, and most interfaces, that one agent may have at a time: those of which there are raw samples, or may be.
pub const SERIES_PER_AGENT_MAX: usize = 1_024;

/// How long the key of a disk or interface may be used before it is asked for again, in milliseconds. By that it is known
/// which of them are still reported.
pub const SERIES_RENEWAL_MS: i64 = DAY_MS;

/// Percentages may exceed 100 by this much: what is left of rounding to 32 bits.
const PERCENT_ROUNDING: f32 = 0.01;

/// Which times a sample may have.
#[derive(Clone, Copy, Debug)]
pub struct TimeWindow {
    /// The server's clock.
    pub now: TimestampMs,
    /// How far back a sample may reach.
    pub late_limit_ms: i64,
    /// What is added to the time of samples that do not carry an offset of their own.
    pub clock_offset_ms: i64,
    /// What three samples that follow one another span at least; 0: no limit.
    pub spacing_ms_min: i64,
}

impl TimeWindow {
    /// The time at which a sample is stored: by its own offset where it has one, so that every try gives the same
    /// time. Only where that lies ahead, as no sample can, has the clock been set since the agent was told: then by the
    /// offset that its frame has shown.
    ///
    /// # Errors
    /// When it lies too far in the future or in the past.
    pub fn corrected(&self, sample: &Sample) -> Result<TimestampMs, Refused> {
        let by = |offset_ms| sample.timestamp.saturating_add(offset_ms);
        let own = by(sample.clock_offset_ms.unwrap_or(self.clock_offset_ms));
        let is_ahead = self.now + limits::CLOCK_OFFSET_TOLERANCE_MS < own;
        let ts = if is_ahead { own.min(by(self.clock_offset_ms)) } else { own };
        if self.now + limits::FUTURE_MS_MAX < ts {
            return Err(Refused::new(
                ErrorCode::TimestampInFuture,
                format!(
                    "timestamp {} is {} ms ahead of the server's clock; {} ms is the most",
                    sample.timestamp,
                    ts.saturating_sub(self.now),
                    limits::FUTURE_MS_MAX
                ),
            ));
        }
        if ts < self.now - self.late_limit_ms {
            return Err(Refused::new(
                ErrorCode::TimestampTooOld,
                format!(
                    "timestamp {} is {} ms old; {} ms is the most",
                    sample.timestamp,
                    self.now.saturating_sub(ts),
                    self.late_limit_ms
                ),
            ));
        }
        Ok(ts)
    }
}

/// The keys of an agent's series, as the database gave them out.
#[derive(Clone, Debug, Default)]
pub struct SeriesKeys {
    /// By mount point.
    pub disks: HashMap<String, i32>,
    /// By name.
    pub interfaces: HashMap<String, i32>,
}

/// Appends the rows of a sample; `refused` gets what may not be stored, field by field. Disks and interfaces that
/// have no key are left out; [`keep_valid_series`] comes first.
pub fn append_rows(
    rows: &mut Rows,
    refused: &mut Vec<Refused>,
    sample: &Sample,
    window: TimeWindow,
    agent: AgentKey,
    keys: &SeriesKeys,
    history: &mut SampleHistory,
) {
    let ts = match window.corrected(sample) {
        Ok(ts) => ts,
        Err(refusal) => return refused.push(refusal),
    };
    let SampleHistory { spacing, counters } = history;
    let mut admission =
        Admission { spacing, refused, ts, spacing_ms_min: window.spacing_ms_min, n_too_close: 0 };
    if let Some(cpu) = &sample.cpu {
        rows.cpu.extend(admission.row((Family::Cpu, 0), || cpu_row(ts, agent, cpu)));
    }
    if let Some(memory) = &sample.memory {
        rows.memory.extend(admission.row((Family::Memory, 0), || memory_row(ts, agent, memory)));
    }
    for disk in &sample.disks {
        if let Some(key) = keys.disks.get(&disk.mount_point) {
            rows.disk.extend(admission.row((Family::Disk, *key), || disk_row(ts, agent, *key, disk)));
        }
    }
    for network in &sample.networks {
        if let Some(key) = keys.interfaces.get(&network.interface) {
            let row = || network_row(ts, agent, *key, network, counters);
            rows.network.extend(admission.row((Family::Network, *key), row));
        }
    }
    if let Some(load) = &sample.load {
        rows.load.extend(admission.row((Family::Load, 0), || load_row(ts, agent, load)));
    }
    let n_too_close = admission.n_too_close;
    if 0 < n_too_close {
        refused.push(Refused::new(
            ErrorCode::TooClose,
            format!(
                "timestamp {}: {n_too_close} values are not stored, because two others lie within {} ms of it",
                sample.timestamp, window.spacing_ms_min
            ),
        ));
    }
}

/// The rows that a sample makes where nothing of it is refused.
pub fn count_rows(sample: &Sample) -> usize {
    let has = [sample.cpu.is_some(), sample.memory.is_some(), sample.load.is_some()];
    has.into_iter().filter(|has| *has).count() + sample.disks.len() + sample.networks.len()
}

/// What of one sample is stored.
struct Admission<'a> {
    spacing: &'a mut Spacing,
    refused: &'a mut Vec<Refused>,
    ts: TimestampMs,
    spacing_ms_min: i64,
    n_too_close: usize,
}

impl Admission<'_> {
    /// The row of a series, unless it is too close to others or its values are refused.
    fn row<T>(&mut self, series: (Family, i32), make: impl FnOnce() -> Result<T, Refused>) -> Option<T> {
        if !self.spacing.admits(series, self.ts, self.spacing_ms_min) {
            self.n_too_close += 1;
            return None;
        }
        match make() {
            Ok(row) => {
                self.spacing.note(series, self.ts);
                Some(row)
            }
            Err(refusal) => {
                self.refused.push(refusal);
                None
            }
        }
    }
}

/// Takes the disks and interfaces out of a sample that may not be stored: those beyond the most that one may have, and
/// those whose names may not be kept. `refused` is told.
pub fn keep_valid_series(sample: &mut Sample, refused: &mut Vec<Refused>) {
    keep_first("disks", &mut sample.disks, limits::DISKS_PER_SAMPLE_MAX, refused);
    keep_first("networks", &mut sample.networks, limits::NETWORKS_PER_SAMPLE_MAX, refused);
    let mut is_valid =
        |checked: Result<(), Refused>| checked.map_err(|refusal| refused.push(refusal)).is_ok();
    sample.disks.retain(|disk| is_valid(check_disk(disk)));
    sample.networks.retain(|network| {
        is_valid(check_text("network.interface", &network.interface, 1, limits::PATH_CHARS_MAX))
    });
}

fn keep_first<T>(field: &str, items: &mut Vec<T>, max: usize, refused: &mut Vec<Refused>) {
    if max < items.len() {
        refused.push(Refused::new(
            ErrorCode::TooMany,
            format!("{field}: {} of them; {max} is the most, the rest is not stored", items.len()),
        ));
        items.truncate(max);
    }
}

fn check_disk(disk: &DiskMetrics) -> Result<(), Refused> {
    check_text("disk.mountPoint", &disk.mount_point, 1, limits::PATH_CHARS_MAX)?;
    check_text("disk.device", &disk.device, 0, limits::PATH_CHARS_MAX)?;
    check_text("disk.fstype", &disk.fs_type, 0, limits::NAME_CHARS_MAX)
}

fn cpu_row(ts: TimestampMs, agent: AgentKey, cpu: &CpuMetrics) -> Result<CpuRow, Refused> {
    if !(0..=limits::CORE_COUNT_MAX).contains(&cpu.core_count) {
        return Err(Refused::out_of_range(format!(
            "cpu.coreCount {} is outside 0–{}",
            cpu.core_count,
            limits::CORE_COUNT_MAX
        )));
    }
    Ok(CpuRow {
        ts,
        agent_key: agent.0,
        core_count: cpu.core_count,
        usage_percent: percent("cpu.usagePercent", cpu.usage_percent)?,
        user_percent: optional(percent, "cpu.userPercent", cpu.user_percent)?,
        system_percent: optional(percent, "cpu.systemPercent", cpu.system_percent)?,
        iowait_percent: optional(percent, "cpu.iowaitPercent", cpu.iowait_percent)?,
        steal_percent: optional(percent, "cpu.stealPercent", cpu.steal_percent)?,
    })
}

fn memory_row(ts: TimestampMs, agent: AgentKey, memory: &MemoryMetrics) -> Result<MemoryRow, Refused> {
    Ok(MemoryRow {
        ts,
        agent_key: agent.0,
        total_bytes: size("memory.total", memory.total)?,
        used_bytes: size("memory.used", memory.used)?,
        free_bytes: size("memory.free", memory.free)?,
        available_bytes: optional(size, "memory.available", memory.available)?,
        swap_total_bytes: optional(size, "memory.swapTotal", memory.swap_total)?,
        swap_used_bytes: optional(size, "memory.swapUsed", memory.swap_used)?,
        usage_percent: percent("memory.usagePercent", memory.usage_percent)?,
    })
}

fn disk_row(ts: TimestampMs, agent: AgentKey, key: i32, disk: &DiskMetrics) -> Result<DiskRow, Refused> {
    Ok(DiskRow {
        ts,
        agent_key: agent.0,
        disk_key: key,
        total_bytes: size("disk.total", disk.total)?,
        used_bytes: size("disk.used", disk.used)?,
        free_bytes: size("disk.free", disk.free)?,
        usage_percent: percent("disk.usagePercent", disk.usage_percent)?,
        inodes_usage_percent: optional(percent, "disk.inodesUsagePercent", disk.inodes_usage_percent)?,
    })
}

fn network_row(
    ts: TimestampMs,
    agent: AgentKey,
    key: i32,
    network: &NetworkMetrics,
    counters: &mut InterfaceCounters,
) -> Result<NetworkRow, Refused> {
    let mut row = NetworkRow {
        ts,
        agent_key: agent.0,
        interface_key: key,
        received_bytes_total: size("network.bytesRecvTotal", network.received_bytes_total)?,
        sent_bytes_total: size("network.bytesSentTotal", network.sent_bytes_total)?,
        received_bytes: optional(size, "network.bytesRecvDelta", network.received_bytes_delta)?,
        sent_bytes: optional(size, "network.bytesSentDelta", network.sent_bytes_delta)?,
        interval_ms: optional(size, "network.intervalMs", network.interval_ms)?,
        receive_errors: optional(size, "network.errorsRecvDelta", network.receive_errors_delta)?,
        send_errors: optional(size, "network.errorsSentDelta", network.send_errors_delta)?,
    };
    let has_deltas = row.received_bytes.is_some() || row.sent_bytes.is_some();
    if has_deltas && row.interval_ms.is_none_or(|interval_ms| interval_ms == 0) {
        return Err(Refused::out_of_range("network.intervalMs must be positive where deltas are given"));
    }
    let counter = Counter { ts, received_bytes: row.received_bytes_total, sent_bytes: row.sent_bytes_total };
    if let Some((received, sent, interval_ms)) = counters.deltas(key, counter)
        && !has_deltas
    {
        row.received_bytes = Some(received);
        row.sent_bytes = Some(sent);
        row.interval_ms = Some(interval_ms);
    }
    Ok(row)
}

fn load_row(ts: TimestampMs, agent: AgentKey, load: &LoadMetrics) -> Result<LoadRow, Refused> {
    let checked = |field: &str, value: f32| {
        if value.is_finite() && 0.0 <= value && f64::from(value) <= limits::LOAD_MAX {
            Ok(value)
        } else {
            Err(Refused::out_of_range(format!("{field} {value} is outside 0–{}", limits::LOAD_MAX)))
        }
    };
    Ok(LoadRow {
        ts,
        agent_key: agent.0,
        load1: checked("load.load1", load.load1)?,
        load5: checked("load.load5", load.load5)?,
        load15: checked("load.load15", load.load15)?,
    })
}

fn percent(field: &str, value: f32) -> Result<f32, Refused> {
    if (0.0..=100.0 + PERCENT_ROUNDING).contains(&value) {
        Ok(value.min(100.0))
    } else {
        Err(Refused::out_of_range(format!("{field} {value} is outside 0–100")))
    }
}

fn size(field: &str, value: i64) -> Result<i64, Refused> {
    if 0 <= value { Ok(value) } else { Err(Refused::out_of_range(format!("{field} {value} is negative"))) }
}

fn optional<T>(
    check: impl Fn(&str, T) -> Result<T, Refused>,
    field: &str,
    value: Option<T>,
) -> Result<Option<T>, Refused> {
    value.map(|value| check(field, value)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: AgentKey = AgentKey(7);
    const WINDOW: TimeWindow =
        TimeWindow { now: 1_000_000_000, late_limit_ms: 86_400_000, clock_offset_ms: 0, spacing_ms_min: 500 };

    fn cpu(usage_percent: f32) -> CpuMetrics {
        CpuMetrics { usage_percent, core_count: 2, ..CpuMetrics::default() }
    }

    #[test]
    fn percentages_outside_0_to_100_are_refused_by_name() {
        assert!(cpu_row(1, AGENT, &cpu(0.0)).is_ok());
        assert_eq!(cpu_row(1, AGENT, &cpu(100.001)).unwrap().usage_percent, 100.0);
        for bad in [-0.1, 100.1, f32::NAN, f32::INFINITY] {
            let refused = cpu_row(1, AGENT, &cpu(bad)).unwrap_err();
            assert_eq!(refused.code, ErrorCode::OutOfRange);
            assert!(refused.message.contains("cpu.usagePercent"), "{}", refused.message);
        }
    }

    #[test]
    fn a_bad_family_costs_only_itself() {
        let sample = Sample {
            timestamp: WINDOW.now,
            cpu: Some(cpu(120.0)),
            load: Some(LoadMetrics { load1: 1.0, load5: 2.0, load15: 3.0 }),
            ..Sample::default()
        };
        let (mut rows, mut refused) = (Rows::default(), Vec::new());
        let keys = SeriesKeys::default();
        append_rows(&mut rows, &mut refused, &sample, WINDOW, AGENT, &keys, &mut SampleHistory::default());
        assert_eq!((rows.cpu.len(), rows.load.len(), refused.len()), (0, 1, 1));
    }

    #[test]
    fn what_is_refused_for_its_values_keeps_nothing_away() {
        let (keys, mut history) = (SeriesKeys::default(), SampleHistory::default());
        let (mut rows, mut refused) = (Rows::default(), Vec::new());
        for (index, usage_percent) in [120.0, -1.0, 50.0, 50.0, 50.0].into_iter().enumerate() {
            let timestamp = WINDOW.now + i64::try_from(index).unwrap();
            let sample = Sample { timestamp, cpu: Some(cpu(usage_percent)), ..Sample::default() };
            append_rows(&mut rows, &mut refused, &sample, WINDOW, AGENT, &keys, &mut history);
        }
        let codes: Vec<_> = refused.iter().map(|refused| refused.code).collect();
        assert_eq!(codes, [ErrorCode::OutOfRange, ErrorCode::OutOfRange, ErrorCode::TooClose]);
        assert_eq!(rows.cpu.len(), 2);
    }

    #[test]
    fn the_window_holds_future_and_past() {
        let window = WINDOW;
        let at = |timestamp| window.corrected(&Sample { timestamp, ..Sample::default() });
        assert_eq!(at(window.now + limits::FUTURE_MS_MAX), Ok(window.now + limits::FUTURE_MS_MAX));
        assert_eq!(
            at(window.now + limits::FUTURE_MS_MAX + 1).unwrap_err().code,
            ErrorCode::TimestampInFuture
        );
        assert_eq!(at(window.now - 86_400_000), Ok(window.now - 86_400_000));
        assert_eq!(at(window.now - 86_400_001).unwrap_err().code, ErrorCode::TimestampTooOld);
        assert_eq!(at(i64::MAX).unwrap_err().code, ErrorCode::TimestampInFuture);
        assert_eq!(at(i64::MIN).unwrap_err().code, ErrorCode::TimestampTooOld);
    }

    #[test]
    fn the_offset_of_the_sample_beats_that_of_the_connection() {
        let window = TimeWindow { now: 1_000_000, late_limit_ms: 900_000, clock_offset_ms: 50, ..WINDOW };
        let sample = |clock_offset_ms| Sample { timestamp: 900_000, clock_offset_ms, ..Sample::default() };
        assert_eq!(window.corrected(&sample(Some(7))), Ok(900_007));
        assert_eq!(window.corrected(&sample(Some(0))), Ok(900_000), "0 is an offset like any other");
        assert_eq!(window.corrected(&sample(None)), Ok(900_050));
    }

    #[test]
    fn a_stale_offset_does_not_cost_the_sample() {
        let hour_ms = 3_600_000;
        let window = TimeWindow { now: 100 * hour_ms, clock_offset_ms: -hour_ms, ..WINDOW };
        let sample = |timestamp| Sample { timestamp, clock_offset_ms: Some(0), ..Sample::default() };
        assert_eq!(window.corrected(&sample(101 * hour_ms)), Ok(100 * hour_ms), "the clock has been set");
        assert_eq!(window.corrected(&sample(99 * hour_ms)), Ok(99 * hour_ms), "taken before that");
        let refused = window.corrected(&sample(102 * hour_ms)).unwrap_err();
        assert_eq!(refused.code, ErrorCode::TimestampInFuture, "ahead of the agent's own frame");
    }

    #[test]
    fn a_stale_offset_does_not_put_the_sample_into_the_future() {
        let window =
            TimeWindow { now: 1_000_000, late_limit_ms: 900_000, clock_offset_ms: -60_000, ..WINDOW };
        let corrected = |timestamp| {
            let sample = Sample { timestamp, clock_offset_ms: Some(0), ..Sample::default() };
            window.corrected(&sample)
        };
        assert_eq!(corrected(1_060_000), Ok(1_000_000));
        assert_eq!(corrected(1_002_000), Ok(1_002_000), "within what is not blamed on the clock");
        assert_eq!(corrected(1_002_001), Ok(942_001));
        let window = TimeWindow { clock_offset_ms: 60_000, ..window };
        let sample = Sample { timestamp: 1_100_000, clock_offset_ms: Some(0), ..Sample::default() };
        assert_eq!(window.corrected(&sample), Ok(1_100_000), "the connection's would be even further ahead");
    }

    #[test]
    fn deltas_need_the_time_they_cover() {
        let network = NetworkMetrics {
            interface: "eth0".to_owned(),
            received_bytes_delta: Some(5),
            ..NetworkMetrics::default()
        };
        let refused = network_row(1, AGENT, 1, &network, &mut InterfaceCounters::default()).unwrap_err();
        assert!(refused.message.contains("intervalMs"), "{}", refused.message);
    }

    #[test]
    fn names_that_the_database_cannot_hold_are_refused() {
        let disk =
            |mount_point: &str| DiskMetrics { mount_point: mount_point.to_owned(), ..DiskMetrics::default() };
        let sample = Sample {
            disks: vec![disk("/"), disk(""), disk("/a\0b"), disk(&"x".repeat(limits::PATH_CHARS_MAX + 1))],
            ..Sample::default()
        };
        let (kept, refused) = kept(sample);
        assert_eq!((kept, refused.len()), (vec!["/".to_owned()], 3));
    }

    fn kept(mut sample: Sample) -> (Vec<String>, Vec<Refused>) {
        let mut refused = Vec::new();
        keep_valid_series(&mut sample, &mut refused);
        (sample.disks.into_iter().map(|disk| disk.mount_point).collect(), refused)
    }

    #[test]
    fn names_are_limited_in_bytes_too() {
        let disk = |mount_point: String| DiskMetrics { mount_point, ..DiskMetrics::default() };
        let sample = Sample {
            disks: vec![disk("\u{10348}".repeat(300)), disk("é".repeat(300))],
            ..Sample::default()
        };
        let (kept, refused) = kept(sample);
        assert_eq!((kept.len(), refused.len()), (1, 1));
        assert!(refused[0].message.contains("1200 bytes"), "{}", refused[0].message);
    }

    #[test]
    fn a_refused_disk_is_not_stored_although_its_mount_point_is_known() {
        let disk = |mount_point: String, device: &str| DiskMetrics {
            mount_point,
            device: device.to_owned(),
            ..DiskMetrics::default()
        };
        let mut disks: Vec<_> = (0..200).map(|n| disk(format!("/{n}"), "")).collect();
        disks[1].device = "a\0b".to_owned();
        let known = disks.iter().map(|disk| (disk.mount_point.clone(), 1)).collect();
        let keys = SeriesKeys { disks: known, ..SeriesKeys::default() };
        let mut sample = Sample { timestamp: WINDOW.now, disks, ..Sample::default() };
        let (mut rows, mut refused) = (Rows::default(), Vec::new());
        keep_valid_series(&mut sample, &mut refused);
        append_rows(&mut rows, &mut refused, &sample, WINDOW, AGENT, &keys, &mut SampleHistory::default());
        assert_eq!((rows.disk.len(), refused.len()), (limits::DISKS_PER_SAMPLE_MAX - 1, 2));
    }
}
