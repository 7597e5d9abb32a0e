//! Warnings about the database's own jobs: only if their work is not done, not if they are merely reported as failed.

use pika_server::domain::latest::AgentLatest;
use pika_server::domain::row::{LoadNumbers, Rows, Stored};
use pika_server::domain::tier::{DAY_MS, MINUTE_MS};
use pika_server::store::{JobProblem, Maintained, SampleWriter, UnhealthyJob, WriteMethod};
use tokio_postgres::Client;

use crate::rollups::run_jobs;
use crate::store::enrolled;
use crate::support::TestDatabase;
use crate::support::client::now;

/// What some versions of TimescaleDB report for every job, after its work is committed.
const FALSE_ERROR: (&str, &str) = ("24000", "cannot drop portal \"\" while it is being set up");
const REFRESH: &str = "policy_refresh_continuous_aggregate";

/// Records a failed last run of a relation's job, as the scheduler would, which does not run here.
async fn failed(client: &Client, procedure: &str, relation: &str, (code, message): (&str, &str)) {
    let sql = "WITH job AS (SELECT job_id FROM timescaledb_information.jobs AS jobs \
                   LEFT JOIN timescaledb_information.continuous_aggregates AS aggregates \
                       ON (materialization_hypertable_schema, materialization_hypertable_name) \
                          = (jobs.hypertable_schema, jobs.hypertable_name) \
                   WHERE proc_name = $1::text AND coalesce(view_name, jobs.hypertable_name)::text = $2::text), \
               history AS (INSERT INTO _timescaledb_internal.bgw_job_stat_history \
                       (job_id, pid, execution_start, execution_finish, succeeded, data) \
                   SELECT job_id, 1, now(), now(), false, jsonb_build_object('error_data', \
                       jsonb_build_object('sqlerrcode', $3::text, 'message', $4::text)) FROM job) \
               UPDATE _timescaledb_internal.bgw_job_stat SET last_start = now(), last_finish = now(), \
                   last_run_success = false, total_failures = total_failures + 1 FROM job \
               WHERE bgw_job_stat.job_id = job.job_id";
    assert_eq!(client.execute(sql, &[&procedure, &relation, &code, &message]).await.unwrap(), 1);
}

/// Stores one load sample of a new agent.
async fn store_load(database: &TestDatabase, ts: i64) {
    let store = database.store();
    let agent_key = enrolled(&store).await.0;
    let load = vec![Stored::new(
        ts,
        agent_key,
        LoadNumbers { load1: 1.0, load5: 1.0, load15: 1.0, ..LoadNumbers::default() },
    )];
    SampleWriter::new(store.clone(), WriteMethod::Insert)
        .write(&Rows { load, ..Rows::default() })
        .await
        .unwrap();
    store.write_latest(&[(agent_key, AgentLatest { ts, ..AgentLatest::default() })]).await.unwrap();
}

async fn maintain(database: &TestDatabase) -> Maintained {
    database.store().maintain(now()).await.unwrap()
}

/// Returns the unhealthy jobs of one relation.
fn of<'a>(maintained: &'a Maintained, relation: &str) -> Vec<&'a UnhealthyJob> {
    maintained.unhealthy_jobs.iter().filter(|job| job.relation == relation).collect()
}

#[tokio::test]
async fn a_refresh_job_reported_as_failed_is_healthy_if_it_rolls_up() {
    let database = TestDatabase::on_community().await;
    let client = database.connect().await;
    store_load(&database, now() - 8 * MINUTE_MS).await;
    failed(&client, REFRESH, "load_metrics_1m", FALSE_ERROR).await;
    let maintained = maintain(&database).await;
    let [job] = of(&maintained, "load_metrics_1m")[..] else { panic!("{maintained:?}") };
    assert_eq!((job.problem, job.failures), (JobProblem::DoesNothing, 1));
    assert_eq!(maintained.misreported_jobs, 0);

    assert_eq!(run_jobs(&client, REFRESH, "load%1m").await, 1);
    let maintained = maintain(&database).await;
    assert!(of(&maintained, "load_metrics_1m").is_empty(), "{maintained:?}");
    assert_eq!(maintained.misreported_jobs, 1);

    // Nothing is reported any more, so there is nothing to do.
    failed(&client, REFRESH, "load_metrics_1m", FALSE_ERROR).await;
    assert!(of(&maintain(&database).await, "load_metrics_1m").is_empty());
}

#[tokio::test]
async fn a_compression_job_reported_as_failed_is_healthy_if_it_compresses() {
    let database = TestDatabase::on_community().await;
    let client = database.connect().await;
    store_load(&database, now() - 5 * DAY_MS).await;
    failed(&client, "policy_compression", "load_metrics", FALSE_ERROR).await;
    let maintained = maintain(&database).await;
    let problems: Vec<_> = of(&maintained, "load_metrics").iter().map(|job| job.problem).collect();
    assert_eq!(problems, [JobProblem::DoesNothing], "{maintained:?}");

    run_jobs(&client, "policy_compression", "load_metrics").await;
    let maintained = maintain(&database).await;
    assert!(of(&maintained, "load_metrics").is_empty(), "{maintained:?}");
    assert_eq!(maintained.misreported_jobs, 1);
}

#[tokio::test]
async fn a_job_that_fails_is_named_with_the_databases_own_words() {
    let database = TestDatabase::on_community().await;
    let client = database.connect().await;
    failed(&client, REFRESH, "load_metrics_1m", ("53100", "could not extend file: No space left on device"))
        .await;
    let maintained = maintain(&database).await;
    let [job] = of(&maintained, "load_metrics_1m")[..] else { panic!("{maintained:?}") };
    assert_eq!(job.problem, JobProblem::Fails);
    assert_eq!(job.last_error.as_deref(), Some("could not extend file: No space left on device"));
    // The others do not run here, which says nothing about how they end.
    let mut failing = maintained.unhealthy_jobs.iter().filter(|job| job.problem == JobProblem::Fails);
    assert!(failing.all(|job| job.relation == "load_metrics_1m"), "{maintained:?}");
}

#[tokio::test]
async fn a_job_that_is_not_started_does_not_run() {
    let database = TestDatabase::on_community().await;
    let client = database.connect().await;
    failed(&client, REFRESH, "load_metrics_1m", FALSE_ERROR).await;
    let sql = "UPDATE _timescaledb_internal.bgw_job_stat SET last_start = now() - INTERVAL '1 hour'";
    client.batch_execute(sql).await.unwrap();
    let maintained = maintain(&database).await;
    let [job] = of(&maintained, "load_metrics_1m")[..] else { panic!("{maintained:?}") };
    assert_eq!(job.problem, JobProblem::DoesNotRun);
}
