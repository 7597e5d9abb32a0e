//! Security headers of every response.

use std::sync::Arc;

use poem::http::{HeaderName, HeaderValue, header};
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result};

use super::client_address::client;

/// Pages load only resources from the server itself, run no inline scripts, and cannot be framed.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'none'";

/// Headers that are the same for all responses.
const ALWAYS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// A year, in seconds. Without `includeSubDomains`, because other hosts are not the server's concern.
const STRICT_TRANSPORT_SECURITY: &str = "max-age=31536000";

/// Middleware that adds the headers to every response, unless it has them already.
#[derive(Clone, Debug)]
pub struct SecurityHeaders {
    is_public_over_tls: bool,
}

impl SecurityHeaders {
    /// Creates the middleware; browsers are told to insist on TLS if the server is reached over TLS.
    pub fn new(is_public_over_tls: bool) -> Self {
        Self { is_public_over_tls }
    }
}

impl<E: Endpoint> Middleware<E> for SecurityHeaders {
    type Output = SecurityHeadersAdded<E>;

    fn transform(&self, endpoint: E) -> Self::Output {
        SecurityHeadersAdded { endpoint: Arc::new(endpoint), is_public_over_tls: self.is_public_over_tls }
    }
}

/// An endpoint whose responses have the headers.
pub struct SecurityHeadersAdded<E> {
    endpoint: Arc<E>,
    is_public_over_tls: bool,
}

impl<E: Endpoint> Endpoint for SecurityHeadersAdded<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let is_secure = self.is_public_over_tls || client(&request).is_secure;
        let is_api = request.uri().path().starts_with("/api/");
        let mut response = self.endpoint.call(request).await?.into_response();
        let headers = response.headers_mut();
        let mut add = |name: HeaderName, value: &'static str| {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        };
        for (name, value) in ALWAYS {
            add(name, value);
        }
        add(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
        if is_secure {
            add(header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT_SECURITY);
        }
        if is_api {
            add(header::CACHE_CONTROL, "no-store");
        }
        Ok(response)
    }
}
