//! Authenticates the caller once per request, before its handler, so that an unavailable database results in 503, not
//! 401.

use pika_shared::Clock;
use poem::{Endpoint, Middleware, Request, Result};

use crate::api::{ApiError, Caller, SESSION_COOKIE};
use crate::auth::Auth;
use crate::http::{bearer_token, cookie, origin};

/// Middleware that adds a [`Caller`] to requests with valid credentials.
#[derive(Clone, Debug)]
pub(super) struct Authenticate {
    auth: Auth,
    clock: Clock,
}

impl Authenticate {
    pub(super) fn new(auth: Auth, clock: Clock) -> Self {
        Self { auth, clock }
    }
}

impl<E: Endpoint> Middleware<E> for Authenticate {
    type Output = Authenticated<E>;

    fn transform(&self, endpoint: E) -> Self::Output {
        Authenticated { endpoint, auth: self.auth.clone(), clock: self.clock.clone() }
    }
}

/// An endpoint whose requests carry their caller.
pub(super) struct Authenticated<E> {
    endpoint: E,
    auth: Auth,
    clock: Clock,
}

impl<E: Endpoint> Endpoint for Authenticated<E> {
    type Output = E::Output;

    async fn call(&self, mut request: Request) -> Result<Self::Output> {
        // Only the API needs the caller. A login must work with a stale cookie.
        let path = request.uri().path();
        let is_asked = path.starts_with("/api/") && path != "/api/login";
        let token = bearer_token(&request).or_else(|| cookie(&request, SESSION_COOKIE));
        if is_asked && let Some(token) = token {
            let found = self.auth.authenticate(token).await.map_err(ApiError::from)?;
            if let Some((user, credential)) = found {
                let origin = origin(&request, &self.clock);
                request.set_data(Caller { user, credential, origin });
            }
        }
        self.endpoint.call(request).await
    }
}
