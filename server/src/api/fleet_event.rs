//! Fleet events as sent to clients.

use poem_openapi::types::Any;
use poem_openapi::{Enum, Object};
use serde_json::Value;
use uuid::Uuid;

use super::latest::AgentLatestBody;
use super::latest_values::LatestBody;
use crate::domain::id::AgentId;
use crate::domain::latest::AgentLatest;
use crate::ingest::AgentChange;

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "EventType", rename_all = "lowercase")]
pub(super) enum EventType {
    /// New samples were stored; `metrics` or `rows` has the newest values of their agents.
    Metrics,
    /// An agent went online or offline; `agentId` and `status` say which.
    Status,
    /// Events were missed because they were read too slowly: read the lists again.
    Resync,
    /// The stream has begun. Only sent on request.
    Hello,
    /// An agent was enrolled, changed or deleted; `agentId` and `change` say which. Only sent on request.
    Agents,
    /// An alert has fired, changed or ended; `alertId` and `change` say which. Only for those who ask for it.
    Alert,
}

impl EventType {
    /// Returns the name of its events.
    pub(super) fn name(self) -> &'static str {
        match self {
            EventType::Metrics => "metrics",
            EventType::Status => "status",
            EventType::Resync => "resync",
            EventType::Hello => "hello",
            EventType::Agents => "agents",
            EventType::Alert => "alert",
        }
    }
}

/// A change in the fleet.
#[derive(Debug, Object)]
#[oai(rename = "FleetEvent", rename_all = "camelCase")]
pub(super) struct FleetEvent {
    /// The kind of the change; also the name of the event.
    #[oai(rename = "type")]
    pub(super) event_type: EventType,
    /// With `metrics`: the newest values of the agents that have reported; otherwise empty.
    metrics: Vec<AgentLatestBody>,
    /// With `status` and `agents`: the agent's id.
    agent_id: Option<Uuid>,
    /// With `status`: 1 online, 0 offline.
    status: Option<i32>,
    /// With `metrics` and `format=rows`: the same values instead of `metrics`, each agent's in the order of the
    /// `columns` in `hello`.
    #[oai(skip_serializing_if_is_none)]
    rows: Option<Vec<Vec<Any<Value>>>>,
    /// With `metrics` and `detail=full`: all newest values of the agent; absent if the database could not be queried.
    #[oai(skip_serializing_if_is_none)]
    detail: Option<LatestBody>,
    /// With `agents`: `created`, `updated` or `deleted`; with `alert`: `fired`, `changed` or `ended`. Others may follow.
    #[oai(skip_serializing_if_is_none)]
    change: Option<String>,
    /// With `alert`: the alert.
    #[oai(skip_serializing_if_is_none)]
    alert_id: Option<Uuid>,
    /// With `hello` and `format=rows`: the fields of `AgentLatest` in the order in which rows have them.
    #[oai(skip_serializing_if_is_none)]
    columns: Option<Vec<String>>,
    /// With `hello`: the server's clock, in milliseconds since the Unix epoch.
    #[oai(skip_serializing_if_is_none)]
    server_time: Option<i64>,
    /// With `hello`: the server's version.
    #[oai(skip_serializing_if_is_none)]
    version: Option<String>,
    /// With `hello`: an id unique to the stream.
    #[oai(skip_serializing_if_is_none)]
    stream_id: Option<Uuid>,
}

impl FleetEvent {
    fn of_type(event_type: EventType) -> Self {
        Self {
            event_type,
            metrics: Vec::new(),
            agent_id: None,
            status: None,
            rows: None,
            detail: None,
            change: None,
            alert_id: None,
            columns: None,
            server_time: None,
            version: None,
            stream_id: None,
        }
    }

    pub(super) fn resync() -> Self {
        Self::of_type(EventType::Resync)
    }

    pub(super) fn hello(server_time: i64, in_rows: bool) -> Self {
        Self {
            server_time: Some(server_time),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            stream_id: Some(Uuid::new_v4()),
            columns: in_rows.then(columns),
            ..Self::of_type(EventType::Hello)
        }
    }

    pub(super) fn status(agent: AgentId, online: bool) -> Self {
        Self { agent_id: Some(agent.0), status: Some(i32::from(online)), ..Self::of_type(EventType::Status) }
    }

    pub(super) fn agent(agent: AgentId, change: AgentChange) -> Self {
        Self {
            agent_id: Some(agent.0),
            change: Some(change.as_str().to_owned()),
            ..Self::of_type(EventType::Agents)
        }
    }

    pub(super) fn alert(id: Uuid, change: &str) -> Self {
        Self { alert_id: Some(id), change: Some(change.to_owned()), ..Self::of_type(EventType::Alert) }
    }

    pub(super) fn metrics(latest: impl Iterator<Item = (AgentId, AgentLatest)>, in_rows: bool) -> Self {
        let event = Self::of_type(EventType::Metrics);
        if in_rows {
            return Self { rows: Some(latest.map(row).collect()), ..event };
        }
        Self { metrics: latest.map(AgentLatestBody::from).collect(), ..event }
    }

    #[cfg(test)]
    pub(super) fn alert_change(&self) -> Option<(Uuid, String)> {
        self.alert_id.zip(self.change.clone())
    }

    pub(super) fn with_detail(self, detail: LatestBody) -> Self {
        Self { detail: Some(detail), ..self }
    }
}

/// Returns the fields of an agent's newest values, in order.
fn fields(agent: AgentId, latest: AgentLatest) -> impl Iterator<Item = (String, Value)> {
    match serde_json::to_value(AgentLatestBody::from((agent, latest))) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    }
    .into_iter()
}

/// Returns the names of the fields, which are the same for every agent.
fn columns() -> Vec<String> {
    fields(AgentId(Uuid::nil()), AgentLatest::default()).map(|(name, _)| name).collect()
}

fn row((agent, latest): (AgentId, AgentLatest)) -> Vec<Any<Value>> {
    fields(agent, latest).map(|(_, value)| Any(value)).collect()
}
