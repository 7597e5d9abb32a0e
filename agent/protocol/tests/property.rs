//! Whatever a sample holds, it comes out of a frame as it went in; and no text makes a decoder panic.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use pika_protocol::limits::{FRAME_BYTES_MAX, SAMPLES_PER_FRAME_MAX};
use pika_protocol::{
    AgentFrame, AgentMessage, Batch, CpuMetrics, DiskMetrics, LoadMetrics, MemoryMetrics, NetworkMetrics,
    Sample, ServerMessage,
};
use proptest::option;
use proptest::prelude::*;

prop_compose! {
    fn cpu()(
        usage_percent in 0.0f32..=100.0,
        core_count: i32,
        user_percent in option::of(0.0f32..=100.0),
        system_percent in option::of(0.0f32..=100.0),
        iowait_percent in option::of(0.0f32..=100.0),
        steal_percent in option::of(0.0f32..=100.0),
    ) -> CpuMetrics {
        CpuMetrics { usage_percent, core_count, user_percent, system_percent, iowait_percent, steal_percent }
    }
}

prop_compose! {
    fn memory()(
        total: i64,
        used: i64,
        free: i64,
        usage_percent in 0.0f32..=100.0,
        available: Option<i64>,
        swap_total: Option<i64>,
        swap_used: Option<i64>,
    ) -> MemoryMetrics {
        MemoryMetrics { total, used, free, usage_percent, available, swap_total, swap_used }
    }
}

prop_compose! {
    fn disk()(
        mount_point: String,
        device: String,
        fs_type: String,
        total: i64,
        used: i64,
        free: i64,
        usage_percent in 0.0f32..=100.0,
        inodes_usage_percent in option::of(0.0f32..=100.0),
    ) -> DiskMetrics {
        DiskMetrics { mount_point, device, fs_type, total, used, free, usage_percent, inodes_usage_percent }
    }
}

prop_compose! {
    fn network()(
        interface: String,
        received_bytes_total: i64,
        sent_bytes_total: i64,
        received_bytes_delta: Option<i64>,
        sent_bytes_delta: Option<i64>,
        interval_ms: Option<i64>,
        receive_errors_delta: Option<i64>,
        send_errors_delta: Option<i64>,
    ) -> NetworkMetrics {
        NetworkMetrics {
            interface,
            received_bytes_total,
            sent_bytes_total,
            received_bytes_delta,
            sent_bytes_delta,
            interval_ms,
            receive_errors_delta,
            send_errors_delta,
        }
    }
}

prop_compose! {
    fn sample()(
        timestamp: i64,
        clock_offset_ms: Option<i64>,
        cpu in option::of(cpu()),
        memory in option::of(memory()),
        disks in proptest::collection::vec(disk(), 0..3),
        networks in proptest::collection::vec(network(), 0..3),
        load in option::of((0.0f32..1e6, 0.0f32..1e6, 0.0f32..1e6)),
    ) -> Sample {
        let load = load.map(|(load1, load5, load15)| LoadMetrics { load1, load5, load15 });
        Sample { timestamp, clock_offset_ms, cpu, memory, disks, networks, load }
    }
}

proptest! {
    #[test]
    fn a_batch_comes_out_as_it_went_in(
        samples in proptest::collection::vec(sample(), 0..4),
        timestamp: Option<i64>,
        seq: Option<u64>,
    ) {
        let frame = AgentFrame { message: AgentMessage::Batch(Batch { samples }), timestamp, seq };
        let text = serde_json::to_string(&frame).unwrap();
        prop_assert_eq!(serde_json::from_str::<AgentFrame>(&text).unwrap(), frame);
    }

    #[test]
    fn no_text_makes_a_decoder_panic(text in r#"[\[\]{}":,a-z0-9 \\-]{0,80}"#, kind in "[a-z_]{0,12}", data: String) {
        let data = serde_json::to_string(&data).unwrap();
        for text in [&text, &format!(r#"{{"type":"{kind}","data":{text}}}"#), &format!(r#"{{"type":"{kind}","data":{data}}}"#)] {
            drop(serde_json::from_str::<AgentFrame>(text));
            drop(serde_json::from_str::<ServerMessage>(text));
        }
    }
}

/// The most samples that a frame may hold, of a machine with several disks and interfaces, fit into a frame.
#[test]
fn the_limits_fit_together() {
    let disk = DiskMetrics {
        mount_point: "/var/lib/something/long".to_owned(),
        device: "/dev/mapper/vg0-something".to_owned(),
        fs_type: "ext4".to_owned(),
        total: 1 << 45,
        used: 1 << 44,
        free: 1 << 44,
        usage_percent: 50.123_456,
        inodes_usage_percent: Some(1.234_567),
    };
    let network = NetworkMetrics {
        interface: "enp0s31f6".to_owned(),
        received_bytes_total: 1 << 50,
        sent_bytes_total: 1 << 50,
        received_bytes_delta: Some(1 << 30),
        sent_bytes_delta: Some(1 << 30),
        interval_ms: Some(5_000),
        receive_errors_delta: Some(0),
        send_errors_delta: Some(0),
    };
    let sample = Sample {
        timestamp: 1_760_918_400_000,
        clock_offset_ms: Some(-12_345),
        cpu: Some(CpuMetrics {
            usage_percent: 12.345_678,
            core_count: 128,
            user_percent: Some(12.345_678),
            system_percent: Some(12.345_678),
            iowait_percent: Some(12.345_678),
            steal_percent: Some(12.345_678),
        }),
        memory: Some(MemoryMetrics {
            total: 1 << 40,
            used: 1 << 39,
            free: 1 << 38,
            usage_percent: 50.123_456,
            available: Some(1 << 39),
            swap_total: Some(1 << 35),
            swap_used: Some(1 << 34),
        }),
        disks: vec![disk; 4],
        networks: vec![network; 4],
        load: Some(LoadMetrics { load1: 12.34, load5: 12.34, load15: 12.34 }),
    };
    let message = AgentMessage::Batch(Batch { samples: vec![sample; SAMPLES_PER_FRAME_MAX] });
    let frame = AgentFrame { message, timestamp: Some(1_760_918_400_123), seq: Some(u64::MAX) };
    let frame_bytes = serde_json::to_string(&frame).unwrap().len();
    assert!(frame_bytes <= FRAME_BYTES_MAX, "{frame_bytes}");
}
