//! The single connection over which everything a chart needs is read.

use bb8::PooledConnection;
use tokio::sync::SemaphorePermit;

use super::connection::Manager;
use super::{Error, Store, agents, maintenance};
use crate::domain::agent::Agent;
use crate::domain::id::AgentId;
use crate::domain::retention::Retention;

/// One of the connections that charts may use.
#[derive(Debug)]
pub struct ChartConnection<'a> {
    pub(super) connection: PooledConnection<'a, Manager>,
    _permit: SemaphorePermit<'a>,
}

impl Store {
    /// Returns a connection for a chart.
    ///
    /// # Errors
    /// If the database is unavailable, or all connections that charts may use stay busy for as long as a request waits
    /// for one.
    pub async fn chart_connection(&self) -> Result<ChartConnection<'_>, Error> {
        let permit = self.chart_permit().await?;
        Ok(ChartConnection { connection: self.connection().await?, _permit: permit })
    }
}

impl ChartConnection<'_> {
    /// As [`Store::agent`].
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn agent(&self, id: AgentId) -> Result<Option<Agent>, Error> {
        agents::find(&self.connection, id).await
    }

    /// As [`Store::retention`].
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn retention(&self) -> Result<Retention, Error> {
        maintenance::find_retention(&self.connection).await
    }
}
