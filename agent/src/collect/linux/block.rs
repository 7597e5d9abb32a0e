//! Counters of block devices, from `/proc/diskstats`, and what the devices are, from `/sys/block`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::attribute;
use super::disk_io::{Device, PHYSICAL};
use crate::collect::proc_file::ProcFile;
use crate::collect::{CollectError, Roots};

/// The size of a sector in `/proc/diskstats`, whatever that of the device.
const SECTOR_BYTES: u64 = 512;

/// The devices of the machine.
pub(super) struct BlockDevices {
    diskstats: ProcFile,
    block: PathBuf,
    /// What is known of each device, by its number and name; read when it appears. `None` for what is no device, such as
    /// a partition.
    known: BTreeMap<String, Option<About>>,
}

/// What a device is.
#[derive(Clone, Debug, Default, PartialEq)]
struct About {
    kind: &'static str,
    model: String,
    media: &'static str,
}

impl BlockDevices {
    pub(super) fn new(roots: &Roots) -> BlockDevices {
        BlockDevices {
            diskstats: ProcFile::new(roots.proc.join("diskstats")),
            block: roots.sys.join("block"),
            known: BTreeMap::new(),
        }
    }

    /// Returns the devices that are selected by their names.
    pub(super) fn read(&mut self, is_selected: impl Fn(&str) -> bool) -> Result<Vec<Device>, CollectError> {
        let mut known = BTreeMap::new();
        let mut devices = Vec::new();
        let lines = self.diskstats.read()?.lines().filter_map(parse);
        for Line { number, name, counters } in lines.filter(|line| is_selected(line.name)) {
            let key = format!("{number} {name}");
            let about = self.known.remove(&key).unwrap_or_else(|| about(&self.block, name));
            if let Some(About { kind, model, media }) = about.clone() {
                devices.push(Device { name: name.to_owned(), kind, model, media, counters });
            }
            known.insert(key, about);
        }
        self.known = known;
        Ok(devices)
    }
}

/// A line of `/proc/diskstats`.
struct Line<'a> {
    number: String,
    name: &'a str,
    counters: [Option<u64>; 9],
}

/// `major minor name`, then for reads and for writes each: completed, merged, sectors, ms; in flight, ms busy, ms of all;
/// four of discards since Linux 4.18; flushes and their ms since 5.5.
fn parse(line: &str) -> Option<Line<'_>> {
    let mut fields = line.split_ascii_whitespace();
    let number = format!("{}:{}", fields.next()?, fields.next()?);
    let name = fields.next()?;
    let mut numbers = [None; 17];
    for (slot, field) in numbers.iter_mut().zip(fields) {
        *slot = field.parse::<u64>().ok();
    }
    let bytes = |sectors: Option<u64>| sectors?.checked_mul(SECTOR_BYTES);
    let [
        reads,
        _,
        read,
        read_ms,
        writes,
        _,
        written,
        write_ms,
        _,
        busy_ms,
        queued_ms,
        _,
        _,
        _,
        _,
        flushes,
        _,
    ] = numbers;
    // Something else if these are missing.
    reads.zip(queued_ms)?;
    let counters =
        [bytes(read), bytes(written), reads, writes, flushes, read_ms, write_ms, busy_ms, queued_ms];
    Some(Line { number, name, counters })
}

/// Returns what the device is; `None` for partitions, and for the single paths of an `NVMe` device with several.
fn about(block: &Path, name: &str) -> Option<About> {
    let directory = block.join(name.replace('/', "!"));
    if !directory.is_dir() || attribute::number::<u8>(&directory.join("hidden")) == Some(1) {
        return None;
    }
    let kind = if directory.join("md").is_dir() {
        "md"
    } else if let Some(uuid) = attribute::text(&directory.join("dm/uuid")) {
        if uuid.starts_with("mpath-") { "multipath" } else { "dm" }
    } else if name.starts_with("zd") {
        "zvol"
    } else if !attribute::entries(&directory.join("slaves")).is_empty() {
        // Other layers over devices, such as bcache.
        "dm"
    } else {
        PHYSICAL
    };
    let model = attribute::name(&directory.join("device/model")).unwrap_or_default();
    let media = match attribute::number::<u8>(&directory.join("queue/rotational")) {
        Some(0) => "solid",
        Some(1) => "rotating",
        _ => "",
    };
    Some(About { kind, model, media })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_all_kernels_are_read() {
        let new = " 254 0 vda 10 1 80 30 20 2 160 40 0 50 70 1 2 3 4 5 6\n";
        let line = parse(new).unwrap();
        assert_eq!((line.number.as_str(), line.name), ("254:0", "vda"));
        let expected = [40_960, 81_920, 10, 20, 5, 30, 40, 50, 70].map(Some);
        assert_eq!(line.counters, expected);
        let old = parse("8 0 sda 10 1 80 30 20 2 160 40 0 50 70").unwrap();
        assert_eq!((old.counters[3], old.counters[4]), (Some(20), None), "no flushes");
        for text in ["", "8 0 sda1 1 2 3 4", "8 0", "a b c d e f g h i j k l m n"] {
            assert!(parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn this_machine_has_readable_devices() {
        for device in BlockDevices::new(&Roots::default()).read(|_| true).unwrap() {
            assert!(!device.name.is_empty() && device.counters[0].is_some());
        }
    }
}
