//! When an agent was online, and what share of the time.

use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use super::rounding::rounded;
use super::security::UserAuth;
use super::{ApiContext, ApiError, Tag, agents};
use crate::domain::permission::Permission;
use crate::domain::presence::{PresenceSpan, spans, uptime_percent};
use crate::domain::tier::DAY_MS;
use crate::domain::time_range::{SampleRange, TimeRangeRequest};

/// When agents were online.
#[derive(Debug)]
pub struct PresenceApi;

/// When an agent was online.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct Presence {
    /// The range split into spans, oldest first; neighbours differ.
    items: Vec<PresenceSpanBody>,
    /// Share of the known time the agent was online (0–100); null if nothing is known.
    uptime_percent: Option<f64>,
}

/// A span of time in which an agent was either online or offline throughout.
#[derive(Debug, Object)]
#[oai(rename = "PresenceSpan", rename_all = "camelCase")]
struct PresenceSpanBody {
    /// Start of the span, in milliseconds since the Unix epoch, inclusive.
    from: i64,
    /// End of the span, in milliseconds since the Unix epoch, exclusive.
    to: i64,
    /// `online`, `offline`, or `unknown` while no server was running; others may follow.
    status: String,
}

impl From<PresenceSpan> for PresenceSpanBody {
    fn from(span: PresenceSpan) -> Self {
        Self { from: span.from, to: span.to, status: span.status().to_owned() }
    }
}

#[OpenApi(prefix_path = "/api/agents", tag = "Tag::Agents")]
impl PresenceApi {
    /// Get when an agent was online
    ///
    /// An agent that dies is offline from its last sign of life on. History is kept as long as buckets of one hour are,
    /// for at most five years and 20000 changes per agent.
    #[oai(path = "/:id/presence", method = "get", operation_id = "getAgentPresence")]
    async fn presence(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The agent's id.
        id: Path<Uuid>,
        /// Start of the range, in milliseconds since the Unix epoch, inclusive; by default a day before `end`.
        start: Query<Option<i64>>,
        /// End of the range, in milliseconds since the Unix epoch, exclusive; by default, and at most, now.
        end: Query<Option<i64>>,
    ) -> Result<Json<Presence>, ApiError> {
        auth.require(Permission::Read)?;
        let now = context.clock.now();
        let start = start.0.or(Some(end.0.unwrap_or(now).saturating_sub(DAY_MS).max(0)));
        let request = TimeRangeRequest { start, end: end.0, ..TimeRangeRequest::default() };
        let SampleRange { start, end, .. } = SampleRange::resolve(request, now)?;
        let agent = agents::find(&context.store, id.0).await?;
        let end = end.min(now);
        let spans = spans(&context.store.presence(agent.key, start, end).await?, start, end);
        Ok(Json(Presence {
            uptime_percent: uptime_percent(&spans).map(rounded),
            items: spans.into_iter().map(PresenceSpanBody::from).collect(),
        }))
    }
}
