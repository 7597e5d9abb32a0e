//! Decodes the data of `batch` and `metrics` into samples. One bad metric in a batch is refused by name, and the rest
//! of the batch is kept.

use std::borrow::Cow;

use pika_protocol::message::{Metrics, OneOrMany};
use pika_protocol::{Batch, ErrorCode, Sample, families};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::pieces::{Pieces, note, parse_field, unknown_type};
use crate::domain::TimestampMs;
use crate::domain::family::{Measurement, Numbers};
use crate::domain::refused::Refused;

/// Decodes one family in the form of the original Pika, which has no other families.
pub(super) fn decode_metrics(
    data: &RawValue,
    timestamp: TimestampMs,
    refused: &mut Vec<Refused>,
) -> Result<Sample, Refused> {
    #[derive(Deserialize)]
    struct Wrapper<'a> {
        #[serde(rename = "type", borrow)]
        family: Cow<'a, str>,
        #[serde(borrow)]
        data: &'a RawValue,
    }
    let wrapper: Wrapper<'_> = serde_json::from_str(data.get())
        .map_err(|error| Refused::new(ErrorCode::InvalidField, format!("metrics: {error}")))?;
    let field = format!("metrics.{}", wrapper.family);
    let metrics = match wrapper.family.as_ref() {
        "cpu" => Metrics::Cpu(parse_field(&field, wrapper.data)?),
        "memory" => Metrics::Memory(parse_field(&field, wrapper.data)?),
        "disk" => Metrics::Disk(OneOrMany::Many(decode_list(&field, wrapper.data, refused)?)),
        "network" => Metrics::Network(OneOrMany::Many(decode_list(&field, wrapper.data, refused)?)),
        "load" => Metrics::Load(parse_field(&field, wrapper.data)?),
        other => return Err(unknown_type("metric", other)),
    };
    let mut sample = Sample { timestamp, ..Sample::default() };
    match metrics {
        Metrics::Cpu(cpu) => sample.cpu = Some(cpu),
        Metrics::Memory(memory) => sample.memory = Some(memory),
        Metrics::Disk(disks) => sample.disks = disks.into_vec(),
        Metrics::Network(networks) => sample.networks = networks.into_vec(),
        Metrics::Load(load) => sample.load = Some(load),
    }
    Ok(sample)
}

/// Decodes an object or an array of them; from an array, the objects that are valid.
fn decode_list<T: DeserializeOwned>(
    field: &str,
    data: &RawValue,
    refused: &mut Vec<Refused>,
) -> Result<Vec<T>, Refused> {
    if !data.get().starts_with('[') {
        return Ok(vec![parse_field(field, data)?]);
    }
    let items: Vec<&RawValue> = serde_json::from_str(data.get())
        .map_err(|error| Refused::new(ErrorCode::InvalidField, format!("{field}: {error}")))?;
    Ok(items.understand(field, refused))
}

pub(super) fn decode_batch(
    data: &RawValue,
    samples_max: usize,
    refused: &mut Vec<Refused>,
) -> Result<Vec<Sample>, Refused> {
    // Well-formed batches are decoded in one go; only others are decoded piece by piece.
    let samples = match serde_json::from_str::<Batch>(data.get()) {
        Ok(batch) => batch.samples,
        Err(_) => decode_batch_piecewise(data, refused)?,
    };
    if samples_max < samples.len() {
        return Err(Refused::new(
            ErrorCode::TooMany,
            format!("{} samples in one frame; {samples_max} is the most", samples.len()),
        ));
    }
    Ok(samples)
}

fn decode_batch_piecewise(data: &RawValue, refused: &mut Vec<Refused>) -> Result<Vec<Sample>, Refused> {
    #[derive(Deserialize)]
    struct BatchPieces<'a> {
        #[serde(borrow)]
        samples: Vec<&'a RawValue>,
    }
    let pieces: BatchPieces<'_> = serde_json::from_str(data.get())
        .map_err(|error| Refused::new(ErrorCode::InvalidField, format!("batch: {error}")))?;
    let mut samples = Vec::with_capacity(pieces.samples.len());
    for (index, piece) in pieces.samples.iter().enumerate() {
        match serde_json::from_str::<SamplePieces<'_>>(piece.get()) {
            Ok(piece) => samples.push(piece.understand(&format!("samples[{index}]"), refused)),
            Err(error) => {
                note(refused, Refused::new(ErrorCode::InvalidField, format!("samples[{index}]: {error}")));
            }
        }
    }
    Ok(samples)
}

macro_rules! define_sample_pieces {
    ($(
        $(#[$doc:meta])*
        $field:ident: $container:ident<$measurement:path> = $families:tt,
    )+) => {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct SamplePieces<'a> {
            timestamp: TimestampMs,
            clock_offset_ms: Option<i64>,
            $(
                #[serde(borrow, default)]
                $field: $container<&'a RawValue>,
            )+
        }

        impl SamplePieces<'_> {
            /// Returns the sample without the parts that are invalid.
            fn understand(self, name: &str, refused: &mut Vec<Refused>) -> Sample {
                Sample {
                    timestamp: self.timestamp,
                    clock_offset_ms: self.clock_offset_ms,
                    $($field: {
                        let table = <<$measurement as Measurement>::Numbers as Numbers>::TABLE;
                        let field = format!("{name}.{}", table.sample_field());
                        Pieces::<$measurement>::understand(self.$field, &field, refused)
                    },)+
                }
            }
        }
    };
}
families!(define_sample_pieces);
