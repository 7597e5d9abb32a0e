//! The one connection over which all that a chart needs is read.

use bb8::PooledConnection;
use tokio::sync::SemaphorePermit;

use super::connection::Manager;
use super::{Error, Store, agents, maintenance};
use crate::domain::agent::Agent;
use crate::domain::id::AgentId;
use crate::domain::retention::Retention;

/// A connection of those that charts may use.
#[derive(Debug)]
pub struct ChartConnection<'a> {
    pub(super) connection: PooledConnection<'a, Manager>,
    _permit: SemaphorePermit<'a>,
}

impl Store {
    /// A connection for a chart.
    ///
    /// # Errors
    /// When the database is away, and when all connections that charts may use stay in use for as long as a connection is
    /// waited for.
    pub async fn chart_connection(&self) -> Result<ChartConnection<'_>, Error> {
        let permit = self.chart_permit().await?;
        Ok(ChartConnection { connection: self.connection().await?, _permit: permit })
    }
}

impl ChartConnection<'_> {
    /// As [`Store::agent`].
    ///
    /// # Errors
    /// When the database is away.
    pub async fn agent(&self, id: AgentId) -> Result<Option<Agent>, Error> {
        agents::find(&self.connection, id).await
    }

    /// As [`Store::retention`].
    ///
    /// # Errors
    /// When the database is away.
    pub async fn retention(&self) -> Result<Retention, Error> {
        maintenance::find_retention(&self.connection).await
    }
}
