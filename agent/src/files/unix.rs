//! A directory of a user who may be less privileged than this process, on Unix.
//!
//! It is opened once, and entries are accessed relative to the open directory and never through a link, so that its
//! owner cannot make this process touch anything outside it. Only files that were just created are chowned.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{How, Missing};

/// Flags for opening directories on the path: to look up a name, which needs no permission to list them.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
const ON_THE_WAY: OFlags = OFlags::PATH.union(IS_DIRECTORY);
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
const ON_THE_WAY: OFlags = IS_DIRECTORY;
const IS_DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Maximum number of symbolic links on a path, as in the kernel.
const LINKS_MAX: usize = 40;

const ROOT: u32 = 0;

/// The owner of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    user: u32,
    group: u32,
}

/// A directory entry's metadata.
pub(super) struct Entry {
    pub(super) is_file: bool,
    pub(super) bytes: u64,
    pub(super) modified_at: i64,
    pub(super) owner: Owner,
}

/// An open directory.
#[derive(Debug)]
pub(super) struct OpenDir {
    dir: OwnedFd,
    owner: Owner,
}

impl OpenDir {
    /// Opens the directory at `path`. Symbolic links on the path are followed only if whoever created them could write
    /// to the final directory anyway.
    pub(super) fn open(path: &Path, missing: Missing) -> io::Result<OpenDir> {
        let Walk { dir, link_owners, .. } = Walk::to(path, missing)?;
        let dir = fs::openat(&dir, ".", IS_DIRECTORY | OFlags::RDONLY, Mode::empty())?;
        let found = fs::fstat(&dir)?;
        if Mode::from_raw_mode(found.st_mode).contains(Mode::WOTH) {
            return Err(writable_by_everybody(path));
        }
        let owner = Owner { user: found.st_uid, group: found.st_gid };
        if link_owners.iter().any(|link_owner| ![ROOT, owner.user].contains(link_owner)) {
            return Err(not_followed(path));
        }
        Ok(OpenDir { dir, owner })
    }

    /// Opens an existing file. A pipe or a device is opened without blocking, and can be recognized by its metadata.
    pub(super) fn open_file(&self, name: &str, how: How) -> io::Result<File> {
        let flags = flags(how) | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        match fs::openat(&self.dir, name, flags, Mode::empty()) {
            Ok(file) => Ok(file.into()),
            // Linux returns the first, others the second.
            Err(Errno::LOOP | Errno::MLINK) => Err(super::not_a_file()),
            Err(error) => Err(error.into()),
        }
    }

    /// Creates a file that only its owner can read.
    pub(super) fn create_file(&self, name: &str, how: How) -> io::Result<File> {
        let flags = flags(how) | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(fs::openat(&self.dir, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// Changes the owner of a file that was just created, by default to the directory's owner. Only root can do that;
    /// files created by others keep their owner.
    pub(super) fn give(&self, file: &File, to: Option<Owner>) -> io::Result<()> {
        let made = file.metadata()?;
        let Owner { user, group } = to.unwrap_or(self.owner);
        if made.uid() != ROOT || (made.uid(), made.gid()) == (user, group) {
            return Ok(());
        }
        fchown(file, Some(user), Some(group))
    }

    /// Returns whether the file has a single link and belongs to the directory's owner; another could have been linked
    /// or moved here in order to be written to.
    pub(super) fn is_own(&self, file: &Metadata) -> bool {
        file.nlink() <= 1 && (self.owner.user == ROOT || self.owner.user == file.uid())
    }

    /// Returns the entry of this name, if any.
    pub(super) fn entry(&self, name: &str) -> io::Result<Option<Entry>> {
        match fs::statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Entry {
                is_file: FileType::from_raw_mode(stat.st_mode).is_file(),
                bytes: u64::try_from(stat.st_size).unwrap_or(0),
                modified_at: modified_at(&stat),
                owner: Owner { user: stat.st_uid, group: stat.st_gid },
            })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the names of all entries that are valid UTF-8.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&self.dir)? {
            names.extend(entry?.file_name().to_str().map(str::to_owned));
        }
        names.retain(|name| name != "." && name != "..");
        Ok(names)
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(fs::renameat(&self.dir, from, &self.dir, to)?)
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(fs::unlinkat(&self.dir, name, AtFlags::empty())?)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(fs::fsync(&self.dir)?)
    }
}

fn flags(how: How) -> OFlags {
    match how {
        How::Read => OFlags::RDONLY,
        How::Write => OFlags::RDWR,
        How::Append => OFlags::RDWR | OFlags::APPEND,
    }
}

#[allow(clippy::useless_conversion, clippy::cast_lossless, reason = "it is 32 bits wide on some systems")]
fn modified_at(stat: &Stat) -> i64 {
    i64::from(stat.st_mtime).saturating_mul(1_000)
}

/// Walks the path to a directory, one name at a time.
struct Walk {
    dir: OwnedFd,
    /// The path of `dir`, for messages.
    path: PathBuf,
    missing: Missing,
    steps: VecDeque<Step>,
    n_links: usize,
    /// The owners of the directories in which links were followed, who alone can have created those links.
    link_owners: Vec<u32>,
}

enum Step {
    Root,
    Up,
    Down(OsString),
}

impl Walk {
    /// Walks the whole path.
    fn to(path: &Path, missing: Missing) -> io::Result<Walk> {
        let mut walk = Walk {
            dir: fs::open(".", ON_THE_WAY, Mode::empty())?,
            path: PathBuf::from("."),
            missing,
            steps: VecDeque::new(),
            n_links: 0,
            link_owners: Vec::new(),
        };
        walk.go_first(path);
        while let Some(step) = walk.steps.pop_front() {
            match step {
                Step::Root => {
                    walk.dir = fs::open("/", ON_THE_WAY, Mode::empty())?;
                    walk.path = PathBuf::from("/");
                }
                Step::Up => walk.enter(OsStr::new(".."))?,
                Step::Down(name) => walk.go_down(&name)?,
            }
        }
        Ok(walk)
    }

    /// Inserts the steps of `path` before the remaining ones.
    fn go_first(&mut self, path: &Path) {
        for component in path.components().rev() {
            match component {
                Component::RootDir => self.steps.push_front(Step::Root),
                Component::ParentDir => self.steps.push_front(Step::Up),
                Component::Normal(name) => self.steps.push_front(Step::Down(name.to_owned())),
                Component::CurDir | Component::Prefix(_) => {}
            }
        }
    }

    fn go_down(&mut self, name: &OsStr) -> io::Result<()> {
        let here = fs::fstat(&self.dir)?;
        let mode = Mode::from_raw_mode(here.st_mode);
        // Anybody could replace the next directory.
        if mode.contains(Mode::WOTH) && !mode.contains(Mode::SVTX) {
            return Err(writable_by_everybody(&self.path));
        }
        match self.enter(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.missing == Missing::Create => {
                match fs::mkdirat(&self.dir, name, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => self.enter(name),
                    Err(error) => Err(error.into()),
                }
            }
            // Probably a link.
            Err(error) => match fs::readlinkat(&self.dir, name, Vec::new()) {
                Ok(target) => self.follow(name, OsStr::from_bytes(target.as_bytes()), &here),
                Err(_) => Err(error),
            },
            Ok(()) => Ok(()),
        }
    }

    fn enter(&mut self, name: &OsStr) -> io::Result<()> {
        self.dir = fs::openat(&self.dir, name, ON_THE_WAY, Mode::empty())?;
        self.path.push(name);
        Ok(())
    }

    /// Follows a link unless anybody could have created it; for the other conditions see [`OpenDir::open`].
    fn follow(&mut self, name: &OsStr, target: &OsStr, here: &Stat) -> io::Result<()> {
        let mode = Mode::from_raw_mode(here.st_mode);
        if mode.intersects(Mode::WGRP | Mode::WOTH) {
            return Err(not_followed(&self.path.join(name)));
        }
        self.n_links += 1;
        if LINKS_MAX < self.n_links {
            return Err(Errno::LOOP.into());
        }
        self.link_owners.push(here.st_uid);
        self.go_first(Path::new(target));
        Ok(())
    }
}

fn not_followed(path: &Path) -> io::Error {
    io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "{} is or goes through a symbolic link that somebody without access to its target could have created; \
             name the directory itself",
            path.display()
        ),
    )
}

fn writable_by_everybody(path: &Path) -> io::Error {
    io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "everybody may write to {}, so nothing below it can be trusted; run chmod o-w",
            path.display()
        ),
    )
}
