//! A minimal server that registers an agent and acknowledges its samples.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{SinkExt as _, StreamExt as _};
use pika_protocol::message::{Ack, RegisterAck};
use pika_protocol::{AgentFrame, AgentMessage, ServerMessage};
use pika_shared::Clock;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use crate::error::BenchError;

const AGENT_ID: &str = "00000000-0000-4000-8000-000000000001";

/// The number of received samples.
#[derive(Clone, Debug, Default)]
pub(super) struct Received(Arc<AtomicU64>);

impl Received {
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A server that accepts everything and stores nothing.
pub(super) struct Sink {
    listener: TcpListener,
    received: Received,
}

impl Sink {
    pub(super) async fn listen() -> Result<Self, BenchError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        Ok(Self { listener, received: Received::default() })
    }

    pub(super) fn address(&self) -> Result<SocketAddr, BenchError> {
        Ok(self.listener.local_addr()?)
    }

    pub(super) fn received(&self) -> Received {
        self.received.clone()
    }

    /// Serves one connection at a time: there is only one agent.
    pub(super) async fn run(self, stop: CancellationToken) {
        let serving = async {
            loop {
                // The agent handles connection errors.
                if let Ok((stream, _)) = self.listener.accept().await
                    && let Err(error) = serve(stream, &self.received).await
                {
                    crate::load::progress(&pika_shared::chain(&error).to_string());
                }
            }
        };
        tokio::select! {
            () = serving => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn serve(stream: TcpStream, received: &Received) -> Result<(), BenchError> {
    let mut socket = tokio_tungstenite::accept_async(stream).await?;
    while let Some(message) = socket.next().await.transpose()? {
        let Message::Text(text) = message else { continue };
        let frame: AgentFrame = serde_json::from_str(&text).map_err(std::io::Error::from)?;
        if let AgentMessage::Batch(batch) = &frame.message {
            received.0.fetch_add(batch.samples.len() as u64, Ordering::Relaxed);
        }
        if let Some(answer) = answer(&frame) {
            let text = serde_json::to_string(&answer).map_err(std::io::Error::from)?;
            socket.send(Message::text(text)).await?;
        }
    }
    Ok(())
}

fn answer(frame: &AgentFrame) -> Option<ServerMessage> {
    match &frame.message {
        AgentMessage::Register(_) => Some(ServerMessage::RegisterAck(RegisterAck {
            agent_id: AGENT_ID.to_owned(),
            secret: None,
            server_time: Clock::system().now(),
            clock_offset_ms: 0,
        })),
        AgentMessage::Batch(_)
        | AgentMessage::Gap(_)
        | AgentMessage::Metrics(_)
        | AgentMessage::Heartbeat(_) => frame.seq.map(|seq| ServerMessage::Ack(Ack { seq })),
    }
}

#[cfg(test)]
mod tests {
    use pika_protocol::Batch;

    use super::*;

    #[test]
    fn what_has_a_number_is_acknowledged() {
        let frame = |seq| AgentFrame { message: AgentMessage::Batch(Batch::default()), timestamp: None, seq };
        assert_eq!(answer(&frame(Some(7))), Some(ServerMessage::Ack(Ack { seq: 7 })));
        assert_eq!(answer(&frame(None)), None);
    }
}
