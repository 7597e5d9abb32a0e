//! Agents: enrolling, connecting, presence, reading.

use std::collections::HashSet;

use tokio_postgres::Row;
use uuid::Uuid;

use super::{Error, Store};
use crate::domain::TimestampMs;
use crate::domain::agent::{Agent, AgentDescription};
use crate::domain::id::{AgentId, AgentKey, ConnectionId};
use crate::domain::token::TokenHash;

macro_rules! select_agents {
    ($rest:literal) => {
        concat!(
            "SELECT key, id, name, hostname, ip, remote_address, os, arch, version, status, clock_offset_ms, \
             last_seen_at, created_at, updated_at FROM agents ",
            $rest
        )
    };
}

const LIST: &str = select_agents!("WHERE $1 <= status ORDER BY name, key");
const FIND: &str = select_agents!("WHERE id = $1");
const ENROLL: &str = "WITH redeemed AS (UPDATE enrollments SET uses = uses + 1 \
         WHERE token_hash = $1 AND uses < max_uses AND $2 < expires_at RETURNING id) \
     INSERT INTO agents (enrollment_id, last_seen_at, created_at, updated_at, id, name, hostname, ip, \
         remote_address, os, arch, version, secret_hash, status, connection_id, clock_offset_ms) \
     SELECT id, $2, $2, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1, $12, $13 FROM redeemed RETURNING key";
const CONNECT: &str = "UPDATE agents SET name = $2, hostname = $3, ip = $4, remote_address = $5, os = $6, arch = $7, \
     version = $8, status = 1, connection_id = $9, clock_offset_ms = $10, last_seen_at = $11, updated_at = $11 \
     WHERE secret_hash = $1 RETURNING key, id";
// An agent that nobody speaks for any more, although it is connected, is taken up again. One that was not heard for so
// long that it would expire at once is not put online for that moment.
const TOUCH: &str = "UPDATE agents SET last_seen_at = greatest(agents.last_seen_at, seen.at), \
     connection_id = seen.connection_id, clock_offset_ms = seen.clock_offset_ms, \
     status = CASE WHEN $5 <= seen.at THEN 1 ELSE agents.status END \
     FROM unnest($1::int4[], $2::uuid[], $3::int8[], $4::int8[]) AS seen (key, connection_id, at, clock_offset_ms) \
     WHERE agents.key = seen.key \
         AND (agents.connection_id = seen.connection_id OR agents.connection_id IS NULL) RETURNING agents.key";
const DISCONNECT: &str = "UPDATE agents SET status = 0, connection_id = NULL, last_seen_at = greatest(last_seen_at, $3) \
     WHERE key = $1 AND connection_id = $2";
const EXPIRE: &str = "UPDATE agents SET status = 0 WHERE status = 1 AND last_seen_at < $1 RETURNING id";

pub(super) const STATEMENTS: &[&str] = &[LIST, FIND, ENROLL, CONNECT, TOUCH, DISCONNECT, EXPIRE];

/// Everything that a registering agent brings.
#[derive(Clone, Debug)]
pub struct Registration {
    /// What the agent says about itself.
    pub description: AgentDescription,
    /// The address that it connects from.
    pub remote_address: String,
    /// The new connection.
    pub connection_id: ConnectionId,
    /// Server's clock minus agent's clock, as measured now.
    pub clock_offset_ms: i64,
    /// The server's clock.
    pub now: TimestampMs,
}

/// An agent that may send samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectedAgent {
    /// Its key in the database.
    pub key: AgentKey,
    /// Its public id.
    pub id: AgentId,
}

/// A sign of life.
#[derive(Clone, Copy, Debug)]
pub struct Touch {
    /// Whose.
    pub key: AgentKey,
    /// Over which connection.
    pub connection_id: ConnectionId,
    /// When.
    pub at: TimestampMs,
    /// Server's clock minus agent's clock, as last measured.
    pub clock_offset_ms: i64,
}

impl Store {
    /// Makes a new agent of one that brings an enrollment token, and uses the token once. `None` where the token is
    /// unknown, expired or used up.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn enroll_agent(
        &self,
        enrollment_token: TokenHash,
        secret_hash: TokenHash,
        registration: &Registration,
    ) -> Result<Option<ConnectedAgent>, Error> {
        let id = AgentId::random();
        let description = &registration.description;
        let row = self
            .connection()
            .await?
            .query_opt(
                ENROLL,
                &[
                    &enrollment_token.0.as_slice(),
                    &registration.now,
                    &id.0,
                    &description.name,
                    &description.hostname,
                    &description.ip,
                    &registration.remote_address,
                    &description.os,
                    &description.arch,
                    &description.version,
                    &secret_hash.0.as_slice(),
                    &registration.connection_id.0,
                    &registration.clock_offset_ms,
                ],
            )
            .await?;
        Ok(row.map(|row| ConnectedAgent { key: AgentKey(row.get(0)), id }))
    }

    /// Lets an agent in that knows its secret: it is online from now on, and speaks through this connection.
    /// `None` where no agent has that secret.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn connect_agent(
        &self,
        secret_hash: TokenHash,
        registration: &Registration,
    ) -> Result<Option<ConnectedAgent>, Error> {
        let description = &registration.description;
        let row = self
            .connection()
            .await?
            .query_opt(
                CONNECT,
                &[
                    &secret_hash.0.as_slice(),
                    &description.name,
                    &description.hostname,
                    &description.ip,
                    &registration.remote_address,
                    &description.os,
                    &description.arch,
                    &description.version,
                    &registration.connection_id.0,
                    &registration.clock_offset_ms,
                    &registration.now,
                ],
            )
            .await?;
        Ok(row.map(|row| ConnectedAgent { key: AgentKey(row.get(0)), id: AgentId(row.get(1)) }))
    }

    /// Writes signs of life; those since `recent` put their agents online. Answers those that changed nothing: another
    /// connection speaks for the agent by now, or the agent is gone.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn touch_agents(&self, touches: &[Touch], recent: TimestampMs) -> Result<Vec<Touch>, Error> {
        let keys: Vec<i32> = touches.iter().map(|touch| touch.key.0).collect();
        let connections: Vec<Uuid> = touches.iter().map(|touch| touch.connection_id.0).collect();
        let times: Vec<i64> = touches.iter().map(|touch| touch.at).collect();
        let offsets: Vec<i64> = touches.iter().map(|touch| touch.clock_offset_ms).collect();
        let mut connection = self.connection().await?;
        let rows = connection.query(TOUCH, &[&keys, &connections, &times, &offsets, &recent]).await?;
        let touched: HashSet<i32> = rows.iter().map(|row| row.get(0)).collect();
        Ok(touches.iter().filter(|touch| !touched.contains(&touch.key.0)).copied().collect())
    }

    /// Marks an agent offline, unless another connection speaks for it by now. Answers whether it did.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn disconnect_agent(&self, touch: Touch) -> Result<bool, Error> {
        let changed = self
            .connection()
            .await?
            .execute(DISCONNECT, &[&touch.key.0, &touch.connection_id.0, &touch.at])
            .await?;
        Ok(0 < changed)
    }

    /// Marks all agents offline that were last heard before `deadline`, and answers which.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn expire_agents(&self, deadline: TimestampMs) -> Result<Vec<AgentId>, Error> {
        let rows = self.connection().await?.query(EXPIRE, &[&deadline]).await?;
        Ok(rows.iter().map(|row| AgentId(row.get(0))).collect())
    }

    /// All agents by name, or only those online.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn agents(&self, only_online: bool) -> Result<Vec<Agent>, Error> {
        let rows = self.connection().await?.query(LIST, &[&i16::from(only_online)]).await?;
        Ok(rows.iter().map(agent).collect())
    }

    /// One agent.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn agent(&self, id: AgentId) -> Result<Option<Agent>, Error> {
        Ok(self.connection().await?.query_opt(FIND, &[&id.0]).await?.as_ref().map(agent))
    }
}

fn agent(row: &Row) -> Agent {
    Agent {
        key: AgentKey(row.get(0)),
        id: AgentId(row.get(1)),
        name: row.get(2),
        hostname: row.get(3),
        ip: row.get(4),
        remote_address: row.get(5),
        os: row.get(6),
        arch: row.get(7),
        version: row.get(8),
        online: row.get::<_, i16>(9) == 1,
        clock_offset_ms: row.get(10),
        last_seen_at: row.get(11),
        created_at: row.get(12),
        updated_at: row.get(13),
    }
}
