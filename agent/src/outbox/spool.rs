//! The samples on disk: append-only files of records, bounded in size, oldest dropped first.
//!
//! Guarantees:
//! - An appended record survives any end of the process, because it was written in one call. It survives a power cut
//!   once it was synced; see [`Spool::take_unsynced`].
//! - A removed record does not come back after a clean shutdown, but may after a crash; the server stores a sample
//!   that is sent twice only once.
//! - The files never take more than `bytes_max` in total.
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

/// Name of the lock file that keeps a second agent out.
const LOCK_NAME: &str = "lock";

/// Minimum number of files in a full spool, so that dropping the oldest loses little.
const SEGMENTS_MIN: u64 = 16;

/// Records on disk.
pub(super) struct Spool {
    dir: Dir,
    _lock: File,
    cursor: Cursor,
    bytes_max: u64,
    segment_bytes_max: u64,
    /// Oldest first; records are appended to the last.
    segments: VecDeque<Segment>,
    active: Option<File>,
    /// Files with unsynced records, oldest first; usually at most one besides the active one between two syncs,
    /// depending on `segment_bytes_max`.
    unsynced: Vec<File>,
    is_active_unsynced: bool,
    reader: Option<Reader>,
    /// Records dropped since the last [`Spool::take_evicted`].
    evicted: VecDeque<Evicted>,
}

/// A range of records dropped to make room.
pub(super) struct Evicted {
    /// The number of the first record.
    pub(super) start_id: u64,
    /// The number after the last record.
    pub(super) end_id: u64,
    /// The payload of the first record; `None` if it cannot be read.
    pub(super) first: Option<Vec<u8>>,
    /// The payload of the last record; `None` if it cannot be read.
    pub(super) last: Option<Vec<u8>>,
}

/// The records up to `end` (exclusive) cannot be read at the moment.
#[derive(Debug)]
pub(super) struct Unavailable {
    pub(super) end: u64,
    pub(super) source: io::Error,
}

/// The result of looking up a number.
#[derive(Debug, PartialEq)]
pub(super) enum Found<'a> {
    /// The record's payload.
    Record(&'a [u8]),
    /// There is no record up to this number (exclusive).
    Lost(u64),
}

/// An opened spool and its state.
pub(super) struct Opened {
    pub(super) spool: Spool,
    /// Records below this number were removed.
    pub(super) cursor: u64,
    /// The number after the last record.
    pub(super) next_id: u64,
    /// The last record's payload.
    pub(super) last: Option<Vec<u8>>,
}

impl Spool {
    /// Opens or creates the spool in `dir`, and truncates a torn tail.
    ///
    /// # Errors
    /// If the directory cannot be used; of kind [`io::ErrorKind::WouldBlock`] if another agent uses it.
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
        // A previous run may not have synced it.
        spool.is_active_unsynced = spool.active.is_some();
        let next_id = spool.segments.back().map_or(0, |segment| segment.end_id).max(cursor_id).max(1);
        Ok(Opened { spool, cursor: cursor_id, next_id, last })
    }

    /// Returns the number of the oldest record, if any.
    pub(super) fn first_id(&self) -> Option<u64> {
        self.segments.iter().find(|segment| segment.first_id < segment.end_id).map(|segment| segment.first_id)
    }

    /// Appends a record with a number larger than all before. Old files are dropped if there is no room.
    ///
    /// # Errors
    /// If it cannot be written; the spool is then unchanged.
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

    /// Truncates a partly written record, which would make everything after it unreadable.
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

    /// Reads the record with this number.
    ///
    /// # Errors
    /// If the file cannot be read at the moment; its contents may be intact.
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

    /// Removes the records below `id`. Files that contain only these are deleted, except the last, from whose last
    /// record the next run continues.
    pub(super) fn forget_below(&mut self, id: u64) -> io::Result<()> {
        while let Some(segment) = self.segments.front()
            && segment.end_id <= id
            && 1 < self.segments.len()
        {
            self.drop_oldest();
        }
        self.cursor.write(id)
    }

    /// Returns the files with unsynced records, for [`File::sync_data`] on a thread that may block.
    pub(super) fn take_unsynced(&mut self) -> Vec<File> {
        let mut files = std::mem::take(&mut self.unsynced);
        if std::mem::take(&mut self.is_active_unsynced) {
            files.extend(self.active.as_ref().and_then(|file| file.try_clone().ok()));
        }
        files
    }

    /// Returns the size of all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    fn roll(&mut self, first_id: u64) -> io::Result<()> {
        // A file of that name was not listed, so nothing refers to it.
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

    /// Returns and removes the oldest range dropped to make room.
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
                // Its records can still be sent; the next record begins another file.
                warn!(name, %error, "a file of the spool cannot be appended to");
                return Ok(last);
            }
        };
        if reader.position() < segment.bytes {
            let torn = segment.bytes - reader.position();
            warn!(name, bytes = torn, "the spool ends in an incomplete record, which was truncated");
            file.set_len(reader.position())?;
            segment.bytes = reader.position();
        }
        self.active = Some(file);
        Ok(last)
    }
}

#[cfg(test)]
mod tests;
