//! The frames of simulated agents. They are assembled from pre-serialized samples, so that the fleet uses little CPU
//! compared to the measured server.

use std::fmt::Write as _;

use pika_protocol::family::PerTable;
use pika_protocol::{
    AgentFrame, AgentMessage, CpuMetrics, DiskMetrics, LoadMetrics, MemoryMetrics, NetworkMetrics, Sample,
};

use crate::error::BenchError;

/// Number of different samples, which agents and times take turns with.
const VARIANTS: u32 = 64;
/// The beginning of a serialized sample with time 0.
const TAKEN_AT_ZERO: &str = "{\"timestamp\":0";

/// The series of each agent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) disks: u16,
    pub(crate) networks: u16,
}

impl Shape {
    /// Returns the number of rows of a sample.
    pub(crate) fn rows(self) -> u64 {
        sample(self, 0).len() as u64
    }

    /// Returns the number of rows of a sample per table.
    pub(super) fn rows_per_sample(self) -> PerTable<usize> {
        sample(self, 0).counts()
    }
}

/// Makes frames of samples.
#[derive(Debug)]
pub(super) struct FrameMaker {
    /// Serialized samples without their beginning.
    variants: Vec<String>,
}

impl FrameMaker {
    pub(super) fn new(shape: Shape) -> Result<Self, BenchError> {
        let serialize = |number| {
            let text = serde_json::to_string(&sample(shape, number)).map_err(std::io::Error::from)?;
            let rest = text.strip_prefix(TAKEN_AT_ZERO).map(ToOwned::to_owned);
            rest.ok_or_else(|| BenchError::Usage("samples are serialized in another way".to_owned()))
        };
        Ok(Self { variants: (0..VARIANTS).map(serialize).collect::<Result<_, _>>()? })
    }

    /// Returns a frame with samples at these times.
    pub(super) fn batch(&self, agent: u32, seq: u64, timestamps: &[i64], now: i64) -> String {
        let bytes_per_sample = self.variants.first().map_or(0, |sample| sample.len() + 32);
        let mut text = String::with_capacity(timestamps.len() * bytes_per_sample + 96);
        text.push_str("{\"type\":\"batch\",\"data\":{\"samples\":[");
        for (index, timestamp) in timestamps.iter().enumerate() {
            if 0 < index {
                text.push(',');
            }
            // Writing to a string cannot fail.
            write!(text, "{{\"timestamp\":{timestamp}").unwrap_or_default();
            text.push_str(self.variant(agent, *timestamp));
        }
        write!(text, "]}},\"timestamp\":{now},\"seq\":{seq}}}").unwrap_or_default();
        text
    }

    /// Returns a sample that differs between agents and times, cheaply.
    fn variant(&self, agent: u32, timestamp: i64) -> &str {
        let mixed = u64::from(agent).wrapping_mul(7_919).wrapping_add_signed(timestamp.wrapping_mul(31));
        let count = self.variants.len().max(1) as u64;
        usize::try_from(mixed % count)
            .ok()
            .and_then(|index| self.variants.get(index))
            .map_or("", String::as_str)
    }
}

/// Returns a frame with any other message.
pub(super) fn frame(message: AgentMessage, now: i64) -> Result<String, BenchError> {
    let frame = AgentFrame { message, timestamp: Some(now), seq: None };
    Ok(serde_json::to_string(&frame).map_err(std::io::Error::from)?)
}

/// Returns a sample of a machine whose load depends on its number.
fn sample(shape: Shape, number: u32) -> Sample {
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let busy = number as f32 / VARIANTS as f32;
    let percent = (busy * 1_000.0).round() / 10.0;
    let bytes = i64::from(number) * 104_729_000 + 7_919;
    let disk = |disk: u16| DiskMetrics {
        mount_point: format!("/mnt/{disk}"),
        device: format!("/dev/sd{disk}"),
        fs_type: "ext4".to_owned(),
        total: 1 << 40,
        used: bytes,
        free: (1 << 40) - bytes,
        usage_percent: percent,
        inodes_usage_percent: Some(percent),
        ..DiskMetrics::default()
    };
    let network = |network: u16| NetworkMetrics {
        interface: format!("eth{network}"),
        received_bytes_total: 40 * bytes,
        sent_bytes_total: 20 * bytes,
        received_bytes_delta: Some(1_000_000 + bytes % 1_000_000),
        sent_bytes_delta: Some(2_000_000 + bytes % 1_000_000),
        interval_ms: Some(5_000),
        receive_errors_delta: Some(0),
        send_errors_delta: Some(0),
        ..NetworkMetrics::default()
    };
    Sample {
        timestamp: 0,
        // The benchmark and the server share a clock, so the offset is 0 however late a frame is read.
        clock_offset_ms: Some(0),
        cpu: Some(CpuMetrics {
            usage_percent: percent,
            core_count: 8,
            user_percent: Some(percent / 2.0),
            system_percent: Some(percent / 4.0),
            iowait_percent: Some(0.5),
            steal_percent: Some(0.0),
            ..CpuMetrics::default()
        }),
        memory: Some(MemoryMetrics {
            total: 1 << 34,
            used: bytes,
            free: 1 << 30,
            usage_percent: percent,
            available: Some(1 << 33),
            swap_total: Some(1 << 31),
            swap_used: Some(0),
            ..MemoryMetrics::default()
        }),
        disks: (0..shape.disks).map(disk).collect(),
        networks: (0..shape.networks).map(network).collect(),
        load: Some(LoadMetrics { load1: percent / 10.0, load5: 1.5, load15: 1.25, ..LoadMetrics::default() }),
        ..Sample::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_what_the_protocol_would_have_written() {
        let shape = Shape { disks: 4, networks: 3 };
        let text = FrameMaker::new(shape).unwrap().batch(7, 42, &[1_000, 2_000], 3_000);
        let frame: AgentFrame = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&frame).unwrap(), text);
        assert_eq!((frame.seq, frame.timestamp), (Some(42), Some(3_000)));
        let AgentMessage::Batch(batch) = frame.message else { panic!("not a batch: {text}") };
        assert_eq!(batch.samples.iter().map(|sample| sample.timestamp).collect::<Vec<_>>(), [1_000, 2_000]);
        assert_ne!(batch.samples[0].cpu, batch.samples[1].cpu);
        let rows = batch.samples[0].disks.len() + batch.samples[0].networks.len() + 3;
        assert_eq!(rows as u64, shape.rows());
    }
}
