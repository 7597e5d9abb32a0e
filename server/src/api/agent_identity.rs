//! Whose word counts as an agent's: enrolling it again, and taking its secret away.

use pika_shared::token::TokenKind;
use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::agents::no_agent;
use super::body::Body;
use super::security::UserAuth;
use super::{ApiContext, ApiError, Tag};
use crate::domain::audit::Action;
use crate::domain::id::AgentId;
use crate::domain::permission::Permission;
use crate::domain::text::clean;
use crate::domain::token::NewToken;
use crate::ingest::AgentChange;

/// How long a token lasts whose end is not given.
const LIFETIME_MS: i64 = 3_600_000;

/// Whose word counts as an agent's.
#[derive(Debug)]
pub struct AgentIdentityApi;

/// A token that enrolls an agent again.
#[derive(Debug, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct ReenrollmentRequest {
    /// When it ends, in milliseconds since the Unix epoch; in an hour where it is not given, by default within a year. Made
    /// with an API token it ends with that one at the latest.
    #[serde(default)]
    expires_at: Option<i64>,
}

/// A new token that enrolls an agent again.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct ReenrollmentCreated {
    /// The token's id.
    id: Uuid,
    /// The token. It is shown here and never again.
    token: String,
    /// The agent that it is for.
    agent_id: Uuid,
    /// When it ends, in milliseconds since the Unix epoch.
    expires_at: i64,
}

#[derive(ApiResponse)]
enum ReenrollResponse {
    /// The token was made.
    #[oai(status = 201)]
    Created(Json<ReenrollmentCreated>),
}

#[derive(ApiResponse)]
enum RevokeResponse {
    /// The agent has no secret any more.
    #[oai(status = 204)]
    NoContent,
}

#[OpenApi(prefix_path = "/api", tag = "Tag::Agents")]
impl AgentIdentityApi {
    /// Make a token that enrolls an agent again
    ///
    /// For administrators. For a machine that was installed anew, or whose secret was revoked: `pika-agent enroll` with this
    /// token, once, brings it back as the same agent with a new secret. The old secret ends at that moment, and so does
    /// a connection that was made with it. An earlier token for the same agent that was not used ends now. A token that is
    /// made with an API token ends when that ends, by whatever cause.
    #[oai(path = "/agents/:id/enrollment", method = "post", operation_id = "createAgentEnrollment")]
    async fn reenroll(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The agent's id.
        id: Path<Uuid>,
        body: Body<ReenrollmentRequest>,
    ) -> Result<ReenrollResponse, ApiError> {
        let caller = auth.require(Permission::WriteAgents)?;
        let now = caller.origin.at;
        let expires_at = body.0.expires_at.unwrap_or(now + LIFETIME_MS);
        let expires_at = context.enrollment_limits.end(expires_at, caller.maker_expires_at(), now)?;
        let token = NewToken::random(TokenKind::Enrollment).map_err(|error| ApiError::internal(&error))?;
        let event =
            caller.event(Action::EnrollmentCreated).with(json!({"agentId": id.0, "expiresAt": expires_at}));
        let made = context.store.insert_reenrollment(AgentId(id.0), token.hash, expires_at, event).await?;
        let enrollment = made.ok_or_else(|| no_agent(id.0))?;
        tracing::info!(
            agent = %id.0,
            enrollment = %enrollment.id,
            user = clean(&caller.user.username),
            "made a token that enrolls an agent again"
        );
        Ok(ReenrollResponse::Created(Json(ReenrollmentCreated {
            id: enrollment.id.0,
            token: context.with_pin(&token.secret),
            agent_id: id.0,
            expires_at,
        })))
    }

    /// Revoke an agent's secret
    ///
    /// For administrators. Its connection is closed, and nobody is let in as this agent until it is enrolled again. Its
    /// history stays.
    #[oai(path = "/agents/:id/secret", method = "delete", operation_id = "revokeAgentSecret")]
    async fn revoke(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The agent's id.
        id: Path<Uuid>,
    ) -> Result<RevokeResponse, ApiError> {
        let caller = auth.require(Permission::WriteAgents)?;
        let event = caller.event(Action::AgentSecretRevoked);
        let key = context.store.revoke_secret(AgentId(id.0), event).await?;
        context.sockets.end_revoked(key.ok_or_else(|| no_agent(id.0))?);
        context.sockets.tell_agent(AgentId(id.0), AgentChange::Updated);
        tracing::info!(agent = %id.0, user = clean(&caller.user.username), "revoked an agent's secret");
        Ok(RevokeResponse::NoContent)
    }
}
