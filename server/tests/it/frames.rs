//! Whatever an agent sends is either decoded or refused with a code; what is decoded stays within the domain's limits,
//! and neither takes longer than its size explains. Starts from the frames in `tests/corpus/frames`, valid and
//! malicious ones, and mutates them; a frame that breaks something is added there.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use pika_protocol::{Sample, limits};
use pika_server::domain::agent::AgentDescription;
use pika_server::domain::gap::SampleGap;
use pika_server::domain::history::SampleHistory;
use pika_server::domain::id::AgentKey;
use pika_server::domain::refused::Refused;
use pika_server::domain::row::Rows;
use pika_server::domain::sample::append_rows;
use pika_server::domain::series::{SeriesKeys, keep_valid_series};
use pika_server::domain::time_window::TimeWindow;
use pika_server::ingest::{Message, decode};
use proptest::prelude::*;
use proptest::sample::Index;

const NOW: i64 = 1_700_000_000_123;
const WINDOW: TimeWindow =
    TimeWindow { now: NOW, late_limit_ms: 86_400_000, clock_offset_ms: 0, spacing_ms_min: 500 };

/// Maximum length of a reason in characters, including the ellipsis.
const REASON_CHARS_MAX: usize = 201;

/// By name.
static CORPUS: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/frames");
    let mut corpus: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|file| file.unwrap())
        .map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()))
        .collect();
    corpus.sort();
    corpus
});

/// Takes a frame from its text to rows. Returns whether anything was decoded.
///
/// # Panics
/// If the result is not within the limits.
fn check(text: &str) -> bool {
    let (decoded, mut refused) = match decode(text, NOW, limits::SAMPLES_PER_FRAME_MAX) {
        Ok(decoded) => (Some(decoded.message), decoded.refused),
        Err(error) => (None, vec![error.refused]),
    };
    // Every refused piece is in the text.
    assert!(refused.len() <= 1 + text.len() / 2, "{} refusals of {} bytes", refused.len(), text.len());
    let is_understood = decoded.is_some();
    match decoded {
        Some(Message::Register(register)) => {
            if let Ok(description) = AgentDescription::reported(&register) {
                assert!(description.name.chars().count() <= limits::NAME_CHARS_MAX);
                assert!(!description.hostname.is_empty());
            }
        }
        Some(Message::Samples { samples, .. }) => {
            assert!(samples.len() <= limits::SAMPLES_PER_FRAME_MAX);
            check_rows(samples, &mut refused);
        }
        Some(Message::Gap(gap)) => match SampleGap::reported(gap, 0, NOW) {
            Ok(gap) => assert!(gap.start <= gap.end && 0 < gap.samples),
            Err(refusal) => refused.push(refusal),
        },
        Some(Message::Heartbeat) | None => {}
    }
    for Refused { code, message } in &refused {
        assert!(!code.as_str().is_empty() && !message.is_empty());
        assert!(message.chars().count() <= REASON_CHARS_MAX, "{message}");
    }
    is_understood
}

fn check_rows(mut samples: Vec<Sample>, refused: &mut Vec<Refused>) {
    let mut keys = SeriesKeys::default();
    let mut history = SampleHistory::default();
    let mut rows = Rows::default();
    let number = |map: &mut HashMap<String, i32>, name: &str| {
        let next = i32::try_from(map.len()).unwrap();
        map.entry(name.to_owned()).or_insert(next);
    };
    for sample in &mut samples {
        keep_valid_series(sample, refused);
        assert!(sample.disks.len() <= limits::DISKS_PER_SAMPLE_MAX);
        assert!(sample.networks.len() <= limits::NETWORKS_PER_SAMPLE_MAX);
        sample.disks.iter().for_each(|disk| number(&mut keys.disks, &disk.mount_point));
        sample.networks.iter().for_each(|network| number(&mut keys.networks, &network.interface));
        append_rows(&mut rows, refused, sample, WINDOW, AgentKey(1), &keys, &mut history);
    }
    for name in keys.disks.keys().chain(keys.networks.keys()) {
        assert!(!name.is_empty() && name.len() <= limits::NAME_BYTES_MAX && !name.contains('\0'), "{name:?}");
    }
    let is_time = |ts: i64| (NOW - WINDOW.late_limit_ms..=NOW + limits::FUTURE_MS_MAX).contains(&ts);
    let is_percent = |percent: f32| (0.0..=100.0).contains(&percent);
    let percents = |percents: &[Option<f32>]| percents.iter().flatten().all(|percent| is_percent(*percent));
    let sizes = |sizes: &[Option<i64>]| sizes.iter().flatten().all(|size| 0 <= *size);
    for row in &rows.cpu {
        assert!(is_time(row.ts) && is_percent(row.numbers.usage_percent), "{row:?}");
        assert!((0..=limits::CORE_COUNT_MAX).contains(&row.numbers.core_count), "{row:?}");
        let parts = [
            row.numbers.user_percent,
            row.numbers.system_percent,
            row.numbers.iowait_percent,
            row.numbers.steal_percent,
        ];
        assert!(percents(&parts), "{row:?}");
    }
    for row in &rows.memory {
        assert!(is_time(row.ts) && is_percent(row.numbers.usage_percent), "{row:?}");
        assert!(
            0 <= row.numbers.total_bytes && 0 <= row.numbers.used_bytes && 0 <= row.numbers.free_bytes,
            "{row:?}"
        );
        assert!(
            sizes(&[row.numbers.available_bytes, row.numbers.swap_total_bytes, row.numbers.swap_used_bytes]),
            "{row:?}"
        );
    }
    for row in &rows.disks {
        assert!(is_time(row.ts) && is_percent(row.numbers.usage_percent), "{row:?}");
        assert!(
            0 <= row.numbers.total_bytes && 0 <= row.numbers.used_bytes && 0 <= row.numbers.free_bytes,
            "{row:?}"
        );
        assert!(percents(&[row.numbers.inodes_usage_percent]), "{row:?}");
    }
    for row in &rows.networks {
        assert!(
            is_time(row.ts) && 0 <= row.numbers.received_bytes_total && 0 <= row.numbers.sent_bytes_total,
            "{row:?}"
        );
        assert!(
            sizes(&[
                row.numbers.received_bytes,
                row.numbers.sent_bytes,
                row.numbers.receive_errors,
                row.numbers.send_errors
            ]),
            "{row:?}"
        );
        let has_deltas = row.numbers.received_bytes.is_some() || row.numbers.sent_bytes.is_some();
        assert!(!has_deltas || row.numbers.interval_ms.is_some_and(|interval_ms| 0 < interval_ms), "{row:?}");
    }
    for row in &rows.load {
        let is_load = |load: f32| (0.0..=f64::from(limits::LOAD_MAX)).contains(&f64::from(load));
        assert!(
            is_time(row.ts)
                && [row.numbers.load1, row.numbers.load5, row.numbers.load15].into_iter().all(is_load),
            "{row:?}"
        );
    }
}

/// A mutation of a frame.
#[derive(Clone, Debug)]
enum Change {
    FlipBit(Index, u8),
    Put(Index, u8),
    Truncate(Index),
    Remove(Index, usize),
    Repeat(Index, usize, usize),
    /// A piece of another frame of the corpus.
    Splice(Index, Index, Index, usize),
    /// Another number in place of one.
    Number(Index, &'static str),
}

const NUMBERS: [&str; 18] = [
    "0",
    "-0",
    "-1",
    "0.1",
    "1e400",
    "-1e400",
    "1e-400",
    "3.5e38",
    "NaN",
    "null",
    "true",
    "\"1\"",
    "[]",
    "{}",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "1700000000000",
];

fn change() -> impl Strategy<Value = Change> {
    let at = || any::<Index>();
    prop_oneof![
        2 => (at(), 0..8_u8).prop_map(|(at, bit)| Change::FlipBit(at, bit)),
        2 => (at(), prop_oneof![Just(b'"'), Just(b'['), Just(b'{'), Just(b','), Just(b'\\'), any::<u8>()])
            .prop_map(|(at, byte)| Change::Put(at, byte)),
        1 => at().prop_map(Change::Truncate),
        2 => (at(), 1..40_usize).prop_map(|(at, length)| Change::Remove(at, length)),
        1 => (at(), 1..200_usize, 1..50_usize).prop_map(|(at, length, times)| Change::Repeat(at, length, times)),
        2 => (at(), at(), at(), 1..300_usize).prop_map(|(at, file, from, length)| Change::Splice(at, file, from, length)),
        4 => (at(), proptest::sample::select(&NUMBERS[..])).prop_map(|(at, number)| Change::Number(at, number)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let piece = |bytes: &[u8], from: &Index, length: usize| {
        let from = from.index(bytes.len() + 1);
        from..bytes.len().min(from + length)
    };
    match change {
        Change::FlipBit(at, bit) if !bytes.is_empty() => {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        Change::FlipBit(..) => {}
        Change::Put(at, byte) => bytes.insert(at.index(bytes.len() + 1), *byte),
        Change::Truncate(at) => bytes.truncate(at.index(bytes.len() + 1)),
        Change::Remove(at, length) => drop(bytes.drain(piece(bytes, at, *length))),
        Change::Repeat(at, length, times) => {
            let range = piece(bytes, at, *length);
            let repeated = bytes[range.clone()].repeat(*times);
            bytes.splice(range, repeated);
        }
        Change::Splice(at, file, from, length) => {
            let other = &CORPUS[file.index(CORPUS.len())].1;
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..at, other[piece(other, from, *length)].iter().copied());
        }
        Change::Number(at, number) => {
            let is_in_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
            let starts: Vec<usize> = (0..bytes.len())
                .filter(|&at| bytes[at].is_ascii_digit() && (at == 0 || !is_in_number(&bytes[at - 1])))
                .collect();
            if !starts.is_empty() {
                let start = starts[at.index(starts.len())];
                let length = bytes[start..].iter().take_while(|byte| is_in_number(byte)).count();
                bytes.splice(start..start + length, number.bytes());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_frame_is_understood_or_refused(
        file in any::<Index>(),
        changes in proptest::collection::vec(change(), 0..6),
    ) {
        let mut bytes = CORPUS[file.index(CORPUS.len())].1.clone();
        for change in &changes {
            apply(&mut bytes, change);
        }
        bytes.truncate(limits::FRAME_BYTES_MAX);
        // Invalid UTF-8 does not get past the WebSocket.
        check(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn every_frame_of_the_corpus_is_understood_or_refused() {
    let mut n_understood = 0;
    for (name, bytes) in &*CORPUS {
        let understood = check(std::str::from_utf8(bytes).unwrap());
        let is_good =
            ["batch", "heartbeat", "metrics_", "register"].iter().any(|good| name.starts_with(good));
        assert!(understood || !is_good, "{name}");
        n_understood += usize::from(understood);
    }
    assert!(10 <= n_understood && n_understood + 10 <= CORPUS.len(), "{n_understood} of {}", CORPUS.len());
}

/// A frame of the maximum size takes a fraction of a second here. If anything were quadratic, it would take hours.
#[test]
fn no_frame_takes_longer_than_its_size_explains() {
    const TIME_MAX: Duration = Duration::from_secs(20);

    let filled = |before: &str, piece: &str, after: &str| {
        let n_pieces = (limits::FRAME_BYTES_MAX - before.len() - after.len()) / piece.len();
        format!("{before}{}{after}", piece.repeat(n_pieces))
    };
    let batch = r#"{"type":"batch","data":{"samples":["#;
    let disks = r#"{"type":"batch","data":{"samples":[{"timestamp":1,"disks":["#;
    for frame in [
        filled("", "[", ""),
        filled("", "{\"a\":", ""),
        filled("{\"type\":\"batch\",\"data\":", "[", ""),
        filled("{\"type\":\"", "\\u0041", "\"}"),
        filled("{\"type\":\"heartbeat\",\"seq\":", "9", "}"),
        filled("{\"type\":\"heartbeat\",\"timestamp\":0.", "0", "1}"),
        filled("{\"type\":\"heartbeat\"", ",\"a\":1", "}"),
        filled("{\"type\":\"heartbeat\"", " \n", "}"),
        filled(batch, "0,", "0]}}"),
        filled(batch, "{},", "{}]}}"),
        filled(batch, "{\"timestamp\":1},", "0]}}"),
        filled(disks, "0,", "0]}]}}"),
        filled(disks, "\"\\n\",", "0]}]}}"),
        filled(r#"{"type":"metrics","data":{"type":"disk","data":["#, "{},", "{}]}}"),
        filled(r#"{"type":"metrics","data":{"type":"network","data":["#, "[[]],", "0]}}"),
        filled(r#"{"type":"register","data":{"name":""#, "😀", "\"}}"),
    ] {
        assert!(frame.len() <= limits::FRAME_BYTES_MAX);
        let began = Instant::now();
        check(&frame);
        assert!(began.elapsed() < TIME_MAX, "{:?} for {}…", began.elapsed(), &frame[..60]);
    }
}
