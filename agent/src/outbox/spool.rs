//! The samples on disk: append-only files of records, bounded in size, oldest dropped first.
//!
//! What it promises:
//! - An appended record survives the end of the process, however it ends, because it has been written to the
//!   operating system in one call. It survives a power cut once it was synced; see [`Spool::take_unsynced`].
//! - A record that was forgotten does not come back after an orderly end, and may come back after a crash; the
//!   server stores a sample that comes twice only once.
//! - The files never take more than `bytes_max` together.
//!
//! Records have consecutive numbers within a file; the number of the first is the file's name.

use std::collections::VecDeque;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tracing::warn;

use super::segment::{self, SegmentReader};
use crate::files;

/// Holds the lock that keeps a second agent out.
const LOCK_NAME: &str = "lock";

/// Holds the number below which every record is forgotten.
const CURSOR_NAME: &str = "cursor";

/// Into how many files the spool is divided at least, so that dropping the oldest costs little.
const SEGMENTS_MIN: u64 = 16;

/// Largest file, in bytes. While the server keeps up, one or two such files is all there is.
const SEGMENT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Records on disk.
pub(super) struct Spool {
    dir: PathBuf,
    _lock: File,
    cursor: File,
    bytes_max: u64,
    segment_bytes_max: u64,
    /// Oldest first; the last is the one that is appended to.
    segments: VecDeque<Segment>,
    active: Option<File>,
    /// Files with records that were not synced yet, oldest first; at most one besides the active one between two
    /// syncs, as far as `segment_bytes_max` allows.
    unsynced: Vec<File>,
    is_active_unsynced: bool,
    reader: Option<Reader>,
    /// What had to go since it was last asked for.
    evicted: VecDeque<Evicted>,
}

/// One file.
#[derive(Clone, Copy, Debug)]
struct Segment {
    first_id: u64,
    /// Number behind the last record.
    end_id: u64,
    bytes: u64,
}

/// Records that were dropped to make room.
pub(super) struct Evicted {
    /// The number of the first.
    pub(super) start_id: u64,
    /// The number behind the last.
    pub(super) end_id: u64,
    /// The payload of the first; `None` where it cannot be read.
    pub(super) first: Option<Vec<u8>>,
    /// The payload of the last.
    pub(super) last: Option<Vec<u8>>,
}

/// Reads on where it stopped, because records are read in order.
struct Reader {
    segment_first_id: u64,
    next_id: u64,
    file: SegmentReader,
}

/// What is found under a number.
#[derive(Debug, PartialEq)]
pub(super) enum Found<'a> {
    /// The record's payload.
    Record(&'a [u8]),
    /// Nothing, and neither under the numbers up to this one (exclusive).
    Lost(u64),
}

/// An opened spool and what was found in it.
pub(super) struct Opened {
    pub(super) spool: Spool,
    /// Every record below is forgotten.
    pub(super) cursor: u64,
    /// The number behind the last record.
    pub(super) next_id: u64,
    /// The last record's payload.
    pub(super) last: Option<Vec<u8>>,
}

impl Spool {
    /// Opens the spool in `dir`, makes it where there is none, and cuts a torn tail off.
    ///
    /// # Errors
    /// When the directory cannot be used; of kind [`io::ErrorKind::WouldBlock`] when another agent uses it.
    pub(super) fn open(dir: &Path, bytes_max: u64) -> io::Result<Opened> {
        files::create_private_dir(dir)?;
        let options = || {
            let mut options = files::private_file_options();
            options.read(true).write(true).create(true).truncate(false);
            options
        };
        let lock = options().open(dir.join(LOCK_NAME))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(
                    io::ErrorKind::WouldBlock,
                    "another agent uses this state directory",
                ));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let cursor_file = options().open(dir.join(CURSOR_NAME))?;
        let cursor = read_cursor(&dir.join(CURSOR_NAME)).unwrap_or(0);

        let mut spool = Spool {
            dir: dir.to_owned(),
            _lock: lock,
            cursor: cursor_file,
            bytes_max,
            segment_bytes_max: (bytes_max / SEGMENTS_MIN).min(SEGMENT_BYTES_MAX),
            segments: list(dir)?,
            active: None,
            unsynced: Vec::new(),
            is_active_unsynced: false,
            reader: None,
            evicted: VecDeque::new(),
        };
        let last = spool.open_last()?;
        let next_id = spool.segments.back().map_or(0, |segment| segment.end_id).max(cursor).max(1);
        Ok(Opened { spool, cursor, next_id, last })
    }

    /// The number of the oldest record; `None` when there is none.
    pub(super) fn first_id(&self) -> Option<u64> {
        self.segments.iter().find(|segment| segment.first_id < segment.end_id).map(|segment| segment.first_id)
    }

    /// Appends a record under a number that is larger than every one before. Old files are dropped where the bound
    /// asks for it.
    ///
    /// # Errors
    /// When it cannot be written; the spool is as before then.
    pub(super) fn append(&mut self, id: u64, payload: &[u8]) -> io::Result<()> {
        let record = segment::encode(payload)?;
        let record_bytes = record.len() as u64;
        let fits = |segment: &Segment, max: u64| {
            segment.end_id == id && (segment.bytes == 0 || segment.bytes + record_bytes <= max)
        };
        let has_room = self.segments.back().is_some_and(|segment| fits(segment, self.segment_bytes_max));
        if !has_room || self.active.is_none() {
            self.roll(id)?;
        }
        while self.bytes_max < self.bytes() + record_bytes && 1 < self.segments.len() {
            self.evict_oldest();
        }
        let (Some(file), Some(segment)) = (&mut self.active, self.segments.back_mut()) else {
            return Err(io::Error::other("the spool has no file to append to"));
        };
        if let Err(error) = file.write_all(&record) {
            // Whatever part was written would make everything behind it unreadable.
            let cut = file.set_len(segment.bytes);
            if cut.is_err() {
                self.active = None;
            }
            return Err(error);
        }
        segment.bytes += record_bytes;
        segment.end_id = id + 1;
        self.is_active_unsynced = true;
        Ok(())
    }

    /// The record with this number.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn read(&mut self, id: u64) -> io::Result<Found<'_>> {
        let position = self.segments.partition_point(|segment| segment.end_id <= id);
        let Some(&segment) = self.segments.get(position) else {
            return Ok(Found::Lost(u64::MAX));
        };
        if id < segment.first_id {
            return Ok(Found::Lost(segment.first_id));
        }
        let is_ahead = self
            .reader
            .as_ref()
            .is_some_and(|reader| reader.segment_first_id == segment.first_id && reader.next_id <= id);
        if !is_ahead {
            let file = SegmentReader::open(&segment::path(&self.dir, segment.first_id))?;
            let first_id = segment.first_id;
            self.reader = Some(Reader { segment_first_id: first_id, next_id: first_id, file });
        }
        let Some(reader) = &mut self.reader else {
            return Ok(Found::Lost(segment.end_id));
        };
        while reader.next_id < id {
            if reader.file.next()?.is_none() {
                break;
            }
            reader.next_id += 1;
        }
        let is_there = reader.next_id == id;
        match if is_there { reader.file.next()? } else { None } {
            Some(payload) => {
                reader.next_id += 1;
                Ok(Found::Record(payload))
            }
            None => {
                warn!(segment = segment.first_id, id, "the spool is damaged; the rest of one file is lost");
                Ok(Found::Lost(segment.end_id))
            }
        }
    }

    /// Forgets every record below `id`. Files that hold nothing else are removed, but for the one that is appended
    /// to: its last record is what the next run goes on from.
    pub(super) fn forget_below(&mut self, id: u64) -> io::Result<()> {
        while let Some(segment) = self.segments.front()
            && segment.end_id <= id
            && 1 < self.segments.len()
        {
            self.drop_oldest();
        }
        write_cursor(&mut self.cursor, id)
    }

    /// The files whose records a power cut could still undo, for [`File::sync_data`] on a thread that may block.
    pub(super) fn take_unsynced(&mut self) -> Vec<File> {
        let mut files = std::mem::take(&mut self.unsynced);
        if std::mem::take(&mut self.is_active_unsynced) {
            files.extend(self.active.as_ref().and_then(|file| file.try_clone().ok()));
        }
        files
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    fn roll(&mut self, first_id: u64) -> io::Result<()> {
        let path = segment::path(&self.dir, first_id);
        let mut options = files::private_file_options();
        // Whatever lies under that name was not listed, so nothing refers to it.
        let file = options.create(true).write(true).truncate(true).open(&path)?;
        drop(file);
        let file = files::private_file_options().append(true).open(&path)?;
        files::sync_dir(&self.dir)?;
        let previous = self.active.replace(file);
        if std::mem::take(&mut self.is_active_unsynced) {
            self.unsynced.extend(previous);
        }
        // Empty ones come from failed writes, and would take the name of the new one.
        self.segments.retain(|segment| segment.first_id < segment.end_id);
        self.segments.push_back(Segment { first_id, end_id: first_id, bytes: 0 });
        Ok(())
    }

    /// What was dropped to make room, oldest first; each is told once.
    pub(super) fn take_evicted(&mut self) -> Option<Evicted> {
        self.evicted.pop_front()
    }

    fn evict_oldest(&mut self) {
        if let Some(&Segment { first_id, end_id, .. }) = self.segments.front()
            && first_id < end_id
        {
            let [first, last] = first_and_last(&segment::path(&self.dir, first_id)).unwrap_or_default();
            self.evicted.push_back(Evicted { start_id: first_id, end_id, first, last });
        }
        self.drop_oldest();
    }

    fn drop_oldest(&mut self) {
        let Some(segment) = self.segments.pop_front() else {
            return;
        };
        if self.reader.as_ref().is_some_and(|reader| reader.segment_first_id == segment.first_id) {
            self.reader = None;
        }
        let path = segment::path(&self.dir, segment.first_id);
        if let Err(error) = fs::remove_file(&path) {
            warn!(path = %path.display(), %error, "cannot remove a file of the spool");
        }
    }

    /// Opens the newest file for appending; returns its last payload.
    fn open_last(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(segment) = self.segments.back_mut() else {
            return Ok(None);
        };
        let path = segment::path(&self.dir, segment.first_id);
        let mut reader = SegmentReader::open(&path)?;
        let mut last = None;
        segment.end_id = segment.first_id;
        while let Some(payload) = reader.next()? {
            last.get_or_insert_with(Vec::new).clear();
            if let Some(last) = &mut last {
                last.extend_from_slice(payload);
            }
            segment.end_id += 1;
        }
        let file = files::private_file_options().append(true).open(&path)?;
        if reader.position() < segment.bytes {
            let torn = segment.bytes - reader.position();
            warn!(path = %path.display(), bytes = torn, "the spool ends in the middle of a record; cut off");
            file.set_len(reader.position())?;
            segment.bytes = reader.position();
        }
        self.active = Some(file);
        Ok(last)
    }
}

/// The payloads of the first and the last record of a file, where there are any.
fn first_and_last(path: &Path) -> io::Result<[Option<Vec<u8>>; 2]> {
    let mut reader = SegmentReader::open(path)?;
    let first = reader.next()?.map(<[u8]>::to_vec);
    let mut last = first.clone();
    while let Some(payload) = reader.next()? {
        if let Some(last) = &mut last {
            last.clear();
            last.extend_from_slice(payload);
        }
    }
    Ok([first, last])
}

/// The files that are there. Where one ends is known from where the next begins; the last is scanned later.
fn list(dir: &Path) -> io::Result<VecDeque<Segment>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if let Some(first_id) = segment::first_id(&entry.path()) {
            segments.push(Segment { first_id, end_id: u64::MAX, bytes: entry.metadata()?.len() });
        }
    }
    segments.sort_unstable_by_key(|segment| segment.first_id);
    for position in 1..segments.len() {
        segments[position - 1].end_id = segments[position].first_id;
    }
    Ok(segments.into())
}

fn write_cursor(file: &mut File, id: u64) -> io::Result<()> {
    use std::io::{Seek as _, SeekFrom};

    // In place and in one call: a power cut can spoil it, which the checksum shows, and then records come back
    // that the server has already; nothing worse.
    let mut bytes = id.to_le_bytes().to_vec();
    bytes.extend_from_slice(&crc32fast::hash(&id.to_le_bytes()).to_le_bytes());
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&bytes)
}

fn read_cursor(path: &Path) -> Option<u64> {
    let bytes = fs::read(path).ok()?;
    let (id, rest) = bytes.split_first_chunk::<8>()?;
    let checksum = rest.first_chunk::<4>()?;
    (crc32fast::hash(id) == u32::from_le_bytes(*checksum)).then(|| u64::from_le_bytes(*id))
}

#[cfg(test)]
mod tests;
