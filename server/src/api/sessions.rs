//! Users' own sessions.

use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use uuid::Uuid;

use super::security::UserAuth;
use super::{ApiContext, ApiError, Tag};
use crate::domain::audit::{Action, Object as AuditObject, ObjectKind};
use crate::domain::id::SessionId;
use crate::domain::permission::Permission;

/// Users' own sessions.
#[derive(Debug)]
pub struct SessionsApi;

/// A live session.
#[derive(Debug, Object)]
#[oai(rename = "Session", rename_all = "camelCase")]
struct SessionBody {
    /// The session's id, which is not its token.
    id: Uuid,
    /// When the user logged in, in milliseconds since the Unix epoch.
    created_at: i64,
    /// When it expires, in milliseconds since the Unix epoch.
    expires_at: i64,
    /// When it was last used, in milliseconds since the Unix epoch, to the minute.
    last_used_at: Option<i64>,
    /// The address the user logged in from.
    address: String,
    /// The `User-Agent` of the login: the name of the browser or program.
    user_agent: String,
    /// Whether it is the session of this request.
    current: bool,
}

/// All live sessions.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct SessionList {
    /// The sessions, newest first.
    items: Vec<SessionBody>,
    /// Number of sessions; at most 50, another login ends the oldest.
    total: u64,
}

#[derive(ApiResponse)]
enum DeleteResponse {
    /// The session was ended.
    #[oai(status = 204)]
    NoContent,
}

#[OpenApi(prefix_path = "/api/account", tag = "Tag::Account")]
impl SessionsApi {
    /// List your own sessions
    #[oai(path = "/sessions", method = "get", operation_id = "listSessions")]
    async fn list(&self, context: Data<&ApiContext>, auth: UserAuth) -> Result<Json<SessionList>, ApiError> {
        let caller = auth.require(Permission::ManageOwnAccount)?;
        let current = caller.session()?;
        let sessions = context.store.sessions(caller.user.id, context.clock.now()).await?;
        let body = |session: crate::store::Session| SessionBody {
            id: session.id.0,
            created_at: session.created_at,
            expires_at: session.expires_at,
            last_used_at: session.last_used_at,
            address: session.address,
            user_agent: session.user_agent,
            current: session.id == current,
        };
        let items: Vec<SessionBody> = sessions.into_iter().map(body).collect();
        Ok(Json(SessionList { total: items.len() as u64, items }))
    }

    /// End one of your own sessions
    #[oai(path = "/sessions/:id", method = "delete", operation_id = "deleteSession")]
    async fn delete(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The session's id.
        id: Path<Uuid>,
    ) -> Result<DeleteResponse, ApiError> {
        let caller = auth.require(Permission::ManageOwnAccount)?;
        let event =
            caller.event(Action::SessionEnded).about(AuditObject::new(ObjectKind::Session, &id.0, ""));
        if !context.store.delete_session(SessionId(id.0), caller.user.id, &event).await? {
            return Err(ApiError::not_found(format!("you have no session {}", id.0)));
        }
        Ok(DeleteResponse::NoContent)
    }
}
