//! Tests of the spool.

mod damage;

use std::fs;
use std::path::PathBuf;

use super::*;

const BYTES_MAX: u64 = 256 * 1024;

fn open(dir: &Path) -> Opened {
    Spool::open(dir, BYTES_MAX).unwrap()
}

fn payload(id: u64) -> Vec<u8> {
    format!("{id:0width$}", width = 100 + usize::try_from(id % 37).unwrap()).into_bytes()
}

fn read_all(spool: &mut Spool, from: u64, to: u64) -> Vec<u64> {
    let mut found = Vec::new();
    let mut id = from;
    while id < to {
        match spool.read(id).unwrap() {
            Found::Record(bytes) => {
                assert_eq!(bytes, payload(id));
                found.push(id);
                id += 1;
            }
            Found::Lost(until) => id = until,
        }
    }
    found
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    files.sort();
    files
}

fn first_id(path: &Path) -> u64 {
    path.file_stem().unwrap().to_str().unwrap().parse().unwrap()
}

/// Puts a file with one record into a directory.
fn plant(dir: &Path, first_id: u64) {
    fs::write(dir.join(segment::name(first_id)), segment::encode(b"planted").unwrap()).unwrap();
}

#[test]
fn records_come_back_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { mut spool, next_id, last, .. } = open(dir.path());
    assert_eq!((next_id, last), (1, None));
    for id in 1..=300 {
        spool.append(id, &payload(id)).unwrap();
    }
    assert!(1 < files(dir.path()).len(), "several files");
    drop(spool);

    let mut opened = open(dir.path());
    assert_eq!((opened.cursor, opened.next_id, opened.last), (0, 301, Some(payload(300))));
    assert_eq!(read_all(&mut opened.spool, 1, 301), (1..301).collect::<Vec<_>>());
    assert_eq!(read_all(&mut opened.spool, 7, 9), [7, 8], "backwards, too");
}

#[test]
fn what_is_forgotten_takes_no_space() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path()).spool;
    for id in 1..=1_000 {
        spool.append(id, &payload(id)).unwrap();
        spool.forget_below(id + 1).unwrap();
        assert!(files(dir.path()).len() <= 2);
    }
    drop(spool);
    let opened = open(dir.path());
    assert_eq!((opened.cursor, opened.next_id, opened.last), (1_001, 1_001, Some(payload(1_000))));
}

#[test]
fn the_oldest_go_when_it_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path()).spool;
    for id in 1..=10_000 {
        spool.append(id, &payload(id)).unwrap();
        assert!(spool.bytes() <= BYTES_MAX);
    }
    let on_disk: u64 = files(dir.path()).iter().map(|path| path.metadata().unwrap().len()).sum();
    assert_eq!(on_disk, spool.bytes());
    assert!(BYTES_MAX * 9 / 10 < on_disk, "the room is used");
    let first = spool.first_id().unwrap();
    assert_eq!(read_all(&mut spool, 1, 10_001), (first..10_001).collect::<Vec<_>>());
}

#[test]
fn numbers_may_be_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path()).spool;
    for id in [1, 2, 5, 6, 9] {
        spool.append(id, &payload(id)).unwrap();
    }
    assert_eq!(read_all(&mut spool, 1, 10), [1, 2, 5, 6, 9]);
    assert_eq!(spool.read(3).unwrap(), Found::Lost(5));
    drop(spool);
    // Where a file ends is derived from the next one's name; what is not there is found out when it is read.
    assert_eq!(read_all(&mut open(dir.path()).spool, 1, 10), [1, 2, 5, 6, 9]);
}

#[test]
fn a_second_agent_is_kept_out() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    let error = Spool::open(dir.path(), BYTES_MAX).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    drop(first);
    open(dir.path());
}

#[test]
fn a_sample_that_fits_no_frame_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path()).spool;
    assert!(spool.append(1, &vec![0; segment::PAYLOAD_BYTES_MAX + 1]).is_err());
    assert!(spool.append(1, b"").is_err(), "an empty record could not be told from zeros");
    spool.append(2, &payload(2)).unwrap();
    assert_eq!(read_all(&mut spool, 1, 3), [2]);
}
