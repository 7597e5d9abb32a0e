//! Messages to channels, sent or not.

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

/// The status of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "AlertDeliveryStatus", rename_all = "lowercase")]
enum StatusName {
    /// It is waiting to be sent, or retried.
    Waiting,
    /// It is being sent.
    Sending,
    /// It was accepted.
    Sent,
    /// The receiver rejects it.
    Failed,
    /// It could not be sent in time.
    Expired,
    /// A later message has replaced it.
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
    /// The number of the attempt, from 1.
    number: i32,
    /// When it began, in milliseconds since the Unix epoch.
    started_at: i64,
    /// The duration, in milliseconds; absent if it was not seen to end.
    duration_ms: Option<i32>,
    /// The result: `ok`, `timeout`, `connect`, `refused_address`, `auth`, `rate_limited`, `rejected`, `server` or
    /// `unusable`; others may follow. Absent if the attempt was not seen to end.
    result: Option<String>,
    /// The status of the answer, if there was one.
    http_status: Option<i32>,
    /// The error.
    error: Option<String>,
}

/// A message to a channel.
#[derive(Debug, Object)]
#[oai(rename = "AlertDelivery", rename_all = "camelCase")]
struct DeliveryBody {
    /// The message's id, by which receivers recognize it.
    id: Uuid,
    /// The channel's id.
    channel_id: Uuid,
    /// The channel's name.
    channel_name: String,
    /// The channel's kind.
    channel_kind: String,
    /// The ids of the alerts in it.
    alert_ids: Vec<Uuid>,
    /// `waiting`, `sending`, `sent`, `failed`, `expired` or `superseded`; others may follow.
    status: String,
    /// When it was created, in milliseconds since the Unix epoch.
    created_at: i64,
    /// When it is tried next, in milliseconds since the Unix epoch; absent if it is not.
    next_attempt_at: Option<i64>,
    /// When it expires, in milliseconds since the Unix epoch.
    expires_at: i64,
    /// When it was accepted, in milliseconds since the Unix epoch.
    sent_at: Option<i64>,
    /// The last error.
    last_error: Option<String>,
    /// The attempts, in order.
    attempts: Vec<AttemptBody>,
}

/// A page of messages.
#[derive(Debug, Object)]
#[oai(rename = "AlertDeliveryPage", rename_all = "camelCase")]
struct DeliveryPage {
    /// The messages, newest first.
    items: Vec<DeliveryBody>,
    /// Number of messages on all pages.
    total: i64,
    /// The number of this page.
    page: i64,
    /// Messages per full page.
    page_size: i64,
}

#[derive(ApiResponse)]
enum RetryResponse {
    /// It is waiting to be sent.
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
    /// List deliveries
    ///
    /// For administrators. Messages to channels with every attempt, newest first; kept for 30 days.
    #[oai(path = "/alert-deliveries", method = "get", operation_id = "listAlertDeliveries")]
    #[expect(clippy::too_many_arguments, reason = "one for each parameter of the query")]
    async fn list(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// Only messages to this channel.
        #[oai(name = "channelId")]
        channel_id: Query<Option<Uuid>>,
        /// Only messages about this alert.
        #[oai(name = "alertId")]
        alert_id: Query<Option<Uuid>>,
        /// Only messages with this status.
        status: Query<Option<StatusName>>,
        /// Page number, from 1.
        #[oai(
            default = "super::paging::first_page",
            validator(minimum(value = "1"), maximum(value = "1000000"))
        )]
        page: Query<i64>,
        /// Messages per page.
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

    /// Retry a delivery
    ///
    /// For administrators. The message must have failed or expired; it is retried for a day.
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
