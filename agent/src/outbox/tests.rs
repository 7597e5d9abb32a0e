//! Tests of the outbox as a whole.

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

/// Everything that is sent, with its offset.
fn offsets(outbox: &Outbox) -> Vec<(i64, Option<i64>)> {
    let mut offsets = Vec::new();
    while let Some(batch) = outbox.take_live().or_else(|| outbox.take_backlog()) {
        offsets.extend(batch.samples.iter().map(|sample| (sample.timestamp, sample.clock_offset_ms)));
    }
    offsets.sort_unstable();
    offsets
}

fn reopen(outbox: Outbox, dir: &Path, booted_at_ms: Option<i64>) -> Outbox {
    outbox.lock().state.save_changes();
    drop(outbox);
    Outbox::open(dir, &config(""), 0, booted_at_ms).unwrap().0
}

#[test]
fn the_clock_offset_is_that_of_when_a_sample_was_taken() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path(), "");
    push(&outbox, [1]);
    tell(&outbox, -7_000);
    push(&outbox, [2]);
    let outbox = reopen(outbox, dir.path(), None);
    push(&outbox, [3]);
    assert_eq!(
        offsets(&outbox),
        [(1, Some(0)), (2, Some(-7_000)), (3, Some(-7_000))],
        "also when the server cannot be reached after a restart"
    );
}

#[test]
fn a_sample_that_was_taken_before_the_offset_was_known_has_the_first_at_every_try() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(dir.path(), &config(""), 0, None).unwrap().0;
    push(&outbox, [1, 2]);
    assert!(outbox.needs_clock_offset() && outbox.take_live().is_none() && outbox.take_backlog().is_none());
    tell(&outbox, -100);
    let expected = [(1, Some(-100)), (2, Some(-100))];
    assert_eq!(offsets(&outbox), expected);
    // Another connection measures something else.
    outbox.connection_lost();
    tell(&outbox, -3_000);
    assert_eq!(offsets(&outbox), expected);
    // The agent was killed.
    drop(outbox);
    let outbox = Outbox::open(dir.path(), &config(""), 0, None).unwrap().0;
    tell(&outbox, -5_000);
    push(&outbox, [3]);
    assert_eq!(offsets(&outbox), [(1, Some(-100)), (2, Some(-100)), (3, Some(-5_000))]);
}

#[test]
fn an_offset_is_for_the_clock_for_which_it_was_told() {
    const BOOTED: i64 = 1_000_000_000;
    let told = |ms, booted_at_ms| ClockOffset { ms, booted_at_ms: Some(booted_at_ms) };
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(dir.path(), &config(""), 0, Some(BOOTED)).unwrap().0;
    outbox.set_clock_offset(told(0, BOOTED));
    outbox.observe_clock(Some(BOOTED + 2_000));
    push(&outbox, [1]);
    // Set an hour ahead, and not yet told by how much it is off; it comes back on another connection after a restart.
    outbox.observe_clock(Some(BOOTED + 3_600_000));
    push(&outbox, [2]);
    assert!(outbox.needs_clock_offset());
    outbox.set_clock_offset(told(-3_600_000, BOOTED + 3_600_000));
    outbox.observe_clock(Some(BOOTED + 3_599_990));
    push(&outbox, [3]);
    let expected = [(1, Some(0)), (2, Some(-3_600_000)), (3, Some(-3_600_000))];
    assert_eq!(offsets(&outbox), expected);
    let outbox = reopen(outbox, dir.path(), Some(BOOTED + 3_600_010));
    assert_eq!(offsets(&outbox), expected, "the same boot and the same clock");
    // Set right while the agent did not run, or booted in between.
    let outbox = reopen(outbox, dir.path(), Some(BOOTED));
    push(&outbox, [4]);
    assert!(outbox.needs_clock_offset());
    outbox.set_clock_offset(told(40, BOOTED));
    assert_eq!(offsets(&outbox), [&expected[..], &[(4, Some(40))]].concat());
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

/// Puts something else where a file or a directory was, until it is dropped.
struct Hidden {
    path: std::path::PathBuf,
    aside: std::path::PathBuf,
}

impl Hidden {
    fn new(path: std::path::PathBuf) -> Hidden {
        let aside = path.with_extension("aside");
        std::fs::rename(&path, &aside).unwrap();
        if aside.is_dir() {
            std::fs::write(&path, "").unwrap();
        } else {
            std::fs::create_dir(&path).unwrap();
        }
        Hidden { path, aside }
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let in_the_way = if self.aside.is_dir() { std::fs::remove_file } else { std::fs::remove_dir };
        in_the_way(&self.path).unwrap();
        std::fs::rename(&self.aside, &self.path).unwrap();
    }
}

fn segment(dir: &Path, first_id: u64) -> std::path::PathBuf {
    dir.join(format!("spool/{first_id:020}.seg"))
}

#[test]
fn what_cannot_be_read_waits_and_the_rest_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path(), "");
    push(&outbox, 1..=3);
    // A number is left out, so the rest is in another file.
    let spool = outbox.lock().store.spool.take();
    push(&outbox, [4]);
    outbox.lock().store.spool = spool;
    push(&outbox, 5..=7);
    let hidden = Hidden::new(segment(dir.path(), 1));
    assert_eq!(drain(&outbox), [7, 4, 5, 6]);
    assert_eq!(outbox.take_gap(), None);
    drop(hidden);
    assert!(drain(&outbox).is_empty(), "not before it is time");
    outbox.lock().store.age_failure(Duration::ZERO);
    assert_eq!(drain(&outbox), [1, 2, 3]);
    assert_eq!(outbox.counts(), Counts { open: 0, frames_in_flight: 0, taken: 7, dropped: 0 });
}

#[test]
fn what_is_on_its_way_is_not_sent_twice_when_the_spool_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path(), "outbox:\n  samples_per_frame_max: 2\n");
    push(&outbox, 1..=3);
    let spool = outbox.lock().store.spool.take();
    push(&outbox, [4]);
    outbox.lock().store.spool = spool;
    push(&outbox, 5..=7);
    let hidden = Hidden::new(segment(dir.path(), 1));
    assert_eq!(timestamps(&outbox.take_live().unwrap()), [7]);
    assert_eq!(timestamps(&outbox.take_backlog().unwrap()), [4, 5]);
    drop(hidden);
    outbox.lock().store.age_failure(Duration::ZERO);
    assert_eq!(timestamps(&outbox.take_backlog().unwrap()), [1, 2]);
    assert_eq!(timestamps(&outbox.take_backlog().unwrap()), [3, 6]);
    assert_eq!(outbox.take_backlog(), None);
}

#[test]
fn what_cannot_be_read_for_longer_than_it_is_worth_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path(), "outbox:\n  age_ms_max: 60000\n");
    push(&outbox, 1..=3);
    let hidden = Hidden::new(segment(dir.path(), 1));
    assert_eq!(drain(&outbox), [3]);
    drop(hidden);
    let _hidden = Hidden::new(dir.path().join("spool"));
    outbox.lock().store.age_failure(Duration::from_secs(59));
    assert!(drain(&outbox).is_empty());
    assert_eq!(outbox.counts().dropped, 0);
    outbox.lock().store.age_failure(Duration::from_secs(2));
    assert!(drain(&outbox).is_empty());
    assert_eq!(outbox.counts(), Counts { open: 0, frames_in_flight: 0, taken: 3, dropped: 2 });
    let (_, gap) = outbox.take_gap().unwrap();
    assert_eq!((gap.samples, gap.reason), (2, GapReason::Unreadable));
}

#[test]
fn a_spool_that_cannot_be_opened_at_the_start_is_opened_later() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path(), "");
    push(&outbox, 1..=3);
    drop(outbox);
    let hidden = Hidden::new(dir.path().join("spool"));
    let config = config("");
    let outbox = Outbox::open(dir.path(), &config, 1_700_000_000_000, None).unwrap().0;
    tell(&outbox, 0);
    push(&outbox, 4..=6);
    assert_eq!(drain(&outbox), [6, 4, 5]);
    push(&outbox, 7..=8);
    drop(hidden);
    outbox.lock().store.age_failure(Duration::ZERO);
    push(&outbox, [9]);
    assert_eq!(drain(&outbox), [9, 1, 2, 3, 7, 8]);
    assert_eq!(outbox.counts(), Counts { open: 0, frames_in_flight: 0, taken: 6, dropped: 0 });
    push(&outbox, [10]);
    drop(outbox);
    // It goes on behind all of them.
    let outbox = open(dir.path(), "");
    push(&outbox, [11]);
    assert_eq!(drain(&outbox), [11, 10]);
}

#[test]
fn a_spool_that_has_gone_on_further_than_the_clock_waits_for_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path(), "");
    push(&outbox, 1..=3);
    drop(outbox);
    let hidden = Hidden::new(dir.path().join("spool"));
    let outbox = open(dir.path(), "");
    push(&outbox, [4]);
    drop(hidden);
    for timestamp in 5..=6 {
        outbox.lock().store.age_failure(Duration::ZERO);
        push(&outbox, [timestamp]);
    }
    assert_eq!(drain(&outbox), [6, 4, 5]);
    drop(outbox);
    assert_eq!(drain(&open(dir.path(), "")), [1, 2, 3]);
}

#[test]
fn a_state_directory_that_was_removed_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let state_dir = dir.path().join("state");
    let outbox = open(&state_dir, "");
    push(&outbox, 1..=2);
    std::fs::remove_dir_all(&state_dir).unwrap();
    // Within the open file of the removed directory, where nobody finds it; behind that a new one is needed.
    let big = pika_protocol::DiskMetrics { mount_point: "x".repeat(100_000), ..Default::default() };
    for timestamp in 3..=60 {
        let sample = Sample { timestamp, disks: vec![big.clone()], ..Sample::default() };
        outbox.push(Reading { sample, network: None });
    }
    outbox.lock().store.age_failure(Duration::ZERO);
    push(&outbox, [61]);
    drop(outbox);
    let outbox = open(&state_dir, "");
    assert_eq!(drain(&outbox), [61]);
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
