//! Whole machines: what is found on each, and that no damaged file does harm.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use pika_protocol::Sample;
use pika_protocol::family::Measurement;
use proptest::prelude::*;
use tokio::runtime::Builder;

use super::fixture::{Content, Entry, Machine, parse};
use crate::collect::{Collectors, Tick};
use crate::config::{Config, Overrides};

const FIXTURES: [&str; 6] =
    ["bare-md-nvme-64c", "docker-overlay", "kvm", "lxc-lxcfs-zfs", "psi-off", "wrap-32bit"];

/// Disks are left out: their space comes from a system call. Other tests look after the families of a machine's parts.
const SETTINGS: &str =
    "collectors: { disk: &off { enabled: false }, sensor: *off, volume: *off, cgroup: *off, gpu: *off }";

/// Long enough for a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

fn fixture(name: &str, extension: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(format!("{name}.{extension}"))
}

/// Takes the samples of the first and the second instant.
fn samples(machine: &Machine) -> [Sample; 2] {
    let config = Config::from_yaml("test", SETTINGS, |_| None, &Overrides::default()).unwrap();
    let mut collectors = Collectors::below(&machine.roots(), &config, None);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    [60_000, 120_000].map(|uptime_ms| {
        let taking = collectors.collect_at(Tick { uptime_ms }, uptime_ms, true, DEADLINE);
        let mut sample = runtime.block_on(taking).sample;
        machine.go_on();
        if let Some(system) = &mut sample.system {
            // Of the test itself.
            system.agent_cpu_percent = None;
            // From the links of a directory, which not every file system counts like `/proc`.
            system.processes = system.processes.filter(|_| machine.root().join("proc/27").exists());
        }
        sample
    })
}

#[test]
fn each_machine_shows_what_it_has() {
    let mut different = String::new();
    for name in FIXTURES {
        let machine = Machine::new(&fs::read_to_string(fixture(name, "tree")).unwrap());
        let [first, second] = samples(&machine);
        assert!(first.system.unwrap().interval_ms.is_none(), "{name}: nothing to compare with");
        let found = serde_json::to_string_pretty(&second).unwrap();
        let expected = fs::read_to_string(fixture(name, "json")).unwrap_or_default();
        if found != expected.trim_end() {
            different.push_str(&format!("{name}:\n{found}\n"));
        }
    }
    assert!(different.is_empty(), "found instead of what is expected:\n{different}");
}

/// A change of a file.
fn damage() -> impl Strategy<Value = (prop::sample::Index, prop::sample::Index, u8, Vec<u8>)> {
    let strange = prop_oneof![
        Just(b"-9223372036854775808".to_vec()),
        Just(b"18446744073709551615".to_vec()),
        Just(b"NaN".to_vec()),
        Just(b"\0\x1b[2J".to_vec()),
        Just("é / \u{202e} 0x".as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..300),
    ];
    (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0u8..5, strange)
}

/// Checks what a server checks.
fn check<M: Measurement>(items: &[M]) {
    for item in items {
        assert!(item.numbers().is_ok(), "{item:?}");
        item.for_each_label(|label, text| {
            let chars = text.chars().count();
            assert!((label.chars_min..=label.chars_max).contains(&chars), "{}: {item:?}", label.name);
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn damaged_files_do_no_harm(
        name in prop::sample::select(&FIXTURES[..]),
        damages in prop::collection::vec(damage(), 1..30),
    ) {
        let (mut first, mut later) = parse(&fs::read_to_string(fixture(name, "tree")).unwrap());
        for (which, at, how, bytes) in damages {
            let n_first = first.len();
            let index = which.index(n_first + later.len());
            let entry: &mut Entry =
                if index < n_first { &mut first[index] } else { &mut later[index - n_first] };
            let Content::File(text) = &mut entry.content else { continue };
            let position = at.index(text.len() + 1);
            let mut damaged = text.as_bytes().to_vec();
            match how {
                0 => damaged = bytes,
                1 => { damaged.splice(position..position, bytes); }
                2 => damaged.truncate(position),
                3 => { damaged.splice(position.., bytes); }
                _ => damaged = damaged.repeat(3),
            }
            *text = String::from_utf8_lossy(&damaged).into_owned();
        }
        for sample in samples(&Machine::from_entries(&first, later)) {
            check(sample.cpu.as_slice());
            check(sample.memory.as_slice());
            check(&sample.networks);
            check(sample.pressure.as_slice());
            check(&sample.disk_io);
            check(sample.system.as_slice());
            check(&sample.links);
        }
    }
}
