//! Tests with damaged spool files.

use proptest::prelude::*;

use super::*;

#[test]
fn a_damaged_cursor_brings_everything_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path()).spool;
    spool.append(1, &payload(1)).unwrap();
    spool.forget_below(2).unwrap();
    drop(spool);
    fs::write(dir.path().join(cursor::NAME), b"123").unwrap();
    let mut opened = open(dir.path());
    assert_eq!((opened.cursor, opened.next_id), (0, 2));
    assert_eq!(read_all(&mut opened.spool, 1, 2), [1]);
}

/// Some file systems fill data lost in a power cut with zeros.
#[test]
fn zeros_behind_the_last_record_are_no_records() {
    for is_last in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = open(dir.path()).spool;
        for id in 1..=3 {
            spool.append(id, &payload(id)).unwrap();
        }
        if !is_last {
            spool.append(5, &payload(5)).unwrap();
        }
        drop(spool);
        let path = files(dir.path()).remove(0);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, [&bytes[..], &[0; 4096]].concat()).unwrap();
        let Opened { mut spool, next_id, last, .. } = open(dir.path());
        let (expected, ids) = if is_last { (4, vec![1, 2, 3]) } else { (6, vec![1, 2, 3, 5]) };
        assert_eq!((next_id, last), (expected, Some(payload(expected - 1))));
        assert_eq!(read_all(&mut spool, 1, next_id), ids);
        assert!(!is_last || fs::metadata(&path).unwrap().len() == bytes.len() as u64, "cut off");
    }
}

#[test]
fn a_number_that_nobody_has_given_out_does_not_wrap() {
    for planted in [u64::MAX, u64::MAX - 1, segment::ID_MAX + 1] {
        let dir = tempfile::tempdir().unwrap();
        plant(dir.path(), planted);
        let Opened { mut spool, next_id, .. } = open(dir.path());
        assert_eq!(next_id, 1, "{planted} is not counted on");
        spool.append(next_id, &payload(next_id)).unwrap();
        drop(spool);
        assert_eq!(read_all(&mut open(dir.path()).spool, 1, 2), [1]);
    }
    for forgotten in [u64::MAX, segment::ID_MAX + 1] {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).spool.forget_below(forgotten).unwrap();
        assert_eq!(open(dir.path()).next_id, 1);
    }
    // The largest accepted number: there is room to count on, and everything written can be read back.
    let dir = tempfile::tempdir().unwrap();
    plant(dir.path(), segment::ID_MAX);
    let Opened { mut spool, next_id, .. } = open(dir.path());
    assert_eq!(next_id, segment::ID_MAX + 1);
    assert!(spool.append(next_id, &payload(1)).is_err());
    assert_eq!(files(dir.path()).len(), 1);
}

#[test]
fn a_file_larger_than_any_of_the_spool_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    plant(dir.path(), 7);
    let planted = fs::File::options().write(true).open(dir.path().join(segment::name(7))).unwrap();
    planted.set_len(1 << 40).unwrap();
    let mut opened = open(dir.path());
    assert_eq!(opened.next_id, 1);
    opened.spool.append(1, &payload(1)).unwrap();
    assert_eq!(planted.metadata().unwrap().len(), 1 << 40);
}

/// A failed write leaves nothing behind, and later writes are not affected.
#[cfg(target_os = "linux")]
#[test]
fn a_record_that_finds_no_room_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path()).spool;
    // At its first record, and behind others.
    for id in [1, 4] {
        spool.roll(id).unwrap();
        spool.active = Some(File::options().append(true).open("/dev/full").unwrap());
        assert!(spool.append(id, &payload(id)).is_err());
        spool.append(id + 1, &payload(id + 1)).unwrap();
        spool.active = Some(File::options().append(true).open("/dev/full").unwrap());
        assert!(spool.append(id + 2, &payload(id + 2)).is_err());
    }
    spool.append(7, &payload(7)).unwrap();
    assert_eq!(files(dir.path()).iter().map(|path| first_id(path)).collect::<Vec<_>>(), [2, 5, 7]);
    drop(spool);
    assert_eq!(read_all(&mut open(dir.path()).spool, 1, 8), [2, 5, 7]);
}

#[test]
fn empty_files_of_earlier_runs_go() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path()).spool;
    spool.append(1, &payload(1)).unwrap();
    drop(spool);
    for id in [2, 3, 4] {
        fs::write(dir.path().join(segment::name(id)), "").unwrap();
    }
    let opened = open(dir.path());
    assert_eq!((opened.next_id, opened.last), (2, Some(payload(1))));
    assert_eq!(files(dir.path()).len(), 1);
}

/// An unreadable file is not a damaged one.
#[test]
fn what_cannot_be_read_now_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path()).spool;
    for id in [1, 2, 5, 6] {
        spool.append(id, &payload(id)).unwrap();
    }
    let path = dir.path().join(segment::name(1));
    let aside = dir.path().join("aside");
    fs::rename(&path, &aside).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(spool.read(1).unwrap_err().end, 3);
    assert_eq!(read_all(&mut spool, 5, 7), [5, 6], "the rest is");
    fs::remove_dir(&path).unwrap();
    fs::rename(&aside, &path).unwrap();
    assert_eq!(read_all(&mut spool, 1, 7), [1, 2, 5, 6]);
}

/// Wherever the file is torn, the next run continues after the last whole record, and so does the one after it.
#[test]
fn a_tail_may_be_torn_at_any_byte() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path()).spool;
    let mut ends = vec![0];
    for id in 1..=3 {
        spool.append(id, &payload(id)).unwrap();
        ends.push(spool.bytes());
    }
    drop(spool);
    let path = files(dir.path()).remove(0);
    let bytes = fs::read(&path).unwrap();
    for cut in 0..=bytes.len() {
        fs::write(&path, &bytes[..cut]).unwrap();
        let whole = ends.iter().filter(|&&end| end <= cut as u64).count() as u64 - 1;
        for next_id in [whole + 1, whole + 2] {
            let mut opened = open(dir.path());
            assert_eq!(opened.next_id, next_id, "cut at {cut}");
            opened.spool.append(next_id, &payload(next_id)).unwrap();
            assert_eq!(read_all(&mut opened.spool, 1, next_id + 1), (1..=next_id).collect::<Vec<_>>());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Wherever the newest file is cut, the whole records before the cut are read back and appending continues.
    #[test]
    fn a_torn_tail_costs_only_itself(n_records in 1u64..40, cut in 0usize..6_000) {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = open(dir.path()).spool;
        let mut ends = Vec::new();
        for id in 1..=n_records {
            spool.append(id, &payload(id)).unwrap();
            ends.push(spool.bytes());
        }
        drop(spool);
        let path = files(dir.path()).remove(0);
        let bytes = fs::read(&path).unwrap();
        let cut = cut % (bytes.len() + 1);
        fs::write(&path, &bytes[..cut]).unwrap();

        let whole = ends.iter().filter(|&&end| end <= cut as u64).count() as u64;
        let mut opened = open(dir.path());
        prop_assert_eq!(opened.next_id, whole + 1);
        opened.spool.append(whole + 1, &payload(whole + 1)).unwrap();
        prop_assert_eq!(read_all(&mut opened.spool, 1, whole + 2), (1..whole + 2).collect::<Vec<_>>());
    }

    /// Whatever replaces some bytes of the newest file: no wrong record is read, and what the next run appends is read
    /// by the one after it.
    #[test]
    fn damage_is_cut_off_and_appending_goes_on(
        n_records in 1u64..20,
        position in any::<prop::sample::Index>(),
        garbage in proptest::collection::vec(any::<u8>(), 1..40),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = open(dir.path()).spool;
        for id in 1..=n_records {
            spool.append(id, &payload(id)).unwrap();
        }
        drop(spool);
        let path = files(dir.path()).remove(0);
        let mut bytes = fs::read(&path).unwrap();
        let position = position.index(bytes.len());
        let end = bytes.len().min(position + garbage.len());
        bytes.splice(position..end, garbage);
        fs::write(&path, &bytes).unwrap();

        let Opened { mut spool, next_id, .. } = open(dir.path());
        prop_assert!(next_id <= n_records + 1);
        spool.append(next_id, &payload(next_id)).unwrap();
        drop(spool);
        let mut spool = open(dir.path()).spool;
        prop_assert_eq!(read_all(&mut spool, 1, next_id + 1), (1..=next_id).collect::<Vec<_>>());
    }

    /// A flipped bit loses records of one file, and never yields a wrong one (`read_all` compares).
    #[test]
    fn a_flipped_bit_is_noticed(position in 0usize..100_000, bit in 0..8u8) {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = open(dir.path()).spool;
        for id in 1..=300 {
            spool.append(id, &payload(id)).unwrap();
        }
        drop(spool);
        let path = files(dir.path()).remove(0);
        let mut bytes = fs::read(&path).unwrap();
        let position = position % bytes.len();
        bytes[position] ^= 1 << bit;
        fs::write(&path, &bytes).unwrap();

        let second = first_id(&files(dir.path())[1]);
        let found = read_all(&mut open(dir.path()).spool, 1, 301);
        prop_assert!(found.len() < 300);
        prop_assert!((second..301).all(|id| found.contains(&id)), "the other files are unharmed");
    }
}
