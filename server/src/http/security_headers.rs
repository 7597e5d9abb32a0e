//! What every answer tells browsers not to do.

use std::sync::Arc;

use poem::http::{HeaderName, HeaderValue, header};
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result};

use super::client_address::client;

/// Pages load only what the server itself serves, run no script that stands in the page, and are in nobody's frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'none'";

/// The same for all answers.
const ALWAYS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// A year, in seconds. Only for this very host: others of its domain are none of the server's business.
const STRICT_TRANSPORT_SECURITY: &str = "max-age=31536000";

/// Adds the headers to every answer. One that an answer has already stays as it is.
#[derive(Clone, Debug)]
pub struct SecurityHeaders {
    is_public_over_tls: bool,
}

impl SecurityHeaders {
    /// Whether people reach the server over TLS says whether browsers are to insist on it.
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

/// An endpoint whose answers have the headers.
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
