//! Gathers the rows of all agents into flushes by number of rows or by age, late rows apart from live ones.

use std::future::pending;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::domain::row::Rows;
use crate::store::Speaker;

/// Late rows wait this many times longer than live ones: they are not urgent, and each of their transactions makes the
/// rollups recompute an old span.
const LATE_WAIT_FACTOR: u32 = 5;

/// The rows of one frame on their way to the database.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) rows: Rows,
    /// Whether some rows are so old that the live rows should not wait for them.
    pub(super) late: bool,
    pub(super) ack: PendingAck,
}

/// An acknowledgement to send once the rows are committed.
#[derive(Debug)]
pub(super) struct PendingAck {
    /// When the frame arrived.
    pub(super) received_at: Instant,
    /// The frame's sequence number, if any.
    pub(super) seq: Option<u64>,
    /// The connection that sent the frame. It is acknowledged only while that connection speaks for its agent.
    pub(super) speaker: Speaker,
    /// The rows' share of `ingest.pending_rows_max`, released with the acknowledgement.
    pub(super) room: OwnedSemaphorePermit,
    /// The frame's socket. It has capacity for every frame the socket may have in flight, so it is never full.
    pub(super) socket: mpsc::Sender<Option<u64>>,
}

impl PendingAck {
    /// Acknowledges the committed rows. If the socket is gone, its agent sends the frame again.
    pub(super) fn committed(self) {
        drop(self.room);
        if self.socket.try_send(self.seq).is_err() {
            tracing::trace!("the socket is gone; its agent will send the frame again");
        }
    }
}

/// Rows to store in one transaction, and the acknowledgements to send afterwards.
#[derive(Debug, Default)]
pub(super) struct Flush {
    pub(super) rows: Rows,
    pub(super) acks: Vec<PendingAck>,
}

/// Gathers submissions into flushes.
#[derive(Debug)]
pub(super) struct Batcher {
    submissions: mpsc::Receiver<Submission>,
    flushes: mpsc::Sender<Flush>,
    draining: CancellationToken,
    live: Gathering,
    late: Gathering,
}

#[derive(Debug)]
struct Gathering {
    flush: Flush,
    /// When the first of its rows has waited long enough.
    due_at: Option<Instant>,
    wait_max: Duration,
    rows_max: usize,
}

impl Gathering {
    fn new(wait_max: Duration, rows_max: usize) -> Self {
        Self { flush: Flush::default(), due_at: None, wait_max, rows_max }
    }

    fn add(&mut self, mut submission: Submission) {
        self.flush.rows.append(&mut submission.rows);
        self.flush.acks.push(submission.ack);
        self.due_at.get_or_insert_with(|| Instant::now() + self.wait_max);
    }

    fn is_full(&self) -> bool {
        self.rows_max <= self.flush.rows.len()
    }

    fn is_due(&self) -> bool {
        self.is_full() || self.due_at.is_some_and(|due_at| due_at <= Instant::now())
    }

    /// Takes the gathered rows in table order. Sorted here while the writer is busy with the previous flush.
    fn take(&mut self) -> Flush {
        self.due_at = None;
        let mut flush = std::mem::take(&mut self.flush);
        flush.rows.sort();
        flush
    }
}

impl Batcher {
    pub(super) fn new(
        config: &config::IngestConfig,
        submissions: mpsc::Receiver<Submission>,
        flushes: mpsc::Sender<Flush>,
        draining: CancellationToken,
    ) -> Self {
        let wait_max = Duration::from_millis(config.flush_interval_ms);
        Self {
            submissions,
            flushes,
            draining,
            live: Gathering::new(wait_max, config.flush_rows_max),
            late: Gathering::new(LATE_WAIT_FACTOR * wait_max, config.flush_rows_max),
        }
    }

    /// Runs until told to drain, then hands over what is left and ends, which also ends the writer.
    pub(super) async fn run(self) {
        let Self { mut submissions, flushes, draining, mut live, mut late } = self;
        loop {
            let due_at = live.due_at.into_iter().chain(late.due_at).min();
            let is_due = live.is_due() || late.is_due();
            let has_room = !live.is_full() && !late.is_full();
            tokio::select! {
                biased;
                permit = flushes.reserve(), if is_due => match permit {
                    Ok(permit) => permit.send(first_due(&mut live, &mut late).take()),
                    Err(_) => return,
                },
                submission = submissions.recv(), if has_room => match submission {
                    Some(submission) if submission.late => late.add(submission),
                    Some(submission) => live.add(submission),
                    None => break,
                },
                () = sleep_until_some(due_at), if !is_due => {}
                () = draining.cancelled(), if has_room => {
                    // `recv` still returns what is already queued, then ends.
                    submissions.close();
                }
            }
        }
        for flush in [live.take(), late.take()] {
            if !flush.acks.is_empty() && flushes.send(flush).await.is_err() {
                return;
            }
        }
    }
}

/// Returns the side that is most overdue, or due soonest. Live rows have the shorter wait because somebody may be
/// watching them; late rows still get their turn.
fn first_due<'a>(live: &'a mut Gathering, late: &'a mut Gathering) -> &'a mut Gathering {
    match (live.is_due(), late.is_due()) {
        (true, true) if late.due_at < live.due_at => late,
        (false, true) => late,
        _ => live,
    }
}

/// Sleeps until the deadline; never completes without one.
pub(super) async fn sleep_until_some(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;
    use crate::domain::id::{AgentKey, ConnectionId};
    use crate::domain::row::{LoadNumbers, Stored};

    fn submission(ts: i64, late: bool, socket: &mpsc::Sender<Option<u64>>) -> Submission {
        let row =
            Stored::new(ts, 1, LoadNumbers { load1: 0.0, load5: 0.0, load15: 0.0, ..LoadNumbers::default() });
        let rows = Rows { load: vec![row], ..Rows::default() };
        let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let speaker = Speaker { agent: AgentKey(1), connection_id: ConnectionId::random() };
        let received_at = Instant::now();
        Submission {
            rows,
            late,
            ack: PendingAck { received_at, seq: None, speaker, room, socket: socket.clone() },
        }
    }

    #[tokio::test]
    async fn live_and_late_rows_end_up_in_different_flushes() {
        let (queue, submissions) = mpsc::channel(8);
        let (flush_sender, mut flushes) = mpsc::channel(8);
        let (socket, _acked) = mpsc::channel(8);
        let draining = CancellationToken::new();
        let wait_max = Duration::from_secs(3_600);
        let batcher = Batcher {
            submissions,
            flushes: flush_sender,
            draining: draining.clone(),
            live: Gathering::new(wait_max, 100),
            late: Gathering::new(wait_max, 100),
        };
        for (ts, late) in [(10, false), (1, true), (11, false), (2, true)] {
            queue.send(submission(ts, late, &socket)).await.unwrap();
        }
        draining.cancel();
        batcher.run().await;
        let mut times = Vec::new();
        while let Some(flush) = flushes.recv().await {
            times.push(flush.rows.load.iter().map(|row| row.ts).collect::<Vec<_>>());
        }
        assert_eq!(times, [[10, 11], [1, 2]], "live ones first");
    }

    #[tokio::test]
    async fn late_rows_are_written_although_live_ones_keep_coming() {
        let (queue, submissions) = mpsc::channel(1);
        let (flush_sender, mut flushes) = mpsc::channel(1);
        let (socket, _acked) = mpsc::channel(8);
        let draining = CancellationToken::new();
        let batcher = Batcher {
            submissions,
            flushes: flush_sender,
            draining: draining.clone(),
            live: Gathering::new(Duration::from_millis(1), 1),
            late: Gathering::new(Duration::from_millis(1), 1_000),
        };
        let running = tokio::spawn(batcher.run());
        queue.send(submission(1, true, &socket)).await.unwrap();
        // There is a full flush of live rows whenever the writer takes one.
        let producing =
            tokio::spawn(async move { while queue.send(submission(10, false, &socket)).await.is_ok() {} });
        let mut n_live = 0;
        while flushes.recv().await.unwrap().rows.load[0].ts != 1 {
            n_live += 1;
            assert!(n_live < 1_000, "the late row is still not written");
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        producing.abort();
        running.abort();
    }
}
