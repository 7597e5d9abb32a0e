//! Tests with a spool that cannot be read or written for a while.

use super::*;

/// Replaces a file or directory by something else until dropped.
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
    // A number is skipped, so the rest is in another file.
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
    // It continues after all of them.
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
    // Written to the open file in the removed directory, where it is lost; after that a new file is needed.
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
