//! One agent's connection from its upgrade to its end: lets the agent in, serves it, sees it off.

use std::sync::Arc;
use std::time::Duration;

use pika_protocol::message::Refusal;
use pika_protocol::{ErrorCode, ServerMessage};
use poem::web::websocket::{CloseCode, WebSocketStream};
use secrecy::SecretString;
use tokio::time::timeout;

use super::Shared;
use super::connection::{Connection, Ended};
use super::frames::{End, FrameLimits, Frames};
use super::presence::{self, Ending, Present};
use super::refusals::Refusals;
use super::register::{Registered, register};
use super::session::Session;
use crate::domain::text::clean;
use crate::telemetry::Registration;

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address that the connection comes from.
    pub address: String,
    /// The credential of the upgrade request, where there was one.
    pub bearer_token: Option<SecretString>,
}

/// Serves a connection until it ends.
pub(super) async fn serve(shared: Arc<Shared>, stream: WebSocketStream, peer: Peer) {
    let refusals = Refusals::new(Arc::clone(&shared.instruments), peer.address.clone());
    let limits = FrameLimits {
        frame_bytes_max: shared.config.frame_bytes_max,
        samples_per_frame_max: shared.config.samples_per_frame_max,
    };
    let mut frames = Frames::new(stream, refusals, limits);
    match admit(&shared, &mut frames, &peer).await {
        Ok((session, present)) => {
            let mut connection = Connection::new(Arc::clone(&shared), frames, session, present);
            let agent = connection.agent_id();
            let ended = connection.run().await;
            if let Some(count) = shared.instruments.agents().note("disconnected", &agent.to_string()) {
                tracing::info!(%agent, address = %peer.address, count, "agent disconnected");
            }
            let present = connection.into_present();
            if let Some(Ended { ending: Ending::Superseded(by), was_alive: true }) = ended {
                presence::note_takeover(&shared, &present, by).await;
            }
            presence::leave(shared, present).await;
        }
        Err(end) => frames.close(end).await,
    }
}

/// Waits for `register` and lets the agent in.
async fn admit(shared: &Arc<Shared>, frames: &mut Frames, peer: &Peer) -> Result<(Session, Present), End> {
    const STOPPING: End = End::Close(CloseCode::Away, "the server is stopping");

    let patience = Duration::from_millis(shared.config.register_timeout_ms);
    let first = async {
        loop {
            if let Some(first) = frames.read_register(|| shared.clock.now()).await? {
                return Ok::<_, End>(first);
            }
        }
    };
    let (message, sent_at) = tokio::select! {
        () = shared.stopping.cancelled() => return Err(STOPPING),
        first = timeout(patience, first) => match first {
            Ok(first) => first?,
            Err(_) => return Err(End::Close(CloseCode::Policy, "no register in time")),
        },
    };
    let registered = tokio::select! {
        registered = register(shared, peer, &message, sent_at) => registered,
        // Nobody is waiting any more. Going on could push out the connection that the agent has made since.
        () = frames.hung_up() => return Err(End::Gone),
        () = shared.stopping.cancelled() => return Err(STOPPING),
    };
    shared.instruments.add_registration(match &registered {
        Ok(_) => Registration::Accepted,
        Err(refused) if refused.code == ErrorCode::Unavailable => Registration::Deferred,
        Err(_) => Registration::Refused,
    });
    match registered {
        Ok(Registered { agent, clock, present, ack }) => {
            frames.refusals.identify(agent.id);
            if let Some(count) = shared.instruments.agents().note("connected", &agent.id.to_string()) {
                tracing::info!(
                    agent = %agent.id,
                    hostname = clean(&message.hostname),
                    address = %peer.address,
                    version = clean(&message.version),
                    clock_offset_ms = clock.ms(),
                    count,
                    "agent connected"
                );
            }
            match frames.send(&ServerMessage::RegisterAck(ack)).await {
                Ok(()) => Ok((Session::new(agent, clock), present)),
                Err(end) => {
                    presence::leave(Arc::clone(shared), present).await;
                    Err(end)
                }
            }
        }
        Err(refused) => {
            frames.refusals.add(&refused);
            let refusal = Refusal { code: refused.code, message: refused.message, seq: None };
            frames.send(&ServerMessage::RegisterError(refusal)).await?;
            Err(End::Close(CloseCode::Policy, "not registered"))
        }
    }
}
