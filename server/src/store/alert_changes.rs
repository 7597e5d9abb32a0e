//! Which alerts have changed lately, for those who follow them.

use tokio_postgres::Row;
use uuid::Uuid;

use super::{Error, Store};
use crate::domain::TimestampMs;

const CHANGED: &str = "SELECT id, version, agent_id, ended_at IS NULL, fired_at FROM alerts WHERE $1 <= changed_at \
     ORDER BY changed_at DESC LIMIT $2";

pub(super) const STATEMENTS: &[&str] = &[CHANGED];

/// An alert that has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "described by the columns of alerts")]
pub struct ChangedAlert {
    pub id: Uuid,
    pub version: i32,
    pub agent_id: Option<Uuid>,
    pub fires: bool,
    pub fired_at: TimestampMs,
}

impl Store {
    /// The alerts that have changed since then, the latest first, at most `limit` of them.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn changed_alerts(&self, since: TimestampMs, limit: i64) -> Result<Vec<ChangedAlert>, Error> {
        let changed = |row: &Row| ChangedAlert {
            id: row.get(0),
            version: row.get(1),
            agent_id: row.get(2),
            fires: row.get(3),
            fired_at: row.get(4),
        };
        let rows = self.connection().await?.query(CHANGED, &[&since, &limit]).await?;
        Ok(rows.iter().map(changed).collect())
    }
}
