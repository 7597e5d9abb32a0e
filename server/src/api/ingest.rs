//! What this server receives and stores, in figures.

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use super::rounding::rounded;
use super::security::UserAuth;
use super::{ApiContext, ApiError, Tag};
use crate::domain::permission::Permission;
use crate::telemetry::{IngestCounts, RecentIngest};

/// What this server receives and stores.
#[derive(Debug)]
pub struct IngestApi;

/// What this server receives and stores. Counts are since its start.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct IngestFigures {
    /// Number of agents connected to this server.
    agents_connected: u64,
    /// Number of event streams that clients follow on this server.
    watchers: u64,
    /// Number of frames waiting to be gathered into a flush.
    queue_frames: u64,
    /// Number of rows received and not committed yet.
    pending_rows: u64,
    /// Number of frames between the queue and their commit.
    frames_unacknowledged: i64,
    /// The last minute.
    recent: RecentIngestBody,
    /// Frames received from registered agents.
    frames_received: u64,
    /// Frames that never arrived, by gaps in their numbers.
    frames_missing: u64,
    /// Frames whose number was repeated.
    frames_repeated: u64,
    /// Rows made from received samples.
    rows_received: u64,
    /// Received rows that were late: they are stored apart from the others.
    rows_late: u64,
    /// Rows committed.
    rows_stored: u64,
    /// Repeated rows that were stored already.
    rows_duplicate: u64,
    /// Samples that agents report as dropped before delivery.
    samples_dropped: u64,
    /// Failed flushes; each is retried until it succeeds.
    flush_errors: u64,
    /// Detected conflicts of two machines with one identity.
    identity_conflicts: u64,
    /// Refusals of what agents sent, most frequent first; without those that never happened.
    refusals: Vec<RefusalCount>,
    /// When the server was started, in milliseconds since the Unix epoch.
    started_at: i64,
    /// The server's clock, in milliseconds since the Unix epoch.
    server_time: i64,
}

/// Ingest within the last minute, or since the server's start if that is less.
#[derive(Debug, Object)]
#[oai(rename = "RecentIngest", rename_all = "camelCase")]
struct RecentIngestBody {
    /// The time that the figures cover, in milliseconds.
    span_ms: u64,
    /// Rows committed per second.
    rows_per_second: f64,
    /// Frames received per second.
    frames_per_second: f64,
    /// Number of flushes.
    flushes: u64,
    /// Median duration of a flush, in milliseconds, to within a bucket of the server's histogram; absent without one.
    flush_p50_ms: Option<f64>,
    /// 99th percentile of the durations of flushes, in milliseconds.
    flush_p99_ms: Option<f64>,
    /// Median time from the arrival of a frame to the commit of its rows, in milliseconds; absent without one.
    ack_p50_ms: Option<f64>,
    /// 99th percentile of these times, in milliseconds.
    ack_p99_ms: Option<f64>,
}

/// How often something was refused.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct RefusalCount {
    /// The error code that the agent was told, for example `out_of_range`.
    code: String,
    /// The number of refusals.
    count: u64,
}

impl From<RecentIngest> for RecentIngestBody {
    fn from(recent: RecentIngest) -> Self {
        let ms = |seconds: f64| rounded(1_000.0 * seconds);
        Self {
            span_ms: u64::try_from(recent.span.as_millis()).unwrap_or(u64::MAX),
            rows_per_second: rounded(recent.rows_per_second),
            frames_per_second: rounded(recent.frames_per_second),
            flushes: recent.flushes,
            flush_p50_ms: recent.flush_seconds.map(|(median, _)| ms(median)),
            flush_p99_ms: recent.flush_seconds.map(|(_, p99)| ms(p99)),
            ack_p50_ms: recent.ack_seconds.map(|(median, _)| ms(median)),
            ack_p99_ms: recent.ack_seconds.map(|(_, p99)| ms(p99)),
        }
    }
}

#[OpenApi(tag = "Tag::System")]
impl IngestApi {
    /// Get what the server receives and stores
    ///
    /// Rates and durations of the last minute, and counts since the start: of this server only. The same and more is in
    /// `GET /metrics`, for Prometheus.
    #[oai(path = "/api/system/ingest", method = "get", operation_id = "getIngest")]
    #[expect(clippy::unused_async, reason = "the macro awaits it")]
    async fn ingest(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
    ) -> Result<Json<IngestFigures>, ApiError> {
        auth.require(Permission::Read)?;
        let counts = context.instruments.ingest_counts();
        let recent = context.instruments.recent_ingest(&counts);
        Ok(Json(figures(&context, counts, recent)))
    }
}

fn figures(context: &ApiContext, counts: IngestCounts, recent: RecentIngest) -> IngestFigures {
    let sockets = &context.sockets;
    let mut refusals: Vec<RefusalCount> = counts
        .refused
        .into_iter()
        .map(|(code, count)| RefusalCount { code: code.to_owned(), count })
        .collect();
    refusals.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.code.cmp(&other.code)));
    IngestFigures {
        agents_connected: sockets.agents_connected() as u64,
        watchers: sockets.watchers() as u64,
        queue_frames: sockets.queue_frames() as u64,
        pending_rows: sockets.pending_rows() as u64,
        frames_unacknowledged: counts.frames_unacknowledged,
        recent: recent.into(),
        frames_received: counts.frames_received,
        frames_missing: counts.frames_missing,
        frames_repeated: counts.frames_repeated,
        rows_received: counts.rows_received,
        rows_late: counts.rows_late,
        rows_stored: counts.rows_stored,
        rows_duplicate: counts.rows_duplicate,
        samples_dropped: counts.samples_dropped,
        flush_errors: counts.flush_errors,
        identity_conflicts: counts.identity_conflicts,
        refusals,
        started_at: context.started_at,
        server_time: context.clock.now(),
    }
}
