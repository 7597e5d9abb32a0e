//! A connection, from `register` to its end.

use std::fmt::Write as _;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use pika_protocol::message::{AgentConfig, Heartbeat, RegisterAck};
use pika_protocol::{AgentFrame, AgentMessage, ErrorCode, Register, ServerMessage};
use pika_shared::Clock;
use serde::Serialize;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::batch_frame::BatchFrame;
use super::connect::Socket;
use super::error::refused;
use super::{LinkError, Printable, Timing};
use crate::outbox::{self, Outbox};
use crate::throttle::{LOG_INTERVAL_MIN, Throttle};

/// Number of heartbeat intervals without a message after which the server counts as gone.
const SILENT_INTERVALS_MAX: u32 = 3;

/// Timeout of the close handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How a session ended.
pub(super) enum End {
    /// The agent is stopping.
    Shutdown,
    /// The connection failed.
    Failed(LinkError),
}

/// An open connection.
pub(super) struct Session {
    socket: Socket,
    clock: Clock,
    timing: Timing,
    heartbeat_interval: Duration,
    last_sent: Instant,
    last_received: Instant,
    last_ping: Instant,
    /// When the next frame of older samples may be sent; `None` if none were left.
    backlog_due: Option<Instant>,
    refusals: Throttle,
    ignored: Throttle,
    /// Set when the server reports that another connection took over, before it closes this one.
    superseded: Option<LinkError>,
}

impl Session {
    pub(super) fn new(socket: Socket, clock: Clock, timing: Timing, heartbeat_interval: Duration) -> Session {
        let now = Instant::now();
        Session {
            socket,
            clock,
            timing,
            heartbeat_interval,
            last_sent: now,
            last_received: now,
            last_ping: now,
            backlog_due: None,
            refusals: Throttle::new(LOG_INTERVAL_MIN),
            ignored: Throttle::new(LOG_INTERVAL_MIN),
            superseded: None,
        }
    }

    /// Sends `register` and waits for the response.
    pub(super) async fn register(&mut self, register: Register) -> Result<RegisterAck, LinkError> {
        self.send_message(AgentMessage::Register(register), None).await?;
        let deadline = Instant::now() + self.timing.register_timeout;
        loop {
            let message =
                timeout_at(deadline, self.receive()).await.map_err(|_| LinkError::RegisterTimeout)??;
            match message {
                Some(ServerMessage::RegisterAck(ack)) => return Ok(ack),
                Some(ServerMessage::RegisterError(refusal) | ServerMessage::Error(refusal)) => {
                    return Err(refused(&refusal));
                }
                Some(ServerMessage::Ack(_) | ServerMessage::Config(_)) | None => {}
            }
        }
    }

    /// Sends the contents of the outbox until the connection ends or `shutdown`; settings from the server are passed to
    /// `configure`.
    pub(super) async fn stream(
        &mut self,
        outbox: &Outbox,
        backlog_frame_interval: Duration,
        shutdown: &CancellationToken,
        mut configure: impl FnMut(AgentConfig),
    ) -> End {
        let streaming = self.stream_until(outbox, backlog_frame_interval, shutdown, &mut configure);
        if let Err(error) = streaming.await {
            if matches!(error, LinkError::ClockSet) {
                self.close().await;
            }
            return End::Failed(error);
        }
        // Nothing is lost if this fails: the next run sends what is not acknowledged.
        let flush_timeout = self.timing.flush_timeout;
        match timeout(flush_timeout, self.flush(outbox)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "the last samples wait for the next start"),
            Err(_) => debug!("the last samples wait for the next start"),
        }
        self.close().await;
        End::Shutdown
    }

    /// Closes the connection with the WebSocket close handshake.
    pub(super) async fn close(&mut self) {
        let handshake = async {
            let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
            self.socket.close(Some(frame)).await?;
            while let Some(message) = self.socket.next().await {
                message?;
            }
            Ok::<_, tungstenite::Error>(())
        };
        match timeout(CLOSE_TIMEOUT, handshake).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "the server closed the connection"),
            Err(_) => debug!("the server did not answer the close frame"),
        }
    }

    async fn stream_until(
        &mut self,
        outbox: &Outbox,
        backlog_frame_interval: Duration,
        shutdown: &CancellationToken,
        configure: &mut impl FnMut(AgentConfig),
    ) -> Result<(), LinkError> {
        loop {
            if outbox.needs_clock_offset() {
                return Err(LinkError::ClockSet);
            }
            self.send_samples(outbox, backlog_frame_interval).await?;
            self.keep_alive().await?;
            let wake_at = self.backlog_due.map_or(self.keep_alive_at(), |due| due.min(self.keep_alive_at()));
            tokio::select! {
                message = self.receive() => self.handle(message?, outbox, configure)?,
                () = outbox.changed() => {}
                () = sleep_until(wake_at) => {}
                () = shutdown.cancelled() => return Ok(()),
            }
        }
    }

    /// Sends until everything that can be sent is acknowledged.
    async fn flush(&mut self, outbox: &Outbox) -> Result<(), LinkError> {
        while 0 < outbox.counts().open && !outbox.needs_clock_offset() {
            self.send_samples(outbox, Duration::ZERO).await?;
            let message = self.receive().await?;
            self.handle(message, outbox, &mut |_| {})?;
        }
        Ok(())
    }

    /// Sends the newest sample first, then older ones at a limited rate.
    async fn send_samples(
        &mut self,
        outbox: &Outbox,
        backlog_frame_interval: Duration,
    ) -> Result<(), LinkError> {
        loop {
            if let Some(batch) = outbox.take_live() {
                self.send_batch(batch).await?;
                continue;
            }
            if let Some((seq, gap)) = outbox.take_gap() {
                self.send_message(AgentMessage::Gap(gap), Some(seq)).await?;
            }
            if self.backlog_due.is_some_and(|due| Instant::now() < due) && !backlog_frame_interval.is_zero() {
                return Ok(());
            }
            let Some(batch) = outbox.take_backlog() else {
                self.backlog_due = None;
                return Ok(());
            };
            self.send_batch(batch).await?;
            self.backlog_due = Some(Instant::now() + backlog_frame_interval);
        }
    }

    async fn send_batch(&mut self, batch: outbox::Batch) -> Result<(), LinkError> {
        self.send_frame(&BatchFrame::new(&batch, self.clock.now())).await
    }

    /// Sends a heartbeat if nothing else was sent for a while, and a ping if nothing was received: its reply proves
    /// that the server is there.
    async fn keep_alive(&mut self) -> Result<(), LinkError> {
        let now = Instant::now();
        let silence = now - self.last_received;
        if self.heartbeat_interval * SILENT_INTERVALS_MAX <= silence {
            return Err(LinkError::Silent { silence });
        }
        if self.heartbeat_interval <= now - self.last_received.max(self.last_ping) {
            self.last_ping = now;
            self.send(Message::Ping(Vec::new().into())).await?;
        }
        if self.heartbeat_interval <= now - self.last_sent {
            self.send_message(AgentMessage::Heartbeat(Heartbeat {}), None).await?;
        }
        Ok(())
    }

    /// Returns when [`keep_alive`](Session::keep_alive) is due next.
    fn keep_alive_at(&self) -> Instant {
        let silent_at = self.last_received + self.heartbeat_interval * SILENT_INTERVALS_MAX;
        let next = self.last_sent.min(self.last_received.max(self.last_ping)) + self.heartbeat_interval;
        next.min(silent_at)
    }

    fn handle(
        &mut self,
        message: Option<ServerMessage>,
        outbox: &Outbox,
        configure: &mut impl FnMut(AgentConfig),
    ) -> Result<(), LinkError> {
        match message {
            Some(ServerMessage::Ack(ack)) => outbox.acknowledge(ack.seq),
            Some(ServerMessage::Config(config)) => configure(config),
            Some(ServerMessage::RegisterError(refusal)) => return Err(refused(&refusal)),
            Some(ServerMessage::Error(refusal)) => {
                if refusal.code == ErrorCode::Superseded {
                    self.superseded = Some(refused(&refusal));
                }
                // Refused data is acknowledged nevertheless, and so is not sent again.
                if let Some(count) = self.refusals.note(1) {
                    let text = Printable::new(&refusal.message);
                    warn!(code = %refusal.code, seq = refusal.seq, count, "the server refused something: {text}");
                }
            }
            Some(ServerMessage::RegisterAck(_)) => self.warn_ignored("a second register_ack"),
            None => {}
        }
        Ok(())
    }

    /// Receives the next message; `None` for other frames. Cancel safe.
    async fn receive(&mut self) -> Result<Option<ServerMessage>, LinkError> {
        let message = match self.socket.next().await {
            Some(Ok(message)) => message,
            Some(Err(source)) => {
                return Err(self.end(LinkError::Broken { source: Box::new(source) }));
            }
            None => {
                return Err(self.end(LinkError::Closed { reason: Printable::new("") }));
            }
        };
        self.last_received = Instant::now();
        match message {
            Message::Text(text) => match serde_json::from_str(&text) {
                Ok(message) => Ok(Some(message)),
                Err(error) => {
                    self.warn_ignored(&error.to_string());
                    Ok(None)
                }
            },
            Message::Binary(_) => {
                self.warn_ignored("a binary frame");
                Ok(None)
            }
            Message::Close(frame) => {
                // Sends the reply, which tells the server that this end is alive.
                drop(timeout(CLOSE_TIMEOUT, self.socket.flush()).await);
                let mut reason = String::new();
                if let Some(frame) = frame {
                    // Writing to a string cannot fail.
                    write!(reason, " with code {}: {}", u16::from(frame.code), frame.reason)
                        .unwrap_or_default();
                }
                Err(self.end(LinkError::Closed { reason: Printable::new(&reason) }))
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(None),
        }
    }

    fn end(&mut self, error: LinkError) -> LinkError {
        self.superseded.take().unwrap_or(error)
    }

    async fn send_message(&mut self, message: AgentMessage, seq: Option<u64>) -> Result<(), LinkError> {
        self.send_frame(&AgentFrame { message, timestamp: Some(self.clock.now()), seq }).await
    }

    async fn send_frame(&mut self, frame: &impl Serialize) -> Result<(), LinkError> {
        let text = serde_json::to_string(frame).map_err(|source| LinkError::Encode { source })?;
        self.last_sent = Instant::now();
        self.send(Message::text(text)).await
    }

    async fn send(&mut self, message: Message) -> Result<(), LinkError> {
        match timeout(self.timing.send_timeout, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(source)) => Err(self.end(LinkError::Broken { source: Box::new(source) })),
            Err(_) => Err(LinkError::SendTimeout),
        }
    }

    fn warn_ignored(&mut self, what: &str) {
        if let Some(count) = self.ignored.note(1) {
            warn!(count, "ignored a frame that is not part of the protocol: {}", Printable::new(what));
        }
    }
}
