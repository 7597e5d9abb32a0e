//! Tests of waking up and falling asleep.

use super::*;
use crate::collect::tests::fixture::{Machine, clock};

#[test]
fn values_count_two_samples_after_waking_up() {
    let machine = Machine::new(
        "== sys/class/drm/card0/device -> ../../../devices/0000:03:00.0\n\
         == sys/devices/0000:03:00.0/vendor\n0x1002\n== sys/devices/0000:03:00.0/device\n0x1\n\
         == sys/devices/0000:03:00.0/gpu_busy_percent\n7\n",
    );
    let mut gpu = Gpu::new(&machine.roots(), SharedReadings::new(machine.root().join("none"), 0, clock()));
    let steps = [
        ("active", 0, Some(7.0)),
        ("suspending", 1, None),
        ("suspended", 1, None),
        ("active", 0, None),
        ("active", 0, None),
        ("active", 0, Some(7.0)),
    ];
    for (second, (status, is_asleep, usage)) in (1..).zip(steps) {
        machine.write("sys/devices/0000:03:00.0/power/runtime_status", status);
        let found = gpu.collect(Tick { uptime_ms: second * 5_000 }).unwrap();
        assert_eq!(
            (found.len(), found[0].is_asleep, found[0].usage_percent),
            (1, Some(is_asleep), usage),
            "{second}"
        );
    }
}
