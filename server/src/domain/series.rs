//! The series of agents (disks, interfaces and so on): their labels and keys.

use std::collections::{HashMap, HashSet};

use pika_protocol::{ErrorCode, Sample, families};

use super::family::{Measurement, Numbers, PerTable};
use super::refused::{Refused, check_text};
use super::tier::DAY_MS;

/// Maximum number of series of each kind, such as disks, that an agent may have at a time, counting all with raw
/// samples.
pub const SERIES_PER_AGENT_MAX: usize = 1_024;

/// How long a series' key may be used before it is renewed, in milliseconds. Renewals show which series are still
/// reported.
pub const SERIES_RENEWAL_MS: i64 = DAY_MS;

/// The keys of an agent's series by name, assigned by the database.
pub type SeriesKeys = PerTable<HashMap<String, i32>>;

/// Series as reported by their agent.
pub type ReportedSeries = PerTable<Vec<SeriesLabels>>;

/// The labels of a series.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesLabels {
    /// The labels in the order of the table's declaration; the first identifies the series within its agent.
    pub texts: Vec<String>,
}

impl SeriesLabels {
    /// Returns the labels of a measurement.
    pub fn of(measurement: &impl Measurement) -> Self {
        let mut texts = Vec::new();
        measurement.for_each_label(|_, text| texts.push(text.to_owned()));
        Self { texts }
    }

    /// Returns the label that identifies the series within its agent.
    pub fn name(&self) -> &str {
        self.texts.first().map_or("", String::as_str)
    }
}

macro_rules! define_for_each_table {
    ($(
        $(#[$doc:meta])*
        $field:ident: $container:ident<$measurement:path> = $families:tt,
    )+) => {
        /// Removes series that cannot be stored from a sample, because there are too many or their names are invalid,
        /// and adds them to `refused`.
        pub fn keep_valid_series(sample: &mut Sample, refused: &mut Vec<Refused>) {
            $(where_several!($container, keep_valid(&mut sample.$field, refused));)+
        }

        /// Returns the series of these samples without a key, without duplicates.
        pub fn unknown_series(samples: &[Sample], keys: &SeriesKeys) -> ReportedSeries {
            let mut unknown = ReportedSeries::default();
            $(where_several!($container, {
                let measurements = samples.iter().flat_map(|sample| &sample.$field);
                unknown.$field = unknown_of_table(measurements, &keys.$field);
            });)+
            unknown
        }
    };
}

/// Expands to code only for tables of which a sample may have several rows.
macro_rules! where_several {
    (Option, $code:expr) => {};
    (Vec, $code:expr) => {
        $code
    };
}
families!(define_for_each_table);

fn keep_valid<M: Measurement>(measurements: &mut Vec<M>, refused: &mut Vec<Refused>) {
    let table = M::Numbers::TABLE;
    let max = table.series.map_or(1, |series| series.per_sample_max);
    if max < measurements.len() {
        refused.push(Refused::new(
            ErrorCode::TooMany,
            format!(
                "{}: {} of them; {max} is the most, the rest is not stored",
                table.sample_field(),
                measurements.len()
            ),
        ));
        measurements.truncate(max);
    }
    measurements.retain(|measurement| {
        let checked = check_labels(measurement);
        checked.map_err(|refusal| refused.push(refusal)).is_ok()
    });
}

fn check_labels<M: Measurement>(measurement: &M) -> Result<(), Refused> {
    let subject = M::Numbers::TABLE.subject();
    let mut checked = Ok(());
    measurement.for_each_label(|label, text| {
        if checked.is_ok() {
            let field = format_args!("{subject}.{}", label.name);
            checked = check_text(field, text, label.chars_min, label.chars_max);
        }
    });
    checked
}

fn unknown_of_table<'a, M: Measurement>(
    measurements: impl Iterator<Item = &'a M>,
    keys: &HashMap<String, i32>,
) -> Vec<SeriesLabels> {
    let mut seen = HashSet::new();
    measurements
        .filter(|measurement| !keys.contains_key(measurement.name()) && seen.insert(measurement.name()))
        .map(SeriesLabels::of)
        .collect()
}

#[cfg(test)]
mod tests {
    use pika_protocol::{DiskMetrics, limits};

    use super::*;

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
    fn a_series_without_a_key_is_asked_for_once() {
        let disk = |mount_point: &str| DiskMetrics {
            mount_point: mount_point.to_owned(),
            device: "sda".to_owned(),
            ..DiskMetrics::default()
        };
        let sample = Sample { disks: vec![disk("/"), disk("/data")], ..Sample::default() };
        let known = SeriesKeys { disks: HashMap::from([("/".to_owned(), 1)]), ..SeriesKeys::default() };
        let unknown = unknown_series(&[sample.clone(), sample], &known);
        let labels = SeriesLabels { texts: vec!["/data".to_owned(), "sda".to_owned(), String::new()] };
        assert_eq!(unknown, ReportedSeries { disks: vec![labels], ..ReportedSeries::default() });
    }
}
