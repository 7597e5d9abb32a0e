//! The fleet.

use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::body::Body;
use super::checked::checked;
use super::machine_facts::MachineFactsBody;
use super::security::UserAuth;
use super::serialized::Serialized;
use super::{ApiContext, ApiError, Tag};
use crate::domain::TimestampMs;
use crate::domain::agent::{Agent, AgentFilter, AgentLabels, IdentityConflict, NAME_CHARS_MAX};
use crate::domain::audit::Action;
use crate::domain::id::{AgentId, EnrollmentId};
use crate::domain::name::parse_optional;
use crate::domain::permission::Permission;
use crate::domain::text::clean;
use crate::ingest::AgentChange;
use crate::store::{Labelled, Store};

/// The fleet.
#[derive(Debug)]
pub struct AgentsApi;

/// An agent and its machine.
#[derive(Clone, Debug, Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "Agent", rename_all = "camelCase")]
pub(super) struct AgentBody {
    /// The agent's id.
    id: Uuid,
    /// The display name: set by an administrator, or else the agent's own.
    name: String,
    /// The agent's own name.
    reported_name: String,
    /// Tags set by administrators.
    tags: Vec<String>,
    /// Notes by administrators.
    note: String,
    /// The machine's host name.
    hostname: String,
    /// The address reported by the agent.
    ip: String,
    /// The address the agent's connection comes from, as seen by the server.
    remote_address: String,
    /// Operating system, for example `linux`.
    os: String,
    /// Processor architecture, for example `amd64`.
    arch: String,
    /// The agent's version.
    version: String,
    /// What the machine is.
    facts: MachineFactsBody,
    /// The id of the enrollment token it was enrolled with; absent once that is deleted, some time after it has ended.
    enrollment_id: Option<Uuid>,
    /// 1 online, 0 offline.
    status: i32,
    /// Whether its secret was revoked, so that it cannot connect until it is enrolled again.
    revoked: bool,
    /// Set if two machines use this agent's identity; absent unless that was seen within the last hour.
    identity_conflict: Option<IdentityConflictBody>,
    /// The correction added to the agent's clock, in milliseconds; 0 if the clock is right to within two seconds.
    clock_offset_ms: i64,
    /// When the agent was last heard from, in milliseconds since the Unix epoch.
    last_seen_at: Option<i64>,
    /// When the agent was enrolled, in milliseconds since the Unix epoch.
    created_at: i64,
    /// When the agent last registered or was changed, in milliseconds since the Unix epoch.
    updated_at: i64,
}

/// Connections with one identity that keep taking over from each other.
#[derive(Clone, Debug, Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "IdentityConflict", rename_all = "camelCase")]
struct IdentityConflictBody {
    /// When this was last seen, in milliseconds since the Unix epoch.
    detected_at: i64,
    /// The addresses of the connections.
    addresses: Vec<String>,
}

/// What administrators set for an agent.
#[derive(Debug, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct AgentUpdate {
    /// The display name (255 characters); if empty, the agent's own name is shown.
    name: String,
    /// Tags (32 of 1–64 characters). Duplicates are removed.
    tags: Vec<String>,
    /// Free text (10000 characters).
    note: String,
    /// The agent's `updatedAt` as it was read, in milliseconds since the Unix epoch: if it has changed since, the
    /// answer is 409 and nothing is saved.
    updated_at: Option<i64>,
}

#[derive(ApiResponse)]
enum DeleteResponse {
    /// The agent was deleted.
    #[oai(status = 204)]
    NoContent,
}

impl AgentBody {
    fn new(agent: Agent, now: TimestampMs) -> Self {
        Self {
            id: agent.id.0,
            name: agent.name,
            reported_name: agent.reported_name,
            tags: agent.tags,
            note: agent.note,
            hostname: agent.hostname,
            ip: agent.ip,
            remote_address: agent.remote_address,
            os: agent.os,
            arch: agent.arch,
            version: agent.version,
            facts: agent.facts.into(),
            enrollment_id: agent.enrollment_id.map(|id| id.0),
            status: i32::from(agent.online),
            revoked: agent.is_revoked,
            identity_conflict: agent.identity_conflict.filter(|conflict| !conflict.is_over(now)).map(
                |IdentityConflict { detected_at, addresses }| IdentityConflictBody { detected_at, addresses },
            ),
            clock_offset_ms: agent.clock_offset_ms,
            last_seen_at: agent.last_seen_at,
            created_at: agent.created_at,
            updated_at: agent.updated_at,
        }
    }
}

/// A list of agents.
#[derive(Debug, Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
struct AgentList {
    /// The agents, by name.
    items: Vec<AgentBody>,
    /// Number of agents.
    total: u64,
}

impl AgentList {
    fn new(agents: Vec<Agent>, now: TimestampMs) -> Self {
        let items = agents.into_iter().map(|agent| AgentBody::new(agent, now));
        Self { total: items.len() as u64, items: items.collect() }
    }
}

/// Returns the text to search for; empty to match everything.
fn filter_text(parameter: &str, text: Option<String>) -> Result<String, ApiError> {
    checked(parameter, parse_optional(&text.unwrap_or_default(), NAME_CHARS_MAX))
}

/// Returns the agent of a path, or 404.
pub(super) async fn find(store: &Store, id: Uuid) -> Result<Agent, ApiError> {
    let agent = store.agent(AgentId(id)).await?;
    agent.ok_or_else(|| no_agent(id))
}

/// 404.
pub(super) fn no_agent(id: Uuid) -> ApiError {
    ApiError::not_found(format!("there is no agent {id}"))
}

#[OpenApi(prefix_path = "/api", tag = "Tag::Agents")]
impl AgentsApi {
    /// List agents
    ///
    /// All agents, or those that match every given filter.
    #[oai(path = "/agents", method = "get", operation_id = "listAgents")]
    async fn list(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// Text in a name or an address, in any case.
        search: Query<Option<String>>,
        /// Only agents with this tag.
        tag: Query<Option<String>>,
        /// 0 or 1: only agents that are offline, or online.
        status: Query<Option<i32>>,
        /// Only agents enrolled with this token.
        #[oai(name = "enrollmentId")]
        enrollment_id: Query<Option<Uuid>>,
    ) -> Result<Serialized<AgentList>, ApiError> {
        auth.require(Permission::Read)?;
        let online = match status.0 {
            None => None,
            Some(0) => Some(false),
            Some(1) => Some(true),
            Some(_) => return Err(ApiError::unprocessable("status", "must be 0 or 1")),
        };
        let filter = AgentFilter {
            online,
            search: filter_text("search", search.0)?,
            tag: filter_text("tag", tag.0)?,
            enrollment_id: enrollment_id.0.map(EnrollmentId),
        };
        let agents = context.store.agents(&filter).await?;
        Ok(Serialized(AgentList::new(agents, context.clock.now())))
    }

    /// List online agents
    #[oai(path = "/agents/online", method = "get", operation_id = "listOnlineAgents")]
    async fn list_online(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
    ) -> Result<Serialized<AgentList>, ApiError> {
        auth.require(Permission::Read)?;
        let filter = AgentFilter { online: Some(true), ..AgentFilter::default() };
        let agents = context.store.agents(&filter).await?;
        Ok(Serialized(AgentList::new(agents, context.clock.now())))
    }

    /// Get an agent
    #[oai(path = "/agents/:id", method = "get", operation_id = "getAgent")]
    async fn get(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The agent's id.
        id: Path<Uuid>,
    ) -> Result<Json<AgentBody>, ApiError> {
        auth.require(Permission::Read)?;
        let agent = find(&context.store, id.0).await?;
        Ok(Json(AgentBody::new(agent, context.clock.now())))
    }

    /// Name, tag or describe an agent
    ///
    /// For administrators. Replaces all three; with `updatedAt`, only if nobody else has changed them in the meantime.
    /// An agent that registers with another name keeps what is set here.
    #[oai(path = "/agents/:id", method = "put", operation_id = "updateAgent")]
    async fn update(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The agent's id.
        id: Path<Uuid>,
        body: Body<AgentUpdate>,
    ) -> Result<Json<AgentBody>, ApiError> {
        let caller = auth.require(Permission::WriteAgents)?;
        let Body(AgentUpdate { name, tags, note, updated_at }) = body;
        let labels = AgentLabels::new(&name, &tags, note)
            .map_err(|error| ApiError::unprocessable(error.field, &error.message))?;
        let now = context.clock.now();
        let event = caller.event(Action::AgentUpdated);
        match context.store.label_agent(AgentId(id.0), &labels, updated_at, event).await? {
            Labelled::Kept => {}
            Labelled::NoAgent => return Err(no_agent(id.0)),
            Labelled::ChangedMeanwhile => {
                return Err(ApiError::conflict("the agent was changed in the meantime; read it again"));
            }
        }
        context.sockets.announce_agent(AgentId(id.0), AgentChange::Updated);
        tracing::info!(agent = %id.0, user = clean(&caller.user.username), "changed an agent's labels");
        let agent = find(&context.store, id.0).await?;
        Ok(Json(AgentBody::new(agent, now)))
    }

    /// Delete an agent
    ///
    /// For administrators. The agent's connection is closed, and it can no longer connect: only a new enrollment token
    /// brings the machine back, as a new agent. Its history becomes inaccessible at once; the rows are dropped when
    /// they expire.
    #[oai(path = "/agents/:id", method = "delete", operation_id = "deleteAgent")]
    async fn delete(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The agent's id.
        id: Path<Uuid>,
    ) -> Result<DeleteResponse, ApiError> {
        let caller = auth.require(Permission::WriteAgents)?;
        let deleted = context.store.delete_agent(AgentId(id.0), caller.event(Action::AgentDeleted)).await?;
        let key = deleted.ok_or_else(|| no_agent(id.0))?;
        context.sockets.end_deleted(key);
        context.sockets.announce_agent(AgentId(id.0), AgentChange::Deleted);
        tracing::info!(agent = %id.0, user = clean(&caller.user.username), "deleted an agent");
        Ok(DeleteResponse::NoContent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pika_protocol::MachineFacts;

    use crate::api::serialized::assert_described;

    #[test]
    fn lists_are_written_as_described() {
        let agent = AgentBody {
            id: Uuid::from_u128(1),
            name: "web-1".to_owned(),
            reported_name: "web".to_owned(),
            tags: vec!["a".to_owned()],
            note: "\"\u{1}\u{e9}".to_owned(),
            hostname: "web".to_owned(),
            ip: "192.0.2.1".to_owned(),
            remote_address: "192.0.2.2".to_owned(),
            os: "linux".to_owned(),
            arch: "amd64".to_owned(),
            version: "1".to_owned(),
            facts: MachineFactsBody::default(),
            enrollment_id: None,
            status: 1,
            revoked: false,
            identity_conflict: None,
            clock_offset_ms: -1,
            last_seen_at: None,
            created_at: 1,
            updated_at: 2,
        };
        let conflict = IdentityConflictBody { detected_at: 3, addresses: vec!["192.0.2.3".to_owned()] };
        let facts = MachineFacts {
            os_name: Some("Debian".to_owned()),
            cpu_count: Some(8),
            booted_at: Some(1),
            ..MachineFacts::default()
        };
        let other = AgentBody {
            facts: facts.into(),
            enrollment_id: Some(Uuid::from_u128(2)),
            identity_conflict: Some(conflict),
            last_seen_at: Some(4),
            ..agent.clone()
        };
        assert_described(&AgentList { items: vec![agent, other], total: 2 });
    }
}
