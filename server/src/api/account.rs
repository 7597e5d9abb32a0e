//! Logging in and out, and who is logged in.

use poem::Request;
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use uuid::Uuid;

use super::body::Body;
use super::security::{SESSION_COOKIE, UserAuth};
use super::{ApiContext, ApiError, Tag};
use crate::domain::user::{Role, User};
use crate::http;

/// Logging in and out.
#[derive(Debug)]
pub struct AccountApi;

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "Role", rename_all = "lowercase")]
enum RoleName {
    /// Reads and changes everything.
    Admin,
    /// Reads.
    User,
}

/// A user.
#[derive(Clone, Debug, Object)]
#[oai(rename = "User", rename_all = "camelCase")]
struct UserBody {
    /// The user's id.
    id: Uuid,
    /// What the user logs in with.
    username: String,
    /// What people call the user.
    nickname: String,
    /// Mail address; empty where there is none.
    email: String,
    /// Telephone number; empty where there is none.
    phone: String,
    /// Address of a picture; empty where there is none.
    avatar: String,
    /// What the user may do.
    role: RoleName,
    /// 1 enabled, 0 disabled.
    status: i32,
    /// When the user was made, in milliseconds since the Unix epoch.
    created_at: i64,
    /// When the user was last changed, in milliseconds since the Unix epoch.
    updated_at: i64,
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        Self {
            id: user.id.0,
            username: user.username,
            nickname: user.nickname,
            email: user.email,
            phone: user.phone,
            avatar: user.avatar,
            role: match user.role {
                Role::Admin => RoleName::Admin,
                Role::User => RoleName::User,
            },
            status: i32::from(user.enabled),
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// A name and a password.
#[derive(Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct LoginRequest {
    /// The username.
    #[oai(validator(min_length = 1, max_length = 255))]
    username: String,
    /// The password.
    #[oai(validator(min_length = 1, max_length = 1024))]
    password: String,
}

/// A new session.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct LoginResult {
    /// The session's token, for `Authorization: Bearer`. Browsers use the cookie instead.
    token: String,
    /// When the session ends, in milliseconds since the Unix epoch.
    expires_at: i64,
    /// Who is logged in.
    user: UserBody,
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
    /// Opens a session. Its token is answered, and set as a cookie for browsers.
    #[oai(path = "/login", method = "post", operation_id = "login")]
    async fn login(
        &self,
        context: Data<&ApiContext>,
        request: &Request,
        body: Body<LoginRequest>,
    ) -> Result<LoginResponse, ApiError> {
        let Body(LoginRequest { username, password }) = body;
        let user_agent = request.header("user-agent").unwrap_or_default();
        let login = context
            .auth
            .login(&username, SecretString::from(password), http::peer_address(request), user_agent)
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

    /// Log out
    ///
    /// Ends the session that the request was made with, at once and for good.
    #[oai(path = "/logout", method = "post", operation_id = "logout")]
    async fn logout(&self, context: Data<&ApiContext>, auth: UserAuth) -> Result<LogoutResponse, ApiError> {
        context.auth.logout(auth.caller().token.expose_secret()).await?;
        Ok(LogoutResponse::NoContent(format!(
            "{SESSION_COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"
        )))
    }

    /// Who is logged in
    #[oai(path = "/account/info", method = "get", operation_id = "getAccountInfo")]
    #[expect(clippy::unused_async, reason = "the macro awaits it")]
    async fn account_info(&self, auth: UserAuth) -> Result<Json<UserBody>, ApiError> {
        Ok(Json(auth.caller().user.clone().into()))
    }
}
