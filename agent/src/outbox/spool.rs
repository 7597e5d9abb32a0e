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

mod cursor;
mod reader;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use tracing::warn;

use self::cursor::Cursor;
use self::reader::Reader;
use super::segment::{self, Segment, SegmentReader};
use crate::files::{Dir, How};

/// Holds the lock that keeps a second agent out.
const LOCK_NAME: &str = "lock";

/// Into how many files the spool is divided at least, so that dropping the oldest costs little.
const SEGMENTS_MIN: u64 = 16;

/// Records on disk.
pub(super) struct Spool {
    dir: Dir,
    _lock: File,
    cursor: Cursor,
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

/// The records up to `end` (exclusive) cannot be read now.
#[derive(Debug)]
pub(super) struct Unavailable {
    pub(super) end: u64,
    pub(super) source: io::Error,
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
        let dir = Dir::create(dir)?;
        let lock = dir.lock(LOCK_NAME)?;
        let (cursor, cursor_id) = Cursor::open(&dir)?;
        let segments = segment::list(&dir)?;
        let mut spool = Spool {
            dir,
            _lock: lock,
            cursor,
            bytes_max,
            segment_bytes_max: (bytes_max / SEGMENTS_MIN).min(segment::BYTES_MAX),
            segments,
            active: None,
            unsynced: Vec::new(),
            is_active_unsynced: false,
            reader: None,
            evicted: VecDeque::new(),
        };
        let last = spool.open_last()?;
        // Whoever wrote to it before may not have come to syncing it.
        spool.is_active_unsynced = spool.active.is_some();
        let next_id = spool.segments.back().map_or(0, |segment| segment.end_id).max(cursor_id).max(1);
        Ok(Opened { spool, cursor: cursor_id, next_id, last })
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
        if segment::ID_MAX < id {
            return Err(io::Error::other("the numbers of the spool's records are used up"));
        }
        let record = segment::encode(payload)?;
        let record_bytes = record.len() as u64;
        if !self.has_room(id, record_bytes) {
            self.roll(id)?;
        }
        while self.bytes_max < self.bytes() + record_bytes && 1 < self.segments.len() {
            self.evict_oldest();
        }
        let (Some(file), Some(segment)) = (&mut self.active, self.segments.back_mut()) else {
            return Err(io::Error::other("the spool has no file to append to"));
        };
        if let Err(error) = file.write_all(&record) {
            self.cut_active();
            return Err(error);
        }
        segment.bytes += record_bytes;
        segment.end_id = id + 1;
        self.is_active_unsynced = true;
        Ok(())
    }

    fn has_room(&self, id: u64, record_bytes: u64) -> bool {
        let fits = |segment: &Segment| {
            let is_small = segment.bytes == 0 || segment.bytes + record_bytes <= self.segment_bytes_max;
            segment.end_id == id && is_small
        };
        self.active.is_some() && self.segments.back().is_some_and(fits)
    }

    /// Takes away what was written of a record that found no room: it would make everything behind it unreadable.
    fn cut_active(&mut self) {
        let Some(&Segment { first_id, end_id, bytes }) = self.segments.back() else {
            return;
        };
        if first_id == end_id {
            self.segments.pop_back();
            self.active = None;
            self.remove(first_id);
        } else if self.active.as_ref().is_some_and(|file| file.set_len(bytes).is_err()) {
            self.active = None;
        }
    }

    /// The record with this number.
    ///
    /// # Errors
    /// When the file cannot be read now; what is in it may be intact.
    pub(super) fn read(&mut self, id: u64) -> Result<Found<'_>, Unavailable> {
        let position = self.segments.partition_point(|segment| segment.end_id <= id);
        let Some(&segment) = self.segments.get(position) else {
            return Ok(Found::Lost(u64::MAX));
        };
        if id < segment.first_id {
            return Ok(Found::Lost(segment.first_id));
        }
        let unavailable = |source| Unavailable { end: segment.end_id, source };
        let reader = Reader::before(self.reader.take(), &self.dir, segment, id).map_err(unavailable)?;
        match self.reader.insert(reader).read(id).map_err(unavailable)? {
            Some(payload) => Ok(Found::Record(payload)),
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
        self.cursor.write(id)
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
        // Whatever lies under that name was not listed, so nothing refers to it.
        let file = self.dir.recreate_file(&segment::name(first_id), How::Append)?;
        if let Err(error) = self.dir.sync() {
            self.remove(first_id);
            return Err(error);
        }
        let previous = self.active.replace(file);
        if std::mem::take(&mut self.is_active_unsynced) {
            self.unsynced.extend(previous);
        }
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
            let [first, last] = segment::first_and_last(&self.dir, first_id).unwrap_or_default();
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
        self.remove(segment.first_id);
    }

    fn remove(&self, first_id: u64) {
        let name = segment::name(first_id);
        if let Err(error) = self.dir.remove(&name) {
            warn!(name, %error, "cannot remove a file of the spool");
        }
    }

    /// Opens the newest file for appending; returns its last payload.
    fn open_last(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(segment) = self.segments.back_mut() else {
            return Ok(None);
        };
        let mut reader = SegmentReader::open(&self.dir, segment.first_id)?;
        let mut last = None;
        segment.end_id = segment.first_id;
        while let Some(payload) = reader.next()? {
            last.get_or_insert_with(Vec::new).clear();
            if let Some(last) = &mut last {
                last.extend_from_slice(payload);
            }
            segment.end_id += 1;
        }
        let name = segment::name(segment.first_id);
        let file = match self.dir.open_own_file(&name, How::Append) {
            Ok(file) => file,
            Err(error) => {
                // What is in it can be sent all the same; the next record begins another file.
                warn!(name, %error, "a file of the spool is not written to");
                return Ok(last);
            }
        };
        if reader.position() < segment.bytes {
            let torn = segment.bytes - reader.position();
            warn!(name, bytes = torn, "the spool ends in the middle of a record; cut off");
            file.set_len(reader.position())?;
            segment.bytes = reader.position();
        }
        self.active = Some(file);
        Ok(last)
    }
}

#[cfg(test)]
mod tests;
