//! Tests of files that must not be believed.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

/// The time at which readings are made and used.
const NOW_MS: i64 = 1_700_000_000_000;

struct Directory {
    dir: tempfile::TempDir,
    readings: Readings,
}

impl Directory {
    fn new() -> Directory {
        let dir = tempfile::tempdir().unwrap();
        let owner_uid = dir.path().metadata().unwrap().uid();
        let readings = Readings::new(dir.path().to_owned(), owner_uid, Clock::new(|| NOW_MS));
        Directory { dir, readings }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
        fs::set_permissions(self.dir.path().join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }

    /// Returns the names of the sensors that are read, and those of the files that are left out.
    fn read(&mut self, now_ms: i64) -> (Vec<String>, Vec<String>) {
        let given = self.readings.read(now_ms);
        let sensors = given.sensors.into_iter().map(|sensor| sensor.sensor).collect();
        (sensors, self.readings.failing.iter().cloned().collect())
    }
}

fn text(sensor: &str) -> String {
    format!(
        r#"{{"takenAt":{NOW_MS},"intervalMs":60000,"sensors":[{{"sensor":"{sensor}","kind":"temperature","temperatureCelsius":1.5}}]}}"#
    )
}

const NONE: [&str; 0] = [];

#[test]
fn only_plain_files_of_the_right_owner_are_read() {
    let mut directory = Directory::new();
    let path = directory.dir.path().to_owned();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("target"), text("through a link")).unwrap();
    directory.write("good.json", &text("good"));
    directory.write("other.txt", &text("no reading"));
    symlink(elsewhere.path().join("target"), path.join("link.json")).unwrap();
    symlink(path.join("good.json"), path.join("link-to-good.json")).unwrap();
    fs::hard_link(elsewhere.path().join("target"), path.join("hard.json")).unwrap();
    mknodat(CWD, path.join("pipe.json"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    fs::create_dir(path.join("directory.json")).unwrap();
    for (name, mode) in [("group.json", 0o664), ("others.json", 0o646)] {
        directory.write(name, &text(name));
        fs::set_permissions(path.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut left_out = vec![
        "directory.json",
        "group.json",
        "hard.json",
        "link-to-good.json",
        "link.json",
        "others.json",
        "pipe.json",
    ];
    directory.write("stranger.json", &text("stranger"));
    // Only root can give files away.
    if chown(path.join("stranger.json"), Some(12_345), None).is_ok() {
        left_out.push("stranger.json");
    } else {
        fs::remove_file(path.join("stranger.json")).unwrap();
    }
    assert_eq!(
        directory.read(NOW_MS),
        (vec!["good".to_owned()], left_out.into_iter().map(str::to_owned).collect())
    );
    // Whoever is named is believed.
    if path.join("stranger.json").exists() {
        directory.readings.owner_uid = 12_345;
        assert_eq!(directory.read(NOW_MS).0, ["good", "stranger"]);
    }
}

#[test]
fn huge_files_and_many_files_are_not_read() {
    let mut directory = Directory::new();
    let sparse = fs::File::create(directory.dir.path().join("huge.json")).unwrap();
    sparse.set_len(1 << 30).unwrap();
    fs::set_permissions(directory.dir.path().join("huge.json"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(directory.read(NOW_MS), (Vec::new(), vec!["huge.json".to_owned()]));
    fs::remove_file(directory.dir.path().join("huge.json")).unwrap();

    let longest = usize::try_from(BYTES_MAX).unwrap();
    directory.write("long.json", &(text("long") + &" ".repeat(longest - text("long").len())));
    assert_eq!(directory.read(NOW_MS).0, ["long"]);
    directory.write("long.json", &(text("long") + &" ".repeat(longest + 1 - text("long").len())));
    assert_eq!(directory.read(NOW_MS).1, ["long.json"]);
    fs::remove_file(directory.dir.path().join("long.json")).unwrap();

    for number in 10..10 + FILES_MAX {
        directory.write(&format!("{number}.json"), &text(&number.to_string()));
    }
    let (sensors, left_out) = directory.read(NOW_MS);
    assert_eq!((sensors.len(), left_out.len()), (FILES_MAX, 0));
    directory.write("99.json", &text("99"));
    let (sensors, left_out) = directory.read(NOW_MS);
    assert_eq!((sensors.len(), left_out), (FILES_MAX, vec![String::new()]), "that it is too many is said");
}

#[test]
fn old_readings_are_not_used() {
    let mut directory = Directory::new();
    directory.write("a.json", &text("a"));
    assert_eq!(directory.read(NOW_MS + 3 * 60_000).0, ["a"]);
    assert_eq!(directory.read(NOW_MS + 3 * 60_000 + 1), (Vec::new(), vec!["a.json".to_owned()]));
    assert_eq!(directory.read(NOW_MS - AHEAD_MS_MAX).0, ["a"]);
    assert_eq!(directory.read(NOW_MS - AHEAD_MS_MAX - 1).0, NONE);
    assert_eq!(directory.read(NOW_MS), (vec!["a".to_owned()], Vec::new()), "it is used again");
    fs::remove_file(directory.dir.path().join("a.json")).unwrap();
    assert_eq!(directory.read(NOW_MS), (Vec::new(), Vec::new()));
    fs::remove_dir(directory.dir.path()).unwrap();
    assert_eq!(directory.read(NOW_MS), (Vec::new(), Vec::new()), "no directory is no mistake");
}

#[test]
fn a_file_that_was_replaced_is_read_again() {
    let mut directory = Directory::new();
    directory.write("a.json", &text("a"));
    assert_eq!(directory.read(NOW_MS).0, ["a"]);
    // As a writer should do it. The size is the same, and the time may be.
    directory.write("new", &text("b"));
    fs::rename(directory.dir.path().join("new"), directory.dir.path().join("a.json")).unwrap();
    assert_eq!(directory.read(NOW_MS).0, ["b"]);
    directory.write("a.json", "{");
    assert_eq!(directory.read(NOW_MS).1, ["a.json"]);
}

#[test]
fn a_directory_that_anybody_may_write_to_is_not_read() {
    let mut directory = Directory::new();
    directory.write("a.json", &text("a"));
    fs::set_permissions(directory.dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(directory.read(NOW_MS), (Vec::new(), vec![String::new()]));
}

#[test]
fn contents_are_checked_like_those_of_an_agent() {
    let document = |rest: &str| {
        Document::parse(format!(r#"{{"takenAt":1,"intervalMs":60000{rest}}}"#).as_bytes())
            .map_err(|error| chain(&error).to_string())
    };
    assert!(document("").is_ok());
    let id = "0123456789ab";
    assert_eq!(document(&format!(r#","names":{{"{id}":"web"}}"#)).unwrap().names[id], "web");
    for (rest, expected) in [
        (r#","volumes":[{"volume":"a","kind":"drive","state":5}]"#, "outside 0–4"),
        (r#","volumes":[{"volume":"a","kind":"drive"}]"#, "state"),
        (r#","volumes":[{"volume":"","kind":"drive","state":0}]"#, "`volume` is too short"),
        (r#","volumes":[{"volume":"a\n","kind":"drive","state":0}]"#, "control characters"),
        (r#","gpus":[{"bus":"1","usagePercent":101}]"#, "outside 0–100"),
        (r#","sensors":[{"sensor":"a","temperatureCelsius":1e300}]"#, "outside"),
        (r#","sensors":[{"sensor":"a"},{"sensor":"a"}]"#, "two items"),
        (r#","names":{"short":"web"}"#, "names"),
        (r#","names":{"../../../etc/":"web"}"#, "names"),
        (r#","names":{"0123456789ab":""}"#, "names"),
        (r#","cpu":{}"#, "unknown field"),
    ] {
        let error = document(rest).unwrap_err();
        assert!(error.contains(expected), "{rest}: {error}");
    }
    let many: Vec<String> = (0..17).map(|number| format!(r#"{{"bus":"{number}"}}"#)).collect();
    assert!(document(&format!(r#","gpus":[{}]"#, many.join(","))).unwrap_err().contains("more items"));
    for text in
        ["", "[]", "{}", r#"{"takenAt":1,"intervalMs":999}"#, r#"{"takenAt":1,"intervalMs":86400001}"#]
    {
        assert!(Document::parse(text.as_bytes()).is_err(), "{text}");
    }
}
