//! Tests of amounts and of what readings add.

use super::*;
use crate::collect::tests::fixture::{Machine, NOW_MS, clock};

fn collect(volume: &mut Volume, minute: i64) -> Vec<VolumeMetrics> {
    volume.collect(Tick { uptime_ms: minute * 60_000 }).unwrap()
}

#[test]
fn errors_of_a_reading_are_counted_once() {
    let machine = Machine::new("");
    let reading = |errors: u64| {
        machine.write(
            "run/pika-readings/smart.json",
            &format!(
                r#"{{"takenAt":{NOW_MS},"intervalMs":60000,"volumes":[{{"volume":"drive a","kind":"drive","state":0,"readErrors":{errors}}}]}}"#
            ),
        );
    };
    reading(90);
    let readings = SharedReadings::new(machine.root().join("run/pika-readings"), owner(&machine), clock());
    let mut volume = Volume::new(&machine.roots(), readings);
    let found = collect(&mut volume, 1);
    assert_eq!(
        (found.len(), found[0].read_errors, found[0].interval_ms),
        (1, None, None),
        "how long ago is unknown"
    );
    assert_eq!(collect(&mut volume, 2)[0].read_errors, Some(0));
    reading(93);
    let found = collect(&mut volume, 3);
    assert_eq!((found[0].read_errors, found[0].interval_ms), (Some(3), Some(60_000)));
    assert_eq!(collect(&mut volume, 4)[0].read_errors, Some(0));
}

#[test]
fn the_worse_state_counts_but_sleep_is_none() {
    let kernel =
        || VolumeMetrics { model: "x".to_owned(), wear_percent: Some(1.0), ..volume("nvme", "a", DEGRADED) };
    for (state, expected) in [(FINE, DEGRADED), (FAILED, FAILED), (4, DEGRADED)] {
        let mut found = kernel();
        let given =
            VolumeMetrics { wear_percent: Some(9.0), spare_percent: Some(5.0), ..volume("nvme", "a", state) };
        complete(&mut found, &given);
        assert_eq!((found.state, found.model.as_str()), (expected, "x"));
        assert_eq!((found.wear_percent, found.spare_percent), (Some(1.0), Some(5.0)));
    }
}

fn owner(machine: &Machine) -> u32 {
    std::os::unix::fs::MetadataExt::uid(&machine.root().metadata().unwrap())
}
