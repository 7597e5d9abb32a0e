//! One agent's connection: reads frames, hands their rows on, answers. One task, one loop.
//!
//! At most one frame is being worked on, and at most `unacknowledged_frames_max` are on their way to the database;
//! beyond that nothing is read, and the agent feels it as back-pressure of TCP.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use pika_protocol::message::{Ack, Refusal};
use pika_protocol::{ErrorCode, Register, Sample, ServerMessage, limits};
use poem::web::websocket::{CloseCode, Message as Frame, WebSocketStream};
use secrecy::SecretString;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::Shared;
use super::batcher::{PendingAck, Submission};
use super::decode::{self, Message};
use super::presence::{self, Present};
use super::refusals::Refusals;
use super::register::{Registered, register};
use super::session::{Session, UnknownSeries};
use crate::domain::TimestampMs;
use crate::domain::id::ConnectionId;
use crate::domain::sample::{Refused, SeriesKeys, TimeWindow};
use crate::store::Error;
use crate::telemetry::chain;

/// An agent that does not take an answer within this time is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Most refusals of one frame that are told to the agent one by one.
const REFUSALS_PER_FRAME_MAX: usize = 8;
/// How long to wait before the database is asked again for the keys of new series.
const SERIES_RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address that the connection comes from.
    pub address: String,
    /// The credential of the upgrade request, where there was one.
    pub bearer_token: Option<SecretString>,
}

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// The agent closed it or it broke.
    Gone,
    /// The server closes it.
    Close(CloseCode, &'static str),
}

type Flow = Result<(), End>;

/// Serves a connection until it ends.
pub(super) async fn serve(shared: Arc<Shared>, stream: WebSocketStream, peer: Peer) {
    let refusals = Refusals::new(Arc::clone(&shared.counters), peer.address.clone());
    let mut socket = Socket { stream, refusals };
    let present = match admit(&shared, &mut socket, &peer).await {
        Ok((session, present)) => {
            let (acks, acked) = mpsc::channel(shared.config.unacknowledged_frames_max);
            let mut connection = Connection {
                shared: Arc::clone(&shared),
                socket,
                session,
                present: present.clone(),
                acks,
                acked,
                n_unacknowledged: 0,
                intake: Intake::Idle,
            };
            let end = connection.run().await;
            connection.socket.close(end).await;
            tracing::info!(agent = %connection.session.agent.id, address = %peer.address, "agent disconnected");
            Some(present)
        }
        Err(end) => {
            socket.close(end).await;
            None
        }
    };
    if let Some(present) = present {
        presence::leave(shared, present).await;
    }
}

/// Waits for `register` and lets the agent in.
async fn admit(shared: &Arc<Shared>, socket: &mut Socket, peer: &Peer) -> Result<(Session, Present), End> {
    let patience = Duration::from_millis(shared.config.register_timeout_ms);
    let first = async {
        loop {
            if let Some((message, sent_at)) = socket.read_register(shared.clock.now()).await? {
                return Ok::<_, End>((message, sent_at));
            }
        }
    };
    let (message, sent_at) = tokio::select! {
        () = shared.stopping.cancelled() => return Err(End::Close(CloseCode::Away, "the server is stopping")),
        first = timeout(patience, first) => match first {
            Ok(first) => first?,
            Err(_) => return Err(End::Close(CloseCode::Policy, "no register in time")),
        },
    };
    let connection_id = ConnectionId::random();
    match register(shared, peer, &message, sent_at, connection_id).await {
        Ok(Registered { agent, clock_offset_ms, ack }) => {
            let present = shared.presence.connect(agent, connection_id, shared.clock.now());
            socket.refusals.identify(agent.id.to_string());
            tracing::info!(
                agent = %agent.id,
                hostname = %message.hostname,
                address = %peer.address,
                version = %message.version,
                clock_offset_ms,
                "agent connected"
            );
            let session = Session::new(agent, clock_offset_ms);
            match socket.send(&ServerMessage::RegisterAck(ack)).await {
                Ok(()) => Ok((session, present)),
                Err(end) => {
                    let shared = Arc::clone(shared);
                    presence::leave(shared, present).await;
                    Err(end)
                }
            }
        }
        Err(refused) => {
            socket.refusals.add(&refused);
            let refusal = Refusal { code: refused.code, message: refused.message, seq: None };
            socket.send(&ServerMessage::RegisterError(refusal)).await?;
            Err(End::Close(CloseCode::Policy, "not registered"))
        }
    }
}

/// The stream, and what was refused on it.
struct Socket {
    stream: WebSocketStream,
    refusals: Refusals,
}

impl Socket {
    async fn send(&mut self, message: &ServerMessage) -> Flow {
        // These types always serialize.
        let text = serde_json::to_string(message).unwrap_or_default();
        self.send_frame(Frame::Text(text)).await
    }

    async fn send_frame(&mut self, frame: Frame) -> Flow {
        match timeout(SEND_TIMEOUT, self.stream.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }

    async fn refuse(&mut self, seq: Option<u64>, refused: Refused) -> Flow {
        self.refusals.add(&refused);
        let refusal = Refusal { code: refused.code, message: refused.message, seq };
        self.send(&ServerMessage::Error(refusal)).await
    }

    async fn refuse_all(&mut self, seq: Option<u64>, refused: Vec<Refused>) -> Flow {
        for (index, refused) in refused.into_iter().enumerate() {
            if index < REFUSALS_PER_FRAME_MAX {
                self.refuse(seq, refused).await?;
            } else {
                self.refusals.add(&refused);
            }
        }
        Ok(())
    }

    /// Reads one frame before the agent is known. `None` where it was not `register`, which is answered here.
    async fn read_register(
        &mut self,
        now: TimestampMs,
    ) -> Result<Option<(Register, Option<TimestampMs>)>, End> {
        let Some(text) = self.read_text().await? else {
            return Ok(None);
        };
        match decode::decode(&text, now) {
            Ok(decoded) => match decoded.message {
                Message::Register(register) => return Ok(Some((*register, decoded.timestamp))),
                Message::Heartbeat | Message::Samples { .. } => {
                    let refused =
                        Refused::new(ErrorCode::NotRegistered, "the first message must be register");
                    self.refuse(decoded.seq, refused).await?;
                }
            },
            Err(error) => self.refuse(error.seq, error.refused).await?,
        }
        Ok(None)
    }

    /// Reads one frame; `None` where it carries no text.
    async fn read_text(&mut self) -> Result<Option<String>, End> {
        let frame = self.stream.next().await;
        self.text_of(frame).await
    }

    async fn text_of(&mut self, frame: Option<Result<Frame, std::io::Error>>) -> Result<Option<String>, End> {
        match frame {
            Some(Ok(Frame::Text(text))) => Ok(Some(text)),
            Some(Ok(Frame::Binary(_))) => {
                self.refuse(None, Refused::new(ErrorCode::BinaryFrame, "frames are JSON text")).await?;
                Ok(None)
            }
            // Pongs are sent by the WebSocket library.
            Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => Ok(None),
            Some(Ok(Frame::Close(_))) | None => Err(End::Gone),
            Some(Err(error)) => {
                if !is_too_large(&error) {
                    return Err(End::Gone);
                }
                let message = format!("a frame may have {} bytes at most", limits::FRAME_BYTES_MAX);
                self.refuse(None, Refused::new(ErrorCode::FrameTooLarge, message)).await?;
                Err(End::Close(CloseCode::Size, "frame too large"))
            }
        }
    }

    async fn close(&mut self, end: End) {
        if let End::Close(code, reason) = end
            && self.send_frame(Frame::Close(Some((code, reason.to_owned())))).await.is_err()
        {
            tracing::trace!("the agent did not wait for the goodbye");
        }
    }
}

/// poem hands the WebSocket library's errors on as text; a test holds this to what the library says.
fn is_too_large(error: &std::io::Error) -> bool {
    error.to_string().starts_with("Space limit exceeded")
}

type SeriesLookup = Pin<Box<dyn Future<Output = SeriesKeys> + Send>>;

/// The one frame that is being worked on.
enum Intake {
    /// None: the next one may be read.
    Idle,
    /// Its disks or interfaces are being given keys.
    Naming { samples: Vec<Sample>, seq: Option<u64>, stamped_by_server: bool, lookup: SeriesLookup },
    /// It waits for room in the queue.
    Queueing(Submission),
}

/// A registered agent's connection.
struct Connection {
    shared: Arc<Shared>,
    socket: Socket,
    session: Session,
    present: Present,
    acks: mpsc::Sender<Option<u64>>,
    acked: mpsc::Receiver<Option<u64>>,
    n_unacknowledged: usize,
    intake: Intake,
}

impl Connection {
    async fn run(&mut self) -> End {
        match self.serve().await {
            Ok(()) => End::Close(CloseCode::Away, "the server is stopping"),
            Err(end) => end,
        }
    }

    /// Ends without error when the server stops and everything in flight is acknowledged.
    async fn serve(&mut self) -> Flow {
        let idle_timeout = Duration::from_millis(self.shared.config.idle_timeout_ms);
        let stopping = self.shared.stopping.clone();
        let superseded = self.present.superseded.clone();
        let queue = self.shared.queue.clone();
        let mut pings = tokio::time::interval(idle_timeout / 3);
        pings.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut heard_at = Instant::now();
        loop {
            let is_idle = matches!(self.intake, Intake::Idle);
            let is_stopping = stopping.is_cancelled();
            if is_stopping && is_idle && self.n_unacknowledged == 0 {
                return Ok(());
            }
            let may_read = is_idle
                && !is_stopping
                && self.n_unacknowledged < self.shared.config.unacknowledged_frames_max;
            tokio::select! {
                biased;
                () = superseded.cancelled() => {
                    let refused = Refused::new(ErrorCode::Superseded, "another connection of this agent took over");
                    self.socket.refuse(None, refused).await?;
                    return Err(End::Close(CloseCode::Policy, "superseded"));
                }
                () = stopping.cancelled(), if !is_stopping => {}
                Some(seq) = self.acked.recv() => self.acknowledge(seq).await?,
                keys = named(&mut self.intake) => self.queue_named(keys).await?,
                permit = queue.reserve(), if matches!(self.intake, Intake::Queueing(_)) => match permit {
                    Ok(permit) => if let Intake::Queueing(submission) = std::mem::replace(&mut self.intake, Intake::Idle) {
                        permit.send(submission);
                        self.n_unacknowledged += 1;
                    },
                    Err(_) => return Err(End::Close(CloseCode::Away, "the server is stopping")),
                },
                frame = self.socket.stream.next(), if may_read => {
                    heard_at = Instant::now();
                    self.present.seen(self.shared.clock.now());
                    if let Some(text) = self.socket.text_of(frame).await? {
                        self.take(&text).await?;
                    }
                }
                _ = pings.tick() => {
                    // Silence counts only while somebody listens.
                    if may_read && idle_timeout <= heard_at.elapsed() {
                        return Err(End::Close(CloseCode::Policy, "silent for too long"));
                    }
                    self.socket.send_frame(Frame::Ping(Vec::new())).await?;
                }
            }
        }
    }

    async fn acknowledge(&mut self, seq: Option<u64>) -> Flow {
        self.n_unacknowledged = self.n_unacknowledged.saturating_sub(1);
        match seq {
            Some(seq) => self.socket.send(&ServerMessage::Ack(Ack { seq })).await,
            None => Ok(()),
        }
    }

    async fn take(&mut self, text: &str) -> Flow {
        match decode::decode(text, self.shared.clock.now()) {
            Ok(decoded) => {
                let seq = decoded.seq;
                self.socket.refuse_all(seq, decoded.refused).await?;
                match decoded.message {
                    Message::Heartbeat => self.settle(seq).await,
                    Message::Register(_) => {
                        let refused =
                            Refused::new(ErrorCode::AlreadyRegistered, "this connection is registered");
                        self.socket.refuse(seq, refused).await
                    }
                    Message::Samples { samples, stamped_by_server } => {
                        self.take_samples(samples, seq, stamped_by_server).await
                    }
                }
            }
            Err(error) => {
                self.socket.refuse(error.seq, error.refused).await?;
                self.settle(error.seq).await
            }
        }
    }

    async fn take_samples(
        &mut self,
        samples: Vec<Sample>,
        seq: Option<u64>,
        stamped_by_server: bool,
    ) -> Flow {
        let mut refused = Vec::new();
        let unknown = self.session.unknown_series(&samples, &mut refused);
        self.socket.refuse_all(seq, refused).await?;
        if unknown.is_empty() {
            return self.queue(&samples, seq, stamped_by_server).await;
        }
        let lookup = Box::pin(name_series(Arc::clone(&self.shared), self.session.agent.key, unknown));
        self.intake = Intake::Naming { samples, seq, stamped_by_server, lookup };
        Ok(())
    }

    async fn queue_named(&mut self, keys: SeriesKeys) -> Flow {
        self.session.learn(keys);
        match std::mem::replace(&mut self.intake, Intake::Idle) {
            Intake::Naming { samples, seq, stamped_by_server, .. } => {
                self.queue(&samples, seq, stamped_by_server).await
            }
            other => {
                self.intake = other;
                Ok(())
            }
        }
    }

    async fn queue(&mut self, samples: &[Sample], seq: Option<u64>, stamped_by_server: bool) -> Flow {
        let now = self.shared.clock.now();
        let window = TimeWindow {
            now,
            late_limit_ms: self.shared.config.late_limit_ms,
            clock_offset_ms: if stamped_by_server { 0 } else { self.session.clock_offset_ms },
        };
        let mut refused = Vec::new();
        let rows = self.session.rows(samples, window, &mut refused);
        self.socket.refuse_all(seq, refused).await?;
        if rows.is_empty() {
            return self.settle(seq).await;
        }
        let late = rows.earliest().is_some_and(|earliest| earliest < now - self.shared.config.late_after_ms);
        let ack = PendingAck { seq, socket: self.acks.clone() };
        self.intake = Intake::Queueing(Submission { rows, late, ack });
        Ok(())
    }

    /// A frame of which nothing is to be stored is done with: the agent may forget it.
    async fn settle(&mut self, seq: Option<u64>) -> Flow {
        match seq {
            Some(seq) => self.socket.send(&ServerMessage::Ack(Ack { seq })).await,
            None => Ok(()),
        }
    }
}

/// The keys of the frame that is being named; never, where there is none.
async fn named(intake: &mut Intake) -> SeriesKeys {
    match intake {
        Intake::Naming { lookup, .. } => lookup.await,
        Intake::Idle | Intake::Queueing(_) => std::future::pending().await,
    }
}

/// Gets keys for new series, for as long as it takes.
async fn name_series(
    shared: Arc<Shared>,
    agent: crate::domain::id::AgentKey,
    unknown: UnknownSeries,
) -> SeriesKeys {
    let disks: Vec<_> = unknown.disks.iter().collect();
    let interfaces: Vec<_> = unknown.interfaces.iter().map(String::as_str).collect();
    let mut is_first_failure = true;
    loop {
        match shared.store.series_keys(agent, &disks, &interfaces, shared.clock.now()).await {
            Ok(keys) => return keys,
            Err(error) => {
                if std::mem::take(&mut is_first_failure) {
                    log_naming_failure(&error);
                }
            }
        }
        tokio::time::sleep(SERIES_RETRY_INTERVAL).await;
    }
}

fn log_naming_failure(error: &Error) {
    tracing::warn!(error = %chain(error), "new disks or interfaces could not be named; trying again");
}
