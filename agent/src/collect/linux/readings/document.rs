//! The contents of a reading, and their checks.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use pika_protocol::family::{Measurement, Numbers as _, OutOfBounds};
use pika_protocol::limits::{NAME_BYTES_MAX, NAME_CHARS_MAX};
use pika_protocol::{GpuMetrics, SensorMetrics, VolumeMetrics};
use serde::Deserialize;

/// Maximum number of names of containers in one reading.
const NAMES_MAX: usize = 1_024;

/// Shortest and longest id of a container, in characters: docker shows the first 12 of 64.
const ID_CHARS: RangeInclusive<usize> = 12..=64;

/// Shortest and longest time between two readings, in milliseconds.
const INTERVAL_MS: RangeInclusive<i64> = 1_000..=86_400_000;

/// A reading. Its items are those of a sample.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Document {
    /// When the values were read, in milliseconds since the Unix epoch.
    pub(super) taken_at: i64,
    /// The time until they are read again, in milliseconds.
    pub(super) interval_ms: i64,
    #[serde(default)]
    pub(super) gpus: Vec<GpuMetrics>,
    /// Unlike in a sample, errors are totals, of which what is added is reported.
    #[serde(default)]
    pub(super) volumes: Vec<VolumeMetrics>,
    #[serde(default)]
    pub(super) sensors: Vec<SensorMetrics>,
    #[serde(default)]
    pub(super) names: BTreeMap<String, String>,
}

/// Why a reading is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum DocumentError {
    #[error("it is not a valid reading")]
    Syntax(#[from] serde_json::Error),
    #[error("{0}")]
    OutOfBounds(OutOfBounds),
    #[error("`intervalMs` must be from {} to {}", INTERVAL_MS.start(), INTERVAL_MS.end())]
    Interval,
    #[error("`{0}` has more items than a sample may have")]
    TooMany(&'static str),
    #[error("`{0}` is too short, too long, or has control characters")]
    Label(&'static str),
    #[error("`{0}` has two items of the same name")]
    Duplicate(&'static str),
    #[error("`names` must map ids of containers to names")]
    Names,
}

impl Document {
    /// Parses and checks a reading.
    pub(super) fn parse(text: &[u8]) -> Result<Document, DocumentError> {
        let document: Document = serde_json::from_slice(text)?;
        if !INTERVAL_MS.contains(&document.interval_ms) {
            return Err(DocumentError::Interval);
        }
        check("gpus", &document.gpus)?;
        check("volumes", &document.volumes)?;
        check("sensors", &document.sensors)?;
        let is_id =
            |id: &str| ID_CHARS.contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let names = &document.names;
        if NAMES_MAX < names.len()
            || !names.iter().all(|(id, name)| is_id(id) && is_label(name, 1, NAME_CHARS_MAX))
        {
            return Err(DocumentError::Names);
        }
        Ok(document)
    }
}

/// Checks everything that a server would check.
fn check<M: Measurement>(field: &'static str, items: &[M]) -> Result<(), DocumentError> {
    let series = M::Numbers::TABLE.series.as_ref();
    if series.is_some_and(|series| series.per_sample_max < items.len()) {
        return Err(DocumentError::TooMany(field));
    }
    let mut names = BTreeSet::new();
    for item in items {
        item.numbers().map_err(DocumentError::OutOfBounds)?;
        let mut refused = None;
        item.for_each_label(|label, text| {
            if !is_label(text, label.chars_min, label.chars_max) {
                refused = Some(label.name);
            }
        });
        if let Some(label) = refused {
            return Err(DocumentError::Label(label));
        }
        if !names.insert(item.name()) {
            return Err(DocumentError::Duplicate(field));
        }
    }
    Ok(())
}

fn is_label(text: &str, chars_min: usize, chars_max: usize) -> bool {
    (chars_min..=chars_max).contains(&text.chars().count())
        && text.len() <= NAME_BYTES_MAX
        && !text.chars().any(char::is_control)
}
