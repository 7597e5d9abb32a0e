//! Follows the fleet for one watcher: what it wants, how often, and whether it is still authenticated.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use pika_shared::chain;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use uuid::Uuid;

use super::alert_follower::AlertFollower;
use super::fleet_event::{EventType, FleetEvent};
use super::latest_values::LatestBody;
use crate::auth::Auth;
use crate::domain::agent::Agent;
use crate::domain::id::AgentId;
use crate::domain::latest::AgentLatest;
use crate::domain::permission::Permission;
use crate::ingest::LiveEvent;
use crate::store::Store;

/// How often the watcher's credential is checked again.
const AUTHENTICATION_INTERVAL: Duration = Duration::from_secs(5);

/// What a watcher wants to receive.
#[derive(Debug)]
pub(super) struct Wanted {
    /// The kinds of events; `resync` is always sent.
    pub(super) kinds: Vec<EventType>,
    /// Only about these agents; about all if empty.
    pub(super) agents: BTreeSet<Uuid>,
    /// Minimum interval between newest values.
    pub(super) interval: Option<Duration>,
    /// Whether newest values are sent as rows.
    pub(super) in_rows: bool,
    /// The agent whose newest values are sent in full.
    pub(super) detail_of: Option<Agent>,
}

impl Wanted {
    fn is_about(&self, agent: AgentId) -> bool {
        self.is_about_agent(Some(agent.0))
    }

    /// The same of what may be about no agent.
    fn is_about_agent(&self, agent: Option<Uuid>) -> bool {
        self.agents.is_empty() || agent.is_some_and(|agent| self.agents.contains(&agent))
    }

    fn has(&self, kind: EventType) -> bool {
        self.kinds.contains(&kind)
    }
}

/// A client that follows the fleet.
pub(super) struct Watcher {
    wanted: Wanted,
    events: broadcast::Receiver<LiveEvent>,
    /// Where alerts are wanted.
    alerts: Option<AlertFollower>,
    store: Store,
    auth: Auth,
    token: SecretString,
    authenticate_at: Instant,
    hello: Option<FleetEvent>,
    /// When pending newest values are sent.
    ticks: Option<Interval>,
    /// Newest values that are held back. Those of an agent replace its older ones, so there are never more than agents.
    held_back: HashMap<AgentId, AgentLatest>,
}

impl Watcher {
    pub(super) fn new(
        wanted: Wanted,
        events: broadcast::Receiver<LiveEvent>,
        alerts: Option<AlertFollower>,
        store: Store,
        (auth, token): (Auth, SecretString),
        now: i64,
    ) -> Self {
        let hello =
            (wanted.in_rows || wanted.has(EventType::Hello)).then(|| FleetEvent::hello(now, wanted.in_rows));
        let ticks = wanted.interval.map(|interval| {
            let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        let authenticate_at = Instant::now() + AUTHENTICATION_INTERVAL;
        let held_back = HashMap::new();
        Self { wanted, events, alerts, store, auth, token, authenticate_at, hello, ticks, held_back }
    }

    /// Returns the next event; `None` once the watcher is no longer authenticated.
    pub(super) async fn next(&mut self) -> Option<FleetEvent> {
        if let Some(hello) = self.hello.take() {
            return Some(hello);
        }
        loop {
            let tick = async {
                match &mut self.ticks {
                    Some(ticks) if !self.held_back.is_empty() => ticks.tick().await,
                    _ => std::future::pending().await,
                }
            };
            let (alerts, wanted) = (&mut self.alerts, &self.wanted);
            let alert = async {
                match alerts {
                    Some(alerts) => alerts.next(|alert| wanted.is_about_agent(alert.agent_id)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = self.events.recv() => match event {
                    Ok(LiveEvent::Metrics(latest)) => {
                        if let Some(event) = self.take_latest(&latest).await {
                            return Some(event);
                        }
                    }
                    Ok(event) => if let Some(event) = self.about(&event) {
                        return Some(event);
                    },
                    Err(RecvError::Lagged(_)) => {
                        // The lists will be newer than what is held back.
                        self.held_back.clear();
                        return Some(FleetEvent::resync());
                    }
                    Err(RecvError::Closed) => return None,
                },
                _ = tick => {
                    let latest = std::mem::take(&mut self.held_back);
                    return Some(self.metrics(latest.into_iter()).await);
                }
                event = alert => return Some(event),
                () = tokio::time::sleep_until(self.authenticate_at) => {
                    self.authenticate_at = Instant::now() + AUTHENTICATION_INTERVAL;
                    if !self.is_let_in().await {
                        return None;
                    }
                }
            }
        }
    }

    /// Returns the event to send for a change other than newest values.
    fn about(&self, event: &LiveEvent) -> Option<FleetEvent> {
        let (kind, agent, event) = match *event {
            LiveEvent::Status { agent, online } => {
                (EventType::Status, agent, FleetEvent::status(agent, online))
            }
            LiveEvent::Agent { agent, change } => {
                (EventType::Agents, agent, FleetEvent::agent(agent, change))
            }
            LiveEvent::Metrics(_) => return None,
        };
        (self.wanted.has(kind) && self.wanted.is_about(agent)).then_some(event)
    }

    /// Returns the newest values to send now.
    async fn take_latest(&mut self, latest: &[(AgentId, AgentLatest)]) -> Option<FleetEvent> {
        if !self.wanted.has(EventType::Metrics) {
            return None;
        }
        let latest = latest.iter().filter(|(agent, _)| self.wanted.is_about(*agent)).copied();
        if self.ticks.is_some() {
            self.held_back.extend(latest);
            return None;
        }
        let latest: Vec<_> = latest.collect();
        if latest.is_empty() { None } else { Some(self.metrics(latest.into_iter()).await) }
    }

    async fn metrics(&self, latest: impl Iterator<Item = (AgentId, AgentLatest)>) -> FleetEvent {
        let event = FleetEvent::metrics(latest, self.wanted.in_rows);
        let Some(agent) = &self.wanted.detail_of else {
            return event;
        };
        match self.store.latest_metrics(agent.key).await {
            Ok(latest) => event.with_detail(LatestBody::new(agent.id.0, latest)),
            Err(error) => {
                tracing::debug!(error = %chain(&error), "a watcher gets no details");
                event
            }
        }
    }

    /// An unavailable database does not end the stream.
    async fn is_let_in(&self) -> bool {
        match self.auth.authenticate(self.token.expose_secret()).await {
            Ok(Some((user, credential))) => Permission::Read.check(user.role, &credential).is_ok(),
            Ok(None) => false,
            Err(_) => true,
        }
    }
}
