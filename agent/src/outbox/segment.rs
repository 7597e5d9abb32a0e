//! One file of the spool: records one behind the other, each with its length and checksum.
//!
//! A record is `length: u32 LE, crc32: u32 LE, payload`. A file ends with its last whole record: a tail that was
//! torn off, by a full disk or a power cut, is cut away when the file is opened for appending, and a reader stops
//! at the first record whose checksum is wrong.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use pika_protocol::limits::FRAME_BYTES_MAX;

/// Bytes in front of each payload.
const HEADER_BYTES: u64 = 8;

/// Largest payload. A sample that does not fit into a frame could never be sent; a larger length in a file is damage.
pub(super) const PAYLOAD_BYTES_MAX: usize = FRAME_BYTES_MAX;

/// Small, because the reader lives as long as the agent.
const READ_BUFFER_BYTES: usize = 8 * 1024;

/// The name of the file whose first record has this number; sorts by number.
pub(super) fn path(dir: &Path, first_id: u64) -> PathBuf {
    dir.join(format!("{first_id:020}.seg"))
}

/// The number in a file's name; `None` for other files.
pub(super) fn first_id(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".seg")?;
    if name.len() == 20 { name.parse().ok() } else { None }
}

/// The bytes of one record.
pub(super) fn encode(payload: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= PAYLOAD_BYTES_MAX);
    let length =
        length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the sample is too large"))?;
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
    pub(super) fn open(path: &Path) -> io::Result<SegmentReader> {
        let file = BufReader::with_capacity(READ_BUFFER_BYTES, File::open(path)?);
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
        if PAYLOAD_BYTES_MAX < length {
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
