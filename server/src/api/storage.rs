//! The space that stored metrics take, and will take.

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use super::metric_names::TierName;
use super::security::UserAuth;
use super::system::DatabaseBody;
use super::{ApiContext, ApiError, Tag};
use crate::domain::permission::Permission;
use crate::domain::retention::Retention;
use crate::domain::storage::RelationStorage;
use crate::domain::tier::Tier;
use crate::store::{StorageReport, UnhealthyJob};

/// The space that stored metrics take.
#[derive(Debug)]
pub struct StorageApi;

/// The space that stored metrics take.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase")]
struct Storage {
    /// Versions and edition of the database.
    database: DatabaseBody,
    /// Size of the whole database, in bytes.
    database_bytes: i64,
    /// What a day of all metrics eventually adds, in bytes: compressed, if they will be.
    bytes_per_day: i64,
    /// The same per agent that reported within the last day; null if none did.
    bytes_per_agent_per_day: Option<i64>,
    /// Expected size of all metrics in 30 days, in bytes, without what has expired by then.
    bytes_forecast: i64,
    /// One entry per tier.
    tiers: Vec<TierStorage>,
    /// One entry per table or aggregate of metrics.
    relations: Vec<RelationStorageBody>,
    /// Jobs of the database that do not do their work, or soon may not. Normally empty.
    unhealthy_jobs: Vec<UnhealthyJobBody>,
    /// When this was measured, in milliseconds since the Unix epoch.
    measured_at: i64,
}

/// The space a tier takes.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase")]
struct TierStorage {
    /// The tier.
    tier: TierName,
    /// How long it is kept, in milliseconds; null means for ever.
    keep_ms: Option<i64>,
    /// Bytes on disk, indexes included.
    bytes: i64,
    /// What a day eventually adds, in bytes.
    bytes_per_day: i64,
    /// Expected size in 30 days, in bytes.
    bytes_forecast: i64,
}

/// The space a table or aggregate takes.
#[derive(Clone, Debug, Object)]
#[oai(rename = "RelationStorage", rename_all = "camelCase")]
struct RelationStorageBody {
    /// Its name in the database.
    relation: String,
    /// The name of the metric family it holds.
    family: String,
    /// Its resolution.
    tier: TierName,
    /// Bytes on disk, indexes included.
    bytes: i64,
    /// Number of chunks.
    chunks: i64,
    /// Number of compressed chunks; Community edition only.
    columnstore_chunks: i64,
    /// Their size before compression, in bytes.
    columnstore_bytes_before: Option<i64>,
    /// Their size after compression, in bytes.
    columnstore_bytes_after: Option<i64>,
    /// What a day eventually adds, in bytes.
    bytes_per_day: i64,
    /// Expected size in 30 days, in bytes.
    bytes_forecast: i64,
}

/// A job of the database that does not do its work, or soon may not.
#[derive(Clone, Debug, Object)]
#[oai(rename = "UnhealthyJob", rename_all = "camelCase")]
struct UnhealthyJobBody {
    /// TimescaleDB's number of the job.
    job_id: i32,
    /// The job's procedure, for example `policy_refresh_continuous_aggregate`.
    procedure: String,
    /// The table or aggregate it works on.
    relation: String,
    /// The problem: `fails`, `does_not_run`, or `does_nothing` if it runs but its work is not done.
    problem: String,
    /// The status of its last run.
    last_status: String,
    /// Number of failures.
    failures: i64,
    /// The error of the last failure, in the database's words.
    last_error: Option<String>,
}

#[OpenApi(tag = "Tag::System")]
impl StorageApi {
    /// Get the space that stored metrics take
    ///
    /// Bytes and chunks of every tier and table, daily growth, the expected size in 30 days, and whether the database's
    /// own jobs run.
    #[oai(path = "/api/system/storage", method = "get", operation_id = "getStorage")]
    async fn storage(&self, context: Data<&ApiContext>, auth: UserAuth) -> Result<Json<Storage>, ApiError> {
        auth.require(Permission::Read)?;
        let report = context.store.storage_report(context.clock.now()).await?;
        let retention = context.store.retention().await?;
        Ok(Json(storage(report, &retention)))
    }
}

fn storage(report: StorageReport, retention: &Retention) -> Storage {
    let tier = |tier: Tier| {
        let of_tier = || report.relations.iter().filter(|relation| relation.tier == tier);
        TierStorage {
            tier: tier.into(),
            keep_ms: retention.keep_ms(tier),
            bytes: of_tier().map(|relation| relation.bytes).sum(),
            bytes_per_day: of_tier().map(|relation| relation.growth.bytes_per_day).sum(),
            bytes_forecast: of_tier().map(|relation| relation.growth.bytes_forecast).sum(),
        }
    };
    let tiers = Tier::ALL.map(tier);
    let bytes_per_day = tiers.iter().map(|tier| tier.bytes_per_day).sum();
    Storage {
        bytes_per_day,
        bytes_per_agent_per_day: (0 < report.n_reporting_agents)
            .then(|| bytes_per_day / report.n_reporting_agents.max(1)),
        bytes_forecast: tiers.iter().map(|tier| tier.bytes_forecast).sum(),
        tiers: tiers.into(),
        relations: report.relations.into_iter().map(relation_storage).collect(),
        database: report.database.into(),
        database_bytes: report.database_bytes,
        unhealthy_jobs: report.unhealthy_jobs.into_iter().map(unhealthy_job).collect(),
        measured_at: report.measured_at,
    }
}

fn relation_storage(relation: RelationStorage) -> RelationStorageBody {
    RelationStorageBody {
        family: relation.subject.to_owned(),
        tier: relation.tier.into(),
        bytes: relation.bytes,
        chunks: relation.n_chunks,
        columnstore_chunks: relation.n_columnstore_chunks,
        columnstore_bytes_before: relation.columnstore.map(|columns| columns.bytes_before),
        columnstore_bytes_after: relation.columnstore.map(|columns| columns.bytes_after),
        bytes_per_day: relation.growth.bytes_per_day,
        bytes_forecast: relation.growth.bytes_forecast,
        relation: relation.relation,
    }
}

fn unhealthy_job(job: UnhealthyJob) -> UnhealthyJobBody {
    let UnhealthyJob { job_id, procedure, relation, problem, last_status, failures, last_error } = job;
    let problem = problem.as_str().to_owned();
    UnhealthyJobBody { job_id, procedure, relation, problem, last_status, failures, last_error }
}
