//! The policies of the Community edition, by which the database itself refreshes, compresses and drops. What is as it
//! should be is left alone, what differs is made again.

use std::collections::HashMap;

use serde_json::Value;
use tokio_postgres::Client;

use super::{Definition, Rollup};
use crate::domain::retention::Retention;
use crate::domain::tier::{DAY_MS, HOUR_MS, Tier};

/// Chunks become columns when no late sample can reach them any more: inserting into columns is slow.
pub(super) fn columnstore_after_ms(tier: Tier) -> i64 {
    match tier {
        Tier::Raw => 25 * HOUR_MS,
        Tier::OneMinute | Tier::OneHour | Tier::OneDay => tier.refresh_start_ms() + DAY_MS,
    }
}

/// A policy as it should be.
#[derive(Clone, Debug)]
struct Policy {
    relation: String,
    /// What TimescaleDB calls the job.
    procedure: &'static str,
    /// The job's settings: integers, in milliseconds.
    settings: Vec<(&'static str, i64)>,
    schedule_seconds: i64,
    /// Adds it.
    add: String,
    /// Removes it.
    remove: String,
}

/// A policy as it is.
#[derive(Debug)]
struct Job {
    config: Value,
    schedule_seconds: i64,
}

/// Brings all policies to what they should be. Answers how many had to be changed.
pub(in crate::store) async fn apply(
    client: &mut Client,
    definition: &Definition,
    retention: &Retention,
) -> Result<usize, tokio_postgres::Error> {
    let jobs = jobs(client).await?;
    let mut n_changed = 0;
    for policy in policies(definition, retention) {
        let job = jobs.get(&(policy.relation.clone(), policy.procedure.to_owned()));
        if job.is_some_and(|job| policy.matches(job)) {
            continue;
        }
        let transaction = client.transaction().await?;
        if job.is_some() {
            transaction.batch_execute(&policy.remove).await?;
        }
        transaction.batch_execute(&policy.add).await?;
        transaction.commit().await?;
        n_changed += 1;
    }
    for (relation, _, tier) in definition.relations() {
        let is_unwanted = retention.keep_ms(tier).is_none();
        if is_unwanted && jobs.contains_key(&(relation.clone(), "policy_retention".to_owned())) {
            client
                .batch_execute(&format!("SELECT remove_retention_policy('{relation}', if_exists => true)"))
                .await?;
            n_changed += 1;
        }
    }
    Ok(n_changed)
}

fn policies(definition: &Definition, retention: &Retention) -> Vec<Policy> {
    let mut policies = Vec::new();
    for rollup in definition.rollups() {
        policies.push(refresh(rollup));
    }
    for (relation, _, tier) in definition.relations() {
        policies.push(columnstore(&relation, tier));
        if let Some(keep_ms) = retention.keep_ms(tier) {
            policies.push(drop_after(&relation, tier, keep_ms));
        }
    }
    // Jobs that all start in the same second compete for the workers for ever after.
    for (position, policy) in policies.iter_mut().enumerate() {
        policy.add = policy
            .add
            .replace("{initial_start}", &format!("now() + INTERVAL '{} seconds'", 10 + 7 * position));
    }
    policies
}

fn refresh(rollup: Rollup) -> Policy {
    let relation = rollup.relation();
    let (start_ms, end_ms) = (rollup.tier.refresh_start_ms(), rollup.tier.refresh_end_ms());
    let schedule_seconds = match rollup.tier {
        Tier::Raw | Tier::OneMinute => 60,
        Tier::OneHour => 15 * 60,
        Tier::OneDay => 60 * 60,
    };
    Policy {
        procedure: "policy_refresh_continuous_aggregate",
        settings: vec![("start_offset", start_ms), ("end_offset", end_ms)],
        schedule_seconds,
        add: format!(
            "SELECT add_continuous_aggregate_policy('{relation}', start_offset => BIGINT '{start_ms}', \
             end_offset => BIGINT '{end_ms}', schedule_interval => INTERVAL '{schedule_seconds} seconds', \
             initial_start => {{initial_start}}, buckets_per_batch => 60)"
        ),
        remove: format!("SELECT remove_continuous_aggregate_policy('{relation}', if_exists => true)"),
        relation,
    }
}

fn columnstore(relation: &str, tier: Tier) -> Policy {
    let after_ms = columnstore_after_ms(tier);
    let schedule_seconds = 60 * 60;
    Policy {
        relation: relation.to_owned(),
        procedure: "policy_compression",
        settings: vec![("compress_after", after_ms)],
        schedule_seconds,
        add: format!(
            "CALL add_columnstore_policy('{relation}', after => BIGINT '{after_ms}', \
             schedule_interval => INTERVAL '{schedule_seconds} seconds', initial_start => {{initial_start}})"
        ),
        remove: format!("CALL remove_columnstore_policy('{relation}', if_exists => true)"),
    }
}

fn drop_after(relation: &str, tier: Tier, keep_ms: i64) -> Policy {
    let schedule_seconds = if tier == Tier::Raw { 60 * 60 } else { 6 * 60 * 60 };
    Policy {
        relation: relation.to_owned(),
        procedure: "policy_retention",
        settings: vec![("drop_after", keep_ms)],
        schedule_seconds,
        add: format!(
            "SELECT add_retention_policy('{relation}', drop_after => BIGINT '{keep_ms}', \
             schedule_interval => INTERVAL '{schedule_seconds} seconds', initial_start => {{initial_start}})"
        ),
        remove: format!("SELECT remove_retention_policy('{relation}', if_exists => true)"),
    }
}

impl Policy {
    fn matches(&self, job: &Job) -> bool {
        let settings = self
            .settings
            .iter()
            .all(|(name, value)| job.config.get(name).and_then(Value::as_i64) == Some(*value));
        settings && job.schedule_seconds == self.schedule_seconds
    }
}

/// The policies that there are, by relation and procedure.
async fn jobs(client: &Client) -> Result<HashMap<(String, String), Job>, tokio_postgres::Error> {
    // The jobs of an aggregate name the hypertable behind it.
    let sql = "SELECT coalesce(view_name, jobs.hypertable_name)::text, proc_name::text, config::text, \
                      extract(epoch FROM schedule_interval)::int8 \
               FROM timescaledb_information.jobs AS jobs \
               LEFT JOIN timescaledb_information.continuous_aggregates AS aggregates \
                   ON (materialization_hypertable_schema, materialization_hypertable_name) \
                      = (jobs.hypertable_schema, jobs.hypertable_name) \
               WHERE proc_name LIKE 'policy\\_%' AND jobs.hypertable_name IS NOT NULL";
    let rows = client.query(sql, &[]).await?;
    let job = |row: &tokio_postgres::Row| {
        let config: Option<&str> = row.get(2);
        let config = config.and_then(|config| serde_json::from_str(config).ok()).unwrap_or_default();
        ((row.get(0), row.get(1)), Job { config, schedule_seconds: row.get(3) })
    };
    Ok(rows.iter().map(job).collect())
}
