//! Agent identities: registering by token or by secret, replacing and revoking secrets.

use pika_protocol::MachineFacts;
use serde_json::json;
use tokio_postgres::{Row, Transaction};
use uuid::Uuid;

use super::connection::Parameter;
use super::{ConnectedAgent, Error, Store, audit};
use crate::domain::TimestampMs;
use crate::domain::agent::AgentDescription;
use crate::domain::audit::{Action, Actor, AuditEvent, Object, ObjectKind, Origin};
use crate::domain::id::{AgentId, AgentKey, ConnectionId};
use crate::domain::token::TokenHash;

/// What a registration updates of an existing agent; $1 and everything after $12 belong to the statement.
macro_rules! update_agent {
    ($before:literal, $more:literal) => {
        concat!(
            $before,
            "UPDATE agents SET name = $2, hostname = $3, ip = $4, remote_address = $5, os = $6, arch = $7, version = $8, \
             status = 1, connection_id = $9, clock_offset_ms = $10, last_seen_at = $11, updated_at = $11, \
             facts = $12::text::jsonb",
            $more,
            " RETURNING agents.key, agents.id"
        )
    };
}

const ENROLL: &str = "WITH redeemed AS (UPDATE enrollments SET uses = uses + 1 \
         WHERE token_hash = $1 AND agent_key IS NULL AND uses < max_uses AND $2 < expires_at RETURNING id) \
     INSERT INTO agents (enrollment_id, last_seen_at, created_at, updated_at, id, name, hostname, ip, \
         remote_address, os, arch, version, secret_hash, status, connection_id, clock_offset_ms, facts) \
     SELECT id, $2, $2, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1, $12, $13, $14::text::jsonb FROM redeemed RETURNING key";
// The new secret locks out whoever has the old one.
const REENROLL: &str = update_agent!(
    "WITH redeemed AS (UPDATE enrollments SET uses = uses + 1 \
         WHERE token_hash = $1 AND agent_key IS NOT NULL AND uses < max_uses AND $11 < expires_at RETURNING agent_key) ",
    ", secret_hash = $13, identity_conflict_at = NULL, identity_conflict_addresses = '{}' \
     FROM redeemed WHERE agents.key = redeemed.agent_key"
);
const CONNECT: &str = update_agent!("", " WHERE secret_hash = $1");
const ROTATE: &str = update_agent!(
    "",
    ", secret_hash = $13, identity_conflict_at = NULL, identity_conflict_addresses = '{}' WHERE secret_hash = $1"
);
// A connection that is still open, on whichever server, no longer speaks for the agent: its signs of life are ignored.
const REVOKE: &str = "UPDATE agents SET secret_hash = NULL, status = 0, connection_id = $2, updated_at = $3 \
     WHERE id = $1 RETURNING key, coalesce(custom_name, name)";
const NOTE_CONFLICT: &str =
    "UPDATE agents SET identity_conflict_at = $2, identity_conflict_addresses = $3 WHERE key = $1";

pub(super) const STATEMENTS: &[&str] = &[ENROLL, REENROLL, CONNECT, ROTATE, REVOKE, NOTE_CONFLICT];

/// Everything a registering agent provides.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The agent's description of itself.
    pub description: AgentDescription,
    /// The address it connects from.
    pub remote_address: String,
    /// The id of the new connection.
    pub connection_id: ConnectionId,
    /// Server's clock minus agent's clock, as measured now, in milliseconds.
    pub clock_offset_ms: i64,
    /// The server's time.
    pub now: TimestampMs,
}

impl Registration {
    /// Returns the parameters of `update_agent!` up to $12. The credential is the first.
    fn changes<'a>(&'a self, credential: Parameter<'a>, facts: &'a String) -> [Parameter<'a>; 12] {
        let description = &self.description;
        [
            credential,
            &description.name,
            &description.hostname,
            &description.ip,
            &self.remote_address,
            &description.os,
            &description.arch,
            &description.version,
            &self.connection_id.0,
            &self.clock_offset_ms,
            &self.now,
            facts,
        ]
    }

    /// What the machine is, as it is kept: by the server's clock.
    fn facts(&self) -> String {
        let facts = &self.description.facts;
        let booted_at = facts.booted_at.map(|at| at.saturating_add(self.clock_offset_ms));
        // A clock that was set after the start says something else about it.
        let booted_at = booted_at.filter(|at| (0..=self.now).contains(at));
        json!(MachineFacts { booted_at, ..facts.clone() }).to_string()
    }

    /// Returns the audit event. A registering agent is not a user.
    fn event(&self, action: Action, agent: AgentId) -> AuditEvent {
        let origin = Origin { at: self.now, address: self.remote_address.clone(), ..Origin::default() };
        let agent = Object::new(ObjectKind::Agent, &agent, &self.description.name);
        AuditEvent::new(Actor::Nobody, origin, action).about(agent)
    }
}

/// The result of redeeming an enrollment token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enrolled {
    /// A new agent.
    New(ConnectedAgent),
    /// The agent the token was created for, with a new secret.
    Again(ConnectedAgent),
}

impl Enrolled {
    /// Returns the agent, new or not.
    pub fn agent(self) -> ConnectedAgent {
        match self {
            Enrolled::New(agent) | Enrolled::Again(agent) => agent,
        }
    }
}

impl Store {
    /// Redeems an enrollment token once: for a new agent, or for the agent the token was created for, whose old secret
    /// becomes invalid. Returns `None` if the token is unknown, expired or used up.
    ///
    /// # Errors
    /// If the database is unavailable, or the secret is another agent's.
    pub async fn enroll_agent(
        &self,
        enrollment_token: TokenHash,
        secret_hash: TokenHash,
        registration: &Registration,
    ) -> Result<Option<Enrolled>, Error> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let enrolled = match insert_agent(&transaction, enrollment_token, secret_hash, registration).await? {
            Some(agent) => Some(Enrolled::New(agent)),
            None => {
                let again =
                    replace_secret(&transaction, REENROLL, enrollment_token, secret_hash, registration)
                        .await?;
                again.map(Enrolled::Again)
            }
        };
        let Some(enrolled) = enrolled else {
            return Ok(None);
        };
        let is_new = matches!(enrolled, Enrolled::New(_));
        let details = json!({"isNew": is_new, "hostname": registration.description.hostname});
        let event = registration.event(Action::AgentEnrolled, enrolled.agent().id).with(details);
        audit::insert(&transaction, &event).await?;
        transaction.commit().await?;
        Ok(Some(enrolled))
    }

    /// Connects an agent by its secret: it is online from now on, and represented by this connection. Returns `None` if
    /// no agent has that secret.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn connect_agent(
        &self,
        secret_hash: TokenHash,
        registration: &Registration,
    ) -> Result<Option<ConnectedAgent>, Error> {
        let connection = self.connection().await?;
        let facts = registration.facts();
        let credential = secret_hash.0.as_slice();
        let row = connection.query_opt(CONNECT, &registration.changes(&credential, &facts)).await?;
        Ok(row.as_ref().map(connected))
    }

    /// Connects an agent by its secret and replaces that by the new one the agent has generated. Returns `None` if no
    /// agent has the old one.
    ///
    /// # Errors
    /// If the database is unavailable, or the new secret is another agent's.
    pub async fn rotate_secret(
        &self,
        secret_hash: TokenHash,
        new_secret_hash: TokenHash,
        registration: &Registration,
    ) -> Result<Option<ConnectedAgent>, Error> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let rotated =
            replace_secret(&transaction, ROTATE, secret_hash, new_secret_hash, registration).await?;
        let Some(agent) = rotated else {
            return Ok(None);
        };
        audit::insert(&transaction, &registration.event(Action::AgentSecretRotated, agent.id)).await?;
        transaction.commit().await?;
        Ok(Some(agent))
    }

    /// Revokes an agent's secret. Returns the agent's key, if there is such an agent. The event's object is filled in.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn revoke_secret(&self, id: AgentId, event: AuditEvent) -> Result<Option<AgentKey>, Error> {
        let nobody = Uuid::new_v4();
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let Some(row) = transaction.query_opt(REVOKE, &[&id.0, &nobody, &event.origin.at]).await? else {
            return Ok(None);
        };
        let object = Object::new(ObjectKind::Agent, &id, row.get::<_, String>(1));
        audit::insert(&transaction, &event.about(object)).await?;
        transaction.commit().await?;
        Ok(Some(AgentKey(row.get(0))))
    }

    /// Records that connections with this agent's identity keep taking over from each other.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn note_identity_conflict(
        &self,
        agent: AgentKey,
        addresses: &[String],
        now: TimestampMs,
    ) -> Result<(), Error> {
        self.connection().await?.execute(NOTE_CONFLICT, &[&agent.0, &now, &addresses]).await?;
        Ok(())
    }
}

/// Creates a new agent, if the token allows it.
async fn insert_agent(
    transaction: &Transaction<'_>,
    enrollment_token: TokenHash,
    secret_hash: TokenHash,
    registration: &Registration,
) -> Result<Option<ConnectedAgent>, tokio_postgres::Error> {
    let id = AgentId::random();
    let description = &registration.description;
    let facts = registration.facts();
    let parameters: [Parameter<'_>; 14] = [
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
        &facts,
    ];
    let row = transaction.query_opt(ENROLL, &parameters).await?;
    Ok(row.map(|row| ConnectedAgent { key: AgentKey(row.get(0)), id }))
}

/// Gives a new secret to the agent that the credential identifies: a re-enrollment token or its previous secret.
async fn replace_secret(
    transaction: &Transaction<'_>,
    statement: &str,
    credential: TokenHash,
    new_secret_hash: TokenHash,
    registration: &Registration,
) -> Result<Option<ConnectedAgent>, tokio_postgres::Error> {
    let (credential, new_secret) = (credential.0.as_slice(), new_secret_hash.0.as_slice());
    let facts = registration.facts();
    let mut parameters = registration.changes(&credential, &facts).to_vec();
    parameters.push(&new_secret);
    Ok(transaction.query_opt(statement, &parameters).await?.as_ref().map(connected))
}

fn connected(row: &Row) -> ConnectedAgent {
    ConnectedAgent { key: AgentKey(row.get(0)), id: AgentId(row.get(1)) }
}
