//! The agent's files, all in its state directory. All writing happens here.
//!
//! The directory may belong to a less privileged user: root runs `pika-agent rotate-secret` for an agent that runs as
//! somebody else. Nothing that this user puts there, including links, pipes and devices, can cause a file outside the
//! directory to be written, read or chowned.

#[cfg(not(unix))]
mod portable;
#[cfg(unix)]
mod unix;

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::warn;

#[cfg(not(unix))]
use self::portable::{OpenDir, Owner};
#[cfg(unix)]
use self::unix::{OpenDir, Owner};

/// Maximum size of a file that is read as a whole, in bytes. The agent's own are a hundredth of that.
const BYTES_MAX: u64 = 1024 * 1024;

/// Suffix of temporary files that will be renamed.
const TEMPORARY_SUFFIX: &str = ".tmp";

/// Age from which a temporary file counts as left behind by an interrupted process, in milliseconds.
const TEMPORARY_AGE_MS_MAX: i64 = 3_600_000;

/// What to do if a directory does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    Create,
    Fail,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    /// For reading.
    Read,
    /// For reading and writing.
    Write,
    /// For reading and appending.
    Append,
}

/// A directory with files of the agent. Names are plain: none leads to another directory.
#[derive(Debug)]
pub(crate) struct Dir {
    dir: OpenDir,
}

impl Dir {
    /// Opens a directory.
    ///
    /// # Errors
    /// If it does not exist, if anybody may write to it or replace it, or if the path leads through a symbolic link
    /// that cannot be trusted.
    pub(crate) fn open(path: &Path) -> io::Result<Dir> {
        Ok(Dir { dir: OpenDir::open(path, Missing::Fail)? })
    }

    /// Like [`Dir::open`], and creates the directory and its parents if missing, accessible only to the owner.
    pub(crate) fn create(path: &Path) -> io::Result<Dir> {
        Ok(Dir { dir: OpenDir::open(path, Missing::Create)? })
    }

    /// Returns whether there is an entry of that name.
    pub(crate) fn has(&self, name: &str) -> io::Result<bool> {
        Ok(self.dir.entry(name)?.is_some())
    }

    /// Returns the names of all entries, and the sizes of files in bytes.
    pub(crate) fn entries(&self) -> io::Result<Vec<(String, Option<u64>)>> {
        let mut entries = Vec::new();
        for name in self.dir.names()? {
            if let Some(entry) = self.dir.entry(&name)? {
                entries.push((name, entry.is_file.then_some(entry.bytes)));
            }
        }
        Ok(entries)
    }

    /// Opens an existing file.
    ///
    /// # Errors
    /// If it does not exist, or is not a regular file.
    pub(crate) fn open_file(&self, name: &str, how: How) -> io::Result<File> {
        let file = self.dir.open_file(name, how)?;
        if file.metadata()?.is_file() { Ok(file) } else { Err(not_a_file()) }
    }

    /// Like [`Dir::open_file`], for a file that is written to, truncated or locked.
    ///
    /// # Errors
    /// Also if it could be a file from elsewhere that was linked or moved here.
    pub(crate) fn open_own_file(&self, name: &str, how: How) -> io::Result<File> {
        let file = self.open_file(name, how)?;
        if self.dir.is_own(&file.metadata()?) {
            return Ok(file);
        }
        let reason = "it has another hard link, or does not belong to the directory's owner";
        Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
    }

    /// Creates a file that only the owner of the directory can read.
    ///
    /// # Errors
    /// Also if there is an entry of that name.
    fn create_file(&self, name: &str, how: How) -> io::Result<File> {
        let file = self.dir.create_file(name, how)?;
        self.dir.give(&file, None)?;
        Ok(file)
    }

    /// Like [`Dir::create_file`], replacing any entry of that name.
    pub(crate) fn recreate_file(&self, name: &str, how: How) -> io::Result<File> {
        match self.dir.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.create_file(name, how),
        }
    }

    /// Opens or creates a file, and locks it for as long as it is open.
    ///
    /// # Errors
    /// Of kind [`io::ErrorKind::WouldBlock`] if another agent has locked it.
    pub(crate) fn lock(&self, name: &str) -> io::Result<File> {
        let file = match self.open_own_file(name, How::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => match self.create_file(name, How::Write)
            {
                // Created by another agent that starts at the same moment.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    self.open_own_file(name, How::Write)
                }
                created => created,
            },
            opened => opened,
        }?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                let kind = io::ErrorKind::WouldBlock;
                Err(io::Error::new(kind, "another agent uses this state directory"))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Returns the contents of a file.
    ///
    /// # Errors
    /// As for [`Dir::open_file`], and if it is larger than any file that the agent reads as a whole.
    pub(crate) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut contents = Vec::new();
        self.open_file(name, How::Read)?.take(BYTES_MAX + 1).read_to_end(&mut contents)?;
        if BYTES_MAX < contents.len() as u64 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(contents)
    }

    /// Replaces a file atomically: readers find either the old contents or the new, even after a crash or a power cut.
    /// Only its owner can read it, who is the owner of the replaced file: root may write it for an agent that runs as
    /// somebody else.
    pub(crate) fn replace(&self, name: &str, contents: &[u8]) -> io::Result<()> {
        let owner = self.dir.entry(name)?.filter(|entry| entry.is_file).map(|entry| entry.owner);
        let temporary = format!(".{name}.{:016x}{TEMPORARY_SUFFIX}", getrandom::u64()?);
        let file = self.dir.create_file(&temporary, How::Write)?;
        let replaced = self.fill(file, contents, owner).and_then(|()| self.dir.rename(&temporary, name));
        if let Err(error) = replaced {
            drop(self.dir.remove(&temporary));
            return Err(error);
        }
        self.dir.sync()
    }

    fn fill(&self, mut file: File, contents: &[u8], owner: Option<Owner>) -> io::Result<()> {
        file.write_all(contents)?;
        self.dir.give(&file, owner)?;
        file.sync_all()
    }

    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        self.dir.remove(name)
    }

    /// Makes created, renamed and removed files survive a power cut.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.dir.sync()
    }

    /// Removes temporary files left behind by an interrupted [`Dir::replace`]; `now_ms` is the wall clock.
    pub(crate) fn sweep(&self, now_ms: i64) -> io::Result<()> {
        for name in self.dir.names()? {
            let is_temporary = name.starts_with('.') && name.ends_with(TEMPORARY_SUFFIX);
            if is_temporary
                && let Some(entry) = self.dir.entry(&name)?
                && entry.is_file
                && entry.modified_at < now_ms.saturating_sub(TEMPORARY_AGE_MS_MAX)
            {
                self.dir.remove(&name)?;
            }
        }
        Ok(())
    }
}

fn not_a_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")
}

/// A JSON file that is replaced atomically. Failures to write it are logged once, not on every attempt.
#[derive(Debug)]
pub(crate) struct StateFile {
    state_dir: PathBuf,
    name: &'static str,
    is_failing: bool,
}

impl StateFile {
    pub(crate) fn new(state_dir: &Path, name: &'static str) -> StateFile {
        StateFile { state_dir: state_dir.to_owned(), name, is_failing: false }
    }

    /// Returns the saved value; `None` if there is none or it cannot be read.
    pub(crate) fn load<T: DeserializeOwned>(&self) -> Option<T> {
        let text = Dir::open(&self.state_dir).and_then(|dir| dir.read(self.name)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Writes the value and returns whether that succeeded.
    pub(crate) fn save(&mut self, value: &impl Serialize) -> bool {
        let written = serde_json::to_vec(value)
            .map_err(io::Error::from)
            .and_then(|text| Dir::open(&self.state_dir)?.replace(self.name, &text));
        let was_failing = std::mem::replace(&mut self.is_failing, written.is_err());
        if let Err(error) = &written
            && !was_failing
        {
            let path = self.state_dir.join(self.name);
            warn!(path = %path.display(), %error, "cannot write a file of the agent's state");
        }
        written.is_ok()
    }
}

#[cfg(test)]
mod tests;
