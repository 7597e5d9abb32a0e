//! The audit log.

use poem::web::Data;
use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use super::checked::search_text;
use super::security::UserAuth;
use super::{ApiContext, ApiError, Tag};
use crate::domain::permission::Permission;
use crate::store::{AuditEntry, AuditFilter};

/// The audit log.
#[derive(Debug)]
pub struct AuditApi;

/// An entry of the audit log.
#[derive(Debug, Object)]
#[oai(rename = "AuditEntry", rename_all = "camelCase")]
struct AuditEntryBody {
    /// The entry's number; later entries have higher ones.
    id: i64,
    /// When it happened, in milliseconds since the Unix epoch.
    at: i64,
    /// Who acted: `user`, `api_token`, `command_line`, `system`, or `nobody` for somebody not logged in.
    actor_kind: String,
    /// The user's id; for an API token its owner's.
    actor_id: Option<Uuid>,
    /// The username at the time; empty if none.
    actor_name: String,
    /// The id of the API token used.
    api_token_id: Option<Uuid>,
    /// What was done, for example `user.login` or `enrollment.create`.
    action: String,
    /// The kind of the object, for example `user`.
    object_kind: Option<String>,
    /// The object's id.
    object_id: Option<String>,
    /// The object's name at the time.
    object_name: Option<String>,
    /// The address the request came from; empty for the command line.
    address: String,
    /// The request's id, as in the server's log; empty for the command line.
    request_id: String,
    /// Further details: a JSON object whose fields depend on the action.
    details: serde_json::Value,
}

/// A page of the audit log.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct AuditLog {
    /// The entries, newest first.
    items: Vec<AuditEntryBody>,
    /// Number of entries on all pages.
    total: i64,
    /// The number of this page.
    page: i64,
    /// Entries per full page.
    page_size: i64,
}

impl From<AuditEntry> for AuditEntryBody {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { id, at, actor_kind, actor_id, actor_name, api_token_id, action, .. } = entry;
        let AuditEntry { object_kind, object_id, object_name, address, request_id, details, .. } = entry;
        Self {
            id,
            at,
            actor_kind,
            actor_id,
            actor_name,
            api_token_id,
            action,
            object_kind,
            object_id,
            object_name,
            address,
            request_id,
            details,
        }
    }
}

#[OpenApi(prefix_path = "/api", tag = "Tag::Audit")]
impl AuditApi {
    /// Read the audit log
    ///
    /// For administrators. Logins, failed logins, and every change made through the API or the command line, newest
    /// first.
    #[oai(path = "/audit", method = "get", operation_id = "getAuditLog")]
    #[expect(clippy::too_many_arguments, reason = "one for each parameter of the query")]
    async fn list(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// Page number, from 1.
        #[oai(
            default = "super::paging::first_page",
            validator(minimum(value = "1"), maximum(value = "1000000"))
        )]
        page: Query<i64>,
        /// Entries per page.
        #[oai(
            name = "pageSize",
            default = "super::paging::default_page_size",
            validator(minimum(value = "1"), maximum(value = "100"))
        )]
        page_size: Query<i64>,
        /// Only actions of this user: username or id.
        #[oai(validator(max_length = 255))]
        actor: Query<Option<String>>,
        /// Only this action, for example `user.login_failed`.
        #[oai(validator(max_length = 255))]
        action: Query<Option<String>>,
        /// Only actions on this object: name or id.
        #[oai(validator(max_length = 255))]
        object: Query<Option<String>>,
        /// Start of the range, in milliseconds since the Unix epoch, inclusive.
        from: Query<Option<i64>>,
        /// End of the range, in milliseconds since the Unix epoch, exclusive.
        to: Query<Option<i64>>,
        /// Only actions from this address.
        #[oai(validator(max_length = 64))]
        address: Query<Option<String>>,
    ) -> Result<Json<AuditLog>, ApiError> {
        auth.require(Permission::ReadAdministration)?;
        let filter = AuditFilter {
            actor: search_text("actor", actor.0)?,
            action: search_text("action", action.0)?,
            object: search_text("object", object.0)?,
            from: from.0,
            to: to.0,
            address: search_text("address", address.0)?,
        };
        let (entries, total) =
            context.store.audit_log(&filter, (page.0 - 1) * page_size.0, page_size.0).await?;
        let items = entries.into_iter().map(AuditEntryBody::from).collect();
        Ok(Json(AuditLog { items, total, page: page.0, page_size: page_size.0 }))
    }
}
