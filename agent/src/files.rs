//! The agent's files: all of them lie in its state directory, and everything that is written is written here.
//!
//! The directory may belong to somebody who is less privileged than this process: root runs `pika-agent rotate-secret` for
//! an agent that runs as somebody else. Whatever that somebody has put there, links, pipes and devices included, gets
//! nothing outside of the directory written, read or given away.

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

/// Largest file that is read as a whole, in bytes. The agent's own are a hundredth of it.
const BYTES_MAX: u64 = 1024 * 1024;

/// What the name of a file ends with that is on its way to another name.
const TEMPORARY_SUFFIX: &str = ".tmp";

/// A temporary file this old, in milliseconds, was left behind by a process that ended in the middle.
const TEMPORARY_AGE_MS_MAX: i64 = 3_600_000;

/// What to do with a directory that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    Create,
    Fail,
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    /// To be read.
    Read,
    /// To be read and written.
    Write,
    /// To be read, and written at its end.
    Append,
}

/// A directory in which the agent has files. Their names are plain: none leads to another directory.
#[derive(Debug)]
pub(crate) struct Dir {
    dir: OpenDir,
}

impl Dir {
    /// Opens a directory.
    ///
    /// # Errors
    /// When there is none, when everybody may write to it or replace it, or when the path leads through a symbolic link that
    /// cannot be trusted.
    pub(crate) fn open(path: &Path) -> io::Result<Dir> {
        Ok(Dir { dir: OpenDir::open(path, Missing::Fail)? })
    }

    /// As [`Dir::open`], and makes the directory and its parents where they are missing; nobody but the owner may look into
    /// those.
    pub(crate) fn create(path: &Path) -> io::Result<Dir> {
        Ok(Dir { dir: OpenDir::open(path, Missing::Create)? })
    }

    /// Whether there is anything under that name.
    pub(crate) fn has(&self, name: &str) -> io::Result<bool> {
        Ok(self.dir.entry(name)?.is_some())
    }

    /// The names of everything that is there, and the sizes in bytes of what is a file.
    pub(crate) fn entries(&self) -> io::Result<Vec<(String, Option<u64>)>> {
        let mut entries = Vec::new();
        for name in self.dir.names()? {
            if let Some(entry) = self.dir.entry(&name)? {
                entries.push((name, entry.is_file.then_some(entry.bytes)));
            }
        }
        Ok(entries)
    }

    /// Opens a file that is there.
    ///
    /// # Errors
    /// When there is none, or something else than a file.
    pub(crate) fn open_file(&self, name: &str, how: How) -> io::Result<File> {
        let file = self.dir.open_file(name, how)?;
        if file.metadata()?.is_file() { Ok(file) } else { Err(not_a_file()) }
    }

    /// As [`Dir::open_file`], for a file that is written to, shortened or locked.
    ///
    /// # Errors
    /// Also when it may be a file from elsewhere that was put here for that.
    pub(crate) fn open_own_file(&self, name: &str, how: How) -> io::Result<File> {
        let file = self.open_file(name, how)?;
        if self.dir.is_own(&file.metadata()?) {
            return Ok(file);
        }
        let reason = "it has another name elsewhere, or does not belong to whoever owns the directory";
        Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
    }

    /// Makes a file that only the owner of the directory can read.
    ///
    /// # Errors
    /// Also when there is anything under that name.
    fn create_file(&self, name: &str, how: How) -> io::Result<File> {
        let file = self.dir.create_file(name, how)?;
        self.dir.give(&file, None)?;
        Ok(file)
    }

    /// As [`Dir::create_file`], in the place of whatever has that name.
    pub(crate) fn recreate_file(&self, name: &str, how: How) -> io::Result<File> {
        match self.dir.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.create_file(name, how),
        }
    }

    /// Opens a file, makes it where there is none, and locks it for as long as it is open.
    ///
    /// # Errors
    /// Of kind [`io::ErrorKind::WouldBlock`] when another agent has locked it.
    pub(crate) fn lock(&self, name: &str) -> io::Result<File> {
        let file = match self.open_own_file(name, How::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => match self.create_file(name, How::Write)
            {
                // By another agent that starts at the same moment.
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

    /// The contents of a file.
    ///
    /// # Errors
    /// As [`Dir::open_file`], and when it is larger than any file of the agent that is read as a whole.
    pub(crate) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut contents = Vec::new();
        self.open_file(name, How::Read)?.take(BYTES_MAX + 1).read_to_end(&mut contents)?;
        if BYTES_MAX < contents.len() as u64 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(contents)
    }

    /// Replaces a file as a whole: whoever reads it, also after a crash or a power cut, finds either the old contents or the
    /// new. Only its owner can read it, which is that of the file that it replaces: an administrator may write it for an
    /// agent that runs as somebody else.
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

    /// Removes a file.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        self.dir.remove(name)
    }

    /// Makes the creation, renaming and removal of files survive a power cut.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.dir.sync()
    }

    /// Removes what [`Dir::replace`] has left behind when it was interrupted; `now_ms` is the wall clock.
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

/// A file of JSON that is replaced as a whole. That it cannot be written is said once, not at every try.
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

    /// The value that was saved; `None` where there is none, or none that can be read.
    pub(crate) fn load<T: DeserializeOwned>(&self) -> Option<T> {
        let text = Dir::open(&self.state_dir).and_then(|dir| dir.read(self.name)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Writes the value; answers whether that succeeded.
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
