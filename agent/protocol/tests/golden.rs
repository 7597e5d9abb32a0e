//! Every message as written on the wire, one file each in `golden/`: the contract with deployed agents and servers.
//! Changing a file here changes the protocol.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use pika_protocol::message::{
    Ack, AgentConfig, Gap, GapReason, Heartbeat, Metrics, OneOrMany, Refusal, Register, RegisterAck,
};
use pika_protocol::{
    AgentFrame, AgentMessage, Batch, CpuMetrics, DiskMetrics, ErrorCode, LoadMetrics, MachineFacts,
    MemoryMetrics, NetworkMetrics, Sample, ServerMessage,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.json"))
}

/// Checks that the message serializes to the file's contents, and deserializes from them.
fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, message: &T) {
    let text = fs::read_to_string(path(name)).unwrap();
    assert_eq!(serde_json::from_str::<T>(&text).unwrap(), *message, "{name} is read otherwise");
    let written = serde_json::to_string(message).unwrap();
    let (expected, found): (Value, Value) =
        (serde_json::from_str(&text).unwrap(), serde_json::from_str(&written).unwrap());
    assert_eq!(found, expected, "{name} is written otherwise");
}

fn cpu() -> CpuMetrics {
    CpuMetrics {
        usage_percent: 45.5,
        core_count: 8,
        user_percent: Some(30.25),
        system_percent: Some(10.5),
        iowait_percent: Some(4.0),
        steal_percent: Some(0.75),
        ..CpuMetrics::default()
    }
}

fn memory() -> MemoryMetrics {
    MemoryMetrics {
        total: 16_777_216_000,
        used: 4_194_304_000,
        free: 1_048_576_000,
        usage_percent: 25.0,
        available: Some(12_582_912_000),
        swap_total: Some(2_147_483_648),
        swap_used: Some(0),
        ..MemoryMetrics::default()
    }
}

fn disk() -> DiskMetrics {
    DiskMetrics {
        mount_point: "/".to_owned(),
        device: "/dev/sda1".to_owned(),
        fs_type: "ext4".to_owned(),
        total: 1_000,
        used: 700,
        free: 250,
        usage_percent: 73.5,
        inodes_usage_percent: Some(12.5),
        ..DiskMetrics::default()
    }
}

fn network() -> NetworkMetrics {
    NetworkMetrics {
        interface: "eth0".to_owned(),
        received_bytes_total: 112_305_689,
        sent_bytes_total: 653_855,
        received_bytes_delta: Some(1_200),
        sent_bytes_delta: Some(300),
        interval_ms: Some(5_000),
        receive_errors_delta: Some(1),
        send_errors_delta: Some(0),
        ..NetworkMetrics::default()
    }
}

fn load() -> LoadMetrics {
    LoadMetrics { load1: 1.5, load5: 0.75, load15: 0.5, ..LoadMetrics::default() }
}

fn original(message: AgentMessage) -> AgentFrame {
    AgentFrame { message, timestamp: None, seq: None }
}

#[test]
fn agent_to_server() {
    let register = Register {
        name: "web-1".to_owned(),
        hostname: "web-1.example.org".to_owned(),
        ip: "192.0.2.1".to_owned(),
        os: "linux".to_owned(),
        arch: "amd64".to_owned(),
        version: "0.1.0".to_owned(),
        token: Some("an enrollment token".to_owned()),
        secret: None,
        interval_ms: Some(5_000),
        facts: Box::new(MachineFacts {
            os_name: Some("Debian GNU/Linux 13".to_owned()),
            kernel: Some("6.12.41+deb13-amd64".to_owned()),
            cpu_model: Some("AMD EPYC 9354".to_owned()),
            cpu_count: Some(8),
            memory_bytes: Some(17_179_869_184),
            booted_at: Some(1_760_000_000_000),
            virtualization: Some("kvm".to_owned()),
        }),
    };
    let timestamp = Some(1_760_918_400_123);
    check("register", &AgentFrame { message: AgentMessage::Register(register), timestamp, seq: None });
    check("heartbeat", &AgentFrame { message: AgentMessage::Heartbeat(Heartbeat {}), timestamp, seq: None });
    let full = Sample {
        timestamp: 1_760_918_400_000,
        clock_offset_ms: Some(-1_500),
        cpu: Some(cpu()),
        memory: Some(memory()),
        disks: vec![disk()],
        networks: vec![network()],
        load: Some(load()),
        ..Sample::default()
    };
    let empty = Sample { timestamp: 1_760_918_405_000, ..Sample::default() };
    let batch = AgentMessage::Batch(Batch { samples: vec![full, empty] });
    check("batch", &AgentFrame { message: batch, timestamp, seq: Some(1_760_918_400_123_001) });
    let gap =
        Gap { start: 1_760_918_400_000, end: 1_760_922_000_000, samples: 721, reason: GapReason::SpoolFull };
    let (message, timestamp) = (AgentMessage::Gap(gap), Some(1_760_932_800_000));
    check("gap", &AgentFrame { message, timestamp, seq: Some(1_760_918_400_123_002) });
    for reason in GapReason::ALL {
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
    }
}

#[test]
fn agent_to_server_in_the_original_form() {
    for (name, metrics) in [
        (
            "metrics_cpu",
            Metrics::Cpu(CpuMetrics { usage_percent: 45.5, core_count: 8, ..CpuMetrics::default() }),
        ),
        ("metrics_memory", Metrics::Memory(memory())),
        ("metrics_disk", Metrics::Disk(OneOrMany::One(disk()))),
        ("metrics_disks", Metrics::Disk(OneOrMany::Many(vec![disk(), disk()]))),
        ("metrics_network", Metrics::Network(OneOrMany::One(network()))),
        ("metrics_networks", Metrics::Network(OneOrMany::Many(vec![network()]))),
        ("metrics_load", Metrics::Load(load())),
    ] {
        check(name, &original(AgentMessage::Metrics(metrics)));
    }
}

/// Returns the name of a server's message. A new variant does not compile here.
fn name(message: &ServerMessage) -> &'static str {
    match message {
        ServerMessage::RegisterAck(_) => "register_ack",
        ServerMessage::RegisterError(_) => "register_error",
        ServerMessage::Ack(_) => "ack",
        ServerMessage::Error(_) => "error",
        ServerMessage::Config(_) => "config",
    }
}

#[test]
fn server_to_agent() {
    let ack = RegisterAck {
        agent_id: "0197f1a2-0000-7000-8000-000000000001".to_owned(),
        secret: None,
        server_time: 1_760_918_400_456,
        clock_offset_ms: 0,
    };
    let enrolled =
        RegisterAck { secret: Some("a secret".to_owned()), clock_offset_ms: 60_000, ..ack.clone() };
    let unauthorized =
        Refusal { code: ErrorCode::Unauthorized, message: "the token has expired".to_owned(), seq: None };
    let out_of_range = Refusal {
        code: ErrorCode::OutOfRange,
        message: "usagePercent is 120".to_owned(),
        seq: Some(1_760_918_400_123_001),
    };
    let mut names = BTreeSet::new();
    for (file, message) in [
        ("register_ack", ServerMessage::RegisterAck(ack)),
        ("register_ack_enrolled", ServerMessage::RegisterAck(enrolled)),
        ("register_error", ServerMessage::RegisterError(unauthorized)),
        ("ack", ServerMessage::Ack(Ack { seq: 1_760_918_400_123_001 })),
        ("error", ServerMessage::Error(out_of_range)),
        (
            "config",
            ServerMessage::Config(AgentConfig { interval_ms: Some(10_000), clock_offset_ms: Some(-250) }),
        ),
        ("config_empty", ServerMessage::Config(AgentConfig::default())),
    ] {
        check(file, &message);
        names.insert(name(&message));
        let Value::Object(object) = serde_json::to_value(&message).unwrap() else { panic!("no object") };
        assert_eq!(object["type"], name(&message));
        assert!(!format!("{message:?}").contains("a secret"), "secrets are not logged");
    }
    assert_eq!(names, BTreeSet::from(["register_ack", "register_error", "ack", "error", "config"]));
}

#[test]
fn every_error_code_is_written_as_it_is_called() {
    let text = fs::read_to_string(path("error_codes")).unwrap();
    let codes: Vec<ErrorCode> = serde_json::from_str(&text).unwrap();
    assert_eq!(codes, ErrorCode::ALL);
    for code in ErrorCode::ALL {
        assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
    }
}

#[test]
fn no_file_is_left_over() {
    let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden.rs")).unwrap();
    for entry in fs::read_dir(path("x").parent().unwrap()).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_stem().unwrap().to_str().unwrap();
        assert!(source.contains(&format!("\"{name}\"")), "{} is not tested", file.display());
    }
}
