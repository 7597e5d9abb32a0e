//! What is found out about the space that metrics take.

use super::edition::DatabaseInfo;
use super::watchdog::UnhealthyJob;
use crate::domain::TimestampMs;
use crate::domain::storage::RelationStorage;

/// What the stored metrics take.
#[derive(Clone, Debug)]
pub struct StorageReport {
    /// What the database is.
    pub database: DatabaseInfo,
    /// The database as a whole, in bytes.
    pub database_bytes: i64,
    /// One entry a table or aggregate of metrics.
    pub relations: Vec<RelationStorage>,
    /// Agents that reported within the last day.
    pub n_reporting_agents: i64,
    /// Jobs of the database that fail or do not run.
    pub unhealthy_jobs: Vec<UnhealthyJob>,
    /// When this was found out.
    pub measured_at: TimestampMs,
}
