//! Enrollment tokens: how new agents are let in.

use pika_shared::token::TokenKind;
use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::body::Body;
use super::security::UserAuth;
use super::{ApiContext, ApiError, Tag};
use crate::domain::audit::Action;
use crate::domain::id::EnrollmentId;
use crate::domain::permission::Permission;
use crate::domain::token::NewToken;
use crate::store::{Enrollment, NewEnrollment};

/// Most agents that one token may let in.
const USES_MAX: i32 = 100_000;

/// Enrollment tokens.
#[derive(Debug)]
pub struct EnrollmentsApi;

/// A token to be made.
#[derive(Debug, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct EnrollmentRequest {
    /// What people call it.
    #[oai(validator(min_length = 1, max_length = 255))]
    name: String,
    /// When it ends, in milliseconds since the Unix epoch.
    expires_at: i64,
    /// How many agents it lets in (1–100000).
    max_uses: i32,
}

/// An enrollment token, without the token itself.
#[derive(Debug, Object)]
#[oai(rename = "Enrollment", rename_all = "camelCase")]
struct EnrollmentBody {
    /// Its id.
    id: Uuid,
    /// What people call it.
    name: String,
    /// The one agent that it enrolls again; absent where it lets new agents in.
    agent_id: Option<Uuid>,
    /// How many agents it lets in.
    max_uses: i32,
    /// How many it has let in.
    uses: i32,
    /// When it ends, in milliseconds since the Unix epoch.
    expires_at: i64,
    /// When it was made, in milliseconds since the Unix epoch.
    created_at: i64,
}

/// A new enrollment token.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct EnrollmentCreated {
    /// Its id.
    id: Uuid,
    /// The token. It is shown here and never again.
    token: String,
    /// What people call it.
    name: String,
    /// How many agents it lets in.
    max_uses: i32,
    /// When it ends, in milliseconds since the Unix epoch.
    expires_at: i64,
}

/// All enrollment tokens.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct EnrollmentList {
    /// The tokens, the newest first.
    items: Vec<EnrollmentBody>,
    /// How many there are.
    total: u64,
}

#[derive(ApiResponse)]
enum CreateResponse {
    /// The token was made.
    #[oai(status = 201)]
    Created(Json<EnrollmentCreated>),
}

#[derive(ApiResponse)]
enum DeleteResponse {
    /// The token has ended.
    #[oai(status = 204)]
    NoContent,
}

impl From<Enrollment> for EnrollmentBody {
    fn from(enrollment: Enrollment) -> Self {
        Self {
            id: enrollment.id.0,
            name: enrollment.name,
            agent_id: enrollment.agent_id.map(|id| id.0),
            max_uses: enrollment.max_uses,
            uses: enrollment.uses,
            expires_at: enrollment.expires_at,
            created_at: enrollment.created_at,
        }
    }
}

#[OpenApi(prefix_path = "/api", tag = "Tag::Enrollments")]
impl EnrollmentsApi {
    /// Make an enrollment token
    ///
    /// For administrators. Give the token to `pika-agent enroll`.
    #[oai(path = "/enrollments", method = "post", operation_id = "createEnrollment")]
    async fn create(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        body: Body<EnrollmentRequest>,
    ) -> Result<CreateResponse, ApiError> {
        let caller = auth.require(Permission::WriteAgents)?;
        let Body(request) = body;
        let now = context.clock.now();
        if request.expires_at <= now {
            return Err(ApiError::unprocessable("expiresAt", "must be in the future"));
        }
        if !(1..=USES_MAX).contains(&request.max_uses) {
            return Err(ApiError::unprocessable("maxUses", &format!("must be 1–{USES_MAX}")));
        }
        let details = json!({"maxUses": request.max_uses, "expiresAt": request.expires_at});
        let token = NewToken::random(TokenKind::Enrollment).map_err(|error| ApiError::internal(&error))?;
        let new = NewEnrollment {
            name: request.name,
            token_hash: token.hash,
            max_uses: request.max_uses,
            expires_at: request.expires_at,
        };
        let enrollment = context
            .store
            .insert_enrollment(&new, caller.event(Action::EnrollmentCreated).with(details))
            .await?;
        tracing::info!(enrollment = %enrollment.id, user = %caller.user.username, "made an enrollment token");
        Ok(CreateResponse::Created(Json(EnrollmentCreated {
            id: enrollment.id.0,
            token: context.with_pin(&token.secret),
            name: enrollment.name,
            max_uses: enrollment.max_uses,
            expires_at: enrollment.expires_at,
        })))
    }

    /// List enrollment tokens
    ///
    /// For administrators. The tokens themselves are not kept and not shown.
    #[oai(path = "/enrollments", method = "get", operation_id = "listEnrollments")]
    async fn list(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
    ) -> Result<Json<EnrollmentList>, ApiError> {
        auth.require(Permission::ReadAdministration)?;
        let items: Vec<EnrollmentBody> =
            context.store.enrollments().await?.into_iter().map(EnrollmentBody::from).collect();
        Ok(Json(EnrollmentList { total: items.len() as u64, items }))
    }

    /// End an enrollment token
    ///
    /// For administrators. Agents that it let in stay.
    #[oai(path = "/enrollments/:id", method = "delete", operation_id = "deleteEnrollment")]
    async fn delete(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The token's id.
        id: Path<Uuid>,
    ) -> Result<DeleteResponse, ApiError> {
        let caller = auth.require(Permission::WriteAgents)?;
        let event = caller.event(Action::EnrollmentDeleted);
        if !context.store.delete_enrollment(EnrollmentId(id.0), event).await? {
            return Err(ApiError::not_found(format!("there is no enrollment token {}", id.0)));
        }
        tracing::info!(enrollment = %id.0, user = %caller.user.username, "ended an enrollment token");
        Ok(DeleteResponse::NoContent)
    }
}
