//! Converts samples to rows. This is the only place where values are checked, according to their declaration.

use std::collections::HashMap;
use std::fmt::Display;

use pika_protocol::{ErrorCode, Sample, families};

use super::TimestampMs;
use super::family::{Measurement, Numbers};
use super::history::{SampleHistory, SeriesHistory};
use super::id::AgentKey;
use super::refused::Refused;
use super::row::{Rows, Stored};
use super::series::SeriesKeys;
use super::time_window::TimeWindow;

/// Appends the rows of a sample; invalid fields are added to `refused`. Series without a key are skipped; call
/// [`keep_valid_series`](super::series::keep_valid_series) first.
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
    let spacing_ms_min = window.spacing_ms_min;
    let mut admission = Admission { refused, agent, ts, spacing_ms_min, n_too_close: 0 };
    append_measurements(rows, sample, keys, history, &mut admission);
    let n_too_close = admission.n_too_close;
    if 0 < n_too_close {
        refused.push(Refused::new(
            ErrorCode::TooClose,
            format!(
                "timestamp {}: {n_too_close} values are not stored, because two others lie within {spacing_ms_min} ms of it",
                sample.timestamp
            ),
        ));
    }
}

macro_rules! define_append_measurements {
    ($(
        $(#[$doc:meta])*
        $field:ident: $container:ident<$measurement:path> = $families:tt,
    )+) => {
        fn append_measurements(
            rows: &mut Rows,
            sample: &Sample,
            keys: &SeriesKeys,
            history: &mut SampleHistory,
            admission: &mut Admission<'_>,
        ) {
            $(admission.append(
                &mut rows.$field,
                sample.$field.as_slice(),
                &keys.$field,
                &mut history.$field,
            );)+
        }
    };
}
families!(define_append_measurements);

/// The state of converting one sample.
struct Admission<'a> {
    refused: &'a mut Vec<Refused>,
    agent: AgentKey,
    ts: TimestampMs,
    spacing_ms_min: i64,
    n_too_close: usize,
}

impl Admission<'_> {
    /// Appends the rows of one table.
    fn append<M: Measurement>(
        &mut self,
        rows: &mut Vec<Stored<M::Numbers>>,
        measurements: &[M],
        keys: &HashMap<String, i32>,
        history: &mut SeriesHistory<M::Numbers>,
    ) {
        let has_series = M::Numbers::TABLE.series.is_some();
        for measurement in measurements {
            let key = if has_series { keys.get(measurement.name()).copied() } else { Some(0) };
            rows.extend(key.and_then(|series_key| self.row(series_key, measurement, history)));
        }
    }

    /// Returns the row of a series, unless it is too close to others or its values are invalid.
    fn row<M: Measurement>(
        &mut self,
        series_key: i32,
        measurement: &M,
        history: &mut SeriesHistory<M::Numbers>,
    ) -> Option<Stored<M::Numbers>> {
        if !history.admits(series_key, self.ts, self.spacing_ms_min) {
            self.n_too_close += 1;
            return None;
        }
        match checked(measurement, history.earlier(series_key, self.ts)) {
            Ok(numbers) => {
                history.note(series_key, self.ts, numbers);
                Some(Stored::of_series(self.ts, self.agent.0, series_key, numbers))
            }
            Err(refusal) => {
                self.refused.push(refusal);
                None
            }
        }
    }
}

/// Returns the numbers of a measurement after checking their bounds and consistency.
fn checked<M: Measurement>(
    measurement: &M,
    earlier: Option<(M::Numbers, i64)>,
) -> Result<M::Numbers, Refused> {
    let refused =
        |reason: &dyn Display| Refused::out_of_range(format!("{}.{reason}", M::Numbers::TABLE.subject()));
    let numbers = measurement.numbers().map_err(|outside| refused(&outside))?;
    numbers.complete(earlier).map_err(|reason| refused(&reason))
}

#[cfg(test)]
mod tests {
    use pika_protocol::{CpuMetrics, DiskMetrics, LoadMetrics, NetworkMetrics, limits};

    use super::*;
    use crate::domain::series::keep_valid_series;

    const AGENT: AgentKey = AgentKey(7);
    const WINDOW: TimeWindow =
        TimeWindow { now: 1_000_000_000, late_limit_ms: 86_400_000, clock_offset_ms: 0, spacing_ms_min: 500 };

    fn cpu(usage_percent: f32) -> CpuMetrics {
        CpuMetrics { usage_percent, core_count: 2, ..CpuMetrics::default() }
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_by_name() {
        assert_eq!(checked(&cpu(100.001), None).unwrap().usage_percent, 100.0);
        let refused = checked(&cpu(120.0), None).unwrap_err();
        assert_eq!(refused.code, ErrorCode::OutOfRange);
        assert_eq!(refused.message, "cpu.usagePercent 120 is outside 0–100");
        let network = NetworkMetrics { received_bytes_delta: Some(5), ..NetworkMetrics::default() };
        let refused = checked(&network, None).unwrap_err();
        assert_eq!(refused.message, "network.intervalMs must be positive where deltas are given");
    }

    #[test]
    fn an_interface_whose_agent_sends_no_deltas_gets_them_from_its_counters() {
        let keys = SeriesKeys { networks: HashMap::from([("eth0".to_owned(), 3)]), ..SeriesKeys::default() };
        let (mut rows, mut refused, mut history) = (Rows::default(), Vec::new(), SampleHistory::default());
        for (offset_ms, received_bytes_total) in [(0, 100), (5_000, 150)] {
            let network = NetworkMetrics {
                interface: "eth0".to_owned(),
                received_bytes_total,
                ..NetworkMetrics::default()
            };
            let timestamp = WINDOW.now + offset_ms;
            let sample = Sample { timestamp, networks: vec![network], ..Sample::default() };
            append_rows(&mut rows, &mut refused, &sample, WINDOW, AGENT, &keys, &mut history);
        }
        let moved: Vec<_> =
            rows.networks.iter().map(|row| (row.series_key, row.numbers.received_bytes)).collect();
        assert_eq!((moved, refused), (vec![(3, None), (3, Some(50))], Vec::new()));
        assert_eq!(rows.networks[1].numbers.interval_ms, Some(5_000));
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
        assert_eq!((rows.disks.len(), refused.len()), (limits::DISKS_PER_SAMPLE_MAX - 1, 2));
    }
}
