//! What the stored metrics take, and what they will take.

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

/// What the stored metrics take.
#[derive(Debug)]
pub struct StorageApi;

/// What the stored metrics take.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase")]
struct Storage {
    /// What the database is.
    database: DatabaseBody,
    /// The database as a whole, in bytes.
    database_bytes: i64,
    /// What a day of all metrics together adds in the end, in bytes: as columns, where that is what it becomes.
    bytes_per_day: i64,
    /// The same for one of the agents that reported within the last day; null where none did.
    bytes_per_agent_per_day: Option<i64>,
    /// What all metrics together will take in 30 days if that goes on, in bytes; what has expired by then is gone.
    bytes_forecast: i64,
    /// One entry a tier.
    tiers: Vec<TierStorage>,
    /// One entry a table or aggregate of metrics.
    relations: Vec<RelationStorageBody>,
    /// Jobs of the database that do not do their work, or may soon not. Empty is well.
    unhealthy_jobs: Vec<UnhealthyJobBody>,
    /// When this was found out, in milliseconds since the Unix epoch.
    measured_at: i64,
}

/// What a tier takes.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase")]
struct TierStorage {
    /// Which.
    tier: TierName,
    /// How long it is kept, in milliseconds; null: for ever.
    keep_ms: Option<i64>,
    /// Bytes on disk, indexes included.
    bytes: i64,
    /// What a day adds in the end, in bytes.
    bytes_per_day: i64,
    /// What it will take in 30 days, in bytes.
    bytes_forecast: i64,
}

/// What a table or aggregate takes.
#[derive(Clone, Debug, Object)]
#[oai(rename = "RelationStorage", rename_all = "camelCase")]
struct RelationStorageBody {
    /// Its name in the database.
    relation: String,
    /// Which metrics it holds, by the name of their family.
    family: String,
    /// In which resolution.
    tier: TierName,
    /// Bytes on disk, indexes included.
    bytes: i64,
    /// Chunks.
    chunks: i64,
    /// Chunks that are kept as columns; Community edition only.
    columnstore_chunks: i64,
    /// What those took as rows, in bytes.
    columnstore_bytes_before: Option<i64>,
    /// What they take as columns, in bytes.
    columnstore_bytes_after: Option<i64>,
    /// What a day adds in the end, in bytes.
    bytes_per_day: i64,
    /// What it will take in 30 days, in bytes.
    bytes_forecast: i64,
}

/// A job of the database that does not do its work, or may soon not.
#[derive(Clone, Debug, Object)]
#[oai(rename = "UnhealthyJob", rename_all = "camelCase")]
struct UnhealthyJobBody {
    /// TimescaleDB's number of the job.
    job_id: i32,
    /// What it does, for example `policy_refresh_continuous_aggregate`.
    procedure: String,
    /// What it does it to.
    relation: String,
    /// What is wrong with it: `fails`, `does_not_run`, or `does_nothing` where it runs and its work is not done.
    problem: String,
    /// How its last run ended.
    last_status: String,
    /// How often it has failed.
    failures: i64,
    /// Why it failed the last time, in the database's own words.
    last_error: Option<String>,
}

#[OpenApi(tag = "Tag::System")]
impl StorageApi {
    /// What the stored metrics take
    ///
    /// Bytes and chunks of every tier and table, what a day adds, what will be taken in 30 days, and whether the
    /// database's own jobs run.
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
