//! One file of the spool: records one behind the other, each with its length and checksum.
//!
//! A record is `length: u32 LE, crc32: u32 LE, payload`. A file ends with its last whole record: a tail that was
//! torn off, by a full disk or a power cut, is cut away when the file is opened for appending, and a reader stops
//! at the first record whose checksum is wrong. No record is empty: zeros, with which some file systems fill what a power
//! cut has taken, are none.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};

use pika_protocol::limits::FRAME_BYTES_MAX;
use tracing::warn;

use crate::files::{Dir, How};

/// What the names of the files end with.
const SUFFIX: &str = ".seg";

/// Bytes in front of each payload.
const HEADER_BYTES: u64 = 8;

/// Largest payload. A sample that does not fit into a frame could never be sent; a larger length in a file is damage.
pub(super) const PAYLOAD_BYTES_MAX: usize = FRAME_BYTES_MAX;

/// Small, because the reader lives as long as the agent.
const READ_BUFFER_BYTES: usize = 8 * 1024;

/// Largest file, in bytes: the spool begins another one at this size, but for one record that is larger.
pub(super) const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Largest number of a record. None is ever given out that comes near it, so one beyond it in the name of a file or in the
/// cursor is damage, and what follows on a number has room to count on.
pub(super) const ID_MAX: u64 = u64::MAX >> 1;

/// One file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) first_id: u64,
    /// Number behind the last record.
    pub(super) end_id: u64,
    pub(super) bytes: u64,
}

/// The files that are there. Where one ends is known from where the next begins; the last has to be scanned.
pub(super) fn list(dir: &Dir) -> io::Result<VecDeque<Segment>> {
    let mut segments = Vec::new();
    let mut strangers = Vec::new();
    for (name, bytes) in dir.entries()?.into_iter().filter(|(name, _)| name.ends_with(SUFFIX)) {
        match bytes.and_then(|bytes| Some((first_id(&name, bytes)?, bytes))) {
            // Of a run that ended before it wrote the first record.
            Some((_, 0)) => dir.remove(&name)?,
            Some((first_id, bytes)) => segments.push(Segment { first_id, end_id: u64::MAX, bytes }),
            None => strangers.push(name),
        }
    }
    if let Some(name) = strangers.first() {
        warn!(name, count = strangers.len(), "ignored what is no file of the spool's making");
    }
    segments.sort_unstable_by_key(|segment| segment.first_id);
    for position in 1..segments.len() {
        segments[position - 1].end_id = segments[position].first_id;
    }
    Ok(segments.into())
}

/// The payloads of the first and the last record of a file, where there are any.
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

/// The name of the file whose first record has this number; sorts by number.
pub(super) fn name(first_id: u64) -> String {
    format!("{first_id:020}{SUFFIX}")
}

/// The number in a file's name; `None` for files that cannot be of the spool's making.
fn first_id(name: &str, bytes: u64) -> Option<u64> {
    let id = name.strip_suffix(SUFFIX)?.parse().ok()?;
    let is_possible = id <= ID_MAX && bytes <= BYTES_MAX + HEADER_BYTES + PAYLOAD_BYTES_MAX as u64;
    (is_possible && name == self::name(id)).then_some(id)
}

/// The bytes of one record.
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

/// Reads records from the first one on.
pub(super) struct SegmentReader {
    file: BufReader<File>,
    payload: Vec<u8>,
    /// Where the next record begins.
    position: u64,
}

impl SegmentReader {
    pub(super) fn open(dir: &Dir, first_id: u64) -> io::Result<SegmentReader> {
        let file = dir.open_file(&name(first_id), How::Read)?;
        let file = BufReader::with_capacity(READ_BUFFER_BYTES, file);
        Ok(SegmentReader { file, payload: Vec::new(), position: 0 })
    }

    /// Where the next record begins, in bytes from the beginning of the file.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next record's payload; `None` where there is no further whole and undamaged record. After `None` the
    /// reader may be asked again: the file may have grown.
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

    /// Back to the beginning of the record that could not be read.
    fn rewind(&mut self) -> io::Result<Option<&[u8]>> {
        self.file.seek(SeekFrom::Start(self.position))?;
        Ok(None)
    }
}
