//! When agents went online and offline. The rows are written by a trigger on the agent's status.

use super::{Error, Store};
use crate::domain::TimestampMs;
use crate::domain::id::AgentKey;
use crate::domain::presence::PresenceChange;
use crate::domain::tier::DAY_MS;

/// Maximum changes kept per agent; the newest ones are kept.
const CHANGES_PER_AGENT_MAX: i32 = 20_000;
/// Maximum time changes are kept, however long metrics are.
const KEEP_MS_MAX: i64 = 1_830 * DAY_MS;

/// Starting with the one in force at the start.
const LIST: &str = "SELECT at, online FROM agent_presence WHERE agent_key = $1 AND at < $3 AND at >= \
         coalesce((SELECT max(at) FROM agent_presence WHERE agent_key = $1 AND at <= $2), $2) \
     ORDER BY at DESC LIMIT $4";
/// The one in force at that time stays.
const DELETE_OLD: &str = "DELETE FROM agent_presence AS old WHERE at < $1 AND EXISTS \
     (SELECT FROM agent_presence AS newer \
      WHERE newer.agent_key = old.agent_key AND old.at < newer.at AND newer.at <= $1)";
const DELETE_SURPLUS: &str = "DELETE FROM agent_presence USING ( \
         SELECT agent_key, (array_agg(at ORDER BY at DESC))[$1] AS oldest FROM agent_presence \
         GROUP BY agent_key HAVING $1 < count(*) \
     ) AS surplus WHERE agent_presence.agent_key = surplus.agent_key AND at < oldest";

pub(super) const STATEMENTS: &[&str] = &[LIST, DELETE_OLD, DELETE_SURPLUS];

impl Store {
    /// Returns when an agent went online and offline between `start` and `end`, in order, beginning with the state at
    /// the start.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn presence(
        &self,
        agent: AgentKey,
        start: TimestampMs,
        end: TimestampMs,
    ) -> Result<Vec<PresenceChange>, Error> {
        let connection = self.connection().await?;
        let limit = i64::from(CHANGES_PER_AGENT_MAX);
        let rows = connection.query(LIST, &[&agent.0, &start, &end, &limit]).await?;
        Ok(rows.iter().rev().map(|row| PresenceChange { at: row.get(0), online: row.get(1) }).collect())
    }

    /// Deletes changes older than the oldest hourly rollups kept, and than five years in any case, and all but the
    /// newest of each agent. Returns how many.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn delete_old_presence(&self, now: TimestampMs) -> Result<u64, Error> {
        let keep_ms =
            self.retention().await?.one_hour_ms.map_or(KEEP_MS_MAX, |keep_ms| keep_ms.min(KEEP_MS_MAX));
        let connection = self.connection().await?;
        let n_old = connection.execute(DELETE_OLD, &[&now.saturating_sub(keep_ms)]).await?;
        Ok(n_old + connection.execute(DELETE_SURPLUS, &[&CHANGES_PER_AGENT_MAX]).await?)
    }
}
