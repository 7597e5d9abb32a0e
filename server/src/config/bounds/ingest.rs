//! The bounds of the section `ingest`.

use pika_protocol::limits;

use super::{Check, DECADE_MS, HOUR_MS};
use crate::config::Config;
use crate::domain::tier::DAY_MS;

impl Config {
    pub(super) fn ingest_checks(&self) -> Vec<Check> {
        [self.flow_checks(), self.agent_checks()].concat()
    }

    /// Queues, flushes and frames.
    fn flow_checks(&self) -> Vec<Check> {
        vec![
            ("ingest.flush_rows_max", (1..=1_000_000).contains(&self.ingest.flush_rows_max), "1–1000000"),
            ("ingest.flush_interval_ms", (1..=60_000).contains(&self.ingest.flush_interval_ms), "1–60000"),
            ("ingest.writers", (1..=16).contains(&self.ingest.writers), "1–16"),
            (
                "ingest.write_timeout_ms",
                (100..=HOUR_MS).contains(&self.ingest.write_timeout_ms),
                "100–3600000",
            ),
            (
                "ingest.late_limit_ms",
                // Rollups are refreshed at most a day back.
                (60_000..=DAY_MS).contains(&self.ingest.late_limit_ms),
                "60000–86400000",
            ),
            (
                "ingest.late_after_ms",
                (1_000..=DECADE_MS).contains(&self.ingest.late_after_ms),
                "1000–315576000000",
            ),
            ("ingest.queue_frames_max", (1..=1_000_000).contains(&self.ingest.queue_frames_max), "1–1000000"),
            (
                "ingest.pending_rows_max",
                (1..=100_000_000).contains(&self.ingest.pending_rows_max),
                "1–100000000",
            ),
            (
                "ingest.unacknowledged_frames_max",
                (1..=10_000).contains(&self.ingest.unacknowledged_frames_max),
                "1–10000",
            ),
            // Less than the protocol allows would make agents resend forever what is never accepted.
            (
                "ingest.frame_bytes_max",
                (limits::FRAME_BYTES_MAX..=16 << 20).contains(&self.ingest.frame_bytes_max),
                "524288–16777216",
            ),
            (
                "ingest.samples_per_frame_max",
                (limits::SAMPLES_PER_FRAME_MAX..=10_000).contains(&self.ingest.samples_per_frame_max),
                "200–10000",
            ),
        ]
    }

    /// Limits per agent.
    fn agent_checks(&self) -> Vec<Check> {
        vec![
            (
                "ingest.samples_per_second_max",
                (1..=1_000_000).contains(&self.ingest.samples_per_second_max),
                "1–1000000",
            ),
            (
                "ingest.rows_per_second_max",
                (1..=100_000_000).contains(&self.ingest.rows_per_second_max),
                "1–100000000",
            ),
            (
                "ingest.bytes_per_second_max",
                (1_024..=1 << 30).contains(&self.ingest.bytes_per_second_max),
                "1024–1073741824",
            ),
            ("ingest.rows_per_day_max", 1 <= self.ingest.rows_per_day_max, "1–4294967295"),
            (
                "ingest.sample_spacing_ms_min",
                // More than in the protocol would refuse valid samples.
                (0..=limits::SAMPLE_SPACING_MS_MIN).contains(&self.ingest.sample_spacing_ms_min),
                "0–500",
            ),
            (
                "ingest.outbound_bytes_max",
                (16 << 10..=16 << 20).contains(&self.ingest.outbound_bytes_max),
                "16384–16777216",
            ),
            ("ingest.registrations_max", (1..=1_000).contains(&self.ingest.registrations_max), "1–1000"),
            (
                "ingest.registration_wait_ms",
                (1..=HOUR_MS).contains(&self.ingest.registration_wait_ms),
                "1–3600000",
            ),
            (
                "ingest.idle_timeout_ms",
                (1_000..=HOUR_MS).contains(&self.ingest.idle_timeout_ms),
                "1000–3600000",
            ),
            (
                "ingest.register_timeout_ms",
                (1..=HOUR_MS).contains(&self.ingest.register_timeout_ms),
                "1–3600000",
            ),
            (
                "ingest.register_bytes_max",
                (4_096..=limits::FRAME_BYTES_MAX).contains(&self.ingest.register_bytes_max),
                "4096–524288",
            ),
            ("ingest.reconnect_grace_ms", self.ingest.reconnect_grace_ms <= HOUR_MS, "0–3600000"),
        ]
    }
}
