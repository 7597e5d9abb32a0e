//! What the server counts and measures about itself, for `GET /metrics`.

mod alert_metrics;
mod auth_metrics;
mod builder;
mod database_metrics;
mod http_metrics;
mod ingest_metrics;
mod notify_metrics;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pika_protocol::ErrorCode;
use prometheus::process_collector::ProcessCollector;
use prometheus::{Encoder, Error, IntGauge, Opts, Registry, TextEncoder};

pub use self::alert_metrics::AlertCounts;
use self::alert_metrics::AlertMetrics;
use self::auth_metrics::AuthMetrics;
use self::builder::Builder;
use self::database_metrics::DatabaseMetrics;
use self::http_metrics::HttpMetrics;
use self::ingest_metrics::IngestMetrics;
pub use self::notify_metrics::NotifyMetrics;
use super::Occurrences;
use super::reasons::{ChartRefusal, ConnectionEnd, ConnectionRefusal, MemoryRefusal, RegistrationOutcome};

/// Causes of refusals that are counted apart for the log: addresses, or /64s, times kinds.
const STRANGERS_MAX: usize = 1_024;
/// The same for agents, times what is logged of them.
const AGENTS_MAX: usize = 65_536;

/// What others know better, as of now.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Agents that are registered on this server.
    pub agents_connected: usize,
    /// Frames that wait for the batcher.
    pub queue_frames: usize,
    /// Rows of all agents that are taken in and not committed yet.
    pub pending_rows: usize,
    /// Connections of the pool to the database: all, and those not in use.
    pub pool_connections: (u32, u32),
    /// Errors of the database since the start, by kind.
    pub database_errors: Vec<(&'static str, u64)>,
}

/// Counts and measurements since the start of the process.
#[derive(Debug)]
pub struct Instruments {
    registry: Registry,
    /// Only one scrape at a time brings the copies of [`Snapshot`] up to date.
    scrape: Mutex<()>,
    strangers: Occurrences,
    agents: Occurrences,
    ingest: IngestMetrics,
    http: HttpMetrics,
    database: DatabaseMetrics,
    auth: AuthMetrics,
    alerts: AlertMetrics,
    notify: NotifyMetrics,
}

impl Instruments {
    /// Everything at zero.
    ///
    /// # Errors
    /// When two metrics have the same name: a mistake in this file.
    pub fn new() -> Result<Self, Error> {
        let build = Builder(Registry::new());
        build.0.register(Box::new(ProcessCollector::for_self()))?;
        let info = Opts::new("pika_build_info", "Always 1; the label is the server's version.")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        build.add(IntGauge::with_opts(info))?.set(1);
        Ok(Self {
            ingest: IngestMetrics::new(&build)?,
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

    /// Everything in Prometheus text format.
    ///
    /// # Errors
    /// When a metric cannot be written: a mistake in this file.
    pub fn render(&self, snapshot: &Snapshot) -> Result<Vec<u8>, Error> {
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
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    /// What is counted and measured of messages to the outside.
    pub fn notify(&self) -> &NotifyMetrics {
        &self.notify
    }

    /// What anybody can cause, by kind and address: which of it is to be logged.
    pub fn strangers(&self) -> &Occurrences {
        &self.strangers
    }

    /// What registered agents cause again and again, by kind and agent: which of it is to be logged.
    pub fn agents(&self) -> &Occurrences {
        &self.agents
    }

    /// Counts a refusal.
    pub fn add_refused(&self, code: ErrorCode) {
        self.ingest.refused.with_label_values(&[code.as_str()]).inc();
    }

    /// How often this was the reason of a refusal.
    pub fn refused(&self, code: ErrorCode) -> u64 {
        self.ingest.refused.with_label_values(&[code.as_str()]).get()
    }

    /// Counts a frame of a registered agent.
    pub fn add_frame(&self) {
        self.ingest.frames_received.inc();
    }

    /// Counts frames that never came.
    pub fn add_missing_frames(&self, count: u64) {
        self.ingest.frames_missing.inc_by(count);
    }

    /// Counts a frame whose number came before.
    pub fn add_repeated_frame(&self) {
        self.ingest.frames_repeated.inc();
    }

    /// Counts samples that an agent had to drop.
    pub fn add_dropped_samples(&self, count: u64) {
        self.ingest.samples_dropped.inc_by(count);
    }

    /// Counts an agent that wanted to register.
    pub fn add_registration(&self, registration: RegistrationOutcome) {
        self.ingest.registrations.with_label_values(&[registration.as_str()]).inc();
    }

    /// The rows of a frame are on their way.
    pub fn begin_frame(&self, rows: usize) {
        self.ingest.rows_received.inc_by(rows as u64);
        self.ingest.frames_unacknowledged.inc();
    }

    /// They are committed, so many seconds after the frame came; `None` where the agent is not told, because the connection
    /// does not speak for it any more.
    pub fn end_frame(&self, seconds: Option<f64>) {
        self.ingest.frames_unacknowledged.dec();
        if let Some(seconds) = seconds {
            self.ingest.ack_seconds.observe(seconds);
        }
    }

    /// Counts a committed flush, and how long it took with all its tries.
    pub fn add_flush(&self, rows: u64, duplicates: u64, seconds: f64) {
        self.ingest.rows_stored.inc_by(rows);
        self.ingest.rows_duplicate.inc_by(duplicates);
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        self.ingest.flush_rows.observe((rows + duplicates) as f64);
        self.ingest.flush_seconds.observe(seconds);
    }

    /// Counts a flush that failed and will be tried again.
    pub fn add_flush_error(&self) {
        self.ingest.flush_errors.inc();
    }

    /// Counts connections that keep taking over from each other with one identity.
    pub fn add_identity_conflict(&self) {
        self.ingest.identity_conflicts.inc();
    }

    /// How often two machines were seen to use one identity.
    pub fn identity_conflicts(&self) -> u64 {
        self.ingest.identity_conflicts.get()
    }

    /// Rows committed.
    pub fn rows_stored(&self) -> u64 {
        self.ingest.rows_stored.get()
    }

    /// Rows that were there already.
    pub fn rows_duplicate(&self) -> u64 {
        self.ingest.rows_duplicate.get()
    }

    /// Flushes that had to be tried again.
    pub fn flush_errors(&self) -> u64 {
        self.ingest.flush_errors.get()
    }

    /// A connection was taken.
    pub fn begin_connection(&self) {
        self.http.connections.inc();
    }

    /// It has ended.
    pub fn end_connection(&self) {
        self.http.connections.dec();
    }

    /// Counts a connection that was not taken.
    pub fn add_refused_connection(&self, refusal: ConnectionRefusal) {
        self.http.connections_refused.with_label_values(&[refusal.as_str()]).inc();
    }

    /// Open connections.
    pub fn connections(&self) -> i64 {
        self.http.connections.get()
    }

    /// Counts a connection that the server has ended.
    pub fn add_ended_connection(&self, end: ConnectionEnd) {
        self.http.connections_ended.with_label_values(&[end.as_str()]).inc();
    }

    /// How many connections the server has ended for this reason.
    pub fn ended_connections(&self, end: ConnectionEnd) -> u64 {
        self.http.connections_ended.with_label_values(&[end.as_str()]).get()
    }

    /// So many bytes are buffered of what clients send.
    pub fn set_buffered_bytes(&self, bytes: usize) {
        self.http.buffered_bytes.set(as_i64(bytes));
    }

    /// Bytes that are buffered of what clients send.
    pub fn buffered_bytes(&self) -> i64 {
        self.http.buffered_bytes.get()
    }

    /// Counts what was refused because too much is buffered.
    pub fn add_memory_refusal(&self, refusal: MemoryRefusal) {
        self.http.memory_refusals.with_label_values(&[refusal.as_str()]).inc();
    }

    /// How much was refused because this limit is reached.
    pub fn memory_refusals(&self, refusal: MemoryRefusal) -> u64 {
        self.http.memory_refusals.with_label_values(&[refusal.as_str()]).get()
    }

    /// Counts an answered request. The method must be one of a bounded set.
    pub fn add_request(&self, method: &str, status: u16, seconds: f64) {
        self.http.http_requests.with_label_values(&[method, &status.to_string()]).inc();
        self.http.http_seconds.observe(seconds);
    }

    /// Counts a chart that was refused.
    pub fn add_refused_chart(&self, refusal: ChartRefusal) {
        self.http.charts_refused.with_label_values(&[refusal.as_str()]).inc();
    }

    /// A round of maintenance has succeeded at this second since the Unix epoch.
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

    /// Counts a round of maintenance that failed.
    pub fn add_maintenance_failure(&self) {
        self.database.maintenance_failures.inc();
    }

    /// Counts a login, or another check of a password, code or token, that failed.
    pub fn add_login_failed(&self) {
        self.auth.logins_failed.inc();
    }

    /// Counts an attempt that was not even looked at, because too many had failed.
    pub fn add_login_limited(&self) {
        self.auth.logins_limited.inc();
    }

    /// Counts a password that was compared with a hash, be it that of nobody.
    pub fn add_password_checked(&self) {
        self.auth.passwords_checked.inc();
    }

    /// Logins, and other checks of passwords, codes or tokens, that failed.
    pub fn logins_failed(&self) -> u64 {
        self.auth.logins_failed.get()
    }

    /// Attempts that were not even looked at, because too many had failed.
    pub fn logins_limited(&self) -> u64 {
        self.auth.logins_limited.get()
    }

    /// Passwords that were compared with a hash, be it that of nobody.
    pub fn passwords_checked(&self) -> u64 {
        self.auth.passwords_checked.get()
    }
}

/// Alerting.
impl Instruments {
    /// Counts an evaluation of alert rules at this time, which was made here, or by another server.
    pub fn add_evaluation(&self, is_here: bool, duration: Duration, now: i64) {
        let result = if is_here { "done" } else { "elsewhere" };
        self.alerts.evaluations.with_label_values(&[result]).inc();
        self.alerts.is_evaluator.set(i64::from(is_here));
        if is_here {
            self.alerts.evaluation_seconds.observe(duration.as_secs_f64());
            self.alerts.evaluated_at_seconds.set(now / 1_000);
        }
    }

    /// Counts an evaluation that failed; the next tick tries again.
    pub fn add_evaluation_failure(&self) {
        self.alerts.evaluations.with_label_values(&["failed"]).inc();
    }

    /// Counts a window that could not be read in time.
    pub fn add_rule_failure(&self) {
        self.alerts.rule_failures.inc();
    }

    /// Counts time in which nobody evaluated alert rules, in milliseconds.
    pub fn add_blind_time(&self, ms: i64) {
        self.alerts.blind_seconds.inc_by(ms.max(0).unsigned_abs() / 1_000);
    }

    /// So many alerts there are.
    pub fn set_alert_counts(&self, counts: &AlertCounts) {
        self.alerts.set_counts(counts);
    }
}

fn as_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
