//! A registered agent's connection: reads frames, passes their rows on, answers. One task, one loop.
//!
//! At most one frame is being processed, and at most `unacknowledged_frames_max` are on their way to the database;
//! beyond that nothing is read, which the agent sees as TCP back-pressure.

use std::sync::Arc;
use std::time::Duration;

use pika_protocol::message::{Ack, AgentConfig, Gap};
use pika_protocol::{ErrorCode, Sample, ServerMessage};
use poem::web::websocket::CloseCode;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

use super::batcher::{PendingAck, Submission, sleep_until_some};
use super::decode::{Decoded, Message};
use super::frames::{End, Flow, Frames, Received};
use super::intake::{Intake, Progress, SampleFrame};
use super::pace::{Load, Pause, SharedPace};
use super::presence::{Ending, Present};
use super::reading::Reading;
use super::sequence::{Sequence, Step};
use super::session::AgentSession;
use super::shared::Shared;
use crate::domain::TimestampMs;
use crate::domain::gap::SampleGap;
use crate::domain::id::AgentId;
use crate::domain::refused::Refused;
use crate::domain::time_window::TimeWindow;

/// How a connection was ended from outside.
pub(super) struct Ended {
    pub(super) ending: Ending,
    /// Whether the agent answered the close frame, so was still alive.
    pub(super) was_alive: bool,
}

/// A registered agent's connection.
pub(super) struct Connection {
    shared: Arc<Shared>,
    frames: Frames,
    session: AgentSession,
    present: Present,
    acks: mpsc::Sender<Option<u64>>,
    acked: mpsc::Receiver<Option<u64>>,
    n_unacknowledged: usize,
    intake: Intake,
    sequence: Sequence,
    pace: SharedPace,
    /// Nothing is read until then, because the agent exceeded a limit.
    paused_until: Option<Instant>,
    reading: Reading,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, frames: Frames, session: AgentSession, present: Present) -> Self {
        let (acks, acked) = mpsc::channel(shared.config.unacknowledged_frames_max);
        let pace = shared.paces.of(session.agent.key, Instant::now());
        let paused_until = pace.lock().pause(Instant::now()).map(|pause| pause.until);
        let reading = Reading::new(Arc::clone(&shared.turns));
        Self {
            shared,
            frames,
            session,
            present,
            acks,
            acked,
            n_unacknowledged: 0,
            intake: Intake::default(),
            sequence: Sequence::default(),
            pace,
            paused_until,
            reading,
        }
    }

    pub(super) fn agent_id(&self) -> AgentId {
        self.session.agent.id
    }

    pub(super) fn into_present(self) -> Present {
        self.present
    }

    /// Serves until the connection ends. Returns how it ended if it was ended from outside.
    pub(super) async fn run(&mut self) -> Option<Ended> {
        let (end, ending) = match self.serve().await {
            Ok(None) => (End::Close(CloseCode::Away, "the server is stopping"), None),
            Ok(Some(ending)) => {
                let (code, message, reason) = close_reason(&ending);
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
            was_alive = self.frames.is_close_answered() => was_alive,
            () = self.shared.stopping.cancelled() => false,
        };
        Some(Ended { ending, was_alive })
    }

    /// Returns `Ok` when the server stops and everything in flight is acknowledged, or when the connection is told to
    /// end.
    async fn serve(&mut self) -> Result<Option<Ending>, End> {
        let idle_timeout = Duration::from_millis(self.shared.config.idle_timeout_ms);
        let stopping = self.shared.stopping.clone();
        let ended = self.present.ended();
        tokio::pin!(ended);
        let mut pings = tokio::time::interval(idle_timeout / 3);
        pings.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut heard_at = Instant::now();
        loop {
            let is_stopping = stopping.is_cancelled();
            if is_stopping && self.intake.is_idle() && self.n_unacknowledged == 0 {
                return Ok(None);
            }
            self.paused_until = self.paused_until.filter(|until| Instant::now() < *until);
            let may_read = self.intake.is_idle()
                && self.paused_until.is_none()
                && !is_stopping
                && self.n_unacknowledged < self.shared.config.unacknowledged_frames_max;
            if !self.intake.waits_for_room() {
                self.reading.end_turn();
                if !may_read {
                    self.reading.pause();
                }
            }
            tokio::select! {
                biased;
                ending = &mut ended => return Ok(Some(ending)),
                () = stopping.cancelled(), if !is_stopping => {}
                Some(seq) = self.acked.recv() => self.acknowledge_stored(seq).await?,
                progress = self.intake.progress() => self.go_on(progress).await?,
                () = sleep_until_some(self.paused_until), if self.paused_until.is_some() => {}
                frame = self.reading.read(self.frames.next()), if may_read => {
                    heard_at = Instant::now();
                    self.present.seen(self.shared.clock.now());
                    self.receive(frame).await?;
                }
                _ = pings.tick() => {
                    if !self.reading.is_listening() {
                        // Silence counts only while the server is listening.
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

    async fn acknowledge_stored(&mut self, seq: Option<u64>) -> Flow {
        self.n_unacknowledged = self.n_unacknowledged.saturating_sub(1);
        self.acknowledge(seq).await
    }

    async fn receive(&mut self, frame: Received) -> Flow {
        let was_awaited = self.reading.was_awaited();
        let Some(text) = self.frames.text_of(frame).await? else {
            return Ok(());
        };
        let now = self.shared.clock.now();
        self.shared.instruments.add_frame();
        let decoded = self.frames.decode(&text, now);
        self.keep_pace(Load { bytes: text.len(), ..decoded.as_ref().map(load).unwrap_or_default() }).await?;
        match decoded {
            Ok(decoded) => {
                self.check_sequence(decoded.seq);
                if let Some(sent_at) = decoded.timestamp {
                    self.check_clock(now, sent_at, was_awaited).await?;
                }
                self.take(decoded).await
            }
            Err(error) => {
                self.frames.refuse(error.seq, error.refused).await?;
                self.acknowledge(error.seq).await
            }
        }
    }

    /// Slows down reading from an agent that sends too much, and tells it so.
    async fn keep_pace(&mut self, load: Load) -> Flow {
        let pause = self.pace.lock().take(load, Instant::now());
        match pause {
            Some(Pause { until, limit }) => {
                self.paused_until = Some(until);
                self.frames.slow_down(&limit).await
            }
            None => Ok(()),
        }
    }

    /// Counts one more occurrence for this agent. Returns the count within the hour if it should be logged.
    fn note(&self, what: &'static str) -> Option<u64> {
        self.shared.instruments.agents().note(what, &self.session.agent.id.to_string())
    }

    /// Counts and logs missing or repeated frames. No data is lost by them: what is not acknowledged is sent again.
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
            tracing::warn!(agent = %self.session.agent.id, seq, missing, count, "an agent's frames are out of sequence");
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
            Message::Heartbeat => self.acknowledge(seq).await,
            Message::Register(_) => {
                let refused = Refused::new(ErrorCode::AlreadyRegistered, "this connection is registered");
                self.frames.refuse(seq, refused).await
            }
            Message::Samples { samples, stamped_by_server } => {
                let n_rows = samples.iter().map(Sample::len).sum();
                let frame = SampleFrame { samples, seq, stamped_by_server, received_at: Instant::now() };
                self.intake.enter(frame, n_rows, Arc::clone(&self.shared));
                Ok(())
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
                self.intake.record_gap(gap, seq, agent.key, Arc::clone(&self.shared));
                Ok(())
            }
            Err(refused) => {
                self.frames.refuse(seq, refused).await?;
                self.acknowledge(seq).await
            }
        }
    }

    /// Handles a completed step of the frame being processed.
    async fn go_on(&mut self, progress: Progress) -> Flow {
        match progress {
            Progress::Entered { frame, room } => self.take_samples(frame, room).await,
            Progress::Resolved { frame, room, unknown, resolution } => {
                let mut refused = Vec::new();
                self.session.learn(&unknown, resolution, self.shared.clock.now(), &mut refused);
                self.frames.refuse_all(frame.seq, refused).await?;
                self.queue(frame, room).await
            }
            Progress::Queued => Ok(()),
            Progress::GapRecorded { seq } => self.acknowledge(seq).await,
            Progress::Closed => Err(End::Close(CloseCode::Away, "the server is stopping")),
        }
    }

    async fn take_samples(&mut self, mut frame: SampleFrame, room: OwnedSemaphorePermit) -> Flow {
        let mut refused = Vec::new();
        let now = self.shared.clock.now();
        let unknown = self.session.unknown_series(&mut frame.samples, now, &mut refused);
        self.frames.refuse_all(frame.seq, refused).await?;
        if unknown.is_empty() {
            return self.queue(frame, room).await;
        }
        self.intake.resolve(frame, room, Box::new(unknown), self.session.agent.key, Arc::clone(&self.shared));
        Ok(())
    }

    async fn queue(&mut self, frame: SampleFrame, room: OwnedSemaphorePermit) -> Flow {
        let SampleFrame { samples, seq, stamped_by_server, received_at } = frame;
        let now = self.shared.clock.now();
        let window = TimeWindow {
            now,
            late_limit_ms: self.shared.config.late_limit_ms,
            clock_offset_ms: if stamped_by_server { 0 } else { self.session.clock.ms() },
            // Samples stamped on arrival may have been taken much earlier, a second apart.
            spacing_ms_min: if stamped_by_server { 0 } else { self.shared.config.sample_spacing_ms_min },
        };
        let mut refused = Vec::new();
        let rows = self.session.rows(&samples, window, &mut refused);
        self.frames.refuse_all(seq, refused).await?;
        if rows.is_empty() {
            return self.acknowledge(seq).await;
        }
        let late = rows.earliest().is_some_and(|earliest| earliest < now - self.shared.config.late_after_ms);
        self.shared.instruments.begin_frame(rows.len(), late);
        self.n_unacknowledged += 1;
        let (speaker, socket) = (self.present.speaker(), self.acks.clone());
        let ack = PendingAck { received_at, seq, speaker, room, socket };
        self.intake.queue(Submission { rows, late, ack }, Arc::clone(&self.shared));
        Ok(())
    }

    /// Tells the agent that it may drop a frame: it is committed, or nothing of it is to be stored.
    async fn acknowledge(&mut self, seq: Option<u64>) -> Flow {
        match seq {
            Some(seq) => self.frames.send(&ServerMessage::Ack(Ack { seq })).await,
            None => Ok(()),
        }
    }
}

/// What the agent is told when its connection is ended: error code, message, and the reason in the close frame.
fn close_reason(ending: &Ending) -> (ErrorCode, &'static str, &'static str) {
    match ending {
        Ending::Superseded(_) => {
            (ErrorCode::Superseded, "another connection of this agent took over", "superseded")
        }
        Ending::Deleted => (ErrorCode::Unauthorized, "this agent was deleted", "deleted"),
        Ending::Revoked => (ErrorCode::Unauthorized, "this agent's secret was revoked", "revoked"),
    }
}

/// The load of a frame, without its bytes.
fn load(decoded: &Decoded) -> Load {
    match &decoded.message {
        Message::Samples { samples, .. } => {
            Load { samples: samples.len(), rows: samples.iter().map(Sample::len).sum(), bytes: 0 }
        }
        Message::Register(_) | Message::Heartbeat | Message::Gap(_) => Load::default(),
    }
}
