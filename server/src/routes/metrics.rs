//! `GET /metrics` in Prometheus text format. It does not query the database, so it works while the database is
//! unavailable.

use poem::{Endpoint, Request, Response, Result};
use secrecy::{ExposeSecret, SecretString};

use crate::api::{ApiContext, ApiError};
use crate::domain::token::TokenHash;
use crate::http::bearer_token;

/// The content type of the Prometheus text format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Who may read the metrics.
#[derive(Clone, Debug)]
pub(super) enum Access {
    /// Anybody who can reach the address.
    Anybody,
    /// Clients with the token; nobody if there is none.
    Token(Option<SecretString>),
}

/// Serves the server's own metrics.
#[derive(Clone, Debug)]
pub(super) struct MetricsEndpoint {
    context: ApiContext,
    access: Access,
}

impl MetricsEndpoint {
    pub(super) fn new(context: ApiContext, access: Access) -> Self {
        Self { context, access }
    }

    fn check(&self, request: &Request) -> Result<(), ApiError> {
        match &self.access {
            Access::Anybody => Ok(()),
            Access::Token(None) => Err(ApiError::not_found(
                "metrics are served here when metrics.token is configured, and on metrics.addr",
            )),
            Access::Token(Some(token)) => {
                // Hashes are compared, so that timing reveals nothing about the token.
                let is_right = bearer_token(request)
                    .is_some_and(|shown| TokenHash::of(shown) == TokenHash::of(token.expose_secret()));
                if is_right {
                    Ok(())
                } else {
                    Err(ApiError::unauthorized("send the token of metrics.token as Authorization: Bearer"))
                }
            }
        }
    }
}

impl Endpoint for MetricsEndpoint {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        self.check(&request)?;
        let text = self.context.metrics().map_err(|error| ApiError::internal(&error))?;
        Ok(Response::builder().content_type(CONTENT_TYPE).body(text))
    }
}
