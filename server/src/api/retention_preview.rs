//! What a change of the retention would drop and cost, before it is made.

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use super::body::Body;
use super::metric_names::TierName;
use super::security::UserAuth;
use super::settings::{RetentionBody, parameter};
use super::{ApiContext, ApiError, Tag};
use crate::domain::permission::Permission;
use crate::domain::retention::Retention;
use crate::domain::retention_preview::{TierPreview, preview};

/// Previews of the retention.
#[derive(Debug)]
pub struct RetentionPreviewApi;

/// What a retention would drop, and what the rest would take.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct RetentionPreview {
    /// Why it would be refused; absent if it would be accepted.
    refusal: Option<RetentionRefusal>,
    /// One entry per tier.
    tiers: Vec<TierPreviewBody>,
    /// Bytes that would be freed, of all tiers.
    bytes_dropped: i64,
    /// Expected size of all metrics in 30 days, in bytes.
    bytes_forecast: i64,
    /// When the stored metrics were measured, in milliseconds since the Unix epoch: up to half a minute ago.
    measured_at: i64,
}

/// Why a retention would be refused.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct RetentionRefusal {
    /// The invalid field, for example `rawMs`.
    parameter: String,
    /// The reason, and which values are valid.
    message: String,
}

/// What a retention would do to a tier.
#[derive(Debug, Object)]
#[oai(rename = "TierPreview", rename_all = "camelCase")]
struct TierPreviewBody {
    /// The tier.
    tier: TierName,
    /// Number of chunks that would be dropped: those whose whole span has expired.
    chunks_dropped: i64,
    /// Approximate number of rows in them, from the database's statistics.
    rows_dropped: i64,
    /// Their size on disk, in bytes.
    bytes_dropped: i64,
    /// Everything before this would be dropped, in milliseconds since the Unix epoch; absent if nothing would be.
    dropped_before: Option<i64>,
    /// Start of the oldest chunk that would stay, in milliseconds since the Unix epoch: nothing stored is older. Absent
    /// if none would stay.
    kept_from: Option<i64>,
    /// What a day would eventually add, in bytes.
    bytes_per_day: i64,
    /// Expected size in 30 days, in bytes.
    bytes_forecast: i64,
    /// Expected size once a day drops as much as it adds, in bytes; absent if the tier is kept forever.
    bytes_in_the_end: Option<i64>,
}

impl From<TierPreview> for TierPreviewBody {
    fn from(preview: TierPreview) -> Self {
        let TierPreview { tier, dropped, kept_from, bytes_per_day, bytes_forecast, bytes_in_the_end } =
            preview;
        Self {
            tier: tier.into(),
            chunks_dropped: dropped.chunks,
            rows_dropped: dropped.rows,
            bytes_dropped: dropped.bytes,
            dropped_before: dropped.before,
            kept_from,
            bytes_per_day,
            bytes_forecast,
            bytes_in_the_end,
        }
    }
}

#[OpenApi(prefix_path = "/api/settings", tag = "Tag::Settings")]
impl RetentionPreviewApi {
    /// Preview a change of how long metrics are kept
    ///
    /// Changes nothing. Chunks are dropped by the first round of maintenance in which the rollups built from them are
    /// complete, so some may stay for a while after the change.
    #[oai(path = "/retention/preview", method = "post", operation_id = "previewRetention")]
    async fn preview(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        body: Body<RetentionBody>,
    ) -> Result<Json<RetentionPreview>, ApiError> {
        auth.require(Permission::Read)?;
        let retention = Retention::from(body.0);
        let now = context.clock.now();
        let report = context.store.storage_report(now).await?;
        let tiers = preview(&report.relations, &retention, now).map(TierPreviewBody::from);
        let refusal = retention.check().err().map(|error| RetentionRefusal {
            parameter: parameter(&error).to_owned(),
            message: error.message,
        });
        Ok(Json(RetentionPreview {
            refusal,
            bytes_dropped: tiers.iter().map(|tier| tier.bytes_dropped).sum(),
            bytes_forecast: tiers.iter().map(|tier| tier.bytes_forecast).sum(),
            tiers: tiers.into(),
            measured_at: report.measured_at,
        }))
    }
}
