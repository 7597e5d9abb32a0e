//! Tests of the outbox as a whole.

mod failing;
mod offsets;

use pika_protocol::Sample;
use pika_protocol::limits::FRAME_BYTES_MAX;
use pika_protocol::message::GapReason;

use super::*;
use crate::config::{Config, Overrides};

fn config(yaml: &str) -> OutboxConfig {
    Config::from_yaml("test", yaml, |_| None, &Overrides::default()).unwrap().outbox
}

fn open(dir: &Path, yaml: &str) -> Outbox {
    let outbox = Outbox::open(dir, &config(yaml), 0, None).unwrap().0;
    tell(&outbox, 0);
    outbox
}

fn tell(outbox: &Outbox, ms: i64) {
    outbox.set_clock_offset(ClockOffset { ms, booted_at_ms: None });
}

fn push(outbox: &Outbox, timestamps: impl IntoIterator<Item = i64>) {
    for timestamp in timestamps {
        outbox.push(Reading { sample: Sample { timestamp, ..Sample::default() }, network: None });
    }
}

fn timestamps(batch: &Batch) -> Vec<i64> {
    batch.samples.iter().map(|sample| sample.timestamp).collect()
}

/// Sends and acknowledges everything; returns the timestamps in the order in which they were sent.
fn drain(outbox: &Outbox) -> Vec<i64> {
    let mut sent = Vec::new();
    while let Some(batch) = outbox.take_live().or_else(|| outbox.take_backlog()) {
        sent.extend(timestamps(&batch));
        outbox.acknowledge(batch.seq);
    }
    sent
}

#[test]
fn the_newest_goes_first_and_alone() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path(), "outbox:\n  samples_per_frame_max: 3\n");
    push(&outbox, 1..=8);
    let live = outbox.take_live().unwrap();
    assert_eq!(timestamps(&live), [8]);
    assert_eq!(outbox.take_live(), None);
    let first = outbox.take_backlog().unwrap();
    assert_eq!(timestamps(&first), [1, 2, 3]);
    push(&outbox, [9]);
    assert_eq!(timestamps(&outbox.take_live().unwrap()), [9], "before the rest of the old ones");
    assert_eq!(timestamps(&outbox.take_backlog().unwrap()), [4, 5, 6]);
    let last = outbox.take_backlog().unwrap();
    assert_eq!(timestamps(&last), [7]);
    assert_eq!(outbox.take_backlog(), None);
    assert_eq!(outbox.counts(), Counts { open: 9, frames_in_flight: 5, taken: 9, dropped: 0 });

    outbox.acknowledge(last.seq);
    outbox.acknowledge(last.seq);
    outbox.acknowledge(4_711);
    assert_eq!(outbox.counts(), Counts { open: 8, frames_in_flight: 4, taken: 9, dropped: 0 });
}

#[test]
fn a_newest_that_was_never_sent_becomes_an_older_one() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path(), "");
    push(&outbox, [1]);
    assert_eq!(outbox.take_backlog(), None, "it is not an older one yet");
    push(&outbox, [2]);
    assert_eq!(drain(&outbox), [2, 1]);
}

#[test]
fn frames_on_their_way_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path(), "outbox:\n  frames_in_flight_max: 4\n  samples_per_frame_max: 1\n");
    push(&outbox, 1..=10);
    assert!(outbox.take_backlog().is_some() && outbox.take_backlog().is_some());
    assert_eq!(outbox.take_backlog(), None, "older ones get half");
    assert!(outbox.take_live().is_some());
    push(&outbox, [11]);
    assert!(outbox.take_live().is_some());
    push(&outbox, [12]);
    assert_eq!(outbox.take_live(), None);
    assert_eq!(outbox.counts().frames_in_flight, 4);
}

#[test]
fn what_was_on_its_way_is_sent_again_with_a_new_frame_number() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path(), "");
    push(&outbox, 1..=4);
    let live = outbox.take_live().unwrap();
    let backlog = outbox.take_backlog().unwrap();
    outbox.acknowledge(live.seq);
    outbox.connection_lost();
    outbox.acknowledge(backlog.seq);
    assert_eq!(outbox.counts().open, 3, "an answer on an old connection means nothing");
    let again = outbox.take_backlog().unwrap();
    assert_eq!(timestamps(&again), [1, 2, 3]);
    assert!(backlog.seq < again.seq);
}

#[test]
fn what_is_not_acknowledged_survives_a_restart_and_frame_numbers_grow() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path(), "");
    push(&outbox, 1..=5);
    let live = outbox.take_live().unwrap();
    outbox.acknowledge(live.seq);
    let backlog = outbox.take_backlog().unwrap();
    outbox.acknowledge(backlog.seq);
    push(&outbox, 6..=8);
    drop(outbox);

    let outbox = open(dir.path(), "");
    assert_eq!(outbox.counts().open, 3);
    push(&outbox, [9]);
    let live = outbox.take_live().unwrap();
    assert!(backlog.seq < live.seq);
    assert_eq!(timestamps(&live), [9]);
    assert_eq!(drain(&outbox), [6, 7, 8]);
}

#[test]
fn the_network_counters_of_the_last_sample_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, baseline) = Outbox::open(dir.path(), &config(""), 0, None).unwrap();
    tell(&outbox, 0);
    assert_eq!(baseline, None);
    let network = NetworkBaseline::resume(None, Some("boot"));
    outbox.push(Reading { sample: Sample::default(), network: Some(network.clone()) });
    assert_eq!(drain(&outbox).len(), 1);
    drop(outbox);
    assert_eq!(
        Outbox::open(dir.path(), &config(""), 0, None).unwrap().1,
        Some(network),
        "although acknowledged"
    );
}

#[test]
fn without_a_usable_disk_samples_wait_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("spool"), "a file where the directory should be").unwrap();
    let outbox = open(dir.path(), "outbox:\n  memory_samples_max: 5\n  samples_per_frame_max: 2\n");
    push(&outbox, 1..=8);
    assert_eq!(outbox.counts(), Counts { open: 5, frames_in_flight: 0, taken: 8, dropped: 3 });
    assert_eq!(drain(&outbox), [8, 4, 5, 6, 7]);
    assert_eq!(outbox.counts(), Counts { open: 0, frames_in_flight: 0, taken: 8, dropped: 3 });
}

#[test]
fn a_disk_that_fills_up_in_between_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path(), "");
    push(&outbox, 1..=3);
    let spool = outbox.lock().store.spool.take();
    push(&outbox, 4..=5);
    outbox.lock().store.spool = spool;
    push(&outbox, 6..=7);
    assert_eq!(drain(&outbox), [7, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_full_spool_drops_the_oldest_and_counts_them() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path(), "outbox:\n  spool_bytes_max: 1048576\n");
    let disks = vec![pika_protocol::DiskMetrics { mount_point: "x".repeat(1_000), ..Default::default() }];
    for timestamp in 0..2_000 {
        let sample = Sample { timestamp, disks: disks.clone(), ..Sample::default() };
        outbox.push(Reading { sample, network: None });
    }
    let Counts { open, dropped, .. } = outbox.counts();
    assert_eq!(open + dropped, 2_000);
    assert!(0 < dropped && 500 < open);
    let (seq, gap) = outbox.take_gap().unwrap();
    let last = i64::try_from(dropped).unwrap() - 1;
    let expected = Gap { start: 0, end: last, samples: last + 1, reason: GapReason::SpoolFull };
    assert_eq!(gap, expected, "the server is told which");
    outbox.acknowledge(seq);
    assert_eq!(outbox.take_gap(), None);
    let sent = drain(&outbox);
    assert_eq!(sent[0], 1_999);
    assert_eq!(sent[1..], (i64::try_from(dropped).unwrap()..1_999).collect::<Vec<_>>());
}

#[test]
fn what_is_too_old_is_not_sent() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path(), "outbox:\n  age_ms_max: 60000\n");
    push(&outbox, [1_000, 2_000, 61_500]);
    assert_eq!(drain(&outbox), [61_500, 2_000]);
    let (_, gap) = outbox.take_gap().unwrap();
    assert_eq!(gap, Gap { start: 1_000, end: 1_000, samples: 1, reason: GapReason::Expired });
    assert_eq!(outbox.counts().dropped, 1);
}

#[test]
fn a_frame_stays_below_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path(), "");
    let disk = pika_protocol::DiskMetrics { mount_point: "x".repeat(1_000), ..Default::default() };
    for timestamp in 0..20 {
        let sample = Sample { timestamp, disks: vec![disk.clone(); 100], ..Sample::default() };
        outbox.push(Reading { sample, network: None });
    }
    let mut sent = 0;
    while let Some(batch) = outbox.take_backlog() {
        assert!(serde_json::to_vec(&batch.samples).unwrap().len() < FRAME_BYTES_MAX - 1_000);
        sent += batch.samples.len();
        outbox.acknowledge(batch.seq);
    }
    assert_eq!(sent, 19);
}

#[test]
fn only_what_is_open_is_forced_to_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path(), "");
    push(&outbox, 1..=3);
    assert_eq!(outbox.lock().take_unsynced().len(), 1);
    assert_eq!(outbox.lock().take_unsynced().len(), 0, "already done");
    push(&outbox, [4]);
    drain(&outbox);
    assert_eq!(outbox.lock().take_unsynced().len(), 0, "nothing is open");
}

#[test]
fn a_sample_that_fits_no_frame_is_dropped_and_the_next_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path(), "");
    let disk = pika_protocol::DiskMetrics { mount_point: "x".repeat(FRAME_BYTES_MAX), ..Default::default() };
    let sample = Sample { timestamp: 1, disks: vec![disk], ..Sample::default() };
    outbox.push(Reading { sample, network: None });
    assert_eq!(outbox.counts(), Counts { open: 0, frames_in_flight: 0, taken: 1, dropped: 1 });
    push(&outbox, [2]);
    assert_eq!(drain(&outbox), [2]);
}

#[test]
fn a_sample_is_sent_as_it_was_spooled() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path(), "");
    let json = r#"{"timestamp":1,"clockOffsetMs":-7,"of a later version":[1.50,{}]}"#;
    let record = format!("{{\"sample\":{json}}}");
    outbox.lock().store.spool.as_mut().unwrap().append(1, record.as_bytes()).unwrap();
    drop(outbox);
    let batch = open(dir.path(), "").take_backlog().unwrap();
    assert_eq!(serde_json::to_string(&batch.samples).unwrap(), format!("[{json}]"));
}
