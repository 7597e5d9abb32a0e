//! What is counted and measured of connections and requests.

use prometheus::{Error, Histogram, IntCounterVec, IntGauge};

use super::builder::{Builder, DURATION_BUCKETS};
use crate::telemetry::reasons::{ChartRefusal, ConnectionEnd, ConnectionRefusal, MemoryRefusal};

/// What is counted and measured of connections and requests.
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
                "Connections that were not taken, by the limit that they met.",
                &["reason"],
            )?,
            connections_ended: build.counters(
                "pika_http_connections_ended_total",
                "Connections that the server has ended before their clients did, by the reason.",
                &["reason"],
            )?,
            buffered_bytes: build.gauge(
                "pika_http_buffered_bytes",
                "Bytes that are buffered of what clients send, beyond what every connection takes.",
            )?,
            memory_refusals: build.counters(
                "pika_http_memory_refusals_total",
                "Requests and connections that were refused because too much is buffered, by the limit that they met.",
                &["reason"],
            )?,
            http_requests: build.counters(
                "pika_http_requests_total",
                "Answered requests; an agent's connection counts once.",
                &["method", "status"],
            )?,
            http_seconds: build.histogram(
                "pika_http_request_duration_seconds",
                "Time from the head of a request to that of its answer.",
                &DURATION_BUCKETS,
            )?,
            charts_refused: build.counters(
                "pika_charts_refused_total",
                "Charts that were answered with 429, by the limit that was reached.",
                &["limit"],
            )?,
        };
        // Every series is there from the start with 0: an alert on the rate of a series that is not there never fires.
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
