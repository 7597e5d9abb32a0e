//! Route assembly and the order of middleware, in one screen; and what requests have in common.

mod acceptor;
mod authenticate;
mod body_limit;
mod errors;
pub mod request_id;

use poem::http::header;
use poem::middleware::CatchPanic;
use poem::{Endpoint, EndpointExt, Request, Response, Route};

use crate::api::{self, ApiContext};
use crate::clock::Clock;
use crate::domain::audit::Origin;

pub use acceptor::LimitedAcceptor;

/// Everything that the server answers. Outermost last:
/// body limit → authentication → handler; every error gets the API's shape; panics too; then the request's id and log line.
pub fn routes(context: ApiContext, body_bytes_max: usize) -> impl Endpoint<Output = Response> + 'static {
    let service = api::service();
    let documentation = service.swagger_ui();
    let description = service.spec_endpoint();
    Route::new()
        .at("/api/openapi.json", description)
        .nest("/docs", documentation)
        .nest("/", service)
        .with(authenticate::Authenticate::new(context.auth.clone(), context.clock.clone()))
        .data(context)
        .with(body_limit::BodyLimit::new(body_bytes_max))
        .catch_all_error(errors::respond)
        .with(CatchPanic::new().with_handler(errors::panicked))
        .around(request_id::assign)
        .map_to_response()
}

/// The address that a request comes from.
pub fn peer_address(request: &Request) -> String {
    match request.remote_addr().as_socket_addr() {
        Some(address) => address.ip().to_canonical().to_string(),
        None => String::new(),
    }
}

/// When a request came, and from where.
pub fn origin(request: &Request, clock: &Clock) -> Origin {
    Origin { at: clock.now(), address: peer_address(request), request_id: request_id::current() }
}

/// The token of `Authorization: Bearer …`.
pub fn bearer_token(request: &Request) -> Option<&str> {
    let value = request.header(header::AUTHORIZATION)?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token.trim())
}

/// The value of a cookie.
pub fn cookie<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let cookies = request.header(header::COOKIE)?;
    cookies.split(';').find_map(|cookie| cookie.trim().strip_prefix(name)?.strip_prefix('='))
}
