//! Whole machines: what is found on each, and that no damaged file does harm.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use pika_protocol::family::Measurement;
use pika_protocol::limits::CGROUPS_PER_SAMPLE_MAX;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::collect::linux::stat::StatFile;
use crate::collect::tests::fixture::{Content, Entry, Machine, clock, parse};
use crate::collect::{Roots, Tick, View};
use crate::config::{Config, Overrides};

const FIXTURES: [&str; 11] = [
    "amd-gpu",
    "bare-md-nvme",
    "btrfs-errors",
    "cgroup-v1",
    "docker",
    "gpu-asleep",
    "k8s-node",
    "pi",
    "podman-rootless",
    "sensors-broken",
    "zpool-degraded",
];

fn fixture(name: &str, extension: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(format!("{name}.{extension}"))
}

fn parts(roots: &Roots, config: &Config) -> Parts {
    let (stat, tick) = (StatFile::new(roots), Tick { uptime_ms: 0 });
    Parts::new(&Setup { roots, config, view: View::Host, stat, clock: clock(), tick })
}

/// Takes the samples of the first and the second instant.
async fn samples(machine: &Machine, yaml: &str) -> [Sample; 2] {
    let mut config = Config::from_yaml("test", yaml, |_| None, &Overrides::default()).unwrap();
    config.readings_dir = machine.root().join("run/pika-readings");
    config.readings_owner_uid = machine.root().metadata().unwrap().uid();
    let roots = machine.roots();
    let mut parts = parts(&roots, &config);
    let mut failing = BTreeSet::new();
    let mut samples = [Sample::default(), Sample::default()];
    for (uptime_ms, sample) in [60_000, 120_000].into_iter().zip(&mut samples) {
        let mut round = Round::new(Tick { uptime_ms }, Duration::from_secs(60), &mut failing);
        parts.read(&mut round, true, sample).await;
        if uptime_ms == 60_000 {
            machine.go_on();
        }
    }
    assert!(failing.is_empty(), "{failing:?}");
    samples
}

#[tokio::test]
async fn each_machine_shows_what_it_has() {
    let mut differing = String::new();
    for name in FIXTURES {
        let machine = Machine::new(&fs::read_to_string(fixture(name, "tree")).unwrap());
        let [_, sample] = samples(&machine, "").await;
        let found = serde_json::to_value(&sample).unwrap();
        let expected: Value = serde_json::from_slice(&fs::read(fixture(name, "json")).unwrap()).unwrap();
        if found != expected {
            differing += &format!("{name} is now\n{}\n", serde_json::to_string_pretty(&found).unwrap());
        }
    }
    assert!(differing.is_empty(), "{differing}");
}

#[tokio::test]
async fn each_machine_shows_no_more_than_is_wanted() {
    let machine = Machine::new(&fs::read_to_string(fixture("docker", "tree")).unwrap());
    let yaml = "cgroup: { exclude_containers: ['1111*', mail-vm], include_units: ['docker*.service'] }";
    let [_, sample] = samples(&machine, yaml).await;
    let names: Vec<&str> = sample.cgroups.iter().map(|group| group.cgroup.as_str()).collect();
    assert_eq!(names, ["222222222222 (other)", "docker.service", "(other)"]);
    let machine = Machine::new(&fs::read_to_string(fixture("docker", "tree")).unwrap());
    let yaml = "cgroup: { include_containers: ['2222*'] }";
    let [_, sample] = samples(&machine, yaml).await;
    assert_eq!(sample.cgroups.len(), 1);

    let machine = Machine::new(&fs::read_to_string(fixture("bare-md-nvme", "tree")).unwrap());
    let [_, sample] = samples(&machine, "sensor: { exclude_sensors: ['nvme0 *', 'nct6798 *'] }").await;
    let names: Vec<&str> = sample.sensors.iter().map(|sensor| sensor.sensor.as_str()).collect();
    assert_eq!(names, ["coretemp.0 Package id 0", "power_meter ACPI000D:00 power1"]);
}

#[tokio::test]
async fn five_thousand_short_lived_groups_are_one_series() {
    let machine = Machine::new("== sys/fs/cgroup/cgroup.controllers\ncpu\n");
    let group = |number: usize| format!("sys/fs/cgroup/system.slice/docker-{number:064x}.scope");
    let mut config = Config::from_yaml("test", "", |_| None, &Overrides::default()).unwrap();
    config.readings_dir = machine.root().join("none");
    let roots = machine.roots();
    let mut parts = parts(&roots, &config);
    let (mut failing, mut names) = (BTreeSet::new(), BTreeSet::new());
    // Twenty at a time, each of which is gone a tick later; and ten that stay.
    for tick in 0..250 {
        for number in (0..10).chain(1_000 + tick * 20..1_020 + tick * 20) {
            machine
                .write(&format!("{}/cpu.stat", group(number)), &format!("usage_usec {}\n", tick * 100 + 7));
        }
        for number in (1_000 + tick * 20)
            .checked_sub(20)
            .filter(|_| 0 < tick)
            .into_iter()
            .flat_map(|first| first..first + 20)
        {
            fs::remove_dir_all(machine.root().join(group(number))).unwrap();
        }
        let uptime_ms = i64::try_from(tick * 60_000).unwrap();
        let mut round = Round::new(Tick { uptime_ms }, Duration::from_secs(60), &mut failing);
        let mut sample = Sample::default();
        parts.read(&mut round, true, &mut sample).await;
        names.extend(sample.cgroups.iter().map(|group| group.cgroup.clone()));
        if 1 < tick {
            assert_eq!(sample.cgroups.len(), 11);
            let other = sample.cgroups.last().unwrap();
            assert_eq!(other.cpu_us, Some(20 * i64::try_from(tick * 100 + 7).unwrap()), "all that they used");
            assert!(sample.cgroups[..10].iter().all(|group| group.cpu_us == Some(100)));
        }
    }
    assert_eq!(names.len(), 11);

    // Five thousand at once, for hours.
    for number in 0..5_000 {
        machine.write(&format!("{}/cpu.stat", group(100_000 + number)), "usage_usec 7\n");
    }
    for tick in 250..255 {
        let mut round = Round::new(Tick { uptime_ms: tick * 60_000 }, Duration::from_secs(60), &mut failing);
        let mut sample = Sample::default();
        parts.read(&mut round, true, &mut sample).await;
        names.extend(sample.cgroups.iter().map(|group| group.cgroup.clone()));
        assert!(sample.cgroups.len() <= CGROUPS_PER_SAMPLE_MAX);
    }
    assert_eq!(names.len(), CGROUPS_PER_SAMPLE_MAX, "and those that were there before have kept their place");
}

/// Checks what a server checks.
fn check<M: Measurement>(items: &[M]) {
    let mut names = BTreeSet::new();
    for item in items {
        assert!(item.numbers().is_ok(), "{item:?}");
        assert!(names.insert(item.name()), "twice: {item:?}");
        item.for_each_label(|label, text| {
            let chars = text.chars().count();
            assert!((label.chars_min..=label.chars_max).contains(&chars), "{}: {item:?}", label.name);
            assert!(!text.chars().any(char::is_control), "{}: {item:?}", label.name);
        });
    }
}

/// A change of a file.
fn damage() -> impl Strategy<Value = (prop::sample::Index, prop::sample::Index, u8, Vec<u8>)> {
    let strange = prop_oneof![
        Just(b"-9223372036854775808".to_vec()),
        Just(b"18446744073709551615".to_vec()),
        Just(b"1e308".to_vec()),
        Just(b"NaN".to_vec()),
        Just(b"inf".to_vec()),
        Just(b"\0\x1b[2J".to_vec()),
        Just("é / \u{202e} 0x".as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..300),
    ];
    (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0u8..5, strange)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn damaged_files_do_no_harm(
        name in prop::sample::select(&FIXTURES[..]),
        damages in prop::collection::vec(damage(), 1..12),
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
            // Bytes that are no text reach the parsers as the replacement character anyway.
            *text = String::from_utf8_lossy(&damaged).into_owned();
        }
        let machine = Machine::from_entries(&first, later);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for sample in runtime.block_on(samples(&machine, "cgroup: { include_units: ['*'] }")) {
            check(&sample.sensors);
            check(&sample.volumes);
            check(&sample.cgroups);
            check(&sample.gpus);
            check(&sample.cores);
        }
    }
}
