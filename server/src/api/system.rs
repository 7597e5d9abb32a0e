//! The server itself: liveness, readiness and version.

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::{Enum, Object, OpenApi};

use super::security::UserAuth;
use super::{ApiContext, ApiError, Tag};
use crate::domain::permission::Permission;
use crate::store::{DatabaseInfo, Edition};

/// The server itself.
#[derive(Debug)]
pub struct SystemApi;

/// The server is healthy.
#[derive(Debug, Object)]
struct Health {
    /// Always `ok`.
    status: String,
}

/// The editions of TimescaleDB.
#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename = "Edition", rename_all = "lowercase")]
enum EditionName {
    /// Hypertables only.
    Apache,
    /// With continuous aggregates, columnstore and policies.
    Community,
}

/// Versions and edition of the database.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Database", rename_all = "camelCase")]
pub(super) struct DatabaseBody {
    /// PostgreSQL's version.
    postgres_version: String,
    /// TimescaleDB's version.
    timescaledb_version: String,
    /// TimescaleDB's edition.
    edition: EditionName,
}

/// Information about the server.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct SystemInfo {
    /// The server's version.
    version: String,
    /// The server's database.
    database: DatabaseBody,
    /// The URL by which people and agents reach the server (`server.public_url`); absent if not configured.
    public_url: Option<String>,
    /// The URL of a Grafana with Pika's dashboards (`grafana.url`); absent if not configured.
    grafana_url: Option<String>,
    /// The server's clock, in milliseconds since the Unix epoch.
    server_time: i64,
    /// When the server was started, in milliseconds since the Unix epoch.
    started_at: i64,
}

#[OpenApi(tag = "Tag::System")]
impl SystemApi {
    /// Check that the server is alive
    ///
    /// Succeeds as long as the process runs, whatever else is broken.
    #[oai(path = "/healthz", method = "get", operation_id = "getHealth")]
    #[expect(clippy::unused_async, reason = "the macro awaits it")]
    async fn healthz(&self) -> Json<Health> {
        Json(Health { status: "ok".to_owned() })
    }

    /// Check that the server is ready
    ///
    /// Returns 200 if logging in is possible: the database is available, has this server's schema, and has an
    /// administrator. Otherwise 503.
    #[oai(path = "/readyz", method = "get", operation_id = "getReadiness")]
    async fn readyz(&self, context: Data<&ApiContext>) -> Result<Json<Health>, ApiError> {
        if !context.store.is_schema_current().await? {
            return Err(ApiError::unavailable("the database's schema does not match this server"));
        }
        if !context.readiness.is_ready() {
            return Err(ApiError::unavailable("the server is still starting"));
        }
        Ok(Json(Health { status: "ok".to_owned() }))
    }

    /// Get information about the server
    #[oai(path = "/api/system/info", method = "get", operation_id = "getSystemInfo")]
    async fn info(&self, context: Data<&ApiContext>, auth: UserAuth) -> Result<Json<SystemInfo>, ApiError> {
        auth.require(Permission::Read)?;
        let database = context.store.database_info().await?;
        Ok(Json(SystemInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            database: database.into(),
            public_url: context.public_url.as_deref().map(str::to_owned),
            grafana_url: context.grafana_url.as_deref().map(str::to_owned),
            server_time: context.clock.now(),
            started_at: context.started_at,
        }))
    }
}

impl From<DatabaseInfo> for DatabaseBody {
    fn from(database: DatabaseInfo) -> Self {
        Self {
            postgres_version: database.postgres_version,
            timescaledb_version: database.timescaledb_version,
            edition: match database.edition {
                Edition::Apache => EditionName::Apache,
                Edition::Community => EditionName::Community,
            },
        }
    }
}
