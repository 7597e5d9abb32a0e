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
use crate::domain::text::clean;
use crate::domain::token::NewToken;
use crate::store::{Enrollment, NewEnrollment};

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
    /// When it ends, in milliseconds since the Unix epoch; by default within a year. Made with an API token it ends with that
    /// one at the latest.
    expires_at: i64,
    /// How many agents it lets in (by default 1–100000).
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
    /// The API token that made it, and that it ends with; absent where somebody did who was logged in.
    api_token_id: Option<Uuid>,
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
            api_token_id: enrollment.api_token_id.map(|id| id.0),
        }
    }
}

/// 404.
fn no_enrollment(id: Uuid) -> ApiError {
    ApiError::not_found(format!("there is no enrollment token {id}"))
}

#[OpenApi(prefix_path = "/api", tag = "Tag::Enrollments")]
impl EnrollmentsApi {
    /// Make an enrollment token
    ///
    /// For administrators. Give the token to `pika-agent enroll`. One that is made with an API token ends when that ends,
    /// by whatever cause.
    #[oai(path = "/enrollments", method = "post", operation_id = "createEnrollment")]
    async fn create(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        body: Body<EnrollmentRequest>,
    ) -> Result<CreateResponse, ApiError> {
        let caller = auth.require(Permission::WriteAgents)?;
        let Body(request) = body;
        let limits = context.enrollment_limits;
        let token = NewToken::random(TokenKind::Enrollment).map_err(|error| ApiError::internal(&error))?;
        let new = NewEnrollment {
            name: limits.name(&request.name)?,
            token_hash: token.hash,
            max_uses: limits.uses(request.max_uses)?,
            expires_at: limits.end(request.expires_at, caller.maker_expires_at(), caller.origin.at)?,
        };
        let details = json!({"maxUses": new.max_uses, "expiresAt": new.expires_at});
        let event = caller.event(Action::EnrollmentCreated).with(details);
        let made = context.store.insert_enrollment(&new, event).await?;
        let enrollment = made.ok_or_else(|| ApiError::unauthorized("the API token has ended"))?;
        tracing::info!(enrollment = %enrollment.id, user = clean(&caller.user.username), "made an enrollment token");
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

    /// Get an enrollment token
    ///
    /// For administrators. Which agents it has let in, `GET /api/agents?enrollmentId=` tells.
    #[oai(path = "/enrollments/:id", method = "get", operation_id = "getEnrollment")]
    async fn get(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The token's id.
        id: Path<Uuid>,
    ) -> Result<Json<EnrollmentBody>, ApiError> {
        auth.require(Permission::ReadAdministration)?;
        let enrollment = context.store.enrollment(EnrollmentId(id.0)).await?;
        Ok(Json(enrollment.ok_or_else(|| no_enrollment(id.0))?.into()))
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
            return Err(no_enrollment(id.0));
        }
        tracing::info!(enrollment = %id.0, user = clean(&caller.user.username), "ended an enrollment token");
        Ok(DeleteResponse::NoContent)
    }
}
