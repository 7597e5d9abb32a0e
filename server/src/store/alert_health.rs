//! The health of Pika itself as recorded in the database, for alert rules about it.

use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::Error;
use super::alert_evaluation::Evaluation;
use crate::domain::TimestampMs;

const MAINTENANCE: &str = "SELECT succeeded_at, unhealthy_jobs FROM maintenance_state";
const SET_MAINTENANCE: &str = "UPDATE maintenance_state SET succeeded_at = $1, unhealthy_jobs = $2";
const CHANNELS: &str = "SELECT id, name, state <> 'ok' FROM alert_channels WHERE enabled ORDER BY id";

pub(super) const STATEMENTS: &[&str] = &[MAINTENANCE, SET_MAINTENANCE, CHANNELS];

/// The health of Pika itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemHealth {
    /// When maintenance last succeeded; `None` if it never has.
    pub maintained_at: Option<TimestampMs>,
    /// Number of unhealthy database jobs that it found.
    pub unhealthy_jobs: i32,
    /// The enabled channels.
    pub channels: Vec<ChannelHealth>,
}

/// The health of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelHealth {
    /// The channel's id.
    pub id: Uuid,
    /// The channel's name.
    pub name: String,
    /// Whether the last message could not be sent.
    pub is_failing: bool,
}

impl Evaluation<'_> {
    /// Returns the health of Pika itself.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn health(&self) -> Result<SystemHealth, Error> {
        let state = self.0.query_one(MAINTENANCE, &[]).await?;
        let channel = |row: &Row| ChannelHealth { id: row.get(0), name: row.get(1), is_failing: row.get(2) };
        let channels = self.0.query(CHANNELS, &[]).await?.iter().map(channel).collect();
        Ok(SystemHealth { maintained_at: state.get(0), unhealthy_jobs: state.get(1), channels })
    }
}

/// Records that maintenance has succeeded, and how many unhealthy jobs it found.
pub(super) async fn note_maintenance(
    client: &Client,
    n_unhealthy: usize,
    now: TimestampMs,
) -> Result<(), tokio_postgres::Error> {
    let n_unhealthy = i32::try_from(n_unhealthy).unwrap_or(i32::MAX);
    client.execute(SET_MAINTENANCE, &[&now, &n_unhealthy]).await?;
    Ok(())
}
