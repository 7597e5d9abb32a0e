//! A file of the spool: consecutive records, each with its length and checksum.
//!
//! A record is `length: u32 LE, crc32: u32 LE, payload`. A tail torn by a full disk or a power cut is truncated when
//! the file is opened for appending, and a reader stops at the first record with a wrong checksum. Records are never
//! empty, so zeros, with which some file systems fill data lost in a power cut, are not a record.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};

use pika_protocol::limits::FRAME_BYTES_MAX;
use tracing::warn;

use crate::files::{Dir, How};

/// Suffix of the files' names.
const SUFFIX: &str = ".seg";

/// Size of the header before each payload, in bytes.
const HEADER_BYTES: u64 = 8;

/// Maximum size of a payload, in bytes. A sample that does not fit into a frame could never be sent; a larger length in
/// a file is damage.
pub(super) const PAYLOAD_BYTES_MAX: usize = FRAME_BYTES_MAX;

/// Small, because the reader lives as long as the agent.
const READ_BUFFER_BYTES: usize = 8 * 1024;

/// Maximum size of a file, in bytes: the spool begins another one at this size, except for a single larger record.
pub(super) const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Maximum number of a record. Real numbers never come near it, so a larger one in a file's name or in the cursor is
/// damage, and there is always room to count on.
pub(super) const ID_MAX: u64 = u64::MAX >> 1;

/// The numbers of the records in a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) first_id: u64,
    /// The number after the last record.
    pub(super) end_id: u64,
    pub(super) bytes: u64,
}

/// Lists the files. Each ends where the next begins; the last has to be scanned.
pub(super) fn list(dir: &Dir) -> io::Result<VecDeque<Segment>> {
    let mut segments = Vec::new();
    let mut strangers = Vec::new();
    for (name, bytes) in dir.entries()?.into_iter().filter(|(name, _)| name.ends_with(SUFFIX)) {
        match bytes.and_then(|bytes| Some((first_id(&name, bytes)?, bytes))) {
            // Left by a run that ended before it wrote the first record.
            Some((_, 0)) => dir.remove(&name)?,
            Some((first_id, bytes)) => segments.push(Segment { first_id, end_id: u64::MAX, bytes }),
            None => strangers.push(name),
        }
    }
    if let Some(name) = strangers.first() {
        warn!(name, count = strangers.len(), "ignored files that do not belong to the spool");
    }
    segments.sort_unstable_by_key(|segment| segment.first_id);
    for position in 1..segments.len() {
        segments[position - 1].end_id = segments[position].first_id;
    }
    Ok(segments.into())
}

/// Returns the payloads of the first and the last record of a file, if any.
pub(super) fn first_and_last(dir: &Dir, first_id: u64) -> io::Result<[Option<Vec<u8>>; 2]> {
    let mut reader = SegmentReader::open(dir, first_id)?;
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

/// Returns the name of the file whose first record has this number; names sort by number.
pub(super) fn name(first_id: u64) -> String {
    format!("{first_id:020}{SUFFIX}")
}

/// Returns the number in a file's name; `None` for files that do not belong to the spool.
fn first_id(name: &str, bytes: u64) -> Option<u64> {
    let id = name.strip_suffix(SUFFIX)?.parse().ok()?;
    let is_possible = id <= ID_MAX && bytes <= BYTES_MAX + HEADER_BYTES + PAYLOAD_BYTES_MAX as u64;
    (is_possible && name == self::name(id)).then_some(id)
}

/// Encodes a record.
pub(super) fn encode(payload: &[u8]) -> io::Result<Vec<u8>> {
    let fits = !payload.is_empty() && payload.len() <= PAYLOAD_BYTES_MAX;
    let length = u32::try_from(payload.len()).ok().filter(|_| fits);
    let length = length
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the sample is empty or too large"))?;
    let mut record = Vec::with_capacity(payload.len() + 8);
    record.extend_from_slice(&length.to_le_bytes());
    record.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    record.extend_from_slice(payload);
    Ok(record)
}

/// Reads the records of a file in order.
pub(super) struct SegmentReader {
    file: BufReader<File>,
    payload: Vec<u8>,
    /// Offset of the next record.
    position: u64,
}

impl SegmentReader {
    pub(super) fn open(dir: &Dir, first_id: u64) -> io::Result<SegmentReader> {
        let file = dir.open_file(&name(first_id), How::Read)?;
        let file = BufReader::with_capacity(READ_BUFFER_BYTES, file);
        Ok(SegmentReader { file, payload: Vec::new(), position: 0 })
    }

    /// Returns the offset of the next record in bytes.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Returns the next record's payload; `None` if there is no further complete and undamaged record. May be called
    /// again after `None`, as the file may have grown.
    pub(super) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let read = self.read_record();
        match read {
            Ok(true) => {
                self.position += HEADER_BYTES + self.payload.len() as u64;
                Ok(Some(&self.payload))
            }
            Ok(false) => self.rewind(),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.rewind(),
            Err(error) => Err(error),
        }
    }

    fn read_record(&mut self) -> io::Result<bool> {
        let mut length = [0; 4];
        let mut checksum = [0; 4];
        self.file.read_exact(&mut length)?;
        self.file.read_exact(&mut checksum)?;
        let length = u32::from_le_bytes(length) as usize;
        if length == 0 || PAYLOAD_BYTES_MAX < length {
            return Ok(false);
        }
        self.payload.resize(length, 0);
        self.file.read_exact(&mut self.payload)?;
        Ok(crc32fast::hash(&self.payload) == u32::from_le_bytes(checksum))
    }

    /// Seeks back to the beginning of the record that could not be read.
    fn rewind(&mut self) -> io::Result<Option<&[u8]>> {
        self.file.seek(SeekFrom::Start(self.position))?;
        Ok(None)
    }
}
