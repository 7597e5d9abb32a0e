//! A frame of samples that are already JSON; it serializes like an [`AgentFrame`](pika_protocol::AgentFrame).

use serde::Serialize;

use crate::outbox::{Batch, EncodedSample};

/// A `batch` frame.
#[derive(Serialize)]
pub(super) struct BatchFrame<'a> {
    #[serde(rename = "type")]
    message_type: &'static str,
    data: Data<'a>,
    timestamp: i64,
    seq: u64,
}

#[derive(Serialize)]
struct Data<'a> {
    samples: &'a [EncodedSample],
}

impl<'a> BatchFrame<'a> {
    /// `now_ms` is the agent's clock.
    pub(super) fn new(batch: &'a Batch, now_ms: i64) -> BatchFrame<'a> {
        let data = Data { samples: &batch.samples };
        BatchFrame { message_type: "batch", data, timestamp: now_ms, seq: batch.seq }
    }
}

#[cfg(test)]
mod tests {
    use pika_protocol::{AgentFrame, AgentMessage, CpuMetrics, Sample};

    use super::*;

    #[test]
    fn it_is_the_frame_of_the_protocol() {
        let cpu = Some(CpuMetrics { usage_percent: 12.5, ..CpuMetrics::default() });
        let samples = vec![
            Sample { timestamp: 1, clock_offset_ms: Some(0), cpu, ..Sample::default() },
            Sample { timestamp: 2, ..Sample::default() },
        ];
        let encoded = samples.iter().map(|sample| EncodedSample::new(sample).unwrap()).collect();
        let batch = Batch { seq: 7, samples: encoded };
        let frame = BatchFrame::new(&batch, 3);
        let expected = AgentFrame {
            message: AgentMessage::Batch(pika_protocol::Batch { samples }),
            timestamp: Some(3),
            seq: Some(7),
        };
        assert_eq!(serde_json::to_string(&frame).unwrap(), serde_json::to_string(&expected).unwrap());
    }
}
