//! Route assembly and the order of middleware, in one screen; and what requests have in common.

mod acceptor;
mod authenticate;
mod body_limit;
mod client_address;
mod documentation;
mod errors;
mod origin;
pub mod request_id;
mod security_headers;
mod tls;

use poem::http::header;
use poem::middleware::CatchPanic;
use poem::{Endpoint, EndpointExt, Request, Response, Route};

use self::authenticate::Authenticate;
use self::body_limit::BodyLimit;
use self::client_address::{Client, FindClient};
use self::origin::CheckOrigin;
use self::security_headers::SecurityHeaders;
use crate::api::{self, ApiContext};
use crate::config;

pub use acceptor::LimitedAcceptor;
pub use origin::Origin;
pub use tls::{Tls, TlsError, TlsFiles, TlsInUse};

/// Everything that the server answers. A request passes from the last line to the first: its client is found, its answer
/// will have the security headers, it gets an id and a log line; panics and all errors get the API's shape; then its
/// origin, its body and its credentials are looked at, and a handler is chosen.
pub fn routes(context: ApiContext, config: &config::Server) -> impl Endpoint<Output = Response> + 'static {
    let service = api::service();
    let documentation = documentation::page(service.swagger_ui_html());
    let description = service.spec_endpoint();
    Route::new()
        .at("/api/openapi.json", description)
        .at("/docs", documentation)
        .nest("/", service)
        .with(Authenticate::new(context.auth.clone()))
        .data(context)
        .with(BodyLimit::new(config.body_bytes_max))
        .with(CheckOrigin::new(&config.public_url, &config.cors_origins))
        .catch_all_error(errors::respond)
        .with(CatchPanic::new().with_handler(errors::panicked))
        .around(request_id::assign)
        .with(SecurityHeaders::new(config.is_public_over_tls()))
        .with(FindClient::new(config.trusted_proxies.clone()))
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
