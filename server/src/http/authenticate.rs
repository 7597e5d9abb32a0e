//! Looks up who is calling, once a request and before its handler: a database that is away is then 503, not 401.

use poem::{Endpoint, Middleware, Request, Result};
use secrecy::SecretString;

use super::{bearer_token, cookie};
use crate::api::{ApiError, Caller, SESSION_COOKIE};
use crate::auth::Auth;

/// Adds a [`Caller`] to requests whose credentials are good.
#[derive(Clone, Debug)]
pub(super) struct Authenticate {
    auth: Auth,
}

impl Authenticate {
    pub(super) fn new(auth: Auth) -> Self {
        Self { auth }
    }
}

impl<E: Endpoint> Middleware<E> for Authenticate {
    type Output = Authenticated<E>;

    fn transform(&self, endpoint: E) -> Self::Output {
        Authenticated { endpoint, auth: self.auth.clone() }
    }
}

/// An endpoint that knows who is calling.
pub(super) struct Authenticated<E> {
    endpoint: E,
    auth: Auth,
}

impl<E: Endpoint> Endpoint for Authenticated<E> {
    type Output = E::Output;

    async fn call(&self, mut request: Request) -> Result<Self::Output> {
        // Only the API asks who is calling. A login must work with a stale cookie in hand.
        let path = request.uri().path();
        let is_asked = path.starts_with("/api/") && path != "/api/login";
        let token = bearer_token(&request).or_else(|| cookie(&request, SESSION_COOKIE));
        if is_asked && let Some(token) = token {
            let user = self.auth.user_of_token(token).await.map_err(ApiError::from)?;
            let token = SecretString::from(token.to_owned());
            if let Some(user) = user {
                request.set_data(Caller { user, token });
            }
        }
        self.endpoint.call(request).await
    }
}
