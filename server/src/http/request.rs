//! What requests have in common: where they come from, and their credentials.

use pika_shared::Clock;
use poem::Request;
use poem::http::header;

use super::client_address::peer_address;
use super::request_id;
use crate::domain::audit;

/// When a request came, and from where.
pub fn origin(request: &Request, clock: &Clock) -> audit::Origin {
    audit::Origin { at: clock.now(), address: peer_address(request), request_id: request_id::current() }
}

/// The token of `Authorization: Bearer …`.
pub fn bearer_token(request: &Request) -> Option<&str> {
    let value = request.header(header::AUTHORIZATION)?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token.trim())
}

/// The value of a cookie. Over HTTP/2 each cookie may come in a field of its own.
pub fn cookie<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let fields = request.headers().get_all(header::COOKIE).iter().filter_map(|field| field.to_str().ok());
    let mut cookies = fields.flat_map(|field| field.split(';'));
    cookies.find_map(|cookie| cookie.trim().strip_prefix(name)?.strip_prefix('='))
}
