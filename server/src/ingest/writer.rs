//! Writes flushes, one after the other, and acknowledges them. A flush that fails is kept and tried again until the
//! database takes it: the store makes repeating harmless.

use std::sync::Arc;
use std::time::Duration;

use pika_shared::chain;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::batcher::Flush;
use super::latest::Latest;
use super::live::Live;
use crate::config;
use crate::store::{Error, SampleWriter};
use crate::telemetry::Instruments;

/// The first wait after a failure; each further one is twice as long.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// The longest wait.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Writes flushes.
#[derive(Debug)]
pub(super) struct Writer {
    samples: SampleWriter,
    flushes: mpsc::Receiver<Flush>,
    latest: Latest,
    live: Live,
    instruments: Arc<Instruments>,
    /// A flush that takes longer has been lost on the way; it is tried again over a new connection.
    write_timeout: Duration,
    aborting: CancellationToken,
    /// Cancelled when nothing will be written any more.
    written: CancellationToken,
}

impl Writer {
    pub(super) fn new(
        config: &config::Ingest,
        samples: SampleWriter,
        flushes: mpsc::Receiver<Flush>,
        latest: Latest,
        live: Live,
        instruments: Arc<Instruments>,
        aborting: CancellationToken,
    ) -> Self {
        let write_timeout = Duration::from_millis(config.write_timeout_ms);
        let written = CancellationToken::new();
        Self { samples, flushes, latest, live, instruments, write_timeout, aborting, written }
    }

    /// Tells when nothing will be written any more.
    pub(super) fn written(&self) -> CancellationToken {
        self.written.clone()
    }

    /// Runs until the batcher has ended and everything is written, or until it is aborted.
    pub(super) async fn run(mut self) {
        let _written = self.written.clone().drop_guard();
        while let Some(flush) = self.flushes.recv().await {
            let aborting = self.aborting.clone();
            let written = tokio::select! {
                biased;
                () = aborting.cancelled() => None,
                () = self.write(flush) => Some(()),
            };
            if written.is_none() {
                return;
            }
        }
    }

    async fn write(&mut self, mut flush: Flush) {
        flush.rows.sort();
        let mut backoff = BACKOFF_MIN;
        let mut failures = 0_u64;
        let started_at = Instant::now();
        loop {
            let attempt = tokio::time::timeout(self.write_timeout, self.samples.write(&flush.rows)).await;
            match attempt.unwrap_or(Err(Error::Unavailable(None))) {
                Ok(written) => {
                    let seconds = started_at.elapsed().as_secs_f64();
                    self.instruments.add_flush(written.rows, written.duplicates, seconds);
                    self.latest.note(&flush.rows);
                    self.live.tell_latest(&self.latest);
                    if 0 < failures {
                        tracing::info!(failures, rows = written.rows, "the database takes samples again");
                    }
                    for ack in flush.acks {
                        self.instruments.end_frame(ack.received_at.elapsed().as_secs_f64());
                        ack.committed();
                    }
                    return;
                }
                Err(error) => {
                    self.instruments.add_flush_error();
                    failures += 1;
                    if failures.is_power_of_two() {
                        tracing::error!(
                            error = %chain(&error),
                            failures,
                            rows = flush.rows.len(),
                            "samples could not be stored; they are kept and tried again"
                        );
                    }
                }
            }
            tokio::time::sleep(backoff).await;
            backoff = BACKOFF_MAX.min(2 * backoff);
        }
    }
}
