//! Route assembly and the order of middleware, in one screen; and what requests have in common.

mod acceptor;
mod authenticate;
mod body_limit;
mod errors;
mod metrics;
mod places;
pub mod request_id;

use std::sync::Arc;

use poem::http::header;
use poem::middleware::CatchPanic;
use poem::{Endpoint, EndpointExt, Request, Response, Route};
use secrecy::SecretString;

use crate::api::{self, ApiContext};

use metrics::{Access, Metrics};

pub use acceptor::LimitedAcceptor;

/// Everything that the server answers. Outermost last:
/// body limit → authentication → handler; every error gets the API's shape; panics too; then the request's id and log line.
pub fn routes(
    context: ApiContext,
    body_bytes_max: usize,
    metrics_token: Option<SecretString>,
) -> impl Endpoint<Output = Response> + 'static {
    let metrics = Metrics::new(context.clone(), Access::Token(metrics_token));
    let counters = Arc::clone(&context.counters);
    let service = api::service();
    let documentation = service.swagger_ui();
    let description = service.spec_endpoint();
    Route::new()
        .at("/api/openapi.json", description)
        .nest("/docs", documentation)
        .at("/metrics", poem::get(metrics))
        .nest("/", service)
        .with(authenticate::Authenticate::new(context.auth.clone()))
        .data(context)
        .with(body_limit::BodyLimit::new(body_bytes_max))
        .catch_all_error(errors::respond)
        .with(CatchPanic::new().with_handler(errors::panicked))
        .around(move |endpoint, request| request_id::assign(endpoint, request, Arc::clone(&counters)))
        .map_to_response()
}

/// What is answered on the separate address for metrics: those, and nothing else.
pub fn metrics_routes(context: ApiContext) -> impl Endpoint<Output = Response> + 'static {
    let counters = Arc::clone(&context.counters);
    Route::new()
        .at("/metrics", poem::get(Metrics::new(context, Access::Anybody)))
        .catch_all_error(errors::respond)
        .around(move |endpoint, request| request_id::assign(endpoint, request, Arc::clone(&counters)))
        .map_to_response()
}

/// The address that a request comes from.
pub fn peer_address(request: &Request) -> String {
    match request.remote_addr().as_socket_addr() {
        Some(address) => address.ip().to_canonical().to_string(),
        None => String::new(),
    }
}

/// The token of `Authorization: Bearer …`.
pub fn bearer_token(request: &Request) -> Option<&str> {
    let value = request.header(header::AUTHORIZATION)?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token.trim())
}

/// The value of a cookie.
fn cookie<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let cookies = request.header(header::COOKIE)?;
    cookies.split(';').find_map(|cookie| cookie.trim().strip_prefix(name)?.strip_prefix('='))
}
