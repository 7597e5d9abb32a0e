//! Helpers for requests: origin, credentials, and accepted encodings.

use pika_shared::Clock;
use poem::Request;
use poem::http::header::{self, HeaderMap, HeaderName};

use super::client_address::peer_address;
use super::request_id;
use crate::domain::audit;

/// Returns the origin of a request for the audit log.
pub fn origin(request: &Request, clock: &Clock) -> audit::Origin {
    audit::Origin { at: clock.now(), address: peer_address(request), request_id: request_id::current() }
}

/// Returns the token of `Authorization: Bearer …`.
pub fn bearer_token(request: &Request) -> Option<&str> {
    let value = request.header(header::AUTHORIZATION)?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token.trim())
}

/// Returns the value of a cookie. In HTTP/2 each cookie may be in a separate field.
pub fn cookie<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let fields = request.headers().get_all(header::COOKIE).iter().filter_map(|field| field.to_str().ok());
    let mut cookies = fields.flat_map(|field| field.split(';'));
    cookies.find_map(|cookie| cookie.trim().strip_prefix(name)?.strip_prefix('='))
}

/// Returns the elements of a list header, which may be spread over several fields.
pub fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let fields = headers.get_all(name).into_iter().filter_map(|field| field.to_str().ok());
    fields.flat_map(|field| field.split(',')).map(str::trim)
}

/// Returns whether `Accept-Encoding` allows an encoding.
pub fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    list(headers, header::ACCEPT_ENCODING).any(|accepted| {
        let (name, weight) = accepted.split_once(';').unwrap_or((accepted, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
        name.trim().eq_ignore_ascii_case(encoding) && weight.is_ok_and(|weight| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    #[test]
    fn clients_say_what_they_take() {
        let takes = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            accepts(&headers, "gzip")
        };
        assert!(takes("gzip") && takes("br, GZIP;q=0.1") && takes("deflate, gzip; q=1.0"));
        assert!(
            !takes("br") && !takes("gzip;q=0") && !takes("x-gzip") && !accepts(&HeaderMap::new(), "gzip")
        );
    }
}
