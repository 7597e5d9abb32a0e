//! Directories on systems without Unix's owners and links: plain paths.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::{How, Missing};

/// The owner of a file, not used on these systems.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner;

/// A directory entry's metadata.
pub(super) struct Entry {
    pub(super) is_file: bool,
    pub(super) bytes: u64,
    pub(super) modified_at: i64,
    pub(super) owner: Owner,
}

/// A directory.
#[derive(Debug)]
pub(super) struct OpenDir {
    path: PathBuf,
}

impl OpenDir {
    pub(super) fn open(path: &Path, missing: Missing) -> io::Result<OpenDir> {
        if missing == Missing::Create {
            fs::create_dir_all(path)?;
        }
        if !fs::metadata(path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(OpenDir { path: path.to_owned() })
    }

    pub(super) fn open_file(&self, name: &str, how: How) -> io::Result<File> {
        options(how).open(self.path.join(name))
    }

    pub(super) fn create_file(&self, name: &str, how: How) -> io::Result<File> {
        options(how).create_new(true).write(true).open(self.path.join(name))
    }

    pub(super) fn give(&self, _: &File, _: Option<Owner>) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn is_own(&self, _: &Metadata) -> bool {
        true
    }

    pub(super) fn entry(&self, name: &str) -> io::Result<Option<Entry>> {
        match fs::symlink_metadata(self.path.join(name)) {
            Ok(found) => {
                let modified = found.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
                let modified_at = i64::try_from(modified.as_millis()).unwrap_or(i64::MAX);
                Ok(Some(Entry { is_file: found.is_file(), bytes: found.len(), modified_at, owner: Owner }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    /// Windows cannot open a directory as a file, and journals renames itself.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

fn options(how: How) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true);
    match how {
        How::Read => {}
        How::Write => {
            options.write(true);
        }
        How::Append => {
            options.append(true);
        }
    }
    options
}
