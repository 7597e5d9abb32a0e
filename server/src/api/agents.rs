//! The fleet.

use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use super::security::UserAuth;
use super::{ApiContext, ApiError, Tag};
use crate::domain::agent::Agent;
use crate::domain::id::AgentId;
use crate::domain::permission::Permission;
use crate::store::Store;

/// The fleet.
#[derive(Debug)]
pub struct AgentsApi;

/// An agent and its machine.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Agent", rename_all = "camelCase")]
pub(super) struct AgentBody {
    /// The agent's id.
    id: Uuid,
    /// What people call it.
    name: String,
    /// The machine's host name.
    hostname: String,
    /// The address that the agent reports.
    ip: String,
    /// The address that the server sees the agent's connection come from.
    remote_address: String,
    /// Operating system, for example `linux`.
    os: String,
    /// Processor architecture, for example `amd64`.
    arch: String,
    /// The agent's version.
    version: String,
    /// 1 online, 0 offline.
    status: i32,
    /// What the server adds to the agent's clock, in milliseconds; 0 where the clock is right to within two seconds.
    clock_offset_ms: i64,
    /// When the agent was last heard, in milliseconds since the Unix epoch.
    last_seen_at: Option<i64>,
    /// When the agent was enrolled, in milliseconds since the Unix epoch.
    created_at: i64,
    /// When the agent last registered or was changed, in milliseconds since the Unix epoch.
    updated_at: i64,
}

impl From<Agent> for AgentBody {
    fn from(agent: Agent) -> Self {
        Self {
            id: agent.id.0,
            name: agent.name,
            hostname: agent.hostname,
            ip: agent.ip,
            remote_address: agent.remote_address,
            os: agent.os,
            arch: agent.arch,
            version: agent.version,
            status: i32::from(agent.online),
            clock_offset_ms: agent.clock_offset_ms,
            last_seen_at: agent.last_seen_at,
            created_at: agent.created_at,
            updated_at: agent.updated_at,
        }
    }
}

/// A list of agents.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct AgentList {
    /// The agents, by name.
    items: Vec<AgentBody>,
    /// How many there are.
    total: u64,
}

impl AgentList {
    fn new(agents: Vec<Agent>) -> Self {
        Self { total: agents.len() as u64, items: agents.into_iter().map(AgentBody::from).collect() }
    }
}

/// The agent of a path, or 404.
pub(super) async fn find(store: &Store, id: Uuid) -> Result<Agent, ApiError> {
    let agent = store.agent(AgentId(id)).await?;
    agent.ok_or_else(|| ApiError::not_found(format!("there is no agent {id}")))
}

#[OpenApi(prefix_path = "/api", tag = "Tag::Agents")]
impl AgentsApi {
    /// List all agents
    #[oai(path = "/agents", method = "get", operation_id = "listAgents")]
    async fn list(&self, context: Data<&ApiContext>, auth: UserAuth) -> Result<Json<AgentList>, ApiError> {
        auth.require(Permission::Read)?;
        Ok(Json(AgentList::new(context.store.agents(false).await?)))
    }

    /// List the agents that are online
    #[oai(path = "/agents/online", method = "get", operation_id = "listOnlineAgents")]
    async fn list_online(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
    ) -> Result<Json<AgentList>, ApiError> {
        auth.require(Permission::Read)?;
        Ok(Json(AgentList::new(context.store.agents(true).await?)))
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
        Ok(Json(find(&context.store, id.0).await?.into()))
    }
}
