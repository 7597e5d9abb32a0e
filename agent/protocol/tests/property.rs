//! Any sample survives a round trip through a frame, and no text makes a decoder panic.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use pika_protocol::family::{ColumnType, Measurement, Numbers};
use pika_protocol::limits::{FRAME_BYTES_MAX, SAMPLES_PER_FRAME_MAX};
use pika_protocol::{
    AgentFrame, AgentMessage, Batch, CpuMetrics, DiskMetrics, LoadMetrics, MemoryMetrics, NetworkMetrics,
    Sample, ServerMessage, families,
};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Returns JSON of a measurement according to its declaration, with arbitrary numbers.
fn measurement<M: Measurement>() -> BoxedStrategy<Value> {
    let labels = M::Numbers::TABLE.series.iter().flat_map(|series| series.labels);
    let numbers = vec(any::<(i64, bool)>(), M::FIELDS.len());
    let texts = vec(any::<String>(), labels.clone().count());
    let object = move |(numbers, texts): (Vec<(i64, bool)>, Vec<String>)| {
        let labels = labels.clone().map(|label| label.name.to_owned());
        let mut object: Map<_, _> = labels.zip(texts.into_iter().map(Value::String)).collect();
        for (field, (number, is_there)) in M::FIELDS.iter().zip(numbers) {
            let value = match field.column.column_type {
                ColumnType::Int4 => json!(i32::from_ne_bytes(number.to_ne_bytes()[..4].try_into().unwrap())),
                ColumnType::Int8 => json!(number),
                #[expect(clippy::cast_precision_loss, reason = "some number")]
                ColumnType::Float4 => json!((number % 1_000_000) as f32 / 100.0),
            };
            if is_there || !field.column.is_optional {
                object.insert(field.name.to_owned(), value);
            }
        }
        Value::Object(object)
    };
    (numbers, texts).prop_map(object).boxed()
}

/// One measurement or none, or a list of them.
macro_rules! measurements {
    (Option, $measurement:path) => {
        proptest::option::of(measurement::<$measurement>()).prop_map(Value::from).boxed()
    };
    (Vec, $measurement:path) => {
        vec(measurement::<$measurement>(), 0..3).prop_map(Value::from).boxed()
    };
}

macro_rules! define_fields {
    ($(
        $(#[$doc:meta])*
        $field:ident: $container:ident<$measurement:path> = $families:tt,
    )+) => {
        fn fields() -> Vec<(&'static str, BoxedStrategy<Value>)> {
            vec![$((
                <<$measurement as Measurement>::Numbers as Numbers>::TABLE.sample_field(),
                measurements!($container, $measurement),
            ),)+]
        }
    };
}
families!(define_fields);

/// Returns JSON of a sample, without absent families.
fn sample() -> impl Strategy<Value = Value> {
    let (names, values): (Vec<_>, Vec<_>) = fields().into_iter().unzip();
    (any::<i64>(), values).prop_map(move |(timestamp, values)| {
        let is_there = |(_, value): &(&str, Value)| !value.is_null() && *value != json!([]);
        let fields = names.iter().copied().zip(values).filter(is_there);
        let fields = fields.map(|(name, value)| (name.to_owned(), value));
        Value::Object(fields.chain([("timestamp".to_owned(), json!(timestamp))]).collect())
    })
}

proptest! {
    #[test]
    fn a_batch_comes_out_as_it_went_in(
        samples in vec(sample(), 0..4),
        clock_offset_ms: Option<i64>,
        timestamp: Option<i64>,
        seq: Option<u64>,
    ) {
        let understood: Vec<Sample> = serde_json::from_value(json!(samples)).unwrap();
        prop_assert_eq!(serde_json::to_value(&understood).unwrap(), json!(samples));
        let samples = understood.into_iter().map(|sample| Sample { clock_offset_ms, ..sample }).collect();
        let frame = AgentFrame { message: AgentMessage::Batch(Batch { samples }), timestamp, seq };
        let text = serde_json::to_string(&frame).unwrap();
        prop_assert_eq!(serde_json::from_str::<AgentFrame>(&text).unwrap(), frame);
    }

    #[test]
    fn no_text_makes_a_decoder_panic(text in r#"[\[\]{}":,a-z0-9 \\-]{0,80}"#, kind in "[a-z_]{0,12}", data: String) {
        let data = serde_json::to_string(&data).unwrap();
        for text in [&text, &format!(r#"{{"type":"{kind}","data":{text}}}"#), &format!(r#"{{"type":"{kind}","data":{data}}}"#)] {
            drop(serde_json::from_str::<AgentFrame>(text));
            drop(serde_json::from_str::<ServerMessage>(text));
        }
    }
}

/// The maximum number of samples, of a machine with several disks and interfaces, fits into a frame.
#[test]
fn the_limits_fit_together() {
    let disk = DiskMetrics {
        mount_point: "/var/lib/something/long".to_owned(),
        device: "/dev/mapper/vg0-something".to_owned(),
        fs_type: "ext4".to_owned(),
        total: 1 << 45,
        used: 1 << 44,
        free: 1 << 44,
        usage_percent: 50.123_456,
        inodes_usage_percent: Some(1.234_567),
        ..DiskMetrics::default()
    };
    let network = NetworkMetrics {
        interface: "enp0s31f6".to_owned(),
        received_bytes_total: 1 << 50,
        sent_bytes_total: 1 << 50,
        received_bytes_delta: Some(1 << 30),
        sent_bytes_delta: Some(1 << 30),
        interval_ms: Some(5_000),
        receive_errors_delta: Some(0),
        send_errors_delta: Some(0),
        ..NetworkMetrics::default()
    };
    let sample = Sample {
        timestamp: 1_760_918_400_000,
        clock_offset_ms: Some(-12_345),
        cpu: Some(CpuMetrics {
            usage_percent: 12.345_678,
            core_count: 128,
            user_percent: Some(12.345_678),
            system_percent: Some(12.345_678),
            iowait_percent: Some(12.345_678),
            steal_percent: Some(12.345_678),
            ..CpuMetrics::default()
        }),
        memory: Some(MemoryMetrics {
            total: 1 << 40,
            used: 1 << 39,
            free: 1 << 38,
            usage_percent: 50.123_456,
            available: Some(1 << 39),
            swap_total: Some(1 << 35),
            swap_used: Some(1 << 34),
            ..MemoryMetrics::default()
        }),
        disks: vec![disk; 4],
        networks: vec![network; 4],
        load: Some(LoadMetrics { load1: 12.34, load5: 12.34, load15: 12.34 }),
        ..Sample::default()
    };
    let message = AgentMessage::Batch(Batch { samples: vec![sample; SAMPLES_PER_FRAME_MAX] });
    let frame = AgentFrame { message, timestamp: Some(1_760_918_400_123), seq: Some(u64::MAX) };
    let frame_bytes = serde_json::to_string(&frame).unwrap().len();
    assert!(frame_bytes <= FRAME_BYTES_MAX, "{frame_bytes}");
}
