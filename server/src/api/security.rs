//! Who is calling, and may they.
//!
//! The credentials of a request are looked up once, before its handler is chosen (see `http::authenticate`); the
//! schemes here describe that to OpenAPI and hand the result to the handlers.

use poem::Request;
use poem_openapi::SecurityScheme;
use poem_openapi::auth::{ApiKey, Bearer};
use secrecy::SecretString;

use super::ApiError;
use crate::domain::user::{Role, User};

/// The cookie that carries a browser's session.
pub const SESSION_COOKIE: &str = "pika_session";

/// A logged-in user.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who.
    pub user: User,
    /// The token of the session, to end it by.
    pub token: SecretString,
}

/// A session token in the header `Authorization: Bearer …`.
#[derive(SecurityScheme)]
#[oai(ty = "bearer", rename = "bearerToken", checker = "bearer_caller")]
pub(super) struct BearerAuth(Caller);

/// The session cookie that a login sets.
#[derive(SecurityScheme)]
#[oai(
    ty = "api_key",
    key_name = "pika_session",
    key_in = "cookie",
    rename = "sessionCookie",
    checker = "cookie_caller"
)]
pub(super) struct CookieAuth(Caller);

/// Any logged-in user.
#[derive(SecurityScheme)]
pub(super) enum UserAuth {
    /// By token.
    Bearer(BearerAuth),
    /// By cookie.
    Cookie(CookieAuth),
}

impl UserAuth {
    /// Who is calling.
    pub(super) fn caller(&self) -> &Caller {
        match self {
            UserAuth::Bearer(BearerAuth(caller)) | UserAuth::Cookie(CookieAuth(caller)) => caller,
        }
    }

    /// Holds the call to administrators.
    ///
    /// # Errors
    /// 403 for anybody else.
    pub(super) fn require_admin(&self) -> Result<&Caller, ApiError> {
        let caller = self.caller();
        match caller.user.role {
            Role::Admin => Ok(caller),
            Role::User => Err(ApiError::forbidden("only administrators may do this")),
        }
    }
}

#[expect(clippy::unused_async, reason = "the macro awaits it")]
async fn bearer_caller(request: &Request, _: Bearer) -> Option<Caller> {
    request.data::<Caller>().cloned()
}

#[expect(clippy::unused_async, reason = "the macro awaits it")]
async fn cookie_caller(request: &Request, _: ApiKey) -> Option<Caller> {
    request.data::<Caller>().cloned()
}
