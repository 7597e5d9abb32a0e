//! The report on the space taken by metrics.

use super::edition::DatabaseInfo;
use super::watchdog::UnhealthyJob;
use crate::domain::TimestampMs;
use crate::domain::storage::RelationStorage;

/// The space taken by stored metrics.
#[derive(Clone, Debug)]
pub struct StorageReport {
    /// Versions and edition of the database.
    pub database: DatabaseInfo,
    /// Size of the whole database, in bytes.
    pub database_bytes: i64,
    /// One entry per table or aggregate of metrics.
    pub relations: Vec<RelationStorage>,
    /// Number of agents that reported within the last day.
    pub n_reporting_agents: i64,
    /// Jobs of the database that fail or do not run.
    pub unhealthy_jobs: Vec<UnhealthyJob>,
    /// When this was measured.
    pub measured_at: TimestampMs,
}
