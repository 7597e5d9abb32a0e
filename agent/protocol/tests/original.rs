//! Agents of the original Pika are supported unchanged. The three messages are copied from its README.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use pika_protocol::message::{Heartbeat, Metrics, OneOrMany};
use pika_protocol::{AgentFrame, AgentMessage, CpuMetrics};

fn read(text: &str) -> AgentMessage {
    let frame: AgentFrame = serde_json::from_str(text).unwrap();
    assert_eq!((frame.timestamp, frame.seq), (None, None));
    frame.message
}

#[test]
fn register() {
    let text = r#"{
  "type": "register",
  "data": {
    "name": "探针名称",
    "hostname": "主机名",
    "ip": "192.168.1.100",
    "os": "linux",
    "arch": "amd64",
    "version": "1.0.0"
  }
}"#;
    let AgentMessage::Register(register) = read(text) else { panic!("not a register") };
    assert_eq!((register.name.as_str(), register.hostname.as_str()), ("探针名称", "主机名"));
    assert_eq!((register.ip.as_str(), register.version.as_str()), ("192.168.1.100", "1.0.0"));
    assert_eq!((register.token, register.interval_ms), (None, None));
}

#[test]
fn heartbeat() {
    let text = r#"{
  "type": "heartbeat",
  "data": {}
}"#;
    assert_eq!(read(text), AgentMessage::Heartbeat(Heartbeat {}));
}

#[test]
fn metrics() {
    let text = r#"{
  "type": "metrics",
  "data": {
    "type": "cpu",
    "data": {
      "usagePercent": 45.5,
      "coreCount": 8
    }
  }
}"#;
    let cpu = CpuMetrics { usage_percent: 45.5, core_count: 8, ..CpuMetrics::default() };
    assert_eq!(read(text), AgentMessage::Metrics(Metrics::Cpu(cpu)));
}

/// The original agent sends undocumented fields, which are ignored.
#[test]
fn fields_that_are_not_known_are_passed_over() {
    let text = r#"{"type":"metrics","data":{"type":"cpu","data":
        {"usagePercent":1.5,"logicalCores":4,"physicalCores":2,"modelName":"x","perCore":[1,2]}}}"#;
    let AgentMessage::Metrics(Metrics::Cpu(cpu)) = read(text) else { panic!("not cpu") };
    assert_eq!((cpu.usage_percent, cpu.core_count), (1.5, 4));

    let text = r#"{"type":"metrics","data":{"type":"disk","data":
        [{"mountPoint":"/","fsType":"ext4","total":9,"used":3,"free":6,"usagePercent":33.3}]}}"#;
    let AgentMessage::Metrics(Metrics::Disk(disks @ OneOrMany::Many(_))) = read(text) else {
        panic!("not disks")
    };
    let disks = disks.into_vec();
    assert_eq!((disks[0].fs_type.as_str(), disks[0].device.as_str()), ("ext4", ""));
}
