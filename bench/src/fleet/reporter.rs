//! The agent of a simulated machine: enrolls, sends its past, and reports until stopped.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use pika_protocol::message::{Gap, GapReason};
use pika_protocol::{AgentFrame, AgentMessage, Batch, MachineFacts, Register, Sample, ServerMessage};
use pika_server::domain::tier::MINUTE_MS;
use pika_shared::Clock;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;

use super::machine::{Machine, Trouble};
use crate::error::BenchError;

/// Samples of the past in one frame.
const PAST_SAMPLES_PER_FRAME: usize = 120;
/// Timeout of the server's responses.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// How long before the start an offline machine went offline.
const OFFLINE_MS: i64 = 40 * MINUTE_MS;
/// The time before the start during which a machine dropped samples.
const GAP_MS: (i64, i64) = (120 * MINUTE_MS, 95 * MINUTE_MS);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// State shared by the machines of a fleet.
pub(super) struct Shared {
    /// The URL of the WebSocket.
    pub(super) url: String,
    pub(super) enrollment_token: String,
    pub(super) interval: Duration,
    pub(super) past_interval_ms: i64,
    /// Length of the past, in milliseconds.
    pub(super) past_ms: i64,
    pub(super) clock: Clock,
    /// Limits how many send their past at the same time.
    pub(super) turns: Semaphore,
    pub(super) stop: CancellationToken,
    pub(super) started_at: i64,
}

/// A machine and its identity.
pub(super) struct Reporter {
    shared: Arc<Shared>,
    machine: Machine,
    secret: String,
    /// The host name; differs from the machine's for a copy of its identity.
    hostname: String,
    seq: u64,
    previous_at: Option<i64>,
    is_past_sent: bool,
}

impl Reporter {
    pub(super) fn new(shared: Arc<Shared>, machine: Machine, secret: String) -> Self {
        let (hostname, seq) = (machine.name.clone(), u64::try_from(shared.started_at).unwrap_or(0));
        Self { shared, machine, secret, hostname, seq, previous_at: None, is_past_sent: false }
    }

    /// Returns a copy of the machine's identity, which does not report a past.
    pub(super) fn copied(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            machine: self.machine.clone(),
            secret: self.secret.clone(),
            hostname: format!("{}-copy", self.hostname),
            seq: self.seq,
            previous_at: None,
            is_past_sent: true,
        }
    }

    /// Reports until stopped, and reconnects when the connection breaks.
    ///
    /// # Errors
    /// If the server refuses the machine.
    pub(super) async fn run(mut self) -> Result<(), BenchError> {
        let stop = self.shared.stop.clone();
        loop {
            let connected = stop.run_until_cancelled(self.report()).await;
            match connected {
                None | Some(Ok(())) => return Ok(()),
                Some(Err(error @ BenchError::Answer(_))) => return Err(error),
                // The server is unavailable, or another connection has taken over.
                Some(Err(_)) => {}
            }
            if stop.run_until_cancelled(sleep(RETRY_DELAY)).await.is_none() {
                return Ok(());
            }
        }
    }

    /// Reports as long as the connection lasts. Returns if the machine goes offline for good.
    async fn report(&mut self) -> Result<(), BenchError> {
        let mut socket = self.connect().await?;
        if !self.is_past_sent {
            let shared = Arc::clone(&self.shared);
            let Ok(_turn) = shared.turns.acquire().await else { return Ok(()) };
            self.send_past(&mut socket).await?;
            self.is_past_sent = true;
        }
        if self.machine.trouble == Trouble::Offline {
            socket.close(None).await?;
            return Ok(());
        }
        let mut ticks = tokio::time::interval(self.shared.interval);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    let now = self.shared.clock.now();
                    if self.machine.is_up(now) {
                        let sample = self.sample(now);
                        self.send(&mut socket, AgentMessage::Batch(Batch { samples: vec![sample] })).await?;
                    }
                }
                message = socket.next() => match message {
                    Some(message) => drop(message?),
                    None => return Err(BenchError::Interrupted),
                },
            }
        }
    }

    async fn connect(&self) -> Result<Socket, BenchError> {
        let (mut socket, _) = tokio_tungstenite::connect_async(&self.shared.url).await?;
        let register = Register {
            name: self.machine.name.clone(),
            hostname: self.hostname.clone(),
            ip: self.machine.address.clone(),
            os: "linux".to_owned(),
            arch: "amd64".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            token: Some(self.shared.enrollment_token.clone()),
            secret: Some(self.secret.clone()),
            interval_ms: u64::try_from(self.shared.interval.as_millis()).ok(),
            facts: Box::new(Self::facts()),
        };
        send(&mut socket, AgentMessage::Register(register), self.shared.clock.now(), None).await?;
        loop {
            match answer(&mut socket).await? {
                ServerMessage::RegisterAck(_) => return Ok(socket),
                ServerMessage::RegisterError(refusal) => {
                    return Err(BenchError::Answer(format!("{}: {}", refusal.code, refusal.message)));
                }
                _ => {}
            }
        }
    }

    /// Sends the samples from before the start, one frame after the other.
    async fn send_past(&mut self, socket: &mut Socket) -> Result<(), BenchError> {
        let started_at = self.shared.started_at;
        let end = if self.machine.trouble == Trouble::Offline { started_at - OFFLINE_MS } else { started_at };
        let (gap_start, gap_end) = (started_at - GAP_MS.0, started_at - GAP_MS.1);
        let has_gap = self.machine.trouble == Trouble::Gap && GAP_MS.0 < self.shared.past_ms;
        let mut times = Vec::new();
        let mut at = started_at - self.shared.past_ms;
        while at < end {
            let is_dropped = has_gap && gap_start <= at && at < gap_end;
            if self.machine.is_up(at) && !is_dropped {
                times.push(at);
            }
            at += self.shared.past_interval_ms;
        }
        for times in times.chunks(PAST_SAMPLES_PER_FRAME) {
            let samples = times.iter().map(|at| self.sample(*at)).collect();
            self.send_acknowledged(socket, AgentMessage::Batch(Batch { samples })).await?;
        }
        if has_gap {
            let samples = (gap_end - gap_start) / self.shared.past_interval_ms;
            let gap = Gap { start: gap_start, end: gap_end, samples, reason: GapReason::SpoolFull };
            self.send_acknowledged(socket, AgentMessage::Gap(gap)).await?;
        }
        Ok(())
    }

    fn sample(&mut self, at: i64) -> Sample {
        let previous_at = self.previous_at.replace(at).filter(|previous_at| *previous_at < at);
        self.machine.sample(at, previous_at)
    }

    async fn send(&mut self, socket: &mut Socket, message: AgentMessage) -> Result<(), BenchError> {
        self.seq += 1;
        send(socket, message, self.shared.clock.now(), Some(self.seq)).await
    }

    /// What all of them are.
    fn facts() -> MachineFacts {
        MachineFacts {
            os_name: Some("Debian GNU/Linux 13".to_owned()),
            kernel: Some("6.12.41+deb13-amd64".to_owned()),
            virtualization: Some("kvm".to_owned()),
            ..MachineFacts::default()
        }
    }

    /// Sends a frame and waits until it is stored.
    async fn send_acknowledged(
        &mut self,
        socket: &mut Socket,
        message: AgentMessage,
    ) -> Result<(), BenchError> {
        self.send(socket, message).await?;
        loop {
            match answer(socket).await? {
                ServerMessage::Ack(ack) if ack.seq == self.seq => return Ok(()),
                _ => {}
            }
        }
    }
}

async fn send(
    socket: &mut Socket,
    message: AgentMessage,
    now: i64,
    seq: Option<u64>,
) -> Result<(), BenchError> {
    let frame = AgentFrame { message, timestamp: Some(now), seq };
    let text = serde_json::to_string(&frame).map_err(std::io::Error::from)?;
    Ok(socket.send(Message::text(text)).await?)
}

/// Receives the next message from the server.
async fn answer(socket: &mut Socket) -> Result<ServerMessage, BenchError> {
    loop {
        let message = timeout(ANSWER_TIMEOUT, socket.next()).await.map_err(|_| BenchError::Interrupted)?;
        let Some(message) = message else { return Err(BenchError::Interrupted) };
        if let Message::Text(text) = message?
            && let Ok(message) = serde_json::from_str(&text)
        {
            return Ok(message);
        }
    }
}
