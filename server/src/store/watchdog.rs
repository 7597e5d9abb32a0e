//! Whether the Community edition's policies do their work: the database's own account of its background jobs.

use tokio_postgres::Client;

/// Jobs that have failed last time, or have not succeeded for three of their intervals.
const UNHEALTHY_JOBS: &str = "SELECT jobs.job_id, proc_name::text, \
         coalesce(view_name, jobs.hypertable_name)::text, coalesce(last_run_status, 'never run')::text, \
         coalesce(total_failures, 0)::int8 \
     FROM timescaledb_information.jobs AS jobs \
     LEFT JOIN timescaledb_information.job_stats AS stats USING (job_id) \
     LEFT JOIN timescaledb_information.continuous_aggregates AS aggregates \
         ON (materialization_hypertable_schema, materialization_hypertable_name) \
            = (jobs.hypertable_schema, jobs.hypertable_name) \
     WHERE proc_name LIKE 'policy\\_%' AND jobs.hypertable_name IS NOT NULL \
       AND (last_run_status = 'Failed' \
            OR coalesce(nullif(last_successful_finish, '-infinity'), initial_start) < now() - 3 * schedule_interval)";

pub(super) const STATEMENTS: &[&str] = &[UNHEALTHY_JOBS];

/// A job of the database that fails or does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnhealthyJob {
    /// TimescaleDB's number of the job.
    pub job_id: i32,
    /// What it does, for example `policy_retention`.
    pub procedure: String,
    /// What it does it to.
    pub relation: String,
    /// How its last run ended.
    pub last_status: String,
    /// How often it has failed.
    pub failures: i64,
}

/// The policies that fail or do not run.
pub(super) async fn unhealthy_jobs(client: &Client) -> Result<Vec<UnhealthyJob>, tokio_postgres::Error> {
    let rows = client.query(UNHEALTHY_JOBS, &[]).await?;
    let job = |row: &tokio_postgres::Row| UnhealthyJob {
        job_id: row.get(0),
        procedure: row.get(1),
        relation: row.get(2),
        last_status: row.get(3),
        failures: row.get(4),
    };
    Ok(rows.iter().map(job).collect())
}
