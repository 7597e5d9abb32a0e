//! The newest values of every agent, one row each.

use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use super::connection::Parameter;
use super::{Error, Store};
use crate::domain::id::AgentId;
use crate::domain::latest::AgentLatest;

const UPSERT: &str = "INSERT INTO agent_latest (agent_key, ts, cpu_usage_percent, memory_usage_percent, \
         memory_used_bytes, memory_total_bytes, disk_usage_percent, received_bytes_per_second, \
         sent_bytes_per_second, load1) \
     SELECT latest.* FROM unnest($1::int4[], $2::int8[], $3::float4[], $4::float4[], $5::int8[], $6::int8[], \
         $7::float4[], $8::float8[], $9::float8[], $10::float4[]) AS latest (agent_key) \
     JOIN agents ON agents.key = latest.agent_key \
     ON CONFLICT (agent_key) DO UPDATE SET ts = excluded.ts, \
         cpu_usage_percent = coalesce(excluded.cpu_usage_percent, agent_latest.cpu_usage_percent), \
         memory_usage_percent = coalesce(excluded.memory_usage_percent, agent_latest.memory_usage_percent), \
         memory_used_bytes = coalesce(excluded.memory_used_bytes, agent_latest.memory_used_bytes), \
         memory_total_bytes = coalesce(excluded.memory_total_bytes, agent_latest.memory_total_bytes), \
         disk_usage_percent = coalesce(excluded.disk_usage_percent, agent_latest.disk_usage_percent), \
         received_bytes_per_second = \
             coalesce(excluded.received_bytes_per_second, agent_latest.received_bytes_per_second), \
         sent_bytes_per_second = coalesce(excluded.sent_bytes_per_second, agent_latest.sent_bytes_per_second), \
         load1 = coalesce(excluded.load1, agent_latest.load1) \
     WHERE agent_latest.ts <= excluded.ts";
const LIST: &str = "SELECT id, ts, cpu_usage_percent, memory_usage_percent, memory_used_bytes, memory_total_bytes, \
         disk_usage_percent, received_bytes_per_second, sent_bytes_per_second, load1 \
     FROM agent_latest JOIN agents ON agents.key = agent_latest.agent_key";

pub(super) const STATEMENTS: &[&str] = &[UPSERT, LIST];

impl Store {
    /// Writes newest values. Values older than the stored ones change nothing, so two servers cannot undo each other's
    /// writes.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn write_latest(&self, latest: &[(i32, AgentLatest)]) -> Result<(), Error> {
        fn column<T>(latest: &[(i32, AgentLatest)], value: impl Fn(&AgentLatest) -> T) -> Vec<T> {
            latest.iter().map(|(_, latest)| value(latest)).collect()
        }
        let agent_keys: Vec<i32> = latest.iter().map(|(agent_key, _)| *agent_key).collect();
        let parameters: [Parameter<'_>; 10] = [
            &agent_keys,
            &column(latest, |latest| latest.ts),
            &column(latest, |latest| latest.cpu_usage_percent),
            &column(latest, |latest| latest.memory_usage_percent),
            &column(latest, |latest| latest.memory_used_bytes),
            &column(latest, |latest| latest.memory_total_bytes),
            &column(latest, |latest| latest.disk_usage_percent),
            &column(latest, |latest| latest.received_bytes_per_second),
            &column(latest, |latest| latest.sent_bytes_per_second),
            &column(latest, |latest| latest.load1),
        ];
        let connection = self.connection().await?;
        match connection.execute(UPSERT, &parameters).await {
            // An agent was deleted in the meantime. The others must not lose their values; the retry no longer finds
            // it.
            Err(error) if error.code() == Some(&SqlState::FOREIGN_KEY_VIOLATION) => {
                connection.execute(UPSERT, &parameters).await?;
            }
            result => {
                result?;
            }
        }
        Ok(())
    }

    /// Returns the newest values of all agents that ever reported.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn fleet_latest(&self) -> Result<Vec<(AgentId, AgentLatest)>, Error> {
        let rows = self.connection().await?.query(LIST, &[]).await?;
        let latest = |row: &Row| {
            let latest = AgentLatest {
                ts: row.get(1),
                cpu_usage_percent: row.get(2),
                memory_usage_percent: row.get(3),
                memory_used_bytes: row.get(4),
                memory_total_bytes: row.get(5),
                disk_usage_percent: row.get(6),
                received_bytes_per_second: row.get(7),
                sent_bytes_per_second: row.get(8),
                load1: row.get(9),
            };
            (AgentId(row.get(0)), latest)
        };
        Ok(rows.iter().map(latest).collect())
    }
}
