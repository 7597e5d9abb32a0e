//! The server's own metrics, for `GET /metrics`.

mod alert_metrics;
mod auth_metrics;
mod builder;
mod database_metrics;
mod http_metrics;
mod ingest_figures;
mod ingest_metrics;
mod notify_metrics;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pika_protocol::ErrorCode;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{Encoder, Error, IntGauge, Opts, Registry, TextEncoder};

pub use self::alert_metrics::AlertCounts;
use self::alert_metrics::AlertMetrics;
use self::auth_metrics::AuthMetrics;
use self::builder::Builder;
use self::database_metrics::DatabaseMetrics;
use self::http_metrics::HttpMetrics;
use self::ingest_figures::Remembered;
pub use self::ingest_figures::{FIGURES_INTERVAL, IngestCounts, RecentIngest};
use self::ingest_metrics::IngestMetrics;
pub use self::notify_metrics::NotifyMetrics;
use super::reasons::{ChartRefusal, ConnectionEnd, ConnectionRefusal, MemoryRefusal, RegistrationOutcome};
use super::{Occurrences, Reading};

/// Maximum number of causes of refusals counted separately for the log: addresses, or /64s, times kinds.
const STRANGERS_MAX: usize = 1_024;
/// The same for agents, times kinds of log lines.
const AGENTS_MAX: usize = 65_536;

/// Current values that are kept elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Agents that are registered on this server.
    pub agents_connected: usize,
    /// Frames waiting for the batcher.
    pub queue_frames: usize,
    /// Rows of all agents received and not committed yet.
    pub pending_rows: usize,
    /// Connections of the database pool: all, and idle ones.
    pub pool_connections: (u32, u32),
    /// Database errors since the start, by kind.
    pub database_errors: Vec<(&'static str, u64)>,
}

/// Counters and measurements since the start of the process.
#[derive(Debug)]
pub struct Instruments {
    registry: Registry,
    /// Held by the scrape that updates the copies of [`Snapshot`].
    scrape: Mutex<()>,
    strangers: Occurrences,
    agents: Occurrences,
    ingest: IngestMetrics,
    remembered: Remembered,
    http: HttpMetrics,
    database: DatabaseMetrics,
    auth: AuthMetrics,
    alerts: AlertMetrics,
    notify: NotifyMetrics,
}

impl Instruments {
    /// Creates all metrics with zero.
    ///
    /// # Errors
    /// If two metrics have the same name, which is a bug.
    pub fn new() -> Result<Self, Error> {
        let build = Builder(Registry::new());
        build.0.register(Box::new(ProcessCollector::for_self()))?;
        let info = Opts::new("pika_build_info", "Always 1; the label is the server's version.")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        build.add(IntGauge::with_opts(info))?.set(1);
        Ok(Self {
            ingest: IngestMetrics::new(&build)?,
            remembered: Remembered::default(),
            http: HttpMetrics::new(&build)?,
            database: DatabaseMetrics::new(&build)?,
            auth: AuthMetrics::new(&build)?,
            alerts: AlertMetrics::new(&build)?,
            notify: NotifyMetrics::new(&build)?,
            registry: build.0,
            scrape: Mutex::default(),
            strangers: Occurrences::new(STRANGERS_MAX),
            agents: Occurrences::new(AGENTS_MAX),
        })
    }

    /// Returns all metrics in Prometheus text format.
    ///
    /// # Errors
    /// If a metric cannot be encoded, which is a bug.
    pub fn render(&self, snapshot: &Snapshot) -> Result<Vec<u8>, Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.gather(snapshot), &mut text)?;
        Ok(text)
    }

    /// Returns all metrics as they are now, to be compared with an earlier reading.
    pub fn reading(&self, snapshot: &Snapshot) -> Reading {
        Reading::new(self.gather(snapshot))
    }

    fn gather(&self, snapshot: &Snapshot) -> Vec<MetricFamily> {
        let _scrape = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.ingest.agents_connected.set(as_i64(snapshot.agents_connected));
        self.ingest.queue_frames.set(as_i64(snapshot.queue_frames));
        self.ingest.pending_rows.set(as_i64(snapshot.pending_rows));
        let (all, idle) = snapshot.pool_connections;
        self.database.pool_connections.with_label_values(&["idle"]).set(i64::from(idle));
        self.database.pool_connections.with_label_values(&["used"]).set(i64::from(all.saturating_sub(idle)));
        for (kind, count) in &snapshot.database_errors {
            let counter = self.database.database_errors.with_label_values(&[kind]);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
        self.registry.gather()
    }

    /// Returns the metrics of notifications.
    pub fn notify(&self) -> &NotifyMetrics {
        &self.notify
    }

    /// Returns the counts of events that anybody can cause, by kind and address, which decide what is logged.
    pub fn strangers(&self) -> &Occurrences {
        &self.strangers
    }

    /// Returns the counts of events that registered agents cause, by kind and agent, which decide what is logged.
    pub fn agents(&self) -> &Occurrences {
        &self.agents
    }

    /// Returns the counts of ingest.
    pub fn ingest_counts(&self) -> IngestCounts {
        IngestCounts::of(&self.ingest)
    }

    /// Remembers the counts of ingest; to be called every [`FIGURES_INTERVAL`].
    pub fn remember_ingest(&self) {
        self.remembered.add(Instant::now(), self.ingest_counts());
    }

    /// Returns how these counts have changed within the last minute.
    pub fn recent_ingest(&self, counts: &IngestCounts) -> RecentIngest {
        self.remembered.recent(Instant::now(), counts)
    }

    /// Counts a refusal.
    pub fn add_refused(&self, code: ErrorCode) {
        self.ingest.refused.with_label_values(&[code.as_str()]).inc();
    }

    /// Returns the number of refusals with this code.
    pub fn refused(&self, code: ErrorCode) -> u64 {
        self.ingest.refused.with_label_values(&[code.as_str()]).get()
    }

    /// Counts a frame of a registered agent.
    pub fn add_frame(&self) {
        self.ingest.frames_received.inc();
    }

    /// Counts frames that never arrived.
    pub fn add_missing_frames(&self, count: u64) {
        self.ingest.frames_missing.inc_by(count);
    }

    /// Counts a frame with a repeated number.
    pub fn add_repeated_frame(&self) {
        self.ingest.frames_repeated.inc();
    }

    /// Counts samples that an agent had to drop.
    pub fn add_dropped_samples(&self, count: u64) {
        self.ingest.samples_dropped.inc_by(count);
    }

    /// Counts an attempt to register.
    pub fn add_registration(&self, registration: RegistrationOutcome) {
        self.ingest.registrations.with_label_values(&[registration.as_str()]).inc();
    }

    /// Records that a frame with this many rows is in flight. Late ones are stored apart from the others.
    pub fn begin_frame(&self, rows: usize, late: bool) {
        self.ingest.rows_received.inc_by(rows as u64);
        self.ingest.rows_late.inc_by(if late { rows as u64 } else { 0 });
        self.ingest.frames_unacknowledged.inc();
    }

    /// Records that a frame is committed, this many seconds after it arrived; `None` if it is not acknowledged, because
    /// the connection is no longer the agent's current one.
    pub fn end_frame(&self, seconds: Option<f64>) {
        self.ingest.frames_unacknowledged.dec();
        if let Some(seconds) = seconds {
            self.ingest.ack_seconds.observe(seconds);
        }
    }

    /// Counts a committed flush, and its duration including retries.
    pub fn add_flush(&self, rows: u64, duplicates: u64, seconds: f64) {
        self.ingest.rows_stored.inc_by(rows);
        self.ingest.rows_duplicate.inc_by(duplicates);
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        self.ingest.flush_rows.observe((rows + duplicates) as f64);
        self.ingest.flush_seconds.observe(seconds);
    }

    /// Counts a failed flush, which will be retried.
    pub fn add_flush_error(&self) {
        self.ingest.flush_errors.inc();
    }

    /// Counts an identity conflict: connections that keep replacing each other.
    pub fn add_identity_conflict(&self) {
        self.ingest.identity_conflicts.inc();
    }

    /// Returns the number of identity conflicts.
    pub fn identity_conflicts(&self) -> u64 {
        self.ingest.identity_conflicts.get()
    }

    /// Returns the number of committed rows.
    pub fn rows_stored(&self) -> u64 {
        self.ingest.rows_stored.get()
    }

    /// Returns the number of rows that existed already.
    pub fn rows_duplicate(&self) -> u64 {
        self.ingest.rows_duplicate.get()
    }

    /// Returns the number of failed flushes.
    pub fn flush_errors(&self) -> u64 {
        self.ingest.flush_errors.get()
    }

    /// Records that a connection was accepted.
    pub fn begin_connection(&self) {
        self.http.connections.inc();
    }

    /// Records that a connection has ended.
    pub fn end_connection(&self) {
        self.http.connections.dec();
    }

    /// Counts a refused connection.
    pub fn add_refused_connection(&self, refusal: ConnectionRefusal) {
        self.http.connections_refused.with_label_values(&[refusal.as_str()]).inc();
    }

    /// Returns the number of open connections.
    pub fn connections(&self) -> i64 {
        self.http.connections.get()
    }

    /// Counts a connection ended by the server.
    pub fn add_ended_connection(&self, end: ConnectionEnd) {
        self.http.connections_ended.with_label_values(&[end.as_str()]).inc();
    }

    /// Returns the number of connections ended by the server for this reason.
    pub fn ended_connections(&self, end: ConnectionEnd) -> u64 {
        self.http.connections_ended.with_label_values(&[end.as_str()]).get()
    }

    /// Sets the number of bytes buffered from clients.
    pub fn set_buffered_bytes(&self, bytes: usize) {
        self.http.buffered_bytes.set(as_i64(bytes));
    }

    /// Returns the number of bytes buffered from clients.
    pub fn buffered_bytes(&self) -> i64 {
        self.http.buffered_bytes.get()
    }

    /// Counts a refusal because too much is buffered.
    pub fn add_memory_refusal(&self, refusal: MemoryRefusal) {
        self.http.memory_refusals.with_label_values(&[refusal.as_str()]).inc();
    }

    /// Returns the number of refusals because of this limit.
    pub fn memory_refusals(&self, refusal: MemoryRefusal) -> u64 {
        self.http.memory_refusals.with_label_values(&[refusal.as_str()]).get()
    }

    /// Counts a request that was answered. The method must be one of a bounded set.
    pub fn add_request(&self, method: &str, status: u16, seconds: f64) {
        self.http.http_requests.with_label_values(&[method, &status.to_string()]).inc();
        self.http.http_seconds.observe(seconds);
    }

    /// Counts a refused chart.
    pub fn add_refused_chart(&self, refusal: ChartRefusal) {
        self.http.charts_refused.with_label_values(&[refusal.as_str()]).inc();
    }

    /// Records a successful round of maintenance at this second since the Unix epoch.
    pub fn add_maintenance(
        &self,
        at_seconds: i64,
        jobs_unhealthy: usize,
        chunks_dropped: u64,
        chunks_held_back: u64,
    ) {
        self.database.maintained_at_seconds.set(at_seconds);
        self.database.jobs_unhealthy.set(as_i64(jobs_unhealthy));
        self.database.chunks_dropped.inc_by(chunks_dropped);
        self.database.chunks_held_back.set(i64::try_from(chunks_held_back).unwrap_or(i64::MAX));
    }

    /// Counts a failed round of maintenance.
    pub fn add_maintenance_failure(&self) {
        self.database.maintenance_failures.inc();
    }

    /// Counts a failed login, or another failed check of a password, code or token.
    pub fn add_login_failed(&self) {
        self.auth.logins_failed.inc();
    }

    /// Counts an attempt that was rejected unchecked, because too many had failed.
    pub fn add_login_limited(&self) {
        self.auth.logins_limited.inc();
    }

    /// Counts a password compared with a hash, including the dummy hash for unknown users.
    pub fn add_password_checked(&self) {
        self.auth.passwords_checked.inc();
    }

    /// Returns the number of failed logins and other checks of passwords, codes or tokens.
    pub fn logins_failed(&self) -> u64 {
        self.auth.logins_failed.get()
    }

    /// Returns the number of attempts that were rejected unchecked, because too many had failed.
    pub fn logins_limited(&self) -> u64 {
        self.auth.logins_limited.get()
    }

    /// Returns the number of passwords compared with a hash, including the dummy hash for unknown users.
    pub fn passwords_checked(&self) -> u64 {
        self.auth.passwords_checked.get()
    }
}

/// Alerting.
impl Instruments {
    /// Counts an evaluation of alert rules at this time, by this server or another one.
    pub fn add_evaluation(&self, is_here: bool, duration: Duration, now: i64) {
        let result = if is_here { "done" } else { "elsewhere" };
        self.alerts.evaluations.with_label_values(&[result]).inc();
        self.alerts.is_evaluator.set(i64::from(is_here));
        if is_here {
            self.alerts.evaluation_seconds.observe(duration.as_secs_f64());
            self.alerts.evaluated_at_seconds.set(now / 1_000);
        }
    }

    /// Counts a failed evaluation, which the next tick retries.
    pub fn add_evaluation_failure(&self) {
        self.alerts.evaluations.with_label_values(&["failed"]).inc();
    }

    /// Counts a window that could not be read in time.
    pub fn add_rule_failure(&self) {
        self.alerts.rule_failures.inc();
    }

    /// Counts time in which no server evaluated alert rules, in milliseconds.
    pub fn add_blind_time(&self, ms: i64) {
        self.alerts.blind_seconds.inc_by(ms.max(0).unsigned_abs() / 1_000);
    }

    /// Sets the numbers of alerts.
    pub fn set_alert_counts(&self, counts: &AlertCounts) {
        self.alerts.set_counts(counts);
    }
}

fn as_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
