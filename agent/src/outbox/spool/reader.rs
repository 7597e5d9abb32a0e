//! A reader that continues where it stopped, because records are read in order.

use std::io;

use crate::files::Dir;
use crate::outbox::segment::{Segment, SegmentReader};

/// A file of the spool and the number of its next record.
pub(super) struct Reader {
    pub(super) segment_first_id: u64,
    next_id: u64,
    file: SegmentReader,
}

impl Reader {
    /// Returns a reader that is not past the record `id` of a segment, reusing `reader` if possible.
    pub(super) fn before(reader: Option<Reader>, dir: &Dir, segment: Segment, id: u64) -> io::Result<Reader> {
        let first_id = segment.first_id;
        match reader.filter(|reader| reader.segment_first_id == first_id && reader.next_id <= id) {
            Some(reader) => Ok(reader),
            None => {
                let file = SegmentReader::open(dir, first_id)?;
                Ok(Reader { segment_first_id: first_id, next_id: first_id, file })
            }
        }
    }

    /// Returns the payload of the record `id`, which the reader must not be past; `None` if the file ends before it.
    pub(super) fn read(&mut self, id: u64) -> io::Result<Option<&[u8]>> {
        while self.next_id < id {
            if self.file.next()?.is_none() {
                return Ok(None);
            }
            self.next_id += 1;
        }
        let payload = self.file.next()?;
        self.next_id += u64::from(payload.is_some());
        Ok(payload)
    }
}
