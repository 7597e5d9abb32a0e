//! Logging in and out, and the logged-in user.

use poem::Request;
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::api_tokens::ScopeName;
use super::body::Body;
use super::security::{Caller, SESSION_COOKIE, UserAuth};
use super::users::UserBody;
use super::{ApiContext, ApiError, Tag};
use crate::auth;
use crate::domain::audit::{Action, Object as AuditObject, ObjectKind};
use crate::domain::permission::{Credential, Permission};
use crate::http;

/// Logging in and out.
#[derive(Debug)]
pub struct AccountApi;

/// A name and a password, and a code if the user has a second factor.
#[derive(Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct LoginRequest {
    /// The username, in any case.
    #[oai(validator(min_length = 1, max_length = 255))]
    username: String,
    /// The password.
    #[oai(validator(min_length = 1, max_length = 1024))]
    password: String,
    /// The code shown by the user's device, or a recovery code.
    #[serde(default)]
    #[oai(default, validator(max_length = 64))]
    code: Option<String>,
}

/// A new session.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct LoginResult {
    /// The session's token, for `Authorization: Bearer`. Browsers use the cookie instead.
    token: String,
    /// When the session expires, in milliseconds since the Unix epoch.
    expires_at: i64,
    /// The logged-in user.
    user: UserBody,
}

/// A token to inspect.
#[derive(Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct TokenLoginRequest {
    /// An API token or a session token.
    #[oai(validator(min_length = 1, max_length = 255))]
    token: String,
}

/// The kind of a token.
#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename_all = "snake_case")]
enum CredentialKind {
    /// A session token.
    Session,
    /// An API token.
    ApiToken,
}

/// What a token gives access to.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct TokenLoginResult {
    /// The token's owner.
    user: UserBody,
    /// The kind of the token.
    kind: CredentialKind,
    /// The scopes of an API token; null for a session, which is not limited to any.
    scopes: Option<Vec<ScopeName>>,
    /// What can be done with it now: the permissions of the user's role, limited by the token's scopes.
    permissions: Vec<String>,
    /// When it expires, in milliseconds since the Unix epoch; null means never.
    expires_at: Option<i64>,
}

#[derive(ApiResponse)]
enum LoginResponse {
    /// Logged in.
    #[oai(status = 200)]
    Ok(
        Json<LoginResult>,
        /// The session cookie.
        #[oai(header = "Set-Cookie")]
        String,
    ),
}

#[derive(ApiResponse)]
enum LogoutResponse {
    /// Logged out.
    #[oai(status = 204)]
    NoContent(
        /// Removes the session cookie.
        #[oai(header = "Set-Cookie")]
        String,
    ),
}

#[OpenApi(prefix_path = "/api", tag = "Tag::Account")]
impl AccountApi {
    /// Log in
    ///
    /// Opens a session. Its token is returned and, for browsers, set as a cookie; if the request came with a session
    /// cookie, that session ends. If the user has a second factor, a correct password without a correct `code` is
    /// answered with 401 and the code `totp_required`. Too many failures are answered with 429.
    #[oai(path = "/login", method = "post", operation_id = "login")]
    async fn login(
        &self,
        context: Data<&ApiContext>,
        request: &Request,
        body: Body<LoginRequest>,
    ) -> Result<LoginResponse, ApiError> {
        let Body(LoginRequest { username, password, code }) = body;
        let login = context
            .auth
            .login(auth::LoginAttempt {
                username,
                password: password.into(),
                code: code.map(SecretString::from),
                origin: http::origin(request, &context.clock),
                user_agent: request.header("user-agent").unwrap_or_default().to_owned(),
                replaces: http::cookie(request, SESSION_COOKIE).map(SecretString::from),
            })
            .await?;
        let token = login.token.expose_secret().to_owned();
        let is_secure = context.is_public_over_tls || http::is_secure(request);
        let secure = if is_secure { "; Secure" } else { "" };
        let cookie = format!(
            "{SESSION_COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{secure}",
            login.lifetime_ms / 1000
        );
        let result = LoginResult { token, expires_at: login.expires_at, user: login.user.into() };
        Ok(LoginResponse::Ok(Json(result), cookie))
    }

    /// Log in with a token
    ///
    /// Returns the owner of an API token or session token and what it gives access to. No session is opened: requests
    /// carry the token in `Authorization: Bearer`. Any other token is answered with 401, too many of them with 429.
    #[oai(path = "/auth", method = "post", operation_id = "loginWithToken")]
    async fn login_with_token(
        &self,
        context: Data<&ApiContext>,
        request: &Request,
        body: Body<TokenLoginRequest>,
    ) -> Result<Json<TokenLoginResult>, ApiError> {
        let origin = http::origin(request, &context.clock);
        let (user, credential) = context.auth.login_with_token(&body.0.token.into(), &origin).await?;
        let caller = Caller { user, credential, origin };
        let permissions = Permission::ALL.into_iter().filter(|permission| caller.may(*permission).is_ok());
        let permissions = permissions.map(|permission| permission.as_str().to_owned()).collect();
        let (kind, scopes, expires_at) = match &caller.credential {
            Credential::Session { expires_at, .. } => (CredentialKind::Session, None, Some(*expires_at)),
            Credential::ApiToken(token) => {
                let scopes = token.scopes.iter().map(|scope| (*scope).into()).collect();
                (CredentialKind::ApiToken, Some(scopes), token.expires_at)
            }
        };
        Ok(Json(TokenLoginResult { user: caller.user.into(), kind, scopes, permissions, expires_at }))
    }

    /// Log out
    ///
    /// Ends the session of the request, at once and for good.
    #[oai(path = "/logout", method = "post", operation_id = "logout")]
    async fn logout(&self, context: Data<&ApiContext>, auth: UserAuth) -> Result<LogoutResponse, ApiError> {
        let caller = auth.require(Permission::ManageOwnAccount)?;
        let id = caller.session()?;
        let event = caller.event(Action::Logout).about(AuditObject::new(ObjectKind::Session, &id, ""));
        context.store.delete_session(id, caller.user.id, &event).await?;
        Ok(LogoutResponse::NoContent(format!(
            "{SESSION_COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"
        )))
    }

    /// Get the logged-in user
    #[oai(path = "/account/info", method = "get", operation_id = "getAccountInfo")]
    #[expect(clippy::unused_async, reason = "the macro awaits it")]
    async fn account_info(&self, auth: UserAuth) -> Result<Json<UserBody>, ApiError> {
        Ok(Json(auth.require(Permission::Read)?.user.clone().into()))
    }
}
