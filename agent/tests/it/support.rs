//! A fake server, an agent that runs against it, and timeouts.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use pika_agent::agent::{Agent, AgentError};
use pika_agent::config::{Config, Overrides};
use pika_agent::identity::Identity;
use pika_agent::link::Timing;
use pika_protocol::message::{Ack, RegisterAck};
use pika_protocol::{AgentFrame, AgentMessage, ServerMessage};
use pika_shared::Clock;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_util::sync::CancellationToken;

/// Longer than anything takes on a busy machine; passing tests never wait for it.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) const AGENT_ID: &str = "0197f1a2-0000-7000-8000-000000000001";
pub(crate) const SECRET: &str = "the-agents-secret";

/// Waits for the future, with a timeout.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("timed out waiting for {what}"))
}

/// Timeouts and delays for tests.
pub(crate) fn timing() -> Timing {
    Timing {
        retry_delay_first: Duration::from_millis(20),
        retry_delay_max: Duration::from_millis(100),
        refused_delay: Duration::from_millis(200),
        ..Timing::STANDARD
    }
}

/// A server that accepts connections only when a test asks for it.
pub(crate) struct FakeServer {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

impl FakeServer {
    pub(crate) async fn start() -> FakeServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        FakeServer { listener, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/prefix", self.address)
    }

    pub(crate) async fn accept_tcp(&self) -> TcpStream {
        within("a connection", self.listener.accept()).await.unwrap().0
    }

    /// Accepts a WebSocket.
    #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
    pub(crate) async fn accept(&self) -> Peer {
        let stream = self.accept_tcp().await;
        let mut head = None;
        let callback = |request: &Request, response: Response| {
            head = Some(request.clone());
            Ok(response)
        };
        let upgrade = tokio_tungstenite::accept_hdr_async(stream, callback);
        let socket = within("an upgrade", upgrade).await.unwrap();
        Peer { socket, head: head.unwrap() }
    }

    /// Accepts a WebSocket and registers the agent.
    pub(crate) async fn accept_registered(&self) -> Peer {
        let mut peer = self.accept().await;
        let frame = peer.receive().await;
        assert!(matches!(frame.message, AgentMessage::Register(_)), "{frame:?}");
        peer.send(&register_ack(None)).await;
        peer
    }
}

pub(crate) fn register_ack(secret: Option<&str>) -> ServerMessage {
    register_ack_at(secret, 0)
}

/// Returns the response to an agent with this clock offset.
pub(crate) fn register_ack_at(secret: Option<&str>, clock_offset_ms: i64) -> ServerMessage {
    ServerMessage::RegisterAck(RegisterAck {
        agent_id: AGENT_ID.to_owned(),
        secret: secret.map(str::to_owned),
        server_time: 1_700_000_000_000,
        clock_offset_ms,
    })
}

/// The server's end of a connection.
pub(crate) struct Peer {
    pub(crate) socket: WebSocketStream<TcpStream>,
    pub(crate) head: Request,
}

impl Peer {
    /// Receives the next message of any kind; `None` if the agent has disconnected.
    pub(crate) async fn receive_message(&mut self) -> Option<Message> {
        within("a message", self.socket.next()).await.and_then(Result::ok)
    }

    /// Receives the next text frame.
    pub(crate) async fn receive(&mut self) -> AgentFrame {
        loop {
            match self.receive_message().await {
                Some(Message::Text(text)) => return serde_json::from_str(&text).unwrap(),
                Some(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("expected a frame, not {other:?}"),
            }
        }
    }

    /// Receives the next frame with samples, and returns its number and their timestamps.
    pub(crate) async fn receive_batch(&mut self) -> (u64, Vec<i64>) {
        loop {
            let frame = self.receive().await;
            if let AgentMessage::Batch(batch) = frame.message {
                let timestamps = batch.samples.iter().map(|sample| sample.timestamp).collect();
                return (frame.seq.unwrap(), timestamps);
            }
        }
    }

    /// Receives and acknowledges frames until all these samples have arrived; returns the timestamps of all received
    /// ones.
    pub(crate) async fn receive_until(&mut self, expected: &[i64]) -> Vec<i64> {
        let mut found = Vec::new();
        let receive = async {
            while !expected.iter().all(|timestamp| found.contains(timestamp)) {
                let (seq, timestamps) = self.receive_batch().await;
                found.extend(timestamps);
                self.acknowledge(seq).await;
            }
        };
        within("samples that are still open", receive).await;
        found
    }

    pub(crate) async fn send(&mut self, message: &ServerMessage) {
        let text = serde_json::to_string(message).unwrap();
        self.send_raw(Message::text(text)).await;
    }

    pub(crate) async fn send_raw(&mut self, message: Message) {
        within("sending", self.socket.send(message)).await.unwrap();
    }

    pub(crate) async fn acknowledge(&mut self, seq: u64) {
        self.send(&ServerMessage::Ack(Ack { seq })).await;
    }
}

/// An agent that runs in this process.
pub(crate) struct RunningAgent {
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<Result<(), AgentError>>,
}

impl RunningAgent {
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        within("the end of the agent", self.task).await.unwrap().unwrap();
    }
}

/// Starts an enrolled agent; `yaml` is its configuration.
pub(crate) fn start_agent(server: &FakeServer, state_dir: &Path, yaml: &str) -> RunningAgent {
    start_agent_at(&server.url(), state_dir, yaml)
}

/// Returns the defaults merged with `yaml`.
pub(crate) fn agent_config(state_dir: &Path, yaml: &str) -> Config {
    let overrides = Overrides { state_dir: Some(state_dir.to_owned()), ..Overrides::default() };
    Config::from_yaml("test", yaml, |_| None, &overrides).unwrap()
}

pub(crate) fn start_agent_at(url: &str, state_dir: &Path, yaml: &str) -> RunningAgent {
    start_agent_with(Clock::system(), url, state_dir, yaml)
}

pub(crate) fn start_agent_with(clock: Clock, url: &str, state_dir: &Path, yaml: &str) -> RunningAgent {
    let config = agent_config(state_dir, yaml);
    let identity = Identity {
        id: AGENT_ID.to_owned(),
        secret: SECRET.to_owned().into(),
        next_secret: None,
        server: url.to_owned(),
        key_pin: None,
    };
    let shutdown = CancellationToken::new();
    let agent = Agent { config, identity, clock, timing: timing() };
    let task = tokio::spawn(agent.run(shutdown.clone()));
    RunningAgent { shutdown, task }
}

/// Waits until the agent has written `n_samples` more samples to its spool.
pub(crate) async fn samples_taken(state_dir: &Path, n_samples: usize) {
    let spool = state_dir.join("spool");
    let mut last = spool_bytes(&spool);
    for _ in 0..n_samples {
        let grown = async {
            while spool_bytes(&spool) <= last {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        within("a sample in the spool", grown).await;
        last = spool_bytes(&spool);
    }
}

fn spool_bytes(spool: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(spool) else {
        return 0;
    };
    let segments = entries
        .map(Result::unwrap)
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "seg"));
    segments.map(|entry| entry.metadata().unwrap().len()).sum()
}

/// Creates a state directory, with an identity for agents that run as a process.
pub(crate) fn state_dir(server: Option<&FakeServer>) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    if let Some(server) = server {
        let identity = serde_json::json!({ "id": AGENT_ID, "secret": SECRET, "server": server.url() });
        fs::write(dir.path().join("identity.json"), identity.to_string()).unwrap();
    }
    dir
}
