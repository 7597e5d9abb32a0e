//! Metrics of connections and requests.

use prometheus::{Error, Histogram, IntCounterVec, IntGauge};

use super::builder::{Builder, DURATION_BUCKETS};
use crate::telemetry::reasons::{ChartRefusal, ConnectionEnd, ConnectionRefusal, MemoryRefusal};

/// Metrics of connections and requests.
#[derive(Debug)]
pub(super) struct HttpMetrics {
    pub(super) connections: IntGauge,
    pub(super) connections_refused: IntCounterVec,
    pub(super) connections_ended: IntCounterVec,
    pub(super) buffered_bytes: IntGauge,
    pub(super) memory_refusals: IntCounterVec,
    pub(super) http_requests: IntCounterVec,
    pub(super) http_seconds: Histogram,
    pub(super) charts_refused: IntCounterVec,
}

impl HttpMetrics {
    pub(super) fn new(build: &Builder) -> Result<Self, Error> {
        let metrics = Self {
            connections: build.gauge("pika_http_connections", "Open connections, agents included.")?,
            connections_refused: build.counters(
                "pika_http_connections_refused_total",
                "Refused connections, by the limit reached.",
                &["reason"],
            )?,
            connections_ended: build.counters(
                "pika_http_connections_ended_total",
                "Connections ended by the server, by reason.",
                &["reason"],
            )?,
            buffered_bytes: build.gauge(
                "pika_http_buffered_bytes",
                "Bytes buffered from clients, beyond the fixed buffers of connections.",
            )?,
            memory_refusals: build.counters(
                "pika_http_memory_refusals_total",
                "Requests and connections refused because too much is buffered, by the limit reached.",
                &["reason"],
            )?,
            http_requests: build.counters(
                "pika_http_requests_total",
                "Answered requests; an agent's connection counts once.",
                &["method", "status"],
            )?,
            http_seconds: build.histogram(
                "pika_http_request_duration_seconds",
                "Time from the head of a request to the head of its response.",
                &DURATION_BUCKETS,
            )?,
            charts_refused: build.counters(
                "pika_charts_refused_total",
                "Charts answered with 429, by the limit reached.",
                &["limit"],
            )?,
        };
        // Every series exists from the start with 0: an alert on the rate of a missing series never fires.
        for refusal in ConnectionRefusal::ALL {
            metrics.connections_refused.with_label_values(&[refusal.as_str()]);
        }
        for end in ConnectionEnd::ALL {
            metrics.connections_ended.with_label_values(&[end.as_str()]);
        }
        for refusal in MemoryRefusal::ALL {
            metrics.memory_refusals.with_label_values(&[refusal.as_str()]);
        }
        for refusal in ChartRefusal::ALL {
            metrics.charts_refused.with_label_values(&[refusal.as_str()]);
        }
        Ok(metrics)
    }
}
