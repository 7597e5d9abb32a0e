//! The policies of the Community edition, by which the database itself refreshes, compresses and drops. They are
//! compared with the definition at every start, in every round of maintenance and when the retention changes: a missing
//! one is added; one that differs is altered in place and keeps its job and its history.

use std::collections::HashMap;

use serde_json::{Map, Value};
use tokio_postgres::Transaction;

use super::{Definition, Rollup};
use crate::domain::tier::{DAY_MS, HOUR_MS, Tier};
use crate::store::lock;

/// TimescaleDB's name for the jobs of policies.
pub(in crate::store) const REFRESH: &str = "policy_refresh_continuous_aggregate";
pub(in crate::store) const COLUMNSTORE: &str = "policy_compression";
pub(in crate::store) const RETENTION: &str = "policy_retention";

/// Chunks are compressed once no late sample can reach them: inserting into the columnstore is slow.
pub(super) fn columnstore_after_ms(tier: Tier) -> i64 {
    match tier {
        Tier::Raw => 25 * HOUR_MS,
        Tier::OneMinute | Tier::OneHour | Tier::OneDay => tier.late_reach_ms() + DAY_MS,
    }
}

/// A policy as it should be.
#[derive(Clone, Debug)]
struct Policy {
    relation: String,
    /// TimescaleDB's name for the job.
    procedure: &'static str,
    /// The job's settings: integers, in milliseconds.
    settings: Vec<(&'static str, i64)>,
    schedule_seconds: i64,
    /// The statement that adds it; `{initial_start}` is when it first runs.
    add: String,
}

/// A policy as it is.
#[derive(Debug)]
struct Job {
    id: i32,
    config: Map<String, Value>,
    schedule_seconds: i64,
}

/// Makes all policies match the definition. Returns how many had to be changed.
pub(in crate::store) async fn apply(
    transaction: &Transaction<'_>,
    definition: &Definition,
) -> Result<usize, tokio_postgres::Error> {
    lock::POLICIES.hold_in(transaction).await?;
    let jobs = jobs(transaction).await?;
    let mut n_changed = 0;
    for (position, policy) in policies(definition).iter().enumerate() {
        match jobs.get(&(policy.relation.clone(), policy.procedure.to_owned())) {
            Some(job) if policy.matches(job) => continue,
            Some(job) => policy.alter(transaction, job).await?,
            None => transaction.batch_execute(&policy.add_as(position)).await?,
        }
        n_changed += 1;
    }
    for (relation, ..) in definition.relations() {
        // It would drop what has not been rolled up yet.
        if jobs.contains_key(&(relation.clone(), RETENTION.to_owned())) {
            let remove = format!("SELECT remove_retention_policy('{relation}', if_exists => true)");
            transaction.batch_execute(&remove).await?;
            n_changed += 1;
        }
    }
    Ok(n_changed)
}

/// How old rows of a tier get in the Community edition before they are compressed: a chunk is compressed as a whole.
pub(in crate::store) fn rows_ms(tier: Tier) -> i64 {
    columnstore_after_ms(tier) + tier.chunk_ms()
}

fn policies(definition: &Definition) -> Vec<Policy> {
    let columnstores = definition.relations().map(|(relation, _, tier)| columnstore(&relation, tier));
    definition.rollups().map(refresh).chain(columnstores).collect()
}

fn refresh(rollup: Rollup) -> Policy {
    let relation = rollup.relation();
    let (start_ms, end_ms) = (rollup.tier.policy_reach_ms(), rollup.tier.refresh_end_ms());
    let schedule_seconds = match rollup.tier {
        Tier::Raw | Tier::OneMinute => 60,
        Tier::OneHour => 15 * 60,
        Tier::OneDay => 60 * 60,
    };
    Policy {
        procedure: REFRESH,
        settings: vec![("start_offset", start_ms), ("end_offset", end_ms)],
        schedule_seconds,
        add: format!(
            "SELECT add_continuous_aggregate_policy('{relation}', start_offset => BIGINT '{start_ms}', \
             end_offset => BIGINT '{end_ms}', schedule_interval => INTERVAL '{schedule_seconds} seconds', \
             initial_start => {{initial_start}}, buckets_per_batch => 60)"
        ),
        relation,
    }
}

fn columnstore(relation: &str, tier: Tier) -> Policy {
    let after_ms = columnstore_after_ms(tier);
    let schedule_seconds = 60 * 60;
    Policy {
        relation: relation.to_owned(),
        procedure: COLUMNSTORE,
        settings: vec![("compress_after", after_ms)],
        schedule_seconds,
        add: format!(
            "CALL add_columnstore_policy('{relation}', after => BIGINT '{after_ms}', \
             schedule_interval => INTERVAL '{schedule_seconds} seconds', initial_start => {{initial_start}})"
        ),
    }
}

impl Policy {
    fn matches(&self, job: &Job) -> bool {
        let settings = self
            .settings
            .iter()
            .all(|(name, value)| job.config.get(*name).and_then(Value::as_i64) == Some(*value));
        settings && job.schedule_seconds == self.schedule_seconds
    }

    /// Returns the statement that adds it. If all jobs started in the same second, they would always compete for
    /// workers.
    fn add_as(&self, position: usize) -> String {
        let initial_start = format!("now() + INTERVAL '{} seconds'", 10 + 7 * position);
        self.add.replace("{initial_start}", &initial_start)
    }

    /// Alters a job to match this policy; its other settings are kept.
    async fn alter(&self, transaction: &Transaction<'_>, job: &Job) -> Result<(), tokio_postgres::Error> {
        let mut config = job.config.clone();
        for (name, value) in &self.settings {
            config.insert((*name).to_owned(), (*value).into());
        }
        let sql = format!(
            "SELECT alter_job({}, schedule_interval => INTERVAL '{} seconds', config => $1::text::jsonb)",
            job.id, self.schedule_seconds
        );
        transaction.execute(&sql, &[&Value::Object(config).to_string()]).await?;
        Ok(())
    }
}

/// Returns the existing policies, by relation and procedure.
async fn jobs(
    transaction: &Transaction<'_>,
) -> Result<HashMap<(String, String), Job>, tokio_postgres::Error> {
    // Depending on TimescaleDB's version, a job of an aggregate names the aggregate or the hypertable behind it.
    let sql = "SELECT coalesce(view_name, jobs.hypertable_name)::text, proc_name::text, job_id, config::text, \
                      extract(epoch FROM schedule_interval)::int8 \
               FROM timescaledb_information.jobs AS jobs \
               LEFT JOIN timescaledb_information.continuous_aggregates AS aggregates \
                   ON (materialization_hypertable_schema, materialization_hypertable_name) \
                      = (jobs.hypertable_schema, jobs.hypertable_name) \
               WHERE proc_name LIKE 'policy\\_%' AND jobs.hypertable_name IS NOT NULL";
    let rows = transaction.query(sql, &[]).await?;
    let job = |row: &tokio_postgres::Row| {
        let config: Option<&str> = row.get(3);
        let config = config.and_then(|config| serde_json::from_str(config).ok()).unwrap_or_default();
        ((row.get(0), row.get(1)), Job { id: row.get(2), config, schedule_seconds: row.get(4) })
    };
    Ok(rows.iter().map(job).collect())
}
