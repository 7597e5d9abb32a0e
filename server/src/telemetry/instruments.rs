//! What the server counts and measures about itself, for `GET /metrics`.

use std::sync::{Mutex, PoisonError};

use pika_protocol::ErrorCode;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder, Error, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use super::Occurrences;
use super::reasons::{ConnectionEnd, ConnectionRefusal, MemoryRefusal, RegistrationOutcome};

/// Bounds of the buckets of durations, in seconds.
const DURATION_BUCKETS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];
/// Bounds of the buckets of rows in a flush.
const ROWS_BUCKETS: [f64; 9] = [1.0, 10.0, 100.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 20_000.0];

/// Causes of refusals that are counted apart for the log: addresses, or /64s, times kinds.
const STRANGERS_MAX: usize = 1_024;
/// The same for agents, times what is logged of them.
const AGENTS_MAX: usize = 65_536;

/// Which limit a chart was refused by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChartRefusal {
    /// `server.charts_per_user_max` is reached.
    User,
    /// The half of `database.pool_size` that charts may use is in use.
    Pool,
}

impl ChartRefusal {
    /// All of them.
    const ALL: [ChartRefusal; 2] = [ChartRefusal::User, ChartRefusal::Pool];

    /// The limit's name.
    pub fn as_str(self) -> &'static str {
        match self {
            ChartRefusal::User => "charts_per_user_max",
            ChartRefusal::Pool => "pool_size",
        }
    }
}

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
    refused: IntCounterVec,
    frames_received: IntCounter,
    frames_missing: IntCounter,
    frames_repeated: IntCounter,
    samples_dropped: IntCounter,
    registrations: IntCounterVec,
    identity_conflicts: IntCounter,
    rows_received: IntCounter,
    rows_stored: IntCounter,
    rows_duplicate: IntCounter,
    flush_errors: IntCounter,
    flush_rows: Histogram,
    flush_seconds: Histogram,
    ack_seconds: Histogram,
    frames_unacknowledged: IntGauge,
    queue_frames: IntGauge,
    pending_rows: IntGauge,
    agents_connected: IntGauge,
    connections: IntGauge,
    connections_refused: IntCounterVec,
    connections_ended: IntCounterVec,
    buffered_bytes: IntGauge,
    memory_refusals: IntCounterVec,
    http_requests: IntCounterVec,
    http_seconds: Histogram,
    charts_refused: IntCounterVec,
    pool_connections: IntGaugeVec,
    database_errors: IntCounterVec,
    maintenance_failures: IntCounter,
    maintained_at_seconds: IntGauge,
    jobs_unhealthy: IntGauge,
    chunks_dropped: IntCounter,
    chunks_held_back: IntGauge,
    logins_failed: IntCounter,
    logins_limited: IntCounter,
    passwords_checked: IntCounter,
}

/// Registers what is made.
struct Builder(Registry);

impl Builder {
    fn add<C: Collector + Clone + 'static>(&self, collector: Result<C, Error>) -> Result<C, Error> {
        let collector = collector?;
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, Error> {
        self.add(IntCounter::new(name, help))
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, Error> {
        self.add(IntGauge::new(name, help))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, Error> {
        self.add(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
    }
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
        let instruments = Self {
            refused: build.counters(
                "pika_ingest_refusals_total",
                "What agents sent and had refused, by the error code that they were told.",
                &["code"],
            )?,
            frames_received: build.counter("pika_ingest_frames_received_total", "Frames of registered agents.")?,
            frames_missing: build.counter(
                "pika_ingest_frames_missing_total",
                "Frames whose numbers were left out on a connection: something lost them on the way.",
            )?,
            frames_repeated: build.counter(
                "pika_ingest_frames_repeated_total",
                "Frames whose numbers did not grow on a connection: two agents share one, or an agent is wrong.",
            )?,
            samples_dropped: build.counter(
                "pika_ingest_samples_dropped_total",
                "Samples that agents report to have dropped before they could be delivered.",
            )?,
            registrations: build.counters(
                "pika_ingest_registrations_total",
                "Agents that wanted to register: accepted, refused, or deferred to a later try.",
                &["result"],
            )?,
            identity_conflicts: build.counter(
                "pika_ingest_identity_conflicts_total",
                "How often two machines with one identity were noticed; the agent shows their addresses.",
            )?,
            rows_received: build.counter("pika_ingest_rows_received_total", "Rows made of what agents sent.")?,
            rows_stored: build.counter("pika_ingest_rows_stored_total", "Rows committed.")?,
            rows_duplicate: build.counter(
                "pika_ingest_rows_duplicate_total",
                "Rows that were stored already when they came again, and were left as they are.",
            )?,
            flush_errors: build.counter(
                "pika_ingest_flush_errors_total",
                "Flushes that failed; each is tried again until it succeeds.",
            )?,
            flush_rows: build.histogram("pika_ingest_flush_rows", "Rows of a flush.", &ROWS_BUCKETS)?,
            flush_seconds: build.histogram(
                "pika_ingest_flush_duration_seconds",
                "Time from the start of a flush to its commit, failed tries included.",
                &DURATION_BUCKETS,
            )?,
            ack_seconds: build.histogram(
                "pika_ingest_ack_latency_seconds",
                "Time from the arrival of a frame to the commit of its rows.",
                &DURATION_BUCKETS,
            )?,
            frames_unacknowledged: build.gauge(
                "pika_ingest_unacknowledged_frames",
                "Frames on their way from the queue to their commit.",
            )?,
            queue_frames: build.gauge("pika_ingest_queue_frames", "Frames that wait for the batcher.")?,
            pending_rows: build.gauge(
                "pika_ingest_pending_rows",
                "Rows of all agents that are taken in and not committed yet.",
            )?,
            agents_connected: build.gauge("pika_agents_connected", "Agents registered on this server.")?,
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
            pool_connections: build.add(IntGaugeVec::new(
                Opts::new("pika_database_pool_connections", "Connections of the pool to the database."),
                &["state"],
            ))?,
            database_errors: build.counters(
                "pika_database_errors_total",
                "Errors of the database and of connections to it.",
                &["kind"],
            )?,
            maintenance_failures: build.counter(
                "pika_maintenance_failures_total",
                "Rounds of maintenance that failed; the next round tries again.",
            )?,
            maintained_at_seconds: build.gauge(
                "pika_maintenance_last_success_timestamp_seconds",
                "When maintenance last succeeded, in seconds since the Unix epoch; 0: not yet.",
            )?,
            jobs_unhealthy: build.gauge(
                "pika_database_jobs_unhealthy",
                "Jobs of the database that fail, do not run or leave their work undone; the log names them.",
            )?,
            chunks_dropped: build.counter(
                "pika_maintenance_chunks_dropped_total",
                "Expired chunks that this server has dropped.",
            )?,
            chunks_held_back: build.gauge(
                "pika_maintenance_chunks_held_back",
                "Chunks that have expired and are kept, because what is made of them is not complete; the log names them.",
            )?,
            logins_failed: build.counter(
                "pika_auth_failures_total",
                "Logins, and other checks of passwords, codes or tokens, that failed.",
            )?,
            logins_limited: build.counter(
                "pika_auth_limited_total",
                "Attempts that were not even looked at, because too many had failed.",
            )?,
            passwords_checked: build.counter(
                "pika_auth_passwords_checked_total",
                "Passwords that were compared with a hash, be it that of nobody.",
            )?,
            registry: build.0,
            scrape: Mutex::default(),
            strangers: Occurrences::new(STRANGERS_MAX),
            agents: Occurrences::new(AGENTS_MAX),
        };
        instruments.make_all_visible();
        Ok(instruments)
    }

    /// Every series is there from the start with 0: an alert on the rate of a series that is not there never fires.
    fn make_all_visible(&self) {
        for code in ErrorCode::ALL {
            self.refused.with_label_values(&[code.as_str()]);
        }
        for registration in RegistrationOutcome::ALL {
            self.registrations.with_label_values(&[registration.as_str()]);
        }
        for refusal in ConnectionRefusal::ALL {
            self.connections_refused.with_label_values(&[refusal.as_str()]);
        }
        for end in ConnectionEnd::ALL {
            self.connections_ended.with_label_values(&[end.as_str()]);
        }
        for refusal in MemoryRefusal::ALL {
            self.memory_refusals.with_label_values(&[refusal.as_str()]);
        }
        for refusal in ChartRefusal::ALL {
            self.charts_refused.with_label_values(&[refusal.as_str()]);
        }
    }

    /// Everything in Prometheus text format.
    ///
    /// # Errors
    /// When a metric cannot be written: a mistake in this file.
    pub fn render(&self, snapshot: &Snapshot) -> Result<Vec<u8>, Error> {
        let _scrape = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.agents_connected.set(as_i64(snapshot.agents_connected));
        self.queue_frames.set(as_i64(snapshot.queue_frames));
        self.pending_rows.set(as_i64(snapshot.pending_rows));
        let (all, idle) = snapshot.pool_connections;
        self.pool_connections.with_label_values(&["idle"]).set(i64::from(idle));
        self.pool_connections.with_label_values(&["used"]).set(i64::from(all.saturating_sub(idle)));
        for (kind, count) in &snapshot.database_errors {
            let counter = self.database_errors.with_label_values(&[kind]);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
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
        self.refused.with_label_values(&[code.as_str()]).inc();
    }

    /// How often this was the reason of a refusal.
    pub fn refused(&self, code: ErrorCode) -> u64 {
        self.refused.with_label_values(&[code.as_str()]).get()
    }

    /// Counts a frame of a registered agent.
    pub fn add_frame(&self) {
        self.frames_received.inc();
    }

    /// Counts frames that never came.
    pub fn add_missing_frames(&self, count: u64) {
        self.frames_missing.inc_by(count);
    }

    /// Counts a frame whose number came before.
    pub fn add_repeated_frame(&self) {
        self.frames_repeated.inc();
    }

    /// Counts samples that an agent had to drop.
    pub fn add_dropped_samples(&self, count: u64) {
        self.samples_dropped.inc_by(count);
    }

    /// Counts an agent that wanted to register.
    pub fn add_registration(&self, registration: RegistrationOutcome) {
        self.registrations.with_label_values(&[registration.as_str()]).inc();
    }

    /// The rows of a frame are on their way.
    pub fn begin_frame(&self, rows: usize) {
        self.rows_received.inc_by(rows as u64);
        self.frames_unacknowledged.inc();
    }

    /// They are committed, so many seconds after the frame came; `None` where the agent is not told, because the connection
    /// does not speak for it any more.
    pub fn end_frame(&self, seconds: Option<f64>) {
        self.frames_unacknowledged.dec();
        if let Some(seconds) = seconds {
            self.ack_seconds.observe(seconds);
        }
    }

    /// Counts a committed flush, and how long it took with all its tries.
    pub fn add_flush(&self, rows: u64, duplicates: u64, seconds: f64) {
        self.rows_stored.inc_by(rows);
        self.rows_duplicate.inc_by(duplicates);
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        self.flush_rows.observe((rows + duplicates) as f64);
        self.flush_seconds.observe(seconds);
    }

    /// Counts a flush that failed and will be tried again.
    pub fn add_flush_error(&self) {
        self.flush_errors.inc();
    }

    /// Counts connections that keep taking over from each other with one identity.
    pub fn add_identity_conflict(&self) {
        self.identity_conflicts.inc();
    }

    /// How often two machines were seen to use one identity.
    pub fn identity_conflicts(&self) -> u64 {
        self.identity_conflicts.get()
    }

    /// Rows committed.
    pub fn rows_stored(&self) -> u64 {
        self.rows_stored.get()
    }

    /// Rows that were there already.
    pub fn rows_duplicate(&self) -> u64 {
        self.rows_duplicate.get()
    }

    /// Flushes that had to be tried again.
    pub fn flush_errors(&self) -> u64 {
        self.flush_errors.get()
    }

    /// A connection was taken.
    pub fn begin_connection(&self) {
        self.connections.inc();
    }

    /// It has ended.
    pub fn end_connection(&self) {
        self.connections.dec();
    }

    /// Counts a connection that was not taken.
    pub fn add_refused_connection(&self, refusal: ConnectionRefusal) {
        self.connections_refused.with_label_values(&[refusal.as_str()]).inc();
    }

    /// Open connections.
    pub fn connections(&self) -> i64 {
        self.connections.get()
    }

    /// Counts a connection that the server has ended.
    pub fn add_ended_connection(&self, end: ConnectionEnd) {
        self.connections_ended.with_label_values(&[end.as_str()]).inc();
    }

    /// How many connections the server has ended for this reason.
    pub fn ended_connections(&self, end: ConnectionEnd) -> u64 {
        self.connections_ended.with_label_values(&[end.as_str()]).get()
    }

    /// So many bytes are buffered of what clients send.
    pub fn set_buffered_bytes(&self, bytes: usize) {
        self.buffered_bytes.set(as_i64(bytes));
    }

    /// Bytes that are buffered of what clients send.
    pub fn buffered_bytes(&self) -> i64 {
        self.buffered_bytes.get()
    }

    /// Counts what was refused because too much is buffered.
    pub fn add_memory_refusal(&self, refusal: MemoryRefusal) {
        self.memory_refusals.with_label_values(&[refusal.as_str()]).inc();
    }

    /// How much was refused because this limit is reached.
    pub fn memory_refusals(&self, refusal: MemoryRefusal) -> u64 {
        self.memory_refusals.with_label_values(&[refusal.as_str()]).get()
    }

    /// Counts an answered request. The method must be one of a bounded set.
    pub fn add_request(&self, method: &str, status: u16, seconds: f64) {
        self.http_requests.with_label_values(&[method, &status.to_string()]).inc();
        self.http_seconds.observe(seconds);
    }

    /// Counts a chart that was refused.
    pub fn add_refused_chart(&self, refusal: ChartRefusal) {
        self.charts_refused.with_label_values(&[refusal.as_str()]).inc();
    }

    /// A round of maintenance has succeeded at this second since the Unix epoch.
    pub fn add_maintenance(
        &self,
        at_seconds: i64,
        jobs_unhealthy: usize,
        chunks_dropped: u64,
        chunks_held_back: u64,
    ) {
        self.maintained_at_seconds.set(at_seconds);
        self.jobs_unhealthy.set(as_i64(jobs_unhealthy));
        self.chunks_dropped.inc_by(chunks_dropped);
        self.chunks_held_back.set(i64::try_from(chunks_held_back).unwrap_or(i64::MAX));
    }

    /// Counts a round of maintenance that failed.
    pub fn add_maintenance_failure(&self) {
        self.maintenance_failures.inc();
    }

    /// Counts a login, or another check of a password, code or token, that failed.
    pub fn add_login_failed(&self) {
        self.logins_failed.inc();
    }

    /// Counts an attempt that was not even looked at, because too many had failed.
    pub fn add_login_limited(&self) {
        self.logins_limited.inc();
    }

    /// Counts a password that was compared with a hash, be it that of nobody.
    pub fn add_password_checked(&self) {
        self.passwords_checked.inc();
    }

    /// Logins, and other checks of passwords, codes or tokens, that failed.
    pub fn logins_failed(&self) -> u64 {
        self.logins_failed.get()
    }

    /// Attempts that were not even looked at, because too many had failed.
    pub fn logins_limited(&self) -> u64 {
        self.logins_limited.get()
    }

    /// Passwords that were compared with a hash, be it that of nobody.
    pub fn passwords_checked(&self) -> u64 {
        self.passwords_checked.get()
    }
}

fn as_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
