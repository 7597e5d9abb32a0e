//! One agent's connection from its upgrade to its end: registers the agent, serves it, closes the connection.

use std::sync::Arc;
use std::time::Duration;

use pika_protocol::message::Refusal;
use pika_protocol::{ErrorCode, Register, ServerMessage};
use poem::web::websocket::{CloseCode, WebSocketStream};
use tokio::time::timeout;

use super::connection::{Connection, Ended};
use super::frames::{End, FrameLimits, Frames};
use super::peer::{Peer, Probation};
use super::presence::{Ending, Present};
use super::presence_upkeep::{leave, note_takeover};
use super::refusals::Refusals;
use super::register::{Registered, register};
use super::session::AgentSession;
use super::shared::Shared;
use crate::domain::TimestampMs;
use crate::domain::refused::Refused;
use crate::domain::text::clean;
use crate::telemetry::RegistrationOutcome;

const STOPPING: End = End::Close(CloseCode::Away, "the server is stopping");
const DISPLACED: End = End::Close(CloseCode::Again, "others need the connection's place");

/// Serves a connection until it ends.
pub(super) async fn serve(shared: Arc<Shared>, stream: WebSocketStream, peer: Peer, probation: Probation) {
    let refusals = Refusals::new(Arc::clone(&shared.instruments), peer.address.clone());
    let limits = FrameLimits {
        frame_bytes_max: shared.config.frame_bytes_max,
        register_bytes_max: probation.bytes_max,
        samples_per_frame_max: shared.config.samples_per_frame_max,
    };
    let mut frames = Frames::new(stream, refusals, limits);
    match admit(&shared, &mut frames, &peer, probation).await {
        Ok((session, present)) => {
            let mut connection = Connection::new(Arc::clone(&shared), frames, session, present);
            let agent = connection.agent_id();
            let ended = connection.run().await;
            if let Some(count) = shared.instruments.agents().note("disconnected", &agent.to_string()) {
                tracing::info!(%agent, address = %peer.address, count, "agent disconnected");
            }
            let present = connection.into_present();
            if let Some(Ended { ending: Ending::Superseded(by), was_alive: true }) = ended {
                note_takeover(&shared, &present, by).await;
            }
            leave(shared, present).await;
        }
        Err(end) => frames.close(end).await,
    }
}

/// Waits for `register` and admits the agent.
async fn admit(
    shared: &Arc<Shared>,
    frames: &mut Frames,
    peer: &Peer,
    probation: Probation,
) -> Result<(AgentSession, Present), End> {
    let Probation { displaced, end: end_probation, .. } = probation;
    let first = tokio::select! {
        () = shared.stopping.cancelled() => return Err(STOPPING),
        () = displaced.cancelled() => return Err(DISPLACED),
        first = first_message(shared, frames) => first?,
    };
    let (message, sent_at) = match first {
        Ok(first) => first,
        Err(refused) => {
            shared.instruments.add_registration(RegistrationOutcome::Refused);
            return Err(refuse(frames, refused).await);
        }
    };
    let registered = tokio::select! {
        registered = register(shared, peer, &message, sent_at) => registered,
        // The agent is gone. Going on could end the connection that it has opened since.
        () = frames.hung_up() => return Err(End::Gone),
        () = shared.stopping.cancelled() => return Err(STOPPING),
        () = displaced.cancelled() => return Err(DISPLACED),
    };
    shared.instruments.add_registration(match &registered {
        Ok(_) => RegistrationOutcome::Accepted,
        Err(refused) if refused.code == ErrorCode::Unavailable => RegistrationOutcome::Deferred,
        Err(_) => RegistrationOutcome::Refused,
    });
    match registered {
        Ok(registered) => {
            end_probation();
            greet(shared, frames, peer, &message, registered).await
        }
        Err(refused) => Err(refuse(frames, refused).await),
    }
}

/// Tells the agent why it is refused.
async fn refuse(frames: &mut Frames, refused: Refused) -> End {
    frames.refusals.add(&refused);
    let refusal = Refusal { code: refused.code, message: refused.message, seq: None };
    match frames.send(&ServerMessage::RegisterError(refusal)).await {
        Ok(()) => End::Close(CloseCode::Policy, "not registered"),
        Err(end) => end,
    }
}

/// A `register` and the time it claims to have been sent, or what is wrong with it.
type FirstMessage = Result<(Register, Option<TimestampMs>), Refused>;

/// Waits for `register`; the inner error says what is wrong with the one that arrived.
async fn first_message(shared: &Shared, frames: &mut Frames) -> Result<FirstMessage, End> {
    let first = async {
        loop {
            if let Some(first) = frames.read_register(|| shared.clock.now()).await? {
                return Ok::<_, End>(first);
            }
        }
    };
    let register_timeout = Duration::from_millis(shared.config.register_timeout_ms);
    timeout(register_timeout, first)
        .await
        .unwrap_or(Err(End::Close(CloseCode::Policy, "no register in time")))
}

/// Tells an agent that it is registered.
async fn greet(
    shared: &Arc<Shared>,
    frames: &mut Frames,
    peer: &Peer,
    message: &Register,
    registered: Registered,
) -> Result<(AgentSession, Present), End> {
    let Registered { agent, clock, present, ack } = registered;
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
        Ok(()) => Ok((AgentSession::new(agent, clock, shared.clock.now()), present)),
        Err(end) => {
            leave(Arc::clone(shared), present).await;
            Err(end)
        }
    }
}
