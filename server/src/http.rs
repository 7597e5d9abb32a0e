//! Route assembly and the order of middleware, in one screen; and what requests have in common.

mod acceptor;
mod answer_body;
mod authenticate;
mod client_address;
mod connection;
mod deadlines;
mod documentation;
mod errors;
mod memory;
mod metrics;
mod origin;
mod places;
pub mod request_id;
mod request_limits;
mod security_headers;
mod serve;
mod stream;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use pika_shared::Clock;
use poem::http::header;
use poem::middleware::CatchPanic;
use poem::{Endpoint, EndpointExt, Request, Response, Route};
use secrecy::SecretString;

use self::authenticate::Authenticate;
use self::client_address::{Client, FindClient};
use self::metrics::{Access, Metrics};
use self::origin::CheckOrigin;
use self::request_limits::{BodyLimits, CountMemory};
use self::security_headers::SecurityHeaders;
use crate::api::{self, ApiContext, Caller, Parameters};
use crate::config;
use crate::domain::audit;

pub use acceptor::{LimitedAcceptor, Limits};
pub use connection::Connection;
pub use deadlines::Timeouts;
pub use memory::Memory;
pub use origin::Origin;
pub use places::Places;
pub use serve::serve;
pub use tls::{Tls, TlsError, TlsFiles, TlsInUse};

/// Everything that the server answers. A request passes from the last line to the first: its client is found, its answer
/// will have the security headers, it gets an id and a log line; panics and all errors get the API's shape; then its
/// origin, the memory that it takes, its credentials and its body are looked at, and a handler is chosen.
pub fn routes(
    context: ApiContext,
    config: &config::Server,
    metrics_token: Option<SecretString>,
) -> impl Endpoint<Output = Response> + 'static {
    let metrics = Metrics::new(context.clone(), Access::Token(metrics_token));
    let instruments = Arc::clone(&context.instruments);
    let service = api::service();
    let (generated, described) = (service.spec(), description());
    let parameters = Arc::new(Parameters::of(&described));
    let documentation = documentation::page(service.swagger_ui_html().replace(&generated, &described));
    Route::new()
        .at("/api/openapi.json", documentation::description(described))
        .at("/docs", documentation)
        .at("/metrics", poem::get(metrics))
        .nest("/", service)
        .with(body_limits(config))
        .around(move |endpoint, request| {
            let parameters = Arc::clone(&parameters);
            async move { endpoint.call(request).await.map_err(|error| errors::explain(error, &parameters)) }
        })
        .with(Authenticate::new(context.auth.clone(), context.clock.clone()))
        .data(context)
        .with(CountMemory)
        .with(CheckOrigin::new(&config.public_url, &config.cors_origins, Arc::clone(&instruments)))
        .catch_all_error(errors::respond)
        .with(CatchPanic::new().with_handler(errors::panicked))
        .around(move |endpoint, request| request_id::assign(endpoint, request, Arc::clone(&instruments)))
        .with(SecurityHeaders::new(config.is_public_over_tls()))
        .with(FindClient::new(config.trusted_proxies.clone()))
        .map_to_response()
}

fn body_limits(config: &config::Server) -> BodyLimits {
    BodyLimits {
        bytes_max: config.body_bytes_max,
        anonymous_bytes_max: config.anonymous_body_bytes_max,
        timeout: Duration::from_millis(config.body_timeout_ms),
        is_logged_in: |request| request.data::<Caller>().is_some(),
    }
}

/// The API's description as it is committed. The generator's own is good enough to be read where it cannot be put right.
fn description() -> String {
    api::description().unwrap_or_else(|error| {
        tracing::error!(error = %pika_shared::chain(&error), "the API's description is not put right");
        api::service().spec()
    })
}

/// What is answered on the separate address for metrics: those, and nothing else.
pub fn metrics_routes(context: ApiContext) -> impl Endpoint<Output = Response> + 'static {
    let instruments = Arc::clone(&context.instruments);
    Route::new()
        .at("/metrics", poem::get(Metrics::new(context, Access::Anybody)))
        .catch_all_error(errors::respond)
        .around(move |endpoint, request| request_id::assign(endpoint, request, Arc::clone(&instruments)))
        .map_to_response()
}

fn client(request: &Request) -> Client {
    request.data::<Client>().copied().unwrap_or(Client { address: None, is_secure: false })
}

/// The address that a request comes from: that of its client, where trusted proxies are in between. Empty where it has
/// none.
pub fn peer_address(request: &Request) -> String {
    client(request).address.map(|address| address.to_string()).unwrap_or_default()
}

/// Whether the client speaks TLS, to the server itself or to a trusted proxy.
pub fn is_secure(request: &Request) -> bool {
    client(request).is_secure
}

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
