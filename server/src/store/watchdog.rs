//! Checks that the Community edition's policies do their work, by what the database reports about its background jobs
//! and, where that is unreliable, by the results of the work itself.

use std::collections::HashMap;
use std::fmt;

use tokio_postgres::{Client, Row};

use super::rollup::{Definition, Rollup, policies};
use crate::domain::TimestampMs;
use crate::domain::tier::bucket_start;

/// All policies: how the last run ended, with the error if it failed, and whether it has not been started for three of
/// its intervals. Depending on TimescaleDB's version, a job of an aggregate names the aggregate or the hypertable
/// behind it.
const JOBS: &str = "SELECT jobs.job_id, proc_name::text, \
         coalesce(view_name, jobs.hypertable_name)::text, coalesce(last_run_status, 'never run')::text, \
         coalesce(total_failures, 0)::int8, err_message, coalesce(sqlerrcode, ''), \
         coalesce(job_status, '') <> 'Running' \
             AND coalesce(nullif(last_run_started_at, '-infinity'), jobs.initial_start) \
                 < now() - 3 * schedule_interval, \
         coalesce(materialization_hypertable_schema, jobs.hypertable_schema)::text, \
         coalesce(materialization_hypertable_name, jobs.hypertable_name)::text, config::text, \
         (extract(epoch FROM schedule_interval) * 1000)::int8 \
     FROM timescaledb_information.jobs AS jobs \
     LEFT JOIN timescaledb_information.job_stats AS stats USING (job_id) \
     LEFT JOIN timescaledb_information.continuous_aggregates AS aggregates \
         ON (jobs.hypertable_schema, jobs.hypertable_name) IN \
            ((materialization_hypertable_schema, materialization_hypertable_name), (view_schema, view_name)) \
     LEFT JOIN LATERAL (SELECT errors.sqlerrcode, errors.err_message \
             FROM timescaledb_information.job_errors AS errors \
             WHERE errors.job_id = jobs.job_id AND last_run_status = 'Failed' \
             ORDER BY errors.start_time DESC LIMIT 1) AS error ON true \
     WHERE proc_name LIKE 'policy\\_%' AND jobs.hypertable_name IS NOT NULL";

/// Up to where the chunks of a hypertable are compressed.
const OLDEST_ROWS: &str = "SELECT hypertable_schema::text, hypertable_name::text, min(range_end_integer) \
     FROM timescaledb_information.chunks WHERE NOT is_compressed GROUP BY 1, 2";
/// Up to where an aggregate is materialized, and the time of the newest sample of all.
const MATERIALIZED: &str = "SELECT _timescaledb_functions.cagg_watermark(mat_hypertable_id), \
         (SELECT max(ts) FROM agent_latest) \
     FROM _timescaledb_catalog.continuous_agg WHERE user_view_name = $1";

pub(super) const STATEMENTS: &[&str] = &[JOBS, OLDEST_ROWS, MATERIALIZED];

/// Some pairs of TimescaleDB and PostgreSQL (2.29.2 and 17.12, for example) end every job with this error, after its
/// work is committed.
const FALSE_ERROR: (&str, &str) = ("24000", "cannot drop portal");

/// A job of the database that does not do its work, or soon may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnhealthyJob {
    /// TimescaleDB's number of the job.
    pub job_id: i32,
    /// The job's procedure, for example `policy_compression`.
    pub procedure: String,
    /// The table or aggregate it works on.
    pub relation: String,
    /// What is wrong with it.
    pub problem: JobProblem,
    /// The status of its last run.
    pub last_status: String,
    /// Number of failures.
    pub failures: i64,
    /// The error of the last failure, in the database's words.
    pub last_error: Option<String>,
}

/// What is wrong with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobProblem {
    /// Its last run failed.
    Fails,
    /// It has not been started for three of its intervals.
    DoesNotRun,
    /// It is started, but its work is not done.
    DoesNothing,
}

impl JobProblem {
    /// Returns the problem's name.
    pub fn as_str(self) -> &'static str {
        match self {
            JobProblem::Fails => "fails",
            JobProblem::DoesNotRun => "does_not_run",
            JobProblem::DoesNothing => "does_nothing",
        }
    }
}

impl fmt::Display for JobProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The result of checking the jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Watched {
    /// The jobs that do not do their work, or soon may not.
    pub(super) unhealthy: Vec<UnhealthyJob>,
    /// How many do their work although the database counts them as failed.
    pub(super) n_misreported: usize,
}

/// Checks all policies.
pub(super) async fn watch(
    client: &Client,
    definition: &Definition,
    now: TimestampMs,
) -> Result<Watched, tokio_postgres::Error> {
    let mut watched = Watched::default();
    let mut oldest = None;
    for row in client.query(JOBS, &[]).await? {
        let has_stopped: bool = row.get(7);
        let has_failed = row.get::<_, &str>(3) == "Failed";
        let problem = if has_stopped {
            JobProblem::DoesNotRun
        } else if has_failed && !is_false_error(&row) {
            JobProblem::Fails
        } else if has_failed {
            let oldest_rows = match &mut oldest {
                Some(oldest) => oldest,
                none => none.insert(oldest_rows(client).await?),
            };
            if !is_behind(client, definition, &row, oldest_rows, now).await? {
                watched.n_misreported += 1;
                continue;
            }
            JobProblem::DoesNothing
        } else {
            continue;
        };
        watched.unhealthy.push(UnhealthyJob {
            job_id: row.get(0),
            procedure: row.get(1),
            relation: row.get(2),
            problem,
            last_status: row.get(3),
            failures: row.get(4),
            last_error: row.get(5),
        });
    }
    Ok(watched)
}

fn is_false_error(row: &Row) -> bool {
    let (code, message) = FALSE_ERROR;
    row.get::<_, &str>(6) == code
        && row.get::<_, Option<&str>>(5).is_some_and(|text| text.starts_with(message))
}

/// The end of each hypertable's oldest chunk of rows, by schema and name.
type OldestRows = HashMap<(String, String), TimestampMs>;

async fn oldest_rows(client: &Client) -> Result<OldestRows, tokio_postgres::Error> {
    let rows = client.query(OLDEST_ROWS, &[]).await?;
    let oldest = |row: &Row| Some(((row.get(0), row.get(1)), row.get::<_, Option<i64>>(2)?));
    Ok(rows.iter().filter_map(oldest).collect())
}

/// Returns whether a job has left its work undone for three of its intervals.
async fn is_behind(
    client: &Client,
    definition: &Definition,
    row: &Row,
    oldest_rows: &OldestRows,
    now: TimestampMs,
) -> Result<bool, tokio_postgres::Error> {
    let config: serde_json::Value = row
        .get::<_, Option<&str>>(10)
        .and_then(|config| serde_json::from_str(config).ok())
        .unwrap_or_default();
    let setting = |name: &str| config.get(name).and_then(serde_json::Value::as_i64);
    let due_at = now - 3 * row.get::<_, i64>(11);
    match row.get(1) {
        policies::COLUMNSTORE => {
            let oldest = oldest_rows.get(&(row.get(8), row.get(9)));
            let due = setting("compress_after").map(|after_ms| due_at.saturating_sub(after_ms));
            Ok(oldest.zip(due).is_some_and(|(oldest, due)| *oldest <= due))
        }
        policies::REFRESH => {
            let (Some(start_ms), Some(end_ms)) = (setting("start_offset"), setting("end_offset")) else {
                return Ok(false);
            };
            let rollup = definition.rollups().find(|rollup| rollup.relation() == row.get::<_, &str>(2));
            let Some(rollup) = rollup else { return Ok(false) };
            is_refresh_behind(client, rollup, now.saturating_sub(start_ms), due_at.saturating_sub(end_ms))
                .await
        }
        _ => Ok(false),
    }
}

/// Returns whether there is something to roll up between `start` and `end` that has not been.
async fn is_refresh_behind(
    client: &Client,
    rollup: Rollup,
    start: TimestampMs,
    end: TimestampMs,
) -> Result<bool, tokio_postgres::Error> {
    let Some(row) = client.query_opt(MATERIALIZED, &[&rollup.relation()]).await? else { return Ok(false) };
    let (materialized, newest) = (row.get::<_, Option<i64>>(0), row.get::<_, Option<i64>>(1));
    let start = start.max(materialized.unwrap_or(i64::MIN));
    // If nothing is reported, nothing is expected either.
    let end = bucket_start(end, rollup.tier.bucket_ms())
        .min(newest.map_or(i64::MIN, |newest| newest.saturating_add(1)));
    if end <= start {
        return Ok(false);
    }
    let source = rollup.source();
    let sql = format!(
        "SELECT EXISTS (SELECT FROM {} WHERE {start}::int8 <= {time} AND {time} < {end}::int8)",
        source.relation,
        time = source.time()
    );
    Ok(client.query_one(&sql, &[]).await?.get(0))
}
