//! Samples that agents had to drop.

use tokio_postgres::Row;

use super::{Error, Store};
use crate::domain::TimestampMs;
use crate::domain::gap::{GAPS_PER_AGENT_MAX, SampleGap, parse_reason};
use crate::domain::id::{AgentId, AgentKey};

// A gap reported again is the same gap. For a deleted agent nothing is inserted.
const INSERT: &str = "INSERT INTO sample_gaps (agent_key, start_ts, end_ts, samples, reason, reported_at) \
     SELECT key, $2, $3, $4, $5, $6 FROM agents WHERE key = $1 \
     ON CONFLICT (agent_key, start_ts) DO UPDATE SET end_ts = greatest(sample_gaps.end_ts, excluded.end_ts), \
         samples = greatest(sample_gaps.samples, excluded.samples)";
const DELETE_OLDEST: &str = "DELETE FROM sample_gaps WHERE agent_key = $1 AND start_ts <= \
     (SELECT start_ts FROM sample_gaps WHERE agent_key = $1 ORDER BY start_ts DESC OFFSET $2 LIMIT 1)";
const LIST: &str = "SELECT start_ts, end_ts, samples, reason, reported_at FROM sample_gaps \
     JOIN agents ON agents.key = sample_gaps.agent_key \
     WHERE agents.id = $1 AND $2 <= end_ts AND start_ts < $3 ORDER BY start_ts";

pub(super) const STATEMENTS: &[&str] = &[INSERT, DELETE_OLDEST, LIST];

impl Store {
    /// Stores a gap. If the agent has too many, its oldest are deleted.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn insert_gap(&self, agent: AgentKey, gap: &SampleGap) -> Result<(), Error> {
        let connection = self.connection().await?;
        let SampleGap { start, end, samples, reason, reported_at } = gap;
        connection.execute(INSERT, &[&agent.0, start, end, samples, &reason.as_str(), reported_at]).await?;
        connection.execute(DELETE_OLDEST, &[&agent.0, &GAPS_PER_AGENT_MAX]).await?;
        Ok(())
    }

    /// Returns the gaps of an agent that overlap the span from `start` to `end` (exclusive), oldest first.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn gaps(
        &self,
        agent: AgentId,
        start: TimestampMs,
        end: TimestampMs,
    ) -> Result<Vec<SampleGap>, Error> {
        let rows = self.connection().await?.query(LIST, &[&agent.0, &start, &end]).await?;
        Ok(rows.iter().map(gap).collect())
    }
}

fn gap(row: &Row) -> SampleGap {
    SampleGap {
        start: row.get(0),
        end: row.get(1),
        samples: row.get(2),
        reason: parse_reason(row.get(3)),
        reported_at: row.get(4),
    }
}
