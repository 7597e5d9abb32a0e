//! Agents: connecting, presence, reading, and the labels administrators give them.

use std::collections::HashSet;

use tokio_postgres::Row;
use uuid::Uuid;

use super::alerts::end_of_agent;
use super::connection::{Connection, Parameter};
use super::{Error, Store, audit};
use crate::domain::TimestampMs;
use crate::domain::agent::{Agent, AgentFilter, AgentLabels, IdentityConflict};
use crate::domain::audit::{AuditEvent, Object, ObjectKind};
use crate::domain::id::{AgentId, AgentKey, ConnectionId, EnrollmentId};

macro_rules! select_agents {
    ($rest:literal) => {
        concat!(
            "SELECT key, id, coalesce(custom_name, name), hostname, ip, remote_address, os, arch, version, status, \
             clock_offset_ms, last_seen_at, created_at, updated_at, name, tags, note, secret_hash IS NULL, \
             identity_conflict_at, identity_conflict_addresses, enrollment_id, facts::text FROM agents ",
            $rest
        )
    };
}

// Searched texts are joined by line breaks, which none of them contains, so that no match spans two of them.
const LIST: &str = select_agents!(
    "WHERE ($1::int2 IS NULL OR status = $1) AND ($3 = '' OR $3 = ANY (tags)) \
         AND ($4::uuid IS NULL OR enrollment_id = $4) \
         AND position(lower($2) IN lower(concat_ws(E'\\n', custom_name, name, hostname, ip, remote_address))) > 0 \
     ORDER BY coalesce(custom_name, name), key"
);
const FIND: &str = select_agents!("WHERE id = $1");
const LABEL: &str = "UPDATE agents SET custom_name = nullif($2, ''), tags = $3, note = $4, updated_at = $5 \
     WHERE id = $1 AND ($6::int8 IS NULL OR updated_at = $6) \
     RETURNING coalesce(custom_name, name)";
const DELETE: &str = "DELETE FROM agents WHERE id = $1 RETURNING key, coalesce(custom_name, name)";
// A connected agent for which no connection speaks is taken up again. One silent for so long that it would expire at
// once is not put online for that moment.
const TOUCH: &str = "UPDATE agents SET last_seen_at = greatest(agents.last_seen_at, seen.at), \
     connection_id = seen.connection_id, clock_offset_ms = seen.clock_offset_ms, \
     status = CASE WHEN $5 <= seen.at THEN 1 ELSE agents.status END \
     FROM unnest($1::int4[], $2::uuid[], $3::int8[], $4::int8[]) AS seen (key, connection_id, at, clock_offset_ms) \
     WHERE agents.key = seen.key \
         AND (agents.connection_id = seen.connection_id OR agents.connection_id IS NULL) RETURNING agents.key";
const DISCONNECT: &str = "UPDATE agents SET status = 0, connection_id = NULL, last_seen_at = greatest(last_seen_at, $3) \
     WHERE key = $1 AND connection_id = $2";
// A connection speaks for its agent while the agent's row names it, or names none, in which case it is taken up again.
const FIND_LAPSED: &str = "SELECT speaker.key, speaker.connection_id, agents.key IS NULL, agents.secret_hash IS NULL \
     FROM unnest($1::int4[], $2::uuid[]) AS speaker (key, connection_id) \
     LEFT JOIN agents ON agents.key = speaker.key \
     WHERE agents.key IS NULL OR agents.secret_hash IS NULL OR agents.connection_id <> speaker.connection_id";
const EXPIRE: &str = "UPDATE agents SET status = 0 WHERE status = 1 AND last_seen_at < $1 RETURNING id";

pub(super) const STATEMENTS: &[&str] = &[LIST, FIND, LABEL, DELETE, TOUCH, DISCONNECT, FIND_LAPSED, EXPIRE];

/// An agent that may send samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectedAgent {
    /// The agent's key in the database.
    pub key: AgentKey,
    /// The agent's public id.
    pub id: AgentId,
}

/// A connection that speaks for an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Speaker {
    /// The agent's key.
    pub agent: AgentKey,
    /// The connection's id.
    pub connection_id: ConnectionId,
}

/// Why a connection no longer speaks for its agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lapse {
    /// Another connection took over.
    Superseded,
    /// The agent's secret was revoked.
    Revoked,
    /// The agent was deleted.
    Deleted,
}

/// The outcome of [`Store::label_agent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labelled {
    /// The labels were saved.
    Kept,
    /// There is no such agent.
    NoAgent,
    /// The agent has changed since the administrator read it.
    ChangedMeanwhile,
}

/// A sign of life.
#[derive(Clone, Copy, Debug)]
pub struct Touch {
    /// The agent and the connection it was seen on.
    pub speaker: Speaker,
    /// When the agent was last heard.
    pub at: TimestampMs,
    /// Server's clock minus agent's clock, as last measured, in milliseconds.
    pub clock_offset_ms: i64,
}

pub(super) async fn find(connection: &Connection, id: AgentId) -> Result<Option<Agent>, Error> {
    Ok(connection.query_opt(FIND, &[&id.0]).await?.as_ref().map(agent))
}

impl Store {
    /// Records signs of life; those since `recent` put their agents online. Returns which of the connections no longer
    /// speak for their agents, and why.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn touch_agents(
        &self,
        touches: &[Touch],
        recent: TimestampMs,
    ) -> Result<Vec<(Speaker, Lapse)>, Error> {
        let (keys, connections) = columns(touches.iter().map(|touch| touch.speaker));
        let times: Vec<i64> = touches.iter().map(|touch| touch.at).collect();
        let offsets: Vec<i64> = touches.iter().map(|touch| touch.clock_offset_ms).collect();
        let mut connection = self.connection().await?;
        let rows = connection.query(TOUCH, &[&keys, &connections, &times, &offsets, &recent]).await?;
        let touched: HashSet<i32> = rows.iter().map(|row| row.get(0)).collect();
        let speakers = touches.iter().map(|touch| touch.speaker);
        let untouched: Vec<Speaker> =
            speakers.filter(|speaker| !touched.contains(&speaker.agent.0)).collect();
        Ok(find_lapsed(&mut connection, untouched.into_iter()).await?)
    }

    /// Marks an agent offline unless another connection speaks for it by now. Returns whether it was marked.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn disconnect_agent(&self, touch: Touch) -> Result<bool, Error> {
        let changed = self
            .connection()
            .await?
            .execute(DISCONNECT, &[&touch.speaker.agent.0, &touch.speaker.connection_id.0, &touch.at])
            .await?;
        Ok(0 < changed)
    }

    /// Marks all agents offline that were last heard before `deadline`, and returns their ids.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn expire_agents(&self, deadline: TimestampMs) -> Result<Vec<AgentId>, Error> {
        let rows = self.connection().await?.query(EXPIRE, &[&deadline]).await?;
        Ok(rows.iter().map(|row| AgentId(row.get(0))).collect())
    }

    /// Returns the agents that match the filter, by name.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn agents(&self, filter: &AgentFilter) -> Result<Vec<Agent>, Error> {
        let status = filter.online.map(i16::from);
        let enrollment = filter.enrollment_id.map(|id| id.0);
        let parameters: [Parameter<'_>; 4] = [&status, &filter.search, &filter.tag, &enrollment];
        let rows = self.connection().await?.query(LIST, &parameters).await?;
        Ok(rows.iter().map(agent).collect())
    }

    /// Returns one agent.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn agent(&self, id: AgentId) -> Result<Option<Agent>, Error> {
        find(&*self.connection().await?, id).await
    }

    /// Saves what an administrator says about an agent, provided that it has not changed since `unchanged_since`, if
    /// given. The event's object is filled in.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn label_agent(
        &self,
        id: AgentId,
        labels: &AgentLabels,
        unchanged_since: Option<TimestampMs>,
        event: AuditEvent,
    ) -> Result<Labelled, Error> {
        let AgentLabels { name, tags, note } = labels;
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let parameters: [Parameter<'_>; 6] = [&id.0, name, tags, note, &event.origin.at, &unchanged_since];
        let Some(row) = transaction.query_opt(LABEL, &parameters).await? else {
            let is_there = transaction.query_opt(FIND, &[&id.0]).await?.is_some();
            return Ok(if is_there { Labelled::ChangedMeanwhile } else { Labelled::NoAgent });
        };
        let object = Object::new(ObjectKind::Agent, &id, row.get::<_, String>(0));
        audit::insert(&transaction, &event.about(object)).await?;
        transaction.commit().await?;
        Ok(Labelled::Kept)
    }

    /// Deletes an agent with its secret, disks, interfaces and newest values. Its samples can no longer be queried,
    /// because nothing refers to its key; they are dropped with their chunks. Returns the agent's key. The event's
    /// object is filled in.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn delete_agent(&self, id: AgentId, event: AuditEvent) -> Result<Option<AgentKey>, Error> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        // While the key still exists, and with it the recipients of its alerts.
        end_of_agent(&transaction, id.0, event.origin.at).await?;
        let Some(row) = transaction.query_opt(DELETE, &[&id.0]).await? else {
            return Ok(None);
        };
        let object = Object::new(ObjectKind::Agent, &id, row.get::<_, String>(1));
        audit::insert(&transaction, &event.about(object)).await?;
        transaction.commit().await?;
        Ok(Some(AgentKey(row.get(0))))
    }
}

/// Returns which of these connections no longer speak for their agents, and why.
pub(super) async fn find_lapsed(
    connection: &mut Connection,
    speakers: impl ExactSizeIterator<Item = Speaker>,
) -> Result<Vec<(Speaker, Lapse)>, tokio_postgres::Error> {
    if speakers.len() == 0 {
        return Ok(Vec::new());
    }
    let (keys, connections) = columns(speakers);
    let lapsed = |row: &Row| {
        let speaker = Speaker { agent: AgentKey(row.get(0)), connection_id: ConnectionId(row.get(1)) };
        let lapse = match (row.get(2), row.get(3)) {
            (true, _) => Lapse::Deleted,
            (false, true) => Lapse::Revoked,
            (false, false) => Lapse::Superseded,
        };
        (speaker, lapse)
    };
    Ok(connection.query(FIND_LAPSED, &[&keys, &connections]).await?.iter().map(lapsed).collect())
}

/// The connections as column arrays, as statements take them.
fn columns(speakers: impl Iterator<Item = Speaker>) -> (Vec<i32>, Vec<Uuid>) {
    speakers.map(|Speaker { agent, connection_id }| (agent.0, connection_id.0)).unzip()
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
        // What a later server has kept there is not known here.
        facts: serde_json::from_str(row.get(21)).unwrap_or_default(),
        online: row.get::<_, i16>(9) == 1,
        clock_offset_ms: row.get(10),
        last_seen_at: row.get(11),
        created_at: row.get(12),
        updated_at: row.get(13),
        reported_name: row.get(14),
        tags: row.get(15),
        note: row.get(16),
        is_revoked: row.get(17),
        enrollment_id: row.get::<_, Option<Uuid>>(20).map(EnrollmentId),
        identity_conflict: row
            .get::<_, Option<TimestampMs>>(18)
            .map(|detected_at| IdentityConflict { detected_at, addresses: row.get(19) }),
    }
}
