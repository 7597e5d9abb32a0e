//! Small files of `/sys` and `/proc`: each holds one value, may be missing, and may fail for reasons of its device. They
//! are read anew each time, because there are hundreds of them.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::str::FromStr;

use pika_protocol::limits::NAME_CHARS_MAX;

/// Maximum size of a file that is read, in bytes. The longest, `memory.stat`, has a tenth of that.
const BYTES_MAX: u64 = 64 * 1024;

/// Maximum number of entries that are listed of a directory.
const ENTRIES_MAX: usize = 8_192;

/// Returns the contents; `None` if the file cannot be read.
pub(super) fn contents(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns the contents without white space around them; `None` if the file cannot be read, or is empty.
pub(super) fn text(path: &Path) -> Option<String> {
    let contents = contents(path)?;
    let text = contents.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Returns the number in the file.
pub(super) fn number<T: FromStr>(path: &Path) -> Option<T> {
    text(path)?.parse().ok()
}

/// Returns the value in the file as a name.
pub(super) fn name(path: &Path) -> Option<String> {
    text(path).map(|text| label(&text)).filter(|name| !name.is_empty())
}

/// Returns the text in a form that fits a label: one line, without control characters, not too long.
pub(super) fn label(text: &str) -> String {
    let text: String = text.chars().filter(|character| !character.is_control()).collect();
    text.trim().chars().take(NAME_CHARS_MAX).collect()
}

/// Returns the names of the directory's entries in alphabetical order; none if it cannot be read.
pub(super) fn entries(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().take(ENTRIES_MAX);
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

/// Returns the last name of where a link leads, such as the name of a device.
pub(super) fn target_name(link: &Path) -> Option<String> {
    Some(fs::read_link(link).ok()?.file_name()?.to_str()?.to_owned())
}

/// Returns whether the device may be asked without waking it up. Those whose driver does not manage their power, and
/// those that are no devices, always may.
pub(super) fn is_awake(device: &Path) -> bool {
    let status = text(&device.join("power/runtime_status"));
    status.is_none_or(|status| status == "active" || status == "unsupported")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_one_line_and_an_end() {
        assert_eq!(label("  Core 0\n\u{1b}[31m\0 "), "Core 0[31m");
        assert_eq!(label(&"é".repeat(1_000)).chars().count(), NAME_CHARS_MAX);
        assert_eq!(label("\n"), "");
    }

    #[test]
    fn what_cannot_be_read_is_absent() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(text(dir.path()), None, "a directory");
        assert_eq!(text(&dir.path().join("missing")), None);
        fs::write(dir.path().join("empty"), "\n").unwrap();
        assert_eq!(text(&dir.path().join("empty")), None);
        fs::write(dir.path().join("n"), "-273000\n").unwrap();
        assert_eq!(number::<i64>(&dir.path().join("n")), Some(-273_000));
        assert_eq!(number::<u8>(&dir.path().join("n")), None);
        assert_eq!(entries(dir.path()), ["empty", "n"]);
        assert!(entries(&dir.path().join("missing")).is_empty());
    }

    #[test]
    fn only_devices_that_are_known_to_sleep_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(is_awake(dir.path()), "no power management");
        fs::create_dir(dir.path().join("power")).unwrap();
        for (status, expected) in [
            ("active", true),
            ("unsupported", true),
            ("suspended", false),
            ("suspending", false),
            ("error", false),
        ] {
            fs::write(dir.path().join("power/runtime_status"), format!("{status}\n")).unwrap();
            assert_eq!(is_awake(dir.path()), expected, "{status}");
        }
    }
}
