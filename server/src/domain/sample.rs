//! From a sample as an agent sent it to rows that may be stored: every value is checked here, and nowhere else.

use std::collections::HashMap;

use pika_protocol::limits;
use pika_protocol::{
    CpuMetrics, DiskMetrics, ErrorCode, LoadMetrics, MemoryMetrics, NetworkMetrics, Register, Sample,
};

use super::TimestampMs;
use super::agent::AgentDescription;
use super::id::AgentKey;
use super::row::{CpuRow, DiskRow, LoadRow, MemoryRow, NetworkRow, Rows};

/// Most disks, and most interfaces, that one agent may ever have reported.
pub const SERIES_PER_AGENT_MAX: usize = 1_024;

/// Percentages may exceed 100 by this much: what is left of rounding to 32 bits.
const PERCENT_ROUNDING: f32 = 0.01;

/// Why something was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// For programs and counters.
    pub code: ErrorCode,
    /// For people; names the field.
    pub message: String,
}

impl Refused {
    /// A refusal with its reason.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    fn out_of_range(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::OutOfRange, message)
    }
}

/// Which span of time a sample may fall into.
#[derive(Clone, Copy, Debug)]
pub struct TimeWindow {
    /// The server's clock.
    pub now: TimestampMs,
    /// How far back a sample may reach.
    pub late_limit_ms: i64,
    /// What is added to the time of samples that do not carry an offset of their own.
    pub clock_offset_ms: i64,
}

impl TimeWindow {
    /// The time at which a sample is stored.
    ///
    /// # Errors
    /// When it lies too far in the future or in the past.
    pub fn corrected(&self, sample: &Sample) -> Result<TimestampMs, Refused> {
        let offset_ms = match sample.clock_offset_ms {
            0 => self.clock_offset_ms,
            own => own,
        };
        let ts = sample.timestamp.saturating_add(offset_ms);
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

/// The last counters of an agent's interfaces on this connection: what deltas are derived from for agents that
/// do not send any.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    last: HashMap<i32, Counter>,
}

#[derive(Clone, Copy, Debug)]
struct Counter {
    ts: TimestampMs,
    received_bytes_total: i64,
    sent_bytes_total: i64,
}

impl Counters {
    /// What was moved since the last call for this interface. A counter that went down was reset: everything it
    /// counts since then was moved.
    fn deltas(&mut self, interface_key: i32, now: Counter) -> Option<(i64, i64, i64)> {
        let last = self.last.insert(interface_key, now)?;
        if now.ts <= last.ts {
            return None;
        }
        let moved = |now: i64, last: i64| if last <= now { now - last } else { now };
        Some((
            moved(now.received_bytes_total, last.received_bytes_total),
            moved(now.sent_bytes_total, last.sent_bytes_total),
            now.ts - last.ts,
        ))
    }
}

/// Appends the rows of a sample; `refused` gets what may not be stored, field by field. Disks and interfaces that
/// have no key yet must have been given one before (see [`checked_disks`] and [`checked_interfaces`]).
pub fn append_rows(
    rows: &mut Rows,
    refused: &mut Vec<Refused>,
    sample: &Sample,
    ts: TimestampMs,
    agent: AgentKey,
    keys: &SeriesKeys,
    counters: &mut Counters,
) {
    if let Some(cpu) = &sample.cpu {
        collect(&mut rows.cpu, refused, cpu_row(ts, agent, cpu));
    }
    if let Some(memory) = &sample.memory {
        collect(&mut rows.memory, refused, memory_row(ts, agent, memory));
    }
    for disk in &sample.disks {
        if let Some(key) = keys.disks.get(&disk.mount_point) {
            collect(&mut rows.disk, refused, disk_row(ts, agent, *key, disk));
        }
    }
    for network in &sample.networks {
        if let Some(key) = keys.interfaces.get(&network.interface) {
            collect(&mut rows.network, refused, network_row(ts, agent, *key, network, counters));
        }
    }
    if let Some(load) = &sample.load {
        collect(&mut rows.load, refused, load_row(ts, agent, load));
    }
}

fn collect<T>(rows: &mut Vec<T>, refused: &mut Vec<Refused>, row: Result<T, Refused>) {
    match row {
        Ok(row) => rows.push(row),
        Err(refusal) => refused.push(refusal),
    }
}

/// The disks of a sample whose names may be stored.
pub fn checked_disks<'a>(
    sample: &'a Sample,
    refused: &mut Vec<Refused>,
) -> impl Iterator<Item = &'a DiskMetrics> {
    check_count("disks", sample.disks.len(), limits::DISKS_PER_SAMPLE_MAX, refused);
    let mut names = Vec::new();
    for disk in sample.disks.iter().take(limits::DISKS_PER_SAMPLE_MAX) {
        let checked = check_text("disk.mountPoint", &disk.mount_point, 1, limits::PATH_CHARS_MAX)
            .and_then(|()| check_text("disk.device", &disk.device, 0, limits::PATH_CHARS_MAX))
            .and_then(|()| check_text("disk.fstype", &disk.fs_type, 0, limits::NAME_CHARS_MAX));
        match checked {
            Ok(()) => names.push(disk),
            Err(refusal) => refused.push(refusal),
        }
    }
    names.into_iter()
}

/// The interfaces of a sample whose names may be stored.
pub fn checked_interfaces<'a>(
    sample: &'a Sample,
    refused: &mut Vec<Refused>,
) -> impl Iterator<Item = &'a str> {
    check_count("networks", sample.networks.len(), limits::NETWORKS_PER_SAMPLE_MAX, refused);
    let mut names = Vec::new();
    for network in sample.networks.iter().take(limits::NETWORKS_PER_SAMPLE_MAX) {
        match check_text("network.interface", &network.interface, 1, limits::PATH_CHARS_MAX) {
            Ok(()) => names.push(network.interface.as_str()),
            Err(refusal) => refused.push(refusal),
        }
    }
    names.into_iter()
}

/// What an agent says about itself, held to the limits.
///
/// # Errors
/// Names the field that is too long, empty or unprintable.
pub fn describe_agent(register: &Register) -> Result<AgentDescription, Refused> {
    let checked = |field: &str, value: &str, min| {
        check_text(field, value, min, limits::NAME_CHARS_MAX).map(|()| value.to_owned())
    };
    let hostname = checked("hostname", &register.hostname, 1)?;
    let name = checked("name", &register.name, 0)?;
    Ok(AgentDescription {
        name: if name.is_empty() { hostname.clone() } else { name },
        hostname,
        ip: checked("ip", &register.ip, 0)?,
        os: checked("os", &register.os, 0)?,
        arch: checked("arch", &register.arch, 0)?,
        version: checked("version", &register.version, 0)?,
    })
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
    counters: &mut Counters,
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
    let counter = Counter {
        ts,
        received_bytes_total: row.received_bytes_total,
        sent_bytes_total: row.sent_bytes_total,
    };
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

fn check_count(field: &str, count: usize, max: usize, refused: &mut Vec<Refused>) {
    if max < count {
        refused.push(Refused::new(
            ErrorCode::TooMany,
            format!("{field}: {count} of them; {max} is the most, the rest is not stored"),
        ));
    }
}

fn check_text(field: &str, value: &str, chars_min: usize, chars_max: usize) -> Result<(), Refused> {
    let chars = value.chars().count();
    if chars < chars_min {
        return Err(Refused::out_of_range(format!("{field} is empty")));
    }
    if chars_max < chars {
        return Err(Refused::out_of_range(format!(
            "{field} has {chars} characters; {chars_max} is the most"
        )));
    }
    // PostgreSQL's text cannot hold NUL, and control characters would forge log lines.
    if value.chars().any(char::is_control) {
        return Err(Refused::out_of_range(format!("{field} has control characters")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: AgentKey = AgentKey(7);

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
            timestamp: 1,
            cpu: Some(cpu(120.0)),
            load: Some(LoadMetrics { load1: 1.0, load5: 2.0, load15: 3.0 }),
            ..Sample::default()
        };
        let (mut rows, mut refused) = (Rows::default(), Vec::new());
        let keys = SeriesKeys::default();
        append_rows(&mut rows, &mut refused, &sample, 1, AGENT, &keys, &mut Counters::default());
        assert_eq!((rows.cpu.len(), rows.load.len(), refused.len()), (0, 1, 1));
    }

    #[test]
    fn the_window_holds_future_and_past() {
        let window = TimeWindow { now: 1_000_000_000, late_limit_ms: 86_400_000, clock_offset_ms: 0 };
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
        let window = TimeWindow { now: 1_000_000, late_limit_ms: 900_000, clock_offset_ms: 50 };
        let sample = Sample { timestamp: 900_000, clock_offset_ms: 7, ..Sample::default() };
        assert_eq!(window.corrected(&sample), Ok(900_007));
        assert_eq!(window.corrected(&Sample { clock_offset_ms: 0, ..sample }), Ok(900_050));
    }

    #[test]
    fn deltas_are_derived_and_survive_a_reset() {
        let mut counters = Counters::default();
        let mut row = |ts, total| {
            let network = NetworkMetrics {
                interface: "eth0".to_owned(),
                received_bytes_total: total,
                sent_bytes_total: 2 * total,
                ..NetworkMetrics::default()
            };
            let row = network_row(ts, AGENT, 1, &network, &mut counters).unwrap();
            (row.received_bytes, row.sent_bytes, row.interval_ms)
        };
        assert_eq!(row(1_000, 100), (None, None, None));
        assert_eq!(row(6_000, 150), (Some(50), Some(100), Some(5_000)));
        assert_eq!(row(11_000, 30), (Some(30), Some(60), Some(5_000)));
        assert_eq!(row(11_000, 40), (None, None, None), "no time has passed");
    }

    #[test]
    fn deltas_need_the_time_they_cover() {
        let network = NetworkMetrics {
            interface: "eth0".to_owned(),
            received_bytes_delta: Some(5),
            ..NetworkMetrics::default()
        };
        let refused = network_row(1, AGENT, 1, &network, &mut Counters::default()).unwrap_err();
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
        let mut refused = Vec::new();
        let kept: Vec<_> =
            checked_disks(&sample, &mut refused).map(|disk| disk.mount_point.as_str()).collect();
        assert_eq!((kept, refused.len()), (vec!["/"], 3));
    }
}
