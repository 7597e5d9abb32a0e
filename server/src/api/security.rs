//! Authentication and permissions of callers.
//!
//! The credentials of a request are checked once, before its handler is chosen (see `routes::authenticate`); the
//! schemes here describe that to OpenAPI and pass the result to the handlers.

use poem::Request;
use poem_openapi::SecurityScheme;
use poem_openapi::auth::{ApiKey, Bearer};

use super::ApiError;
use crate::domain::TimestampMs;
use crate::domain::audit::{Action, Actor, AuditEvent, Origin};
use crate::domain::id::SessionId;
use crate::domain::permission::{Credential, Denied, Permission};
use crate::domain::user::User;

/// The cookie that carries a browser's session.
pub const SESSION_COOKIE: &str = "pika_session";

/// The sender of a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The authenticated user.
    pub user: User,
    /// The credential of the request.
    pub credential: Credential,
    /// When and from where it came.
    pub origin: Origin,
}

impl Caller {
    /// Checks that the caller has a permission.
    pub(super) fn may(&self, permission: Permission) -> Result<(), Denied> {
        permission.check(self.user.role, &self.credential)
    }

    /// Creates an audit event of this caller, now.
    pub(super) fn event(&self, action: Action) -> AuditEvent {
        let actor = match &self.credential {
            Credential::Session { .. } => Actor::User { id: self.user.id, name: self.user.username.clone() },
            Credential::ApiToken(token) => {
                Actor::ApiToken { user_id: self.user.id, username: self.user.username.clone(), id: token.id }
            }
        };
        AuditEvent::new(actor, self.origin.clone(), action)
    }

    /// Returns the latest expiry of what an API token creates: its own. `None` if nothing limits it.
    pub(super) fn maker_expires_at(&self) -> Option<TimestampMs> {
        match &self.credential {
            Credential::Session { .. } => None,
            Credential::ApiToken(token) => token.expires_at,
        }
    }

    /// Returns the session of the request, for operations that no API token may do.
    ///
    /// # Errors
    /// 403 for an API token.
    pub(super) fn session(&self) -> Result<SessionId, ApiError> {
        match &self.credential {
            Credential::Session { id, .. } => Ok(*id),
            Credential::ApiToken(_) => Err(Denied::SessionOnly.into()),
        }
    }
}

/// A session token or an API token in the header `Authorization: Bearer …`.
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

/// A logged-in user, or a program of one.
#[derive(SecurityScheme)]
pub(super) enum UserAuth {
    /// By token.
    Bearer(BearerAuth),
    /// By cookie.
    Cookie(CookieAuth),
}

impl UserAuth {
    /// Checks that role and credential grant the permission, and returns the caller.
    ///
    /// # Errors
    /// 403, naming the missing permission.
    pub(super) fn require(&self, permission: Permission) -> Result<&Caller, ApiError> {
        let (UserAuth::Bearer(BearerAuth(caller)) | UserAuth::Cookie(CookieAuth(caller))) = self;
        caller.may(permission)?;
        Ok(caller)
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
