//! When agents came and went. The rows are written by a trigger, with whatever changes an agent's status.

use super::{Error, Store};
use crate::domain::TimestampMs;
use crate::domain::id::AgentKey;
use crate::domain::presence::PresenceChange;
use crate::domain::tier::DAY_MS;

/// Changes of one agent that are kept, the newest ones.
const CHANGES_PER_AGENT_MAX: i32 = 20_000;
/// The longest time that changes are kept for, however long metrics are.
const KEEP_MS_MAX: i64 = 1_830 * DAY_MS;

/// From the one that was in force at the start on.
const LIST: &str = "SELECT at, online FROM agent_presence WHERE agent_key = $1 AND at < $3 AND at >= \
         coalesce((SELECT max(at) FROM agent_presence WHERE agent_key = $1 AND at <= $2), $2) \
     ORDER BY at DESC LIMIT $4";
/// The one that was in force at that time stays.
const DELETE_OLD: &str = "DELETE FROM agent_presence AS old WHERE at < $1 AND EXISTS \
     (SELECT FROM agent_presence AS newer \
      WHERE newer.agent_key = old.agent_key AND old.at < newer.at AND newer.at <= $1)";
const DELETE_SURPLUS: &str = "DELETE FROM agent_presence USING ( \
         SELECT agent_key, (array_agg(at ORDER BY at DESC))[$1] AS oldest FROM agent_presence \
         GROUP BY agent_key HAVING $1 < count(*) \
     ) AS surplus WHERE agent_presence.agent_key = surplus.agent_key AND at < oldest";

pub(super) const STATEMENTS: &[&str] = &[LIST, DELETE_OLD, DELETE_SURPLUS];

impl Store {
    /// When an agent came and went between `start` and `end`, in order, beginning with what was so at the start.
    ///
    /// # Errors
    /// When the database is away.
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

    /// Forgets what has passed: changes from before the hourly rollups that are kept, but for the last five years at most, and
    /// of each agent all but the newest. Answers how many.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn delete_old_presence(&self, now: TimestampMs) -> Result<u64, Error> {
        let keep_ms =
            self.retention().await?.one_hour_ms.map_or(KEEP_MS_MAX, |keep_ms| keep_ms.min(KEEP_MS_MAX));
        let connection = self.connection().await?;
        let n_old = connection.execute(DELETE_OLD, &[&now.saturating_sub(keep_ms)]).await?;
        Ok(n_old + connection.execute(DELETE_SURPLUS, &[&CHANGES_PER_AGENT_MAX]).await?)
    }
}
