//! A sample as JSON, which is encoded once for both the spool and the server.

use pika_protocol::Sample;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// The JSON of a sample, with the values that the outbox needs.
#[derive(Clone, Debug)]
pub struct EncodedSample {
    json: Box<RawValue>,
    /// When it was taken, in milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// The sample's clock offset, in milliseconds, if it has one.
    pub clock_offset_ms: Option<i64>,
}

/// The fields that are read from an encoded sample.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Times {
    timestamp: i64,
    #[serde(default)]
    clock_offset_ms: Option<i64>,
}

impl EncodedSample {
    pub(crate) fn new(sample: &Sample) -> serde_json::Result<EncodedSample> {
        let Sample { timestamp, clock_offset_ms, .. } = *sample;
        Ok(EncodedSample { json: to_raw_value(sample)?, timestamp, clock_offset_ms })
    }

    /// Reads JSON written by [`EncodedSample::new`].
    pub(super) fn from_json(json: &RawValue) -> serde_json::Result<EncodedSample> {
        let Times { timestamp, clock_offset_ms } = serde_json::from_str(json.get())?;
        Ok(EncodedSample { json: json.to_owned(), timestamp, clock_offset_ms })
    }

    /// Returns the length of the JSON in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.json.get().len()
    }

    /// Adds the missing clock offset.
    pub(super) fn with_clock_offset_ms(self, clock_offset_ms: i64) -> serde_json::Result<EncodedSample> {
        let fields = self.json.get().trim_start().trim_start_matches('{');
        let json = RawValue::from_string(format!("{{\"clockOffsetMs\":{clock_offset_ms},{fields}"))?;
        Ok(EncodedSample { json, clock_offset_ms: Some(clock_offset_ms), ..self })
    }
}

impl Serialize for EncodedSample {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

impl PartialEq for EncodedSample {
    fn eq(&self, other: &EncodedSample) -> bool {
        self.json.get() == other.json.get()
    }
}

#[cfg(test)]
mod tests {
    use pika_protocol::LoadMetrics;

    use super::*;

    #[test]
    fn an_offset_is_added_to_what_was_written_without() {
        let sample = Sample { timestamp: 1, load: Some(LoadMetrics::default()), ..Sample::default() };
        let encoded = EncodedSample::new(&sample).unwrap();
        assert_eq!(EncodedSample::from_json(&encoded.json).unwrap(), encoded);
        let with_offset = encoded.with_clock_offset_ms(-5).unwrap();
        let decoded: Sample = serde_json::from_str(with_offset.json.get()).unwrap();
        assert_eq!(decoded, Sample { clock_offset_ms: Some(-5), ..sample });
        assert_eq!((with_offset.timestamp, with_offset.clock_offset_ms), (1, Some(-5)));
    }
}
