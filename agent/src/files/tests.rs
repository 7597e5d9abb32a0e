//! Tests of the files.

use std::fs;

use super::*;

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_file_is_replaced_as_a_whole_and_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let open = Dir::open(dir.path()).unwrap();
    for contents in [&b"one"[..], b"two"] {
        open.replace("a.json", contents).unwrap();
        assert_eq!(open.read("a.json").unwrap(), contents);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays behind");
    #[cfg(unix)]
    assert_eq!(mode(&dir.path().join("a.json")), 0o600);
}

#[test]
fn a_file_that_cannot_be_replaced_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("a.json")).unwrap();
    assert!(Dir::open(dir.path()).unwrap().replace("a.json", b"one").is_err());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn missing_directories_are_made_and_are_private() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/../b/./c");
    assert_eq!(Dir::open(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    Dir::create(&path).unwrap().replace("x", b"x").unwrap();
    Dir::create(&path).unwrap();
    assert_eq!(fs::read(dir.path().join("b/c/x")).unwrap(), b"x");
    #[cfg(unix)]
    for made in ["b", "b/c"] {
        assert_eq!(mode(&dir.path().join(made)), 0o700);
    }
}

#[test]
fn a_file_is_no_directory_and_a_directory_no_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    fs::create_dir(dir.path().join("dir")).unwrap();
    assert!(Dir::create(&dir.path().join("file")).is_err());
    assert!(Dir::create(&dir.path().join("file/below")).is_err());
    let open = Dir::open(dir.path()).unwrap();
    assert!(open.read("dir").is_err());
    let mut entries = open.entries().unwrap();
    entries.sort();
    assert_eq!(entries, [("dir".to_owned(), None), ("file".to_owned(), Some(0))]);
}

#[test]
fn a_file_without_an_end_is_not_read_into_memory() {
    let dir = tempfile::tempdir().unwrap();
    fs::File::create(dir.path().join("large")).unwrap().set_len(1 << 40).unwrap();
    let error = Dir::open(dir.path()).unwrap().read("large").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
}

#[test]
fn what_an_interrupted_process_has_left_goes_after_a_while() {
    const HOUR_MS: i64 = 3_600_000;
    let dir = tempfile::tempdir().unwrap();
    let names = [".identity.json.0123456789abcdef.tmp", "identity.json", ".other", "mine.tmp"];
    for name in names {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let open = Dir::open(dir.path()).unwrap();
    let written_at = open.dir.entry(names[0]).unwrap().unwrap().modified_at;
    open.sweep(written_at + HOUR_MS).unwrap();
    assert!(open.has(names[0]).unwrap(), "somebody may be writing it");
    open.sweep(written_at + HOUR_MS + 1).unwrap();
    let left: Vec<bool> = names.iter().map(|name| open.has(name).unwrap()).collect();
    assert_eq!(left, [false, true, true, true]);
}

#[cfg(unix)]
#[test]
fn links_of_whoever_owns_the_directory_lead_to_it() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("real")).unwrap();
    symlink("real", dir.path().join("relative")).unwrap();
    symlink(dir.path().join("relative"), dir.path().join("absolute")).unwrap();
    symlink("loop", dir.path().join("loop")).unwrap();
    Dir::open(&dir.path().join("absolute")).unwrap().replace("x", b"x").unwrap();
    Dir::create(&dir.path().join("absolute/below")).unwrap();
    assert!(dir.path().join("real/x").exists() && dir.path().join("real/below").is_dir());
    assert!(Dir::open(&dir.path().join("loop")).is_err());
}

#[cfg(unix)]
#[test]
fn a_link_where_others_may_write_is_not_followed() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let dir = tempfile::tempdir().unwrap();
    let [shared, real] = ["shared", "real"].map(|name| dir.path().join(name));
    for path in [&shared, &real] {
        fs::create_dir(path).unwrap();
    }
    symlink(&real, shared.join("link")).unwrap();
    for (mode, is_followed) in [(0o1777, false), (0o770, false), (0o755, true)] {
        fs::set_permissions(&shared, fs::Permissions::from_mode(mode)).unwrap();
        let opened = Dir::open(&shared.join("link"));
        assert_eq!(opened.is_ok(), is_followed, "{mode:o}: {opened:?}");
    }
}
