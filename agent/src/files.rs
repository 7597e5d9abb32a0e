//! Small files of the state directory: written atomically, readable by the agent alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tracing::warn;

/// Makes the directory and its parents where they are missing; nobody but the owner may look into it.
pub(crate) fn create_private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(dir)
}

/// Replaces the file at `path` as a whole: whoever reads it, also after a crash or a power cut, finds either the
/// old contents or the new. The file gets mode 0600.
pub(crate) fn write_atomically(path: &Path, contents: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut options = private_file_options();
    let mut file = options.write(true).create(true).truncate(true).open(&temporary)?;
    file.write_all(contents)?;
    keep_owner(&file, path)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Gives the new file to the owner of the one that it replaces: an administrator may have written it, for an agent that runs
/// as somebody else.
#[cfg(unix)]
fn keep_owner(file: &File, replaced: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let Ok(old) = fs::metadata(replaced) else {
        return Ok(());
    };
    let new = file.metadata()?;
    if (old.uid(), old.gid()) == (new.uid(), new.gid()) {
        return Ok(());
    }
    fchown(file, Some(old.uid()), Some(old.gid()))
}

#[cfg(not(unix))]
fn keep_owner(_: &File, _: &Path) -> io::Result<()> {
    Ok(())
}

/// A file of JSON that is replaced as a whole. That it cannot be written is said once, not at every try.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    is_failing: bool,
}

impl StateFile {
    pub(crate) fn new(path: PathBuf) -> StateFile {
        StateFile { path, is_failing: false }
    }

    /// Writes the value; answers whether that succeeded.
    pub(crate) fn save(&mut self, value: &impl Serialize) -> bool {
        let written = serde_json::to_vec(value)
            .map_err(io::Error::from)
            .and_then(|text| write_atomically(&self.path, &text));
        let was_failing = std::mem::replace(&mut self.is_failing, written.is_err());
        if let Err(error) = &written
            && !was_failing
        {
            warn!(path = %self.path.display(), %error, "cannot write a file of the agent's state");
        }
        written.is_ok()
    }
}

/// Options that make new files readable by their owner only.
pub(crate) fn private_file_options() -> OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has modes"))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}

/// Makes the creation, renaming and removal of files in `dir` survive a power cut.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    // Windows cannot open a directory as a file, and journals renames by itself.
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn atomic_write_replaces_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays behind");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
