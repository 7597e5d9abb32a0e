//! Tests of sensors that are slow, come, go, or sleep.

use std::fs;
use std::thread;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;
use crate::collect::tests::fixture::{Machine, clock};

fn sensor(machine: &Machine) -> Sensor {
    let readings = SharedReadings::new(machine.root().join("none"), 0, clock());
    Sensor::new(&machine.roots(), SensorConfig { exclude_sensors: Vec::new() }, readings)
}

fn names(sensor: &mut Sensor, minute: i64) -> Vec<String> {
    let tick = Tick { uptime_ms: minute * 60_000 };
    sensor.collect(tick).unwrap().into_iter().map(|metrics| metrics.sensor).collect()
}

#[test]
fn chips_come_and_go() {
    let machine =
        Machine::new("== sys/class/hwmon/hwmon0/name\na\n== sys/class/hwmon/hwmon0/temp1_input\n1000\n");
    let mut sensor = sensor(&machine);
    assert_eq!(names(&mut sensor, 1), ["a temp1"]);
    machine.write("sys/class/hwmon/hwmon1/name", "b\n");
    machine.write("sys/class/hwmon/hwmon1/fan1_input", "0\n");
    assert_eq!(names(&mut sensor, 2), ["a temp1", "b fan1"]);
    fs::remove_dir_all(machine.root().join("sys/class/hwmon/hwmon0")).unwrap();
    assert_eq!(names(&mut sensor, 3), ["b fan1"]);
}

#[test]
fn limits_are_read_once() {
    let machine = Machine::new(
        "== sys/class/hwmon/hwmon0/name\na\n== sys/class/hwmon/hwmon0/temp1_input\n40000\n\
         == sys/class/hwmon/hwmon0/temp1_crit\n80000\n",
    );
    let mut sensor = sensor(&machine);
    let percent = |sensor: &mut Sensor| sensor.collect(Tick { uptime_ms: 1 }).unwrap()[0].critical_percent;
    assert_eq!(percent(&mut sensor), Some(50.0));
    machine.write("sys/class/hwmon/hwmon0/temp1_crit", "100000\n");
    assert_eq!(percent(&mut sensor), Some(50.0));
}

#[test]
fn a_device_that_sleeps_is_not_read_nor_believed_at_once() {
    let machine = Machine::new(
        "== sys/class/hwmon/hwmon0/name\na\n== sys/class/hwmon/hwmon0/temp1_input\n40000\n\
         == sys/class/hwmon/hwmon0/device -> ../../../devices/a\n== sys/devices/a/power/runtime_status\nactive\n",
    );
    let mut sensor = sensor(&machine);
    assert_eq!(names(&mut sensor, 1), ["a temp1"]);
    for (minute, status, expected) in
        [(2, "suspended", 0), (3, "suspended", 0), (4, "active", 0), (5, "active", 1)]
    {
        machine.write("sys/devices/a/power/runtime_status", status);
        assert_eq!(names(&mut sensor, minute).len(), expected, "minute {minute}");
    }
}

#[test]
fn a_sensor_that_keeps_being_very_slow_is_left_out() {
    let machine = Machine::new(
        "== sys/class/hwmon/hwmon0/name\na\n== sys/class/hwmon/hwmon0/temp1_input\n1000\n\
         == sys/class/hwmon/hwmon0/fan1_input\n1200\n",
    );
    // A pipe answers when somebody writes to it.
    let slow = machine.root().join("sys/class/hwmon/hwmon0/temp1_input");
    fs::remove_file(&slow).unwrap();
    mknodat(CWD, &slow, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let mut sensor = sensor(&machine);
    for (minute, is_read) in
        [(0, true), (1, true), (2, false), (11, true), (12, false), (30, false), (99, false)]
    {
        let writer = is_read.then(|| {
            let slow = slow.clone();
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(250));
                fs::write(slow, "20000\n").unwrap();
            })
        });
        let found = names(&mut sensor, minute);
        assert_eq!(
            found,
            if is_read { vec!["a fan1", "a temp1"] } else { vec!["a fan1"] },
            "minute {minute}"
        );
        if let Some(writer) = writer {
            writer.join().unwrap();
        }
    }
}
