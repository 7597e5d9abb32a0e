//! Enrollment tokens, with which new agents register.

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

/// An enrollment token to create.
#[derive(Debug, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct EnrollmentRequest {
    /// The token's name.
    #[oai(validator(min_length = 1, max_length = 255))]
    name: String,
    /// When it expires, in milliseconds since the Unix epoch; at most in a year unless configured otherwise. If created
    /// with an API token, it ends no later than that.
    expires_at: i64,
    /// How many agents it may enroll (1–100000 unless configured otherwise).
    max_uses: i32,
}

/// An enrollment token, without the token itself.
#[derive(Debug, Object)]
#[oai(rename = "Enrollment", rename_all = "camelCase")]
struct EnrollmentBody {
    /// The token's id.
    id: Uuid,
    /// The token's name.
    name: String,
    /// The one agent it enrolls again; absent for a token that enrolls new agents.
    agent_id: Option<Uuid>,
    /// How many agents it may enroll.
    max_uses: i32,
    /// How many agents it has enrolled.
    uses: i32,
    /// When it expires, in milliseconds since the Unix epoch.
    expires_at: i64,
    /// When it was created, in milliseconds since the Unix epoch.
    created_at: i64,
    /// The id of the API token that created it, with which it ends; absent if a logged-in user did.
    api_token_id: Option<Uuid>,
}

/// A new enrollment token.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct EnrollmentCreated {
    /// The token's id.
    id: Uuid,
    /// The token. It is shown only once, here.
    token: String,
    /// The token's name.
    name: String,
    /// How many agents it may enroll.
    max_uses: i32,
    /// When it expires, in milliseconds since the Unix epoch.
    expires_at: i64,
}

/// All enrollment tokens.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct EnrollmentList {
    /// The tokens, newest first.
    items: Vec<EnrollmentBody>,
    /// Number of tokens.
    total: u64,
}

#[derive(ApiResponse)]
enum CreateResponse {
    /// The token was created.
    #[oai(status = 201)]
    Created(Json<EnrollmentCreated>),
}

#[derive(ApiResponse)]
enum DeleteResponse {
    /// The token was deleted.
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
    /// Create an enrollment token
    ///
    /// For administrators. Pass the token to `pika-agent enroll`. A token created with an API token ends when that
    /// ends, for whatever reason.
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
        tracing::info!(enrollment = %enrollment.id, user = clean(&caller.user.username), "created an enrollment token");
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
    /// For administrators. The tokens themselves are not stored and cannot be shown.
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
    /// For administrators. `GET /api/agents?enrollmentId=` lists the agents it has enrolled.
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

    /// Delete an enrollment token
    ///
    /// For administrators. Agents it has enrolled stay.
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
        tracing::info!(enrollment = %id.0, user = clean(&caller.user.username), "deleted an enrollment token");
        Ok(DeleteResponse::NoContent)
    }
}
