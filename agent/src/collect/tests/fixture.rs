//! Machines that tests are run on: trees of files as described in `tests/fixtures/README.md`.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Component, Path};

use pika_shared::Clock;

use crate::collect::Roots;

/// When the readings of the machines were made, in milliseconds since the Unix epoch.
pub(in crate::collect) const NOW_MS: i64 = 1_767_225_600_000;

/// A machine in a temporary directory.
pub(in crate::collect) struct Machine {
    dir: tempfile::TempDir,
    later: Vec<Entry>,
}

/// One file of a tree.
#[derive(Clone, Debug)]
pub(in crate::collect) struct Entry {
    pub(in crate::collect) path: String,
    pub(in crate::collect) content: Content,
}

#[derive(Clone, Debug)]
pub(in crate::collect) enum Content {
    File(String),
    Link(String),
    Unreadable,
    Removed,
}

impl Machine {
    /// Unpacks a tree as it is at first.
    pub(in crate::collect) fn new(tree: &str) -> Machine {
        let (first, later) = parse(tree);
        Machine::from_entries(&first, later)
    }

    /// Like [`new`](Self::new), for entries that may have been changed.
    pub(in crate::collect) fn from_entries(first: &[Entry], later: Vec<Entry>) -> Machine {
        let machine = Machine { dir: tempfile::tempdir().unwrap(), later };
        first.iter().for_each(|entry| unpack(machine.root(), entry));
        machine
    }

    /// Makes the changes of the second instant.
    pub(in crate::collect) fn go_on(&self) {
        self.later.iter().for_each(|entry| unpack(self.root(), entry));
    }

    pub(in crate::collect) fn root(&self) -> &Path {
        self.dir.path()
    }

    pub(in crate::collect) fn roots(&self) -> Roots {
        Roots::below(self.root())
    }

    /// Writes a file below the root.
    pub(in crate::collect) fn write(&self, path: &str, text: &str) {
        unpack(self.root(), &Entry { path: path.to_owned(), content: Content::File(text.to_owned()) });
    }
}

/// Returns the clock by which the readings of the machines are current.
pub(in crate::collect) fn clock() -> Clock {
    Clock::new(|| NOW_MS)
}

/// Returns the entries of the first instant and those of the second.
pub(in crate::collect) fn parse(tree: &str) -> (Vec<Entry>, Vec<Entry>) {
    let mut parts = tree.split("==== later\n");
    let mut entries = || parts.next().map(parse_entries).unwrap_or_default();
    (entries(), entries())
}

fn parse_entries(text: &str) -> Vec<Entry> {
    let entry = |section: &str| {
        let (head, text) = section.split_once('\n').unwrap_or((section, ""));
        let (path, content) = if let Some((path, target)) = head.split_once(" -> ") {
            (path, Content::Link(target.to_owned()))
        } else if let Some(path) = head.strip_suffix(" !") {
            (path, Content::Unreadable)
        } else if let Some(path) = head.strip_suffix(" -") {
            (path, Content::Removed)
        } else {
            (head, Content::File(text.to_owned()))
        };
        Entry { path: path.to_owned(), content }
    };
    // What is before the first section is empty.
    format!("\n{text}")
        .split("\n== ")
        .skip(1)
        .map(|section| format!("{section}\n"))
        .map(|section| entry(&section))
        .collect()
}

fn unpack(root: &Path, entry: &Entry) {
    let path = Path::new(&entry.path);
    assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{}", entry.path);
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match &entry.content {
        Content::File(text) => {
            fs::write(&path, text).unwrap();
            if entry.path.starts_with("run/") {
                fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
            }
        }
        Content::Link(target) => symlink(target, path).unwrap(),
        // A directory cannot be read, not even by root.
        Content::Unreadable => {
            if path.is_file() {
                fs::remove_file(&path).unwrap();
            }
            fs::create_dir_all(path).unwrap();
        }
        Content::Removed if path.is_dir() => fs::remove_dir_all(path).unwrap(),
        Content::Removed => fs::remove_file(path).unwrap(),
    }
}
