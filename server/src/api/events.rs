//! What changes in the fleet, as server-sent events.

use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use poem::Request;
use poem::web::Data;
use poem::web::sse::Event;
use poem_openapi::param::Query;
use poem_openapi::payload::EventStream;
use poem_openapi::types::ToJSON as _;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use uuid::Uuid;

use super::latest::AgentLatestBody;
use super::security::{SESSION_COOKIE, UserAuth};
use super::{ApiContext, ApiError, Tag};
use crate::auth::Auth;
use crate::domain::permission::Permission;
use crate::http;
use crate::ingest::LiveEvent;

/// How often a comment is sent where nothing happens, so that nobody on the way takes the connection for dead.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// How often it is asked whether the watcher is still let in.
const AUTHENTICATION_INTERVAL: Duration = Duration::from_secs(5);

/// What changes in the fleet.
#[derive(Debug)]
pub struct EventsApi;

/// What kind of change it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "EventType", rename_all = "lowercase")]
enum EventType {
    /// New samples are stored; `metrics` has the newest values of their agents.
    Metrics,
    /// An agent has come or gone; `agentId` and `status` say which.
    Status,
    /// Events were missed, because they were read too slowly: read the lists again.
    Resync,
}

/// A change in the fleet.
#[derive(Debug, Object)]
#[oai(rename = "FleetEvent", rename_all = "camelCase")]
pub(super) struct FleetEvent {
    /// What kind of change it is; also the name of the event.
    #[oai(rename = "type")]
    event_type: EventType,
    /// With `metrics`: the newest values of the agents that have reported; otherwise empty.
    metrics: Vec<AgentLatestBody>,
    /// With `status`: the agent.
    agent_id: Option<Uuid>,
    /// With `status`: 1 online, 0 offline.
    status: Option<i32>,
}

impl FleetEvent {
    fn of_type(event_type: EventType) -> Self {
        Self { event_type, metrics: Vec::new(), agent_id: None, status: None }
    }

    /// The part of an event that is about this agent, or all of it.
    fn about(event: LiveEvent, wanted: Option<Uuid>) -> Option<Self> {
        let is_wanted = |id: Uuid| wanted.is_none_or(|wanted| wanted == id);
        match event {
            LiveEvent::Metrics(latest) => {
                let latest = latest.iter().filter(|(agent, _)| is_wanted(agent.0));
                let metrics: Vec<_> = latest.copied().map(AgentLatestBody::from).collect();
                (!metrics.is_empty()).then_some(Self { metrics, ..Self::of_type(EventType::Metrics) })
            }
            LiveEvent::Status { agent, online } => is_wanted(agent.0).then(|| Self {
                agent_id: Some(agent.0),
                status: Some(i32::from(online)),
                ..Self::of_type(EventType::Status)
            }),
        }
    }
}

#[derive(ApiResponse)]
enum EventsResponse {
    /// Events, until the client hangs up, its login ends, or the server stops.
    #[oai(status = 200)]
    Ok(
        EventStream<BoxStream<'static, FleetEvent>>,
        /// Keeps proxies from holding events back.
        #[oai(header = "X-Accel-Buffering")]
        String,
    ),
}

/// One who watches.
struct Watcher {
    events: broadcast::Receiver<LiveEvent>,
    agent_id: Option<Uuid>,
    auth: Auth,
    token: SecretString,
    authenticate_at: Instant,
}

impl Watcher {
    /// The next event; `None` when the watcher is let in no more.
    async fn next(&mut self) -> Option<FleetEvent> {
        loop {
            tokio::select! {
                event = self.events.recv() => match event {
                    Ok(event) => {
                        if let Some(event) = FleetEvent::about(event, self.agent_id) {
                            return Some(event);
                        }
                    }
                    Err(RecvError::Lagged(_)) => return Some(FleetEvent::of_type(EventType::Resync)),
                    Err(RecvError::Closed) => return None,
                },
                () = tokio::time::sleep_until(self.authenticate_at) => {
                    self.authenticate_at = Instant::now() + AUTHENTICATION_INTERVAL;
                    if !self.is_let_in().await {
                        return None;
                    }
                }
            }
        }
    }

    /// A database that is away does not throw anybody out.
    async fn is_let_in(&self) -> bool {
        match self.auth.authenticate(self.token.expose_secret()).await {
            Ok(Some((user, credential))) => Permission::Read.check(user.role, &credential).is_ok(),
            Ok(None) => false,
            Err(_) => true,
        }
    }
}

#[OpenApi(prefix_path = "/api", tag = "Tag::Agents")]
impl EventsApi {
    /// Follow the fleet
    ///
    /// Server-sent events (`text/event-stream`): each has a name and one object of JSON as its data. `metrics` comes
    /// whenever samples were stored, about once a second, with the newest values of the agents that have reported since;
    /// `status` when an agent comes or goes; `resync` when events were missed, and the lists should be read again. Only
    /// agents that are connected to this server are told of. Read the lists after the first byte has come, and no change
    /// is missed. The stream ends when the login does.
    #[oai(path = "/events", method = "get", operation_id = "followEvents")]
    #[expect(clippy::unused_async, reason = "the macro awaits it")]
    async fn follow(
        &self,
        context: Data<&ApiContext>,
        request: &Request,
        auth: UserAuth,
        /// Only events about this agent.
        #[oai(name = "agentId")]
        agent_id: Query<Option<Uuid>>,
    ) -> Result<EventsResponse, ApiError> {
        auth.require(Permission::Read)?;
        let token = http::bearer_token(request).or_else(|| http::cookie(request, SESSION_COOKIE));
        let watcher = Watcher {
            events: context.sockets.watch(),
            agent_id: agent_id.0,
            auth: context.auth.clone(),
            token: SecretString::from(token.unwrap_or_default().to_owned()),
            authenticate_at: Instant::now() + AUTHENTICATION_INTERVAL,
        };
        let events = stream::unfold(watcher, |mut watcher| async {
            let event = watcher.next().await?;
            Some((event, watcher))
        });
        let events = events.take_until(context.sockets.stopping()).boxed();
        let events = EventStream::new(events)
            .keep_alive(KEEP_ALIVE_INTERVAL)
            .to_event(|event| Event::message(event.to_json_string()).event_type(event.event_type.name()));
        Ok(EventsResponse::Ok(events, "no".to_owned()))
    }
}

impl EventType {
    fn name(self) -> &'static str {
        match self {
            EventType::Metrics => "metrics",
            EventType::Status => "status",
            EventType::Resync => "resync",
        }
    }
}
