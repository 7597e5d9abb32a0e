//! A small kernel file that is read repeatedly.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use super::CollectError;

/// The file and its buffers.
pub(super) struct ProcFile {
    path: PathBuf,
    bytes: Vec<u8>,
    text: String,
}

impl ProcFile {
    pub(super) fn new(path: PathBuf) -> ProcFile {
        ProcFile { path, bytes: Vec::new(), text: String::new() }
    }

    /// Returns the current contents. Invalid UTF-8 is replaced: one strange mount point must not hide the rest.
    pub(super) fn read(&mut self) -> Result<&str, CollectError> {
        self.bytes.clear();
        File::open(&self.path)
            .and_then(|mut file| file.read_to_end(&mut self.bytes))
            .map_err(|source| CollectError::Read { path: self.path.clone(), source })?;
        self.text.clear();
        self.text.push_str(&String::from_utf8_lossy(&self.bytes));
        Ok(&self.text)
    }
}
