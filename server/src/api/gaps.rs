//! Samples that agents had to drop, which explain holes in charts.

use pika_protocol::message::GapReason;
use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{Enum, Object, OpenApi};
use uuid::Uuid;

use super::security::UserAuth;
use super::{ApiContext, ApiError, Tag, agents};
use crate::domain::TimestampMs;
use crate::domain::gap::SampleGap;
use crate::domain::permission::Permission;

/// Samples that agents had to drop.
#[derive(Debug)]
pub struct GapsApi;

/// Why an agent dropped samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "GapReason", rename_all = "snake_case")]
enum GapReasonName {
    /// The agent's spool was full; the oldest samples went first.
    SpoolFull,
    /// They exceeded the age to which the agent keeps samples.
    Expired,
    /// They could not be read from the spool.
    Unreadable,
}

impl From<GapReason> for GapReasonName {
    fn from(reason: GapReason) -> Self {
        match reason {
            GapReason::SpoolFull => GapReasonName::SpoolFull,
            GapReason::Expired => GapReasonName::Expired,
            GapReason::Unreadable => GapReasonName::Unreadable,
        }
    }
}

/// Samples that an agent took but had to drop before they were stored.
#[derive(Clone, Debug, Object)]
#[oai(rename = "SampleGap", rename_all = "camelCase")]
struct SampleGapBody {
    /// The time of the first dropped sample, in milliseconds since the Unix epoch.
    start: i64,
    /// The time of the last dropped sample, in milliseconds since the Unix epoch. Samples in between may have been
    /// stored.
    end: i64,
    /// Number of dropped samples.
    samples: i64,
    /// The reason they were dropped.
    reason: GapReasonName,
    /// When the agent reported the gap, in milliseconds since the Unix epoch.
    reported_at: i64,
}

impl From<SampleGap> for SampleGapBody {
    fn from(gap: SampleGap) -> Self {
        let SampleGap { start, end, samples, reason, reported_at } = gap;
        Self { start, end, samples, reason: reason.into(), reported_at }
    }
}

/// A list of gaps.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct SampleGapList {
    /// The gaps, oldest first.
    items: Vec<SampleGapBody>,
}

#[OpenApi(prefix_path = "/api", tag = "Tag::Agents")]
impl GapsApi {
    /// List the samples that an agent had to drop
    ///
    /// An agent keeps what it cannot deliver for a day, as far as its spool has room, and reports what it had to drop,
    /// which explains holes in charts. The newest thousand gaps of an agent are kept.
    #[oai(path = "/agents/:id/gaps", method = "get", operation_id = "listAgentGaps")]
    async fn list(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The agent's id.
        id: Path<Uuid>,
        /// Only gaps that end at or after this time, in milliseconds since the Unix epoch.
        start: Query<Option<i64>>,
        /// Only gaps that begin before this time, in milliseconds since the Unix epoch.
        end: Query<Option<i64>>,
    ) -> Result<Json<SampleGapList>, ApiError> {
        auth.require(Permission::Read)?;
        let agent = agents::find(&context.store, id.0).await?;
        let (start, end) = (start.0.unwrap_or(TimestampMs::MIN), end.0.unwrap_or(TimestampMs::MAX));
        let gaps = context.store.gaps(agent.id, start, end).await?;
        Ok(Json(SampleGapList { items: gaps.into_iter().map(SampleGapBody::from).collect() }))
    }
}
