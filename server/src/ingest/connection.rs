//! A registered agent's connection: reads frames, hands their rows on, answers. One task, one loop.
//!
//! At most one frame is being worked on, and at most `unacknowledged_frames_max` are on their way to the database;
//! beyond that nothing is read, and the agent feels it as back-pressure of TCP.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use pika_protocol::message::{Ack, AgentConfig, Gap};
use pika_protocol::{ErrorCode, Sample, ServerMessage};
use poem::web::websocket::CloseCode;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Shared;
use super::batcher::{PendingAck, Submission, sleep_until_some};
use super::decode::{Decoded, Message};
use super::frames::{End, Flow, Frames, Received};
use super::gaps::record_gap;
use super::naming::{Named, name_series};
use super::pace::Pace;
use super::presence::{Ending, Present};
use super::sequence::{Sequence, Step};
use super::session::{Session, UnknownSeries};
use crate::domain::TimestampMs;
use crate::domain::gap::SampleGap;
use crate::domain::id::AgentId;
use crate::domain::sample::{Refused, TimeWindow};

/// A frame that comes after at least this much waiting has not lain unread in a buffer of this machine.
const AWAITED_MIN: Duration = Duration::from_millis(100);

type SeriesLookup = Pin<Box<dyn Future<Output = Named> + Send>>;

/// The one frame that is being worked on.
enum Intake {
    /// None: the next one may be read.
    Idle,
    /// Its disks or interfaces are being given keys.
    Naming { frame: SampleFrame, unknown: Arc<UnknownSeries>, lookup: SeriesLookup },
    /// It waits for room in the queue.
    Queueing(Submission),
    /// It told of a gap, which is being written down.
    RecordingGap { seq: Option<u64>, recorded: Pin<Box<dyn Future<Output = ()> + Send>> },
}

/// A connection was ended.
pub(super) struct Ended {
    pub(super) ending: Ending,
    /// The agent has answered the goodbye, so it was there.
    pub(super) was_alive: bool,
}

/// The samples of one frame.
struct SampleFrame {
    samples: Vec<Sample>,
    seq: Option<u64>,
    stamped_by_server: bool,
    received_at: Instant,
}

/// A registered agent's connection.
pub(super) struct Connection {
    shared: Arc<Shared>,
    frames: Frames,
    session: Session,
    present: Present,
    acks: mpsc::Sender<Option<u64>>,
    acked: mpsc::Receiver<Option<u64>>,
    n_unacknowledged: usize,
    intake: Intake,
    sequence: Sequence,
    pace: Pace,
    /// Too much has come: nothing is read until then.
    paused_until: Option<Instant>,
    /// Since when the next frame has been waited for; `None` while nothing is read.
    reading_since: Option<Instant>,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, frames: Frames, session: Session, present: Present) -> Self {
        let (acks, acked) = mpsc::channel(shared.config.unacknowledged_frames_max);
        let pace = Pace::new(shared.config.samples_per_second_max, Instant::now());
        Self {
            shared,
            frames,
            session,
            present,
            acks,
            acked,
            n_unacknowledged: 0,
            intake: Intake::Idle,
            sequence: Sequence::default(),
            pace,
            paused_until: None,
            reading_since: None,
        }
    }

    pub(super) fn agent_id(&self) -> AgentId {
        self.session.agent.id
    }

    pub(super) fn into_present(self) -> Present {
        self.present
    }

    /// Answers why it ended, where somebody else wanted it to.
    pub(super) async fn run(&mut self) -> Option<Ended> {
        let (end, ending) = match self.serve().await {
            Ok(None) => (End::Close(CloseCode::Away, "the server is stopping"), None),
            Ok(Some(ending)) => {
                let (code, message, reason) = farewell(&ending);
                let refused = Refused::new(code, message);
                let end = match self.frames.refuse(None, refused).await {
                    Ok(()) => End::Close(CloseCode::Policy, reason),
                    Err(end) => end,
                };
                (end, Some(ending))
            }
            Err(end) => (end, None),
        };
        self.frames.close(end).await;
        let ending = ending?;
        let was_alive = tokio::select! {
            was_alive = self.frames.is_goodbye_answered() => was_alive,
            () = self.shared.stopping.cancelled() => false,
        };
        Some(Ended { ending, was_alive })
    }

    /// Ends without error when the server stops and everything in flight is acknowledged, or when it has to.
    async fn serve(&mut self) -> Result<Option<Ending>, End> {
        let idle_timeout = Duration::from_millis(self.shared.config.idle_timeout_ms);
        let stopping = self.shared.stopping.clone();
        let ended = self.present.ended();
        tokio::pin!(ended);
        let queue = self.shared.queue.clone();
        let mut pings = tokio::time::interval(idle_timeout / 3);
        pings.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut heard_at = Instant::now();
        loop {
            let is_idle = matches!(self.intake, Intake::Idle);
            let is_stopping = stopping.is_cancelled();
            if is_stopping && is_idle && self.n_unacknowledged == 0 {
                return Ok(None);
            }
            self.paused_until = self.paused_until.filter(|until| Instant::now() < *until);
            let may_read = is_idle
                && self.paused_until.is_none()
                && !is_stopping
                && self.n_unacknowledged < self.shared.config.unacknowledged_frames_max;
            self.reading_since = may_read.then(|| self.reading_since.unwrap_or_else(Instant::now));
            tokio::select! {
                biased;
                ending = &mut ended => return Ok(Some(ending)),
                () = stopping.cancelled(), if !is_stopping => {}
                Some(seq) = self.acked.recv() => self.acknowledge(seq).await?,
                answer = database_answer(&mut self.intake) => match answer {
                    DatabaseAnswer::Named(named) => self.queue_named(named).await?,
                    DatabaseAnswer::GapRecorded { seq } => {
                        self.intake = Intake::Idle;
                        self.settle(seq).await?;
                    }
                },
                permit = queue.reserve(), if matches!(self.intake, Intake::Queueing(_)) => match permit {
                    Ok(permit) => if let Intake::Queueing(submission) = std::mem::replace(&mut self.intake, Intake::Idle) {
                        self.shared.instruments.begin_frame(submission.rows.len());
                        permit.send(submission);
                        self.n_unacknowledged += 1;
                    },
                    Err(_) => return Err(End::Close(CloseCode::Away, "the server is stopping")),
                },
                () = sleep_until_some(self.paused_until), if self.paused_until.is_some() => {}
                frame = self.frames.next(), if may_read => {
                    heard_at = Instant::now();
                    self.present.seen(self.shared.clock.now());
                    self.receive(frame).await?;
                }
                _ = pings.tick() => {
                    if !may_read {
                        // Silence counts only while somebody listens.
                        heard_at = Instant::now();
                        self.present.seen(self.shared.clock.now());
                    } else if idle_timeout <= heard_at.elapsed() {
                        return Err(End::Close(CloseCode::Policy, "silent for too long"));
                    }
                    self.frames.ping().await?;
                }
            }
        }
    }

    async fn acknowledge(&mut self, seq: Option<u64>) -> Flow {
        self.n_unacknowledged = self.n_unacknowledged.saturating_sub(1);
        self.settle(seq).await
    }

    async fn receive(&mut self, frame: Received) -> Flow {
        let was_awaited = self.reading_since.take().is_some_and(|since| AWAITED_MIN <= since.elapsed());
        let Some(text) = self.frames.text_of(frame).await? else {
            return Ok(());
        };
        let now = self.shared.clock.now();
        self.shared.instruments.add_frame();
        match self.frames.decode(&text, now) {
            Ok(decoded) => {
                self.check_sequence(decoded.seq);
                if let Some(sent_at) = decoded.timestamp {
                    self.check_clock(now, sent_at, was_awaited).await?;
                }
                self.take(decoded).await
            }
            Err(error) => {
                self.frames.refuse(error.seq, error.refused).await?;
                self.settle(error.seq).await
            }
        }
    }

    /// Counts what the agent has done again. Returns how often it has within the hour, if this time is to be logged.
    fn note(&self, what: &'static str) -> Option<u64> {
        self.shared.instruments.agents().note(what, &self.session.agent.id.to_string())
    }

    /// Counts and logs frames that went missing or came twice. Nothing is lost by it: what is not acknowledged comes
    /// again.
    fn check_sequence(&mut self, seq: Option<u64>) {
        let Some(seq) = seq else {
            return;
        };
        let missing = match self.sequence.observe(seq) {
            Step::Next => return,
            Step::Missing(missing) => {
                self.shared.instruments.add_missing_frames(missing);
                missing
            }
            Step::Repeated => {
                self.shared.instruments.add_repeated_frame();
                0
            }
        };
        if let Some(count) = self.note("sequence") {
            tracing::warn!(agent = %self.session.agent.id, seq, missing, count, "an agent's frames do not follow one another");
        }
    }

    /// Tells the agent when its clock has been set.
    async fn check_clock(&mut self, now: TimestampMs, sent_at: TimestampMs, was_awaited: bool) -> Flow {
        let Some(clock_offset_ms) = self.session.clock.observe(now, sent_at, was_awaited) else {
            return Ok(());
        };
        self.present.set_clock_offset_ms(clock_offset_ms);
        if let Some(count) = self.note("clock") {
            tracing::info!(agent = %self.session.agent.id, clock_offset_ms, count, "an agent's clock was set");
        }
        let config = AgentConfig { clock_offset_ms: Some(clock_offset_ms), ..AgentConfig::default() };
        self.frames.send(&ServerMessage::Config(config)).await
    }

    async fn take(&mut self, decoded: Decoded) -> Flow {
        let Decoded { seq, message, refused, .. } = decoded;
        self.frames.refuse_all(seq, refused).await?;
        match message {
            Message::Heartbeat => self.settle(seq).await,
            Message::Register(_) => {
                let refused = Refused::new(ErrorCode::AlreadyRegistered, "this connection is registered");
                self.frames.refuse(seq, refused).await
            }
            Message::Samples { samples, stamped_by_server } => {
                let received_at = Instant::now();
                let paused_until = self.pace.take(samples.len(), received_at);
                if paused_until.is_some() {
                    self.paused_until = paused_until;
                    self.frames.slow_down(self.shared.config.samples_per_second_max).await?;
                }
                self.take_samples(SampleFrame { samples, seq, stamped_by_server, received_at }).await
            }
            Message::Gap(gap) => self.take_gap(gap, seq).await,
        }
    }

    async fn take_gap(&mut self, gap: Gap, seq: Option<u64>) -> Flow {
        let now = self.shared.clock.now();
        match SampleGap::reported(gap, self.session.clock.ms(), now) {
            Ok(gap) => {
                let SampleGap { start, end, samples, reason, .. } = gap;
                let agent = &self.session.agent;
                if let Some(count) = self.note("gap") {
                    tracing::warn!(agent = %agent.id, start, end, samples, ?reason, count, "an agent had to drop samples");
                }
                self.shared.instruments.add_dropped_samples(samples.unsigned_abs());
                let recorded = record_gap(Arc::clone(&self.shared), agent.key, gap);
                self.intake = Intake::RecordingGap { seq, recorded: Box::pin(recorded) };
                Ok(())
            }
            Err(refused) => {
                self.frames.refuse(seq, refused).await?;
                self.settle(seq).await
            }
        }
    }

    async fn take_samples(&mut self, mut frame: SampleFrame) -> Flow {
        let mut refused = Vec::new();
        let now = self.shared.clock.now();
        let unknown = self.session.unknown_series(&mut frame.samples, now, &mut refused);
        self.frames.refuse_all(frame.seq, refused).await?;
        if unknown.is_empty() {
            return self.queue(frame).await;
        }
        let unknown = Arc::new(unknown);
        let lookup = name_series(Arc::clone(&self.shared), self.session.agent.key, Arc::clone(&unknown));
        self.intake = Intake::Naming { frame, unknown, lookup: Box::pin(lookup) };
        Ok(())
    }

    async fn queue_named(&mut self, named: Named) -> Flow {
        match std::mem::replace(&mut self.intake, Intake::Idle) {
            Intake::Naming { frame, unknown, .. } => {
                let mut refused = Vec::new();
                self.session.learn(&unknown, named, self.shared.clock.now(), &mut refused);
                self.frames.refuse_all(frame.seq, refused).await?;
                self.queue(frame).await
            }
            other => {
                self.intake = other;
                Ok(())
            }
        }
    }

    async fn queue(&mut self, frame: SampleFrame) -> Flow {
        let SampleFrame { samples, seq, stamped_by_server, received_at } = frame;
        let now = self.shared.clock.now();
        let window = TimeWindow {
            now,
            late_limit_ms: self.shared.config.late_limit_ms,
            clock_offset_ms: if stamped_by_server { 0 } else { self.session.clock.ms() },
        };
        let mut refused = Vec::new();
        let rows = self.session.rows(&samples, window, &mut refused);
        self.frames.refuse_all(seq, refused).await?;
        if rows.is_empty() {
            return self.settle(seq).await;
        }
        let late = rows.earliest().is_some_and(|earliest| earliest < now - self.shared.config.late_after_ms);
        let ack = PendingAck { received_at, seq, socket: self.acks.clone() };
        self.intake = Intake::Queueing(Submission { rows, late, ack });
        Ok(())
    }

    /// A frame is committed, or nothing of it is to be stored: the agent may forget it.
    async fn settle(&mut self, seq: Option<u64>) -> Flow {
        match seq {
            Some(seq) => self.frames.send(&ServerMessage::Ack(Ack { seq })).await,
            None => Ok(()),
        }
    }
}

/// How the agent is told why its connection ends: code and message, and the reason of the close frame.
fn farewell(ending: &Ending) -> (ErrorCode, &'static str, &'static str) {
    match ending {
        Ending::Superseded(_) => {
            (ErrorCode::Superseded, "another connection of this agent took over", "superseded")
        }
        Ending::Deleted => (ErrorCode::Unauthorized, "this agent was deleted", "deleted"),
        Ending::Revoked => (ErrorCode::Unauthorized, "this agent's secret was revoked", "revoked"),
    }
}

/// What the database says about the frame that is being worked on.
enum DatabaseAnswer {
    Named(Named),
    GapRecorded { seq: Option<u64> },
}

/// Waits for the database where the frame that is being worked on needs it; for good, where none does.
async fn database_answer(intake: &mut Intake) -> DatabaseAnswer {
    match intake {
        Intake::Naming { lookup, .. } => DatabaseAnswer::Named(lookup.await),
        Intake::RecordingGap { seq, recorded } => {
            recorded.await;
            DatabaseAnswer::GapRecorded { seq: *seq }
        }
        Intake::Idle | Intake::Queueing(_) => std::future::pending().await,
    }
}
