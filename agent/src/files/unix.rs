//! A directory of somebody who may be less privileged than this process, on Unix.
//!
//! It is opened once, and everything in it is named relative to the open directory and never through a link, so that
//! whoever owns it cannot make this process touch anything outside of it. Nothing changes hands but what was just made.

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

/// How a directory on the way is opened: to look a name up in it, which needs no right to list it.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
const ON_THE_WAY: OFlags = OFlags::PATH.union(IS_DIRECTORY);
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
const ON_THE_WAY: OFlags = IS_DIRECTORY;
const IS_DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Most symbolic links on the way, as the kernel has it.
const LINKS_MAX: usize = 40;

const ROOT: u32 = 0;

/// Whom a file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    user: u32,
    group: u32,
}

/// What is known of an entry of a directory without opening it.
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
    /// Opens the directory at `path`. Symbolic links on the way are followed only where whoever owns the directory in the end
    /// could have written to it anyway.
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

    /// Opens a file that is there. A pipe or a device is opened without waiting for anybody, and can be told by its metadata.
    pub(super) fn open_file(&self, name: &str, how: How) -> io::Result<File> {
        let flags = flags(how) | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        match fs::openat(&self.dir, name, flags, Mode::empty()) {
            Ok(file) => Ok(file.into()),
            // The first by Linux, the second by others.
            Err(Errno::LOOP | Errno::MLINK) => Err(super::not_a_file()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a file that only its owner can read.
    pub(super) fn create_file(&self, name: &str, how: How) -> io::Result<File> {
        let flags = flags(how) | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(fs::openat(&self.dir, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// Gives a file that was just made to somebody, by default to whom the directory belongs. Only root can give anything away;
    /// what others have made stays theirs.
    pub(super) fn give(&self, file: &File, to: Option<Owner>) -> io::Result<()> {
        let made = file.metadata()?;
        let Owner { user, group } = to.unwrap_or(self.owner);
        if made.uid() != ROOT || (made.uid(), made.gid()) == (user, group) {
            return Ok(());
        }
        fchown(file, Some(user), Some(group))
    }

    /// Whether the file is nobody's but that of whoever owns the directory: another's could have been linked or moved here in
    /// order to be written to.
    pub(super) fn is_own(&self, file: &Metadata) -> bool {
        file.nlink() <= 1 && (self.owner.user == ROOT || self.owner.user == file.uid())
    }

    /// What lies under a name; `None` when there is nothing.
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

    /// The names of everything in it; those that are no UTF-8 are left out.
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

/// The way to a directory, one name at a time.
struct Walk {
    dir: OwnedFd,
    /// Where `dir` is, for people.
    path: PathBuf,
    missing: Missing,
    steps: VecDeque<Step>,
    n_links: usize,
    /// The owners of the directories in which links were followed. Nobody else can have made those links.
    link_owners: Vec<u32>,
}

enum Step {
    Root,
    Up,
    Down(OsString),
}

impl Walk {
    /// Goes all the way.
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

    /// Puts the steps to `path` before those that are left.
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
        // Anybody could put another directory in the place of the next.
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
            // A link is no directory.
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

    /// A link that may be anybody's is not followed at all; for others see [`OpenDir::open`].
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
            "{} is or goes through a symbolic link that somebody without the right to what it leads to could have made; \
             name the directory itself",
            path.display()
        ),
    )
}

fn writable_by_everybody(path: &Path) -> io::Error {
    io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "everybody may write to {}, so nothing below it can be trusted; use chmod o-w",
            path.display()
        ),
    )
}
