//! API tokens, with which users' programs authenticate.

use pika_shared::token::TokenKind;
use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::body::Body;
use super::checked::checked;
use super::security::UserAuth;
use super::{ApiContext, ApiError, Tag};
use crate::domain::audit::Action;
use crate::domain::id::{ApiTokenId, UserId};
use crate::domain::name::parse_name;
use crate::domain::permission::{ApiToken, Permission, Scope};
use crate::domain::token::NewToken;
use crate::store::NewApiToken;

/// Maximum length of an API token's name, in characters.
const API_TOKEN_NAME_CHARS_MAX: usize = 64;

/// API tokens.
#[derive(Debug)]
pub struct ApiTokensApi;

/// What an API token may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Deserialize)]
#[oai(rename = "Scope")]
pub(super) enum ScopeName {
    /// Read what the user may read.
    #[oai(rename = "read")]
    #[serde(rename = "read")]
    Read,
    /// Change agents and enrollment tokens.
    #[oai(rename = "agents:write")]
    #[serde(rename = "agents:write")]
    WriteAgents,
    /// Change users, as long as nobody gains permissions by it.
    #[oai(rename = "users:write")]
    #[serde(rename = "users:write")]
    WriteUsers,
    /// Change settings.
    #[oai(rename = "settings:write")]
    #[serde(rename = "settings:write")]
    WriteSettings,
    /// Acknowledge and snooze alerts.
    #[oai(rename = "alerts:acknowledge")]
    #[serde(rename = "alerts:acknowledge")]
    AcknowledgeAlerts,
    /// Change alert rules and silences.
    #[oai(rename = "alerts:write")]
    #[serde(rename = "alerts:write")]
    WriteAlerts,
    /// Change notification channels.
    #[oai(rename = "channels:write")]
    #[serde(rename = "channels:write")]
    WriteChannels,
}

impl From<Scope> for ScopeName {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Read => ScopeName::Read,
            Scope::WriteAgents => ScopeName::WriteAgents,
            Scope::WriteUsers => ScopeName::WriteUsers,
            Scope::WriteSettings => ScopeName::WriteSettings,
            Scope::AcknowledgeAlerts => ScopeName::AcknowledgeAlerts,
            Scope::WriteAlerts => ScopeName::WriteAlerts,
            Scope::WriteChannels => ScopeName::WriteChannels,
        }
    }
}

impl From<ScopeName> for Scope {
    fn from(name: ScopeName) -> Self {
        match name {
            ScopeName::Read => Scope::Read,
            ScopeName::WriteAgents => Scope::WriteAgents,
            ScopeName::WriteUsers => Scope::WriteUsers,
            ScopeName::WriteSettings => Scope::WriteSettings,
            ScopeName::AcknowledgeAlerts => Scope::AcknowledgeAlerts,
            ScopeName::WriteAlerts => Scope::WriteAlerts,
            ScopeName::WriteChannels => Scope::WriteChannels,
        }
    }
}

/// An API token to create.
#[derive(Debug, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct ApiTokenRequest {
    /// The token's name (1–64 characters).
    name: String,
    /// What it may be used for; at least one scope. It can never do more than its user.
    scopes: Vec<ScopeName>,
    /// When it expires, in milliseconds since the Unix epoch; null means never.
    #[serde(default)]
    expires_at: Option<i64>,
}

/// An API token, without the token itself.
#[derive(Debug, Object)]
#[oai(rename = "ApiToken", rename_all = "camelCase")]
pub(super) struct ApiTokenBody {
    /// The token's id.
    id: Uuid,
    /// The token's name.
    name: String,
    /// What it may be used for.
    scopes: Vec<ScopeName>,
    /// When it was created, in milliseconds since the Unix epoch.
    created_at: i64,
    /// When it expires, in milliseconds since the Unix epoch; null means never.
    expires_at: Option<i64>,
    /// When it was last used, in milliseconds since the Unix epoch, to the minute; null means never.
    last_used_at: Option<i64>,
}

/// A new API token.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct ApiTokenCreated {
    /// The token's id.
    id: Uuid,
    /// The token, for `Authorization: Bearer`. It is shown only once, here.
    token: String,
    /// The token's name.
    name: String,
    /// What it may be used for.
    scopes: Vec<ScopeName>,
    /// When it expires, in milliseconds since the Unix epoch; null means never.
    expires_at: Option<i64>,
}

/// All API tokens of a user.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct ApiTokenList {
    /// The tokens, newest first.
    items: Vec<ApiTokenBody>,
    /// Number of tokens; at most 100.
    total: u64,
}

#[derive(ApiResponse)]
enum CreateResponse {
    /// The token was created.
    #[oai(status = 201)]
    Created(Json<ApiTokenCreated>),
}

#[derive(ApiResponse)]
enum DeleteResponse {
    /// The token was deleted.
    #[oai(status = 204)]
    NoContent,
}

impl From<ApiToken> for ApiTokenBody {
    fn from(token: ApiToken) -> Self {
        Self {
            id: token.id.0,
            name: token.name,
            scopes: token.scopes.into_iter().map(ScopeName::from).collect(),
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
        }
    }
}

async fn list_of(context: &ApiContext, user_id: UserId) -> Result<Json<ApiTokenList>, ApiError> {
    let tokens = context.store.api_tokens(user_id).await?;
    let items: Vec<ApiTokenBody> = tokens.into_iter().map(ApiTokenBody::from).collect();
    Ok(Json(ApiTokenList { total: items.len() as u64, items }))
}

#[OpenApi(prefix_path = "/api", tag = "Tag::Account")]
impl ApiTokensApi {
    /// List your own API tokens
    ///
    /// Takes a session. The tokens themselves are not stored and cannot be shown.
    #[oai(path = "/tokens", method = "get", operation_id = "listApiTokens")]
    async fn list(&self, context: Data<&ApiContext>, auth: UserAuth) -> Result<Json<ApiTokenList>, ApiError> {
        let caller = auth.require(Permission::ManageOwnAccount)?;
        list_of(&context, caller.user.id).await
    }

    /// Create an API token
    ///
    /// Takes a session: an API token cannot create another one. The token has the permissions of its user's role,
    /// limited by its scopes; it can never change passwords, sessions, API tokens, second factors or roles.
    #[oai(path = "/tokens", method = "post", operation_id = "createApiToken")]
    async fn create(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        body: Body<ApiTokenRequest>,
    ) -> Result<CreateResponse, ApiError> {
        let caller = auth.require(Permission::ManageOwnAccount)?;
        let Body(request) = body;
        let name = checked("name", parse_name(&request.name, API_TOKEN_NAME_CHARS_MAX))?;
        if request.scopes.is_empty() {
            return Err(ApiError::unprocessable("scopes", "must name at least one"));
        }
        if request.expires_at.is_some_and(|at| at <= caller.origin.at) {
            return Err(ApiError::unprocessable("expiresAt", "must be in the future"));
        }
        let scopes: Vec<Scope> =
            Scope::ALL.into_iter().filter(|scope| request.scopes.contains(&(*scope).into())).collect();
        let token = NewToken::random(TokenKind::Api).map_err(|error| ApiError::internal(&error))?;
        let details = json!({
            "scopes": scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>(),
            "expiresAt": request.expires_at,
        });
        let new = NewApiToken {
            user_id: caller.user.id,
            name,
            token_hash: token.hash,
            scopes,
            expires_at: request.expires_at,
        };
        let made =
            context.store.insert_api_token(&new, caller.event(Action::ApiTokenCreated).with(details)).await?;
        Ok(CreateResponse::Created(Json(ApiTokenCreated {
            id: made.id.0,
            token: token.secret.expose_secret().to_owned(),
            name: made.name,
            scopes: made.scopes.into_iter().map(ScopeName::from).collect(),
            expires_at: made.expires_at,
        })))
    }

    /// Delete an API token
    ///
    /// Your own or, as an administrator, anybody's. Takes a session.
    #[oai(path = "/tokens/:id", method = "delete", operation_id = "deleteApiToken")]
    async fn delete(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The token's id.
        id: Path<Uuid>,
    ) -> Result<DeleteResponse, ApiError> {
        let caller = auth.require(Permission::ManageOwnAccount)?;
        let owner = match caller.may(Permission::ManageCredentials) {
            Ok(()) => None,
            Err(_) => Some(caller.user.id),
        };
        let event = caller.event(Action::ApiTokenDeleted);
        if !context.store.delete_api_token(ApiTokenId(id.0), owner, event).await? {
            return Err(ApiError::not_found(format!("there is no API token {}", id.0)));
        }
        Ok(DeleteResponse::NoContent)
    }

    /// List a user's API tokens
    ///
    /// For administrators with a session.
    #[oai(path = "/users/:id/tokens", method = "get", operation_id = "listUserApiTokens")]
    async fn list_of_user(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The user's id.
        id: Path<Uuid>,
    ) -> Result<Json<ApiTokenList>, ApiError> {
        auth.require(Permission::ManageCredentials)?;
        list_of(&context, UserId(id.0)).await
    }
}
