//! Agents' identities: enrolling again and revoking secrets.

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

/// Default lifetime of a re-enrollment token.
const LIFETIME_MS: i64 = 3_600_000;

/// Operations on agents' identities.
#[derive(Debug)]
pub struct AgentIdentityApi;

/// A re-enrollment token to create.
#[derive(Debug, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct ReenrollmentRequest {
    /// When it expires, in milliseconds since the Unix epoch; by default in an hour, and at most in a year unless
    /// configured otherwise. If created with an API token, it ends no later than that.
    #[serde(default)]
    expires_at: Option<i64>,
}

/// A new re-enrollment token.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct ReenrollmentCreated {
    /// The token's id.
    id: Uuid,
    /// The token. It is shown only once, here.
    token: String,
    /// The agent it is for.
    agent_id: Uuid,
    /// When it expires, in milliseconds since the Unix epoch.
    expires_at: i64,
}

#[derive(ApiResponse)]
enum ReenrollResponse {
    /// The token was created.
    #[oai(status = 201)]
    Created(Json<ReenrollmentCreated>),
}

#[derive(ApiResponse)]
enum RevokeResponse {
    /// The agent no longer has a secret.
    #[oai(status = 204)]
    NoContent,
}

#[OpenApi(prefix_path = "/api", tag = "Tag::Agents")]
impl AgentIdentityApi {
    /// Create a token that enrolls an agent again
    ///
    /// For administrators. For a machine that was reinstalled, or whose secret was revoked: `pika-agent enroll` with
    /// this token, once, brings it back as the same agent with a new secret. At that moment the old secret becomes
    /// invalid, and its connection is closed. Earlier unused tokens for the same agent end now. A token created with an
    /// API token ends when that ends, for whatever reason.
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
            "created a token that enrolls an agent again"
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
    /// For administrators. The agent's connection is closed, and it cannot connect until it is enrolled again. Its
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
        context.sockets.announce_agent(AgentId(id.0), AgentChange::Updated);
        tracing::info!(agent = %id.0, user = clean(&caller.user.username), "revoked an agent's secret");
        Ok(RevokeResponse::NoContent)
    }
}
