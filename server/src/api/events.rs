//! Changes in the fleet as server-sent events.

use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use poem::Request;
use poem::web::Data;
use poem::web::sse::Event;
use poem_openapi::param::Query;
use poem_openapi::payload::EventStream;
use poem_openapi::types::ToJSON as _;
use poem_openapi::{ApiResponse, Enum, OpenApi};
use secrecy::SecretString;

use super::alert_follower::AlertFollower;
use super::event_parameters::{AGENT_IDS_MAX, AgentIds, EventKinds};
use super::fleet_event::{EventType, FleetEvent};
use super::security::{SESSION_COOKIE, UserAuth};
use super::watcher::{Wanted, Watcher};
use super::{ApiContext, ApiError, Tag, agents};
use crate::domain::permission::Permission;
use crate::http;

/// How often a comment is sent while nothing happens, so that no proxy takes the connection for dead.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// An agent's full newest values are read from the database at most this often.
const DETAIL_INTERVAL_MS_MIN: u64 = 1_000;

/// What changes in the fleet.
#[derive(Debug)]
pub struct EventsApi;

/// How much detail newest values have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
enum EventDetail {
    /// What fleet lists show.
    Summary,
    /// Everything, including every disk and interface.
    Full,
}

/// The format of newest values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
enum EventFormat {
    /// An object per agent.
    Objects,
    /// A list of values per agent.
    Rows,
}

#[derive(ApiResponse)]
enum EventsResponse {
    /// Events, until the client hangs up, its session ends, or the server stops.
    #[oai(status = 200)]
    Ok(
        EventStream<BoxStream<'static, FleetEvent>>,
        /// Keeps proxies from buffering events.
        #[oai(header = "X-Accel-Buffering")]
        String,
    ),
}

#[OpenApi(prefix_path = "/api", tag = "Tag::Agents")]
impl EventsApi {
    /// Follow the fleet
    ///
    /// Server-sent events (`text/event-stream`): each has a name and one object of JSON as its data. `metrics` comes
    /// whenever samples were stored, about once a second, with the newest values of the agents that have reported since;
    /// `status` when an agent comes or goes; `resync` when events were missed, and the lists should be read again. Only
    /// agents that are connected to this server are told of, and of `agents` what is done through it; `alert` tells of all
    /// alerts, whichever server judged, a few seconds later. Read the lists after the first byte has come, and no change is
    /// missed. The stream ends when the login does.
    #[oai(path = "/events", method = "get", operation_id = "followEvents")]
    #[expect(clippy::too_many_arguments, reason = "one argument a parameter")]
    async fn follow(
        &self,
        context: Data<&ApiContext>,
        request: &Request,
        auth: UserAuth,
        /// Kinds of events, separated by commas or repeated; by default `metrics` and `status`. `resync` is always
        /// sent.
        kinds: Query<Option<EventKinds>>,
        /// Only events about these agents (at most 200); may be repeated.
        #[oai(name = "agentId")]
        agent_ids: Query<Option<AgentIds>>,
        /// Minimum interval between newest values, in milliseconds; each agent's latest ones are sent then.
        #[oai(name = "intervalMs", validator(minimum(value = "1000"), maximum(value = "60000")))]
        interval_ms: Query<Option<u64>>,
        /// `full` adds to the newest values those of every disk and interface. Only with a single `agentId`, and at
        /// most once a second.
        detail: Query<Option<EventDetail>>,
        /// `rows` sends newest values as lists, whose columns are named once by `hello`, which is then sent first; a
        /// third of the size.
        format: Query<Option<EventFormat>>,
    ) -> Result<EventsResponse, ApiError> {
        auth.require(Permission::Read)?;
        let agents = agent_ids.0.map(|AgentIds(ids)| ids).unwrap_or_default();
        if AGENT_IDS_MAX < agents.len() {
            return Err(ApiError::unprocessable(
                "agentId",
                &format!("may be repeated at most {AGENT_IDS_MAX} times"),
            ));
        }
        let mut interval_ms = interval_ms.0;
        // Subscribed first, so that nothing is missed between reading an agent's details and the first event.
        let events = context.sockets.watch();
        let mut detail_of = None;
        if detail.0 == Some(EventDetail::Full) {
            let mut ids = agents.iter();
            let (Some(id), None) = (ids.next(), ids.next()) else {
                return Err(ApiError::unprocessable("detail", "full needs a single agentId"));
            };
            detail_of = Some(agents::find(&context.store, *id).await?);
            interval_ms = interval_ms.or(Some(DETAIL_INTERVAL_MS_MIN));
        }
        let kinds = kinds.0.map_or(vec![EventType::Metrics, EventType::Status], EventKinds::types);
        let alerts = if kinds.contains(&EventType::Alert) {
            let cache = context.changed_alerts.clone();
            Some(AlertFollower::start(context.store.clone(), context.clock.clone(), cache).await?)
        } else {
            None
        };
        let wanted = Wanted {
            kinds,
            agents,
            interval: interval_ms.map(Duration::from_millis),
            in_rows: format.0 == Some(EventFormat::Rows),
            detail_of,
        };
        let token = http::bearer_token(request).or_else(|| http::cookie(request, SESSION_COOKIE));
        let token = SecretString::from(token.unwrap_or_default().to_owned());
        let credential = (context.auth.clone(), token);
        let watcher =
            Watcher::new(wanted, events, alerts, context.store.clone(), credential, context.clock.now());
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
