//! What was sent to channels, and what was not.

use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use uuid::Uuid;

use super::security::UserAuth;
use super::{ApiContext, ApiError, Tag};
use crate::domain::audit::Action;
use crate::domain::permission::Permission;
use crate::store::{AlertAttempt, AlertDelivery, DeliveryFilter, RetryError};

/// What was sent to channels.
#[derive(Debug)]
pub struct AlertDeliveriesApi;

/// What has become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "AlertDeliveryStatus", rename_all = "lowercase")]
enum StatusName {
    /// It waits to be sent, or to be sent again.
    Waiting,
    /// It is being sent.
    Sending,
    /// It was taken.
    Sent,
    /// The receiver does not take it.
    Failed,
    /// It could not be sent in time.
    Expired,
    /// A later message has told what it would have.
    Superseded,
}

impl StatusName {
    fn as_str(self) -> &'static str {
        match self {
            StatusName::Waiting => "waiting",
            StatusName::Sending => "sending",
            StatusName::Sent => "sent",
            StatusName::Failed => "failed",
            StatusName::Expired => "expired",
            StatusName::Superseded => "superseded",
        }
    }
}

/// An attempt to send a message.
#[derive(Debug, Object)]
#[oai(rename = "AlertAttempt", rename_all = "camelCase")]
struct AttemptBody {
    /// Which it is, from 1.
    number: i32,
    /// When it began, in milliseconds since the Unix epoch.
    started_at: i64,
    /// How long it took, in milliseconds; absent where nobody saw it end.
    duration_ms: Option<i32>,
    /// How it ended: `ok`, `timeout`, `connect`, `refused_address`, `auth`, `rate_limited`, `rejected`, `server` or
    /// `unusable`; others may follow. Absent where nobody saw it end.
    result: Option<String>,
    /// The status of the answer, where there was one.
    http_status: Option<i32>,
    /// What went wrong.
    error: Option<String>,
}

/// A message to a channel.
#[derive(Debug, Object)]
#[oai(rename = "AlertDelivery", rename_all = "camelCase")]
struct DeliveryBody {
    /// Its id, by which receivers know it again.
    id: Uuid,
    /// The channel.
    channel_id: Uuid,
    /// The channel's name.
    channel_name: String,
    /// The channel's kind.
    channel_kind: String,
    /// The alerts that it tells of.
    alert_ids: Vec<Uuid>,
    /// `waiting`, `sending`, `sent`, `failed`, `expired` or `superseded`; others may follow.
    status: String,
    /// When it was made, in milliseconds since the Unix epoch.
    created_at: i64,
    /// When it is tried next, in milliseconds since the Unix epoch; absent where it is not.
    next_attempt_at: Option<i64>,
    /// Until when it is tried, in milliseconds since the Unix epoch.
    expires_at: i64,
    /// When it was taken, in milliseconds since the Unix epoch.
    sent_at: Option<i64>,
    /// What went wrong last.
    last_error: Option<String>,
    /// Every attempt, the first first.
    attempts: Vec<AttemptBody>,
}

/// A page of messages.
#[derive(Debug, Object)]
#[oai(rename = "AlertDeliveryPage", rename_all = "camelCase")]
struct DeliveryPage {
    /// The messages, the newest first.
    items: Vec<DeliveryBody>,
    /// How many there are on all pages.
    total: i64,
    /// Which page this is.
    page: i64,
    /// Messages of a full page.
    page_size: i64,
}

#[derive(ApiResponse)]
enum RetryResponse {
    /// It waits to be sent.
    #[oai(status = 204)]
    NoContent,
}

impl From<AlertAttempt> for AttemptBody {
    fn from(attempt: AlertAttempt) -> Self {
        let AlertAttempt { number, started_at, duration_ms, result, http_status, error } = attempt;
        Self { number, started_at, duration_ms, result, http_status, error }
    }
}

impl From<AlertDelivery> for DeliveryBody {
    fn from(delivery: AlertDelivery) -> Self {
        let alert_ids = delivery.items.iter().filter_map(|item| item["alertId"].as_str()?.parse().ok());
        let is_waiting = delivery.status == "waiting";
        Self {
            id: delivery.key,
            channel_id: delivery.channel_id,
            channel_name: delivery.channel_name,
            channel_kind: delivery.channel_kind,
            alert_ids: alert_ids.collect(),
            status: delivery.status,
            created_at: delivery.created_at,
            next_attempt_at: Some(delivery.next_attempt_at).filter(|_| is_waiting),
            expires_at: delivery.expires_at,
            sent_at: delivery.sent_at,
            last_error: delivery.last_error,
            attempts: delivery.attempts.into_iter().map(AttemptBody::from).collect(),
        }
    }
}

impl From<RetryError> for ApiError {
    fn from(error: RetryError) -> Self {
        match error {
            RetryError::NotFound => ApiError::not_found(error.to_string()),
            RetryError::Status(_) => ApiError::conflict(error.to_string()),
            RetryError::Store(error) => error.into(),
        }
    }
}

#[OpenApi(prefix_path = "/api", tag = "Tag::Alerting")]
impl AlertDeliveriesApi {
    /// List what was sent
    ///
    /// For administrators. Messages to channels with every attempt, the newest first; they are kept for 30 days.
    #[oai(path = "/alert-deliveries", method = "get", operation_id = "listAlertDeliveries")]
    #[expect(clippy::too_many_arguments, reason = "one for each parameter of the query")]
    async fn list(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// Only to this channel.
        #[oai(name = "channelId")]
        channel_id: Query<Option<Uuid>>,
        /// Only of this alert.
        #[oai(name = "alertId")]
        alert_id: Query<Option<Uuid>>,
        /// Only those of which this has become.
        status: Query<Option<StatusName>>,
        /// Which page, from 1.
        #[oai(
            default = "super::paging::first_page",
            validator(minimum(value = "1"), maximum(value = "1000000"))
        )]
        page: Query<i64>,
        /// Messages a page.
        #[oai(
            name = "pageSize",
            default = "super::paging::default_page_size",
            validator(minimum(value = "1"), maximum(value = "100"))
        )]
        page_size: Query<i64>,
    ) -> Result<Json<DeliveryPage>, ApiError> {
        auth.require(Permission::ReadAdministration)?;
        let status = status.0.map(|status| status.as_str().to_owned());
        let filter = DeliveryFilter { channel: channel_id.0, status, alert: alert_id.0 };
        let offset = (page.0 - 1) * page_size.0;
        let (items, total) = context.store.alert_deliveries(&filter, offset, page_size.0).await?;
        let items = items.into_iter().map(DeliveryBody::from).collect();
        Ok(Json(DeliveryPage { items, total, page: page.0, page_size: page_size.0 }))
    }

    /// Send a message again
    ///
    /// For administrators. One that has failed or expired; it is tried for a day.
    #[oai(path = "/alert-deliveries/:id/retry", method = "post", operation_id = "retryAlertDelivery")]
    async fn retry(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The message's id.
        id: Path<Uuid>,
    ) -> Result<RetryResponse, ApiError> {
        let caller = auth.require(Permission::WriteChannels)?;
        context.store.retry_alert_delivery(id.0, caller.event(Action::AlertDeliveryRetried)).await?;
        Ok(RetryResponse::NoContent)
    }
}
