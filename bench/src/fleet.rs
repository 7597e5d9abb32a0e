//! Simulated agents: real sockets, the real protocol, plausible numbers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use pika_protocol::{
    AgentFrame, AgentMessage, Batch, CpuMetrics, DiskMetrics, LoadMetrics, MemoryMetrics, NetworkMetrics,
    Register, Sample, ServerMessage,
};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at, timeout_at};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Why a fleet cannot be simulated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FleetError {
    /// The socket failed.
    #[error("an agent cannot talk to the server: {0}")]
    Socket(#[from] Box<tungstenite::Error>),
    /// Something else than an answer to `register`.
    #[error("the server does not let an agent in: {0}")]
    Refused(String),
    /// The runtime.
    #[error("the bench cannot start: {0}")]
    Start(#[from] std::io::Error),
}

impl From<tungstenite::Error> for FleetError {
    fn from(error: tungstenite::Error) -> Self {
        FleetError::Socket(Box::new(error))
    }
}

/// What each agent has.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) disks: u16,
    pub(crate) networks: u16,
}

impl Shape {
    /// Rows that a sample of this shape becomes.
    pub(crate) fn rows(&self) -> u64 {
        3 + u64::from(self.disks) + u64::from(self.networks)
    }
}

/// What became of a sample.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    /// It was sent.
    Sent,
    /// It was acknowledged after so long.
    Acknowledged(Duration),
    /// The server refused something of it.
    Refused,
    /// The connection broke.
    Disconnected,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A registered agent.
pub(crate) struct Agent {
    socket: Socket,
    number: u32,
    shape: Arc<Shape>,
}

impl Agent {
    /// Connects and registers with an enrollment token.
    pub(crate) async fn enroll(
        server: &str,
        token: &str,
        number: u32,
        shape: Arc<Shape>,
    ) -> Result<Self, FleetError> {
        let url = format!("{}/ws/agent", server.trim_end_matches('/'));
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await?;
        let hostname = format!("bench-{number}");
        let register = Register {
            name: hostname.clone(),
            hostname,
            os: "linux".to_owned(),
            arch: "amd64".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            token: Some(token.to_owned()),
            ..Register::default()
        };
        send(&mut socket, AgentMessage::Register(register), None).await?;
        loop {
            let Some(message) = socket.next().await.transpose()? else {
                return Err(FleetError::Refused("it closed the connection".to_owned()));
            };
            match server_message(&message) {
                Some(ServerMessage::RegisterAck(_)) => return Ok(Self { socket, number, shape }),
                Some(ServerMessage::RegisterError(refusal)) => {
                    return Err(FleetError::Refused(refusal.message));
                }
                Some(_) | None => {}
            }
        }
    }

    fn sample(&self, seq: u64) -> Sample {
        // A different number for every agent and sample, cheap and the same in every run.
        let noise = (u64::from(self.number) * 7_919 + seq * 104_729) % 1_000;
        #[expect(clippy::cast_precision_loss, reason = "noise")]
        let percent = noise as f32 / 10.0;
        let bytes = i64::try_from(seq * 1_000_000 + noise).unwrap_or(i64::MAX);
        let disk = |number: u16| DiskMetrics {
            mount_point: format!("/mnt/{number}"),
            device: format!("/dev/sd{number}"),
            fs_type: "ext4".to_owned(),
            total: 1 << 40,
            used: bytes,
            free: (1 << 40) - bytes,
            usage_percent: percent,
            inodes_usage_percent: Some(percent),
        };
        let network = |number: u16| NetworkMetrics {
            interface: format!("eth{number}"),
            received_bytes_total: bytes,
            sent_bytes_total: 2 * bytes,
            received_bytes_delta: Some(1_000_000),
            sent_bytes_delta: Some(2_000_000),
            interval_ms: Some(5_000),
            receive_errors_delta: Some(0),
            send_errors_delta: Some(0),
        };
        Sample {
            timestamp: now_ms(),
            clock_offset_ms: None,
            cpu: Some(CpuMetrics {
                usage_percent: percent,
                core_count: 8,
                user_percent: Some(percent / 2.0),
                system_percent: Some(percent / 4.0),
                iowait_percent: Some(0.5),
                steal_percent: Some(0.0),
            }),
            memory: Some(MemoryMetrics {
                total: 1 << 34,
                used: bytes,
                free: 1 << 30,
                usage_percent: percent,
                available: Some(1 << 33),
                swap_total: Some(0),
                swap_used: Some(0),
            }),
            disks: (0..self.shape.disks).map(disk).collect(),
            networks: (0..self.shape.networks).map(network).collect(),
            load: Some(LoadMetrics { load1: percent / 10.0, load5: 1.5, load15: 1.25 }),
        }
    }
}

/// Reports from `first_at` until `ends_at`, then waits for the acknowledgements that are still to come.
pub(crate) async fn report(
    mut agent: Agent,
    first_at: Instant,
    interval: Duration,
    ends_at: Instant,
    patience: Duration,
    outcomes: mpsc::Sender<Outcome>,
) {
    let mut ticks = interval_at(first_at, interval);
    let mut in_flight: HashMap<u64, Instant> = HashMap::new();
    let mut seq = 0;
    loop {
        let is_over = ends_at <= Instant::now();
        if is_over && in_flight.is_empty() {
            return;
        }
        tokio::select! {
            _ = ticks.tick(), if !is_over => {
                seq += 1;
                let batch = AgentMessage::Batch(Batch { samples: vec![agent.sample(seq)] });
                in_flight.insert(seq, Instant::now());
                let outcome = match send(&mut agent.socket, batch, Some(seq)).await {
                    Ok(()) => Outcome::Sent,
                    Err(_) => Outcome::Disconnected,
                };
                if outcomes.send(outcome).await.is_err() || matches!(outcome, Outcome::Disconnected) {
                    return;
                }
            }
            message = timeout_at(ends_at + patience, agent.socket.next()) => {
                let outcome = match message {
                    Ok(Some(Ok(message))) => answer(&message, &mut in_flight),
                    Ok(Some(Err(_)) | None) | Err(_) => Some(Outcome::Disconnected),
                };
                if let Some(outcome) = outcome
                    && (outcomes.send(outcome).await.is_err() || matches!(outcome, Outcome::Disconnected))
                {
                    return;
                }
            }
        }
    }
}

fn answer(message: &Message, in_flight: &mut HashMap<u64, Instant>) -> Option<Outcome> {
    match server_message(message)? {
        ServerMessage::Ack(ack) => {
            in_flight.remove(&ack.seq).map(|sent_at| Outcome::Acknowledged(sent_at.elapsed()))
        }
        ServerMessage::Error(_) => Some(Outcome::Refused),
        ServerMessage::RegisterAck(_) | ServerMessage::RegisterError(_) | ServerMessage::Config(_) => None,
    }
}

async fn send(socket: &mut Socket, message: AgentMessage, seq: Option<u64>) -> Result<(), FleetError> {
    let frame = AgentFrame { message, timestamp: Some(now_ms()), seq };
    let text = serde_json::to_string(&frame).map_err(std::io::Error::from)?;
    Ok(socket.send(Message::text(text)).await?)
}

fn server_message(message: &Message) -> Option<ServerMessage> {
    serde_json::from_str(message.to_text().ok()?).ok()
}

fn now_ms() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "agents stamp their samples with the time")]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.ok().and_then(|duration| i64::try_from(duration.as_millis()).ok()).unwrap_or(0)
}
