//! Writes flushes, as many at a time as there are connections for them, and acknowledges them. A flush that fails is
//! kept and retried until the database accepts it; storing rows is idempotent.
//!
//! Flushes may be committed in another order than they arrived. That does not matter: frames are acknowledged
//! individually, rows are identified by series and time, and the newest value of a series is the one with the latest
//! time.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use pika_shared::chain;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::batcher::Flush;
use super::latest::Latest;
use super::live::Live;
use super::presence::Presence;
use crate::config;
use crate::domain::row::Rows;
use crate::store::{Backoff, Error, Lapse, SampleWriter, Speaker, Store, Written};
use crate::telemetry::Instruments;

/// Who is told about a committed flush, besides the agents themselves.
#[derive(Debug)]
pub(super) struct Audience {
    pub(super) latest: Latest,
    pub(super) live: Live,
    pub(super) presence: Arc<Presence>,
    pub(super) instruments: Arc<Instruments>,
}

/// Takes flushes and hands each to an idle writer.
#[derive(Debug)]
pub(super) struct Writers {
    idle: Vec<Writer>,
    flushes: mpsc::Receiver<Flush>,
    aborting: CancellationToken,
    /// Cancelled when nothing more will be written.
    written: CancellationToken,
}

/// Writes one flush at a time.
#[derive(Debug)]
struct Writer {
    samples: SampleWriter,
    audience: Arc<Audience>,
    /// A flush that takes longer was lost on the way and is retried over a new connection.
    write_timeout: Duration,
}

impl Writers {
    pub(super) fn new(
        config: &config::IngestConfig,
        store: &Store,
        flushes: mpsc::Receiver<Flush>,
        audience: Audience,
        aborting: CancellationToken,
    ) -> Self {
        let audience = Arc::new(audience);
        let writer = || Writer {
            samples: SampleWriter::new(store.clone(), config.write_method),
            audience: Arc::clone(&audience),
            write_timeout: Duration::from_millis(config.write_timeout_ms),
        };
        let idle = std::iter::repeat_with(writer).take(config.writers).collect();
        Self { idle, flushes, aborting, written: CancellationToken::new() }
    }

    /// Returns a token that is cancelled when nothing more will be written.
    pub(super) fn written(&self) -> CancellationToken {
        self.written.clone()
    }

    /// Runs until the batcher has ended and everything is written, or until aborted.
    pub(super) async fn run(self) {
        let Self { mut idle, mut flushes, aborting, written } = self;
        let _written = written.drop_guard();
        let mut busy = JoinSet::new();
        let mut is_open = true;
        while is_open || !busy.is_empty() {
            tokio::select! {
                biased;
                () = aborting.cancelled() => return,
                Some(writer) = busy.join_next() => match writer {
                    // The most recently used writer goes first: its connection is open.
                    Ok(writer) => idle.push(writer),
                    Err(error) => {
                        tracing::error!(error = %chain(&error), "writing ended unexpectedly");
                        return;
                    }
                },
                flush = flushes.recv(), if is_open && !idle.is_empty() => match (flush, idle.pop()) {
                    (Some(flush), Some(writer)) => {
                        busy.spawn(writer.write(flush));
                    }
                    _ => is_open = false,
                },
            }
        }
    }
}

impl Writer {
    /// Writes a flush, retrying as often as needed. Returns the writer for the next flush.
    async fn write(mut self, flush: Flush) -> Self {
        let speakers: HashSet<Speaker> = flush.acks.iter().map(|ack| ack.speaker).collect();
        let started_at = Instant::now();
        let mut backoff = Backoff::default();
        loop {
            let attempt = timeout(self.write_timeout, self.try_to_write(&flush.rows, &speakers)).await;
            match attempt.unwrap_or(Err(Error::Unavailable(None))) {
                Ok((written, lapsed)) => {
                    let seconds = started_at.elapsed().as_secs_f64();
                    self.audience.instruments.add_flush(written.rows, written.duplicates, seconds);
                    if 0 < backoff.failures() {
                        let failures = backoff.failures();
                        tracing::info!(failures, rows = written.rows, "the database accepts samples again");
                    }
                    self.audience.acknowledge(flush, &lapsed);
                    return self;
                }
                Err(error) => {
                    self.audience.instruments.add_flush_error();
                    let failures = backoff.fail();
                    if failures.is_power_of_two() {
                        tracing::error!(
                            error = %chain(&error),
                            failures,
                            rows = flush.rows.len(),
                            "samples could not be stored; they are kept and retried"
                        );
                    }
                }
            }
            backoff.wait().await;
        }
    }

    /// Stores the rows. Also returns the connections whose frames may no longer be acknowledged.
    async fn try_to_write(
        &mut self,
        rows: &Rows,
        speakers: &HashSet<Speaker>,
    ) -> Result<(Written, HashMap<Speaker, Lapse>), Error> {
        let written = self.samples.write(rows).await?;
        let lapsed = self.samples.find_lapsed(speakers).await?;
        Ok((written, lapsed.into_iter().collect()))
    }
}

impl Audience {
    /// Acknowledges the frames of a committed flush, except those of connections that no longer speak for their agents;
    /// these are ended.
    fn acknowledge(&self, flush: Flush, lapsed: &HashMap<Speaker, Lapse>) {
        self.latest.note(&flush.rows);
        self.live.announce_latest(&self.latest);
        for (speaker, lapse) in lapsed {
            self.presence.end_lapsed(*speaker, *lapse);
        }
        for ack in flush.acks {
            let latency = (!lapsed.contains_key(&ack.speaker)).then(|| ack.received_at.elapsed());
            self.instruments.end_frame(latency.map(|latency| latency.as_secs_f64()));
            if latency.is_some() {
                ack.committed();
            }
        }
    }
}
