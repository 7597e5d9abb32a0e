//! The cursor of a spool on disk: records before it were removed.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};

use crate::files::{Dir, How};
use crate::outbox::segment::ID_MAX;

/// Name of the file within the spool.
pub(super) const NAME: &str = "cursor";

/// The number below which all records were removed.
pub(super) struct Cursor {
    file: File,
}

impl Cursor {
    /// Opens the cursor and reads it; 0 if it is missing or damaged.
    pub(super) fn open(dir: &Dir) -> io::Result<(Cursor, u64)> {
        let file = match dir.open_own_file(NAME, How::Write) {
            Ok(file) => file,
            // Without it some records that the server already has come back, which is harmless.
            Err(_) => dir.recreate_file(NAME, How::Write)?,
        };
        let mut cursor = Cursor { file };
        let id = cursor.read()?.filter(|id| *id <= ID_MAX).unwrap_or(0);
        Ok((cursor, id))
    }

    fn read(&mut self) -> io::Result<Option<u64>> {
        let mut bytes = [0; 12];
        match self.file.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        Ok(decode(bytes))
    }

    /// Stores that all records below `id` were removed.
    pub(super) fn write(&mut self, id: u64) -> io::Result<()> {
        // Written in place in one call: a power cut can damage it, which the checksum reveals.
        let mut bytes = id.to_le_bytes().to_vec();
        bytes.extend_from_slice(&crc32fast::hash(&id.to_le_bytes()).to_le_bytes());
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&bytes)
    }
}

fn decode(bytes: [u8; 12]) -> Option<u64> {
    let (id, checksum) = bytes.split_first_chunk::<8>()?;
    let checksum = u32::from_le_bytes(*checksum.first_chunk()?);
    (crc32fast::hash(id) == checksum).then(|| u64::from_le_bytes(*id))
}
