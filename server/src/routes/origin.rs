//! Checks which web pages may use the server: its own, and those of the configured origins.
//!
//! With every request that changes something, and with every WebSocket, a browser sends the page's origin. Foreign
//! pages must not use their visitors' sessions; programs, which send no origin, are allowed.

use std::sync::Arc;

use poem::http::uri::Authority;
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result};

use super::errors;
use crate::api::{ApiError, SESSION_COOKIE};
use crate::config::WebOrigin;
use crate::domain::text::clean;
use crate::http::{cookie, peer_address};
use crate::telemetry::Instruments;

/// What pages of the configured origins may send and read.
const METHODS: &str = "GET, POST, PUT, PATCH, DELETE";
const REQUEST_HEADERS: &str = "Authorization, Content-Type";
const EXPOSED_HEADERS: &str = "Retry-After, X-Request-Id";
/// How long a browser may cache a preflight response, in seconds.
const PREFLIGHT_MAX_AGE_SECONDS: &str = "600";

/// Middleware that checks the origin of requests.
#[derive(Clone, Debug)]
pub(super) struct CheckOrigin {
    /// The server's own origin from `server.public_url`, if set.
    public: Option<WebOrigin>,
    /// Other origins whose pages may use the API, without their visitors' sessions.
    allowed: Vec<WebOrigin>,
    instruments: Arc<Instruments>,
}

/// The kind of a request's origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// A program, or one of the server's own pages.
    Own,
    /// A page of a configured origin.
    Allowed,
    /// Any other page.
    Stranger,
}

impl CheckOrigin {
    pub(super) fn new(public_url: &str, allowed: &[String], instruments: Arc<Instruments>) -> Self {
        Self {
            instruments,
            public: public_url.parse().ok().as_ref().and_then(WebOrigin::of_url),
            allowed: allowed.iter().filter_map(|origin| WebOrigin::parse(origin)).collect(),
        }
    }

    fn from(&self, request: &Request) -> From {
        let text = request.headers().get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
        let origin = text.and_then(WebOrigin::parse);
        if origin.as_ref().is_some_and(|origin| self.allowed.contains(origin)) {
            return From::Allowed;
        }
        if request.header("Sec-Fetch-Site") == Some("cross-site") {
            return From::Stranger;
        }
        match (text, origin) {
            (None, _) => From::Own,
            (Some(_), Some(origin)) if self.is_own(&origin, request) => From::Own,
            (Some(_), _) => From::Stranger,
        }
    }

    fn log_refusal(&self, request: &Request) {
        let address = peer_address(request);
        if let Some(count) = self.instruments.strangers().note("origin", &address) {
            let origin = clean(request.header(header::ORIGIN).unwrap_or_default());
            let path = clean(request.uri().path());
            tracing::warn!(%address, count, origin, path, "refused a request from a page of another web site");
        }
    }

    /// Returns whether the origin is the server's own. The request's host counts only if `server.public_url` is not
    /// set: anybody can point a name at the server, and a page at that name is not the server's.
    fn is_own(&self, origin: &WebOrigin, request: &Request) -> bool {
        if let Some(public) = &self.public {
            return public == origin;
        }
        // In HTTP/2 the host is in the request's target.
        let host = request.uri().authority().map(Authority::as_str).or_else(|| request.header(header::HOST));
        host.is_some_and(|host| origin.is_at(host))
    }
}

/// Returns whether a page could do harm by this request with the credentials that the browser adds.
fn is_sensitive(request: &Request) -> bool {
    let is_safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    let is_upgrade = request.headers().contains_key(header::UPGRADE);
    is_upgrade || (!is_safe && cookie(request, SESSION_COOKIE).is_some())
}

impl<E: Endpoint> Middleware<E> for CheckOrigin {
    type Output = OriginChecked<E>;

    fn transform(&self, endpoint: E) -> Self::Output {
        OriginChecked { endpoint, check: self.clone() }
    }
}

/// An endpoint that only allowed pages reach.
pub(super) struct OriginChecked<E> {
    endpoint: E,
    check: CheckOrigin,
}

impl<E: Endpoint> Endpoint for OriginChecked<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let from = self.check.from(&request);
        if from == From::Stranger && is_sensitive(&request) {
            self.check.log_refusal(&request);
            let message = match &self.check.public {
                Some(public) => format!("only pages of {public} may do this (server.public_url)"),
                None => "pages of other web sites may not do this".to_owned(),
            };
            return Err(ApiError::forbidden(&message).into());
        }
        if self.check.allowed.is_empty() || !request.uri().path().starts_with("/api/") {
            return Ok(self.endpoint.call(request).await?.into_response());
        }
        let origin = request.headers().get(header::ORIGIN).filter(|_| from == From::Allowed).cloned();
        let is_preflight = request.method() == Method::OPTIONS
            && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let mut response = match &origin {
            Some(_) if is_preflight => preflight(),
            // The page must be able to read errors, too.
            _ => match self.endpoint.call(request).await {
                Ok(response) => response.into_response(),
                Err(error) => errors::respond(error).await,
            },
        };
        let headers = response.headers_mut();
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
        }
        Ok(response)
    }
}

/// Returns the response to a preflight request, which a browser sends before anything but the simplest requests from
/// other origins.
fn preflight() -> Response {
    Response::builder()
        .status(StatusCode::NO_CONTENT)
        .header(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS)
        .header(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS)
        .header(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE_SECONDS)
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the kind of a request to `pika.example.org` with these headers, at a server with this `public_url`.
    fn from_at(public_url: &str, headers: &[(&str, &str)]) -> From {
        let check = CheckOrigin::new(
            public_url,
            &["https://tool.example.org".to_owned()],
            Arc::new(Instruments::new().unwrap()),
        );
        let mut builder = Request::builder().method(Method::POST).header("Host", "pika.example.org");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        check.from(&builder.finish())
    }

    fn from(headers: &[(&str, &str)]) -> From {
        from_at("", headers)
    }

    #[test]
    fn own_pages_are_told_from_others() {
        let of = |origin| from(&[("Origin", origin)]);
        assert_eq!(from(&[]), From::Own, "a program");
        for own in ["https://pika.example.org", "http://PIKA.example.org", "https://pika.example.org:443"] {
            assert_eq!(of(own), From::Own, "{own}");
        }
        assert_eq!(of("https://tool.example.org"), From::Allowed);
        for other in [
            "https://evil.example.org",
            "https://pika.example.org:8443",
            "https://pika.example.org.evil.example",
            "https://pika.example.org@evil.example",
            "https://public.example.org",
            "http://tool.example.org",
            "null",
            "",
            "file://",
        ] {
            assert_eq!(of(other), From::Stranger, "{other}");
        }
    }

    #[test]
    fn where_the_public_address_is_known_no_other_host_is_the_servers_own() {
        let of = |origin| from_at("https://public.example.org/pika", &[("Origin", origin)]);
        assert_eq!(of("https://public.example.org"), From::Own);
        assert_eq!(of("https://tool.example.org"), From::Allowed);
        // The request's host is the attacker's name, which points to the server.
        for other in ["https://pika.example.org", "http://pika.example.org", "http://public.example.org"] {
            assert_eq!(of(other), From::Stranger, "{other}");
        }
        assert_eq!(from_at("https://public.example.org/pika", &[]), From::Own, "a program");
    }

    #[test]
    fn a_browser_that_says_cross_site_is_believed() {
        assert_eq!(from(&[("Sec-Fetch-Site", "cross-site")]), From::Stranger);
        assert_eq!(from(&[("Sec-Fetch-Site", "same-origin")]), From::Own);
        let tool = [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://tool.example.org")];
        assert_eq!(from(&tool), From::Allowed);
    }
}
