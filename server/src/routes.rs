//! All routes and the order of middleware.

mod authenticate;
mod console;
mod documentation;
mod errors;
mod install;
mod metrics;
mod origin;

use std::sync::Arc;
use std::time::Duration;

use poem::middleware::CatchPanic;
use poem::{Endpoint, EndpointExt, Response, Route};
use secrecy::SecretString;

use self::authenticate::Authenticate;
use self::install::InstallFiles;
use self::metrics::{Access, MetricsEndpoint};
use self::origin::CheckOrigin;
use crate::api::{self, ApiContext, Caller, Parameters};
use crate::config;
use crate::http::{BodyLimits, Compress, CountMemory, FindClient, SecurityHeaders, request_id};

/// Returns the endpoint of the whole server. Middleware runs from the last line to the first: it determines the client,
/// adds security headers, an id and a log line, converts panics and errors to the API's shape, checks origin, memory,
/// credentials and body, and finally calls a handler, whose response may be compressed.
pub fn routes(
    context: ApiContext,
    config: &config::ServerConfig,
    metrics_token: Option<SecretString>,
) -> impl Endpoint<Output = Response> + 'static {
    let metrics = MetricsEndpoint::new(context.clone(), Access::Token(metrics_token));
    let instruments = Arc::clone(&context.instruments);
    let service = api::service();
    let (generated, described) = (service.spec(), description());
    let parameters = Arc::new(Parameters::of(&described));
    let documentation = documentation::page(service.swagger_ui_html().replace(&generated, &described));
    Route::new()
        .at("/api/openapi.json", documentation::description(described))
        .at("/docs", documentation)
        .at("/metrics", poem::get(metrics))
        .at("/install/:name", poem::get(InstallFiles::of_config(config)))
        .nest("/", console::beside(service))
        .with(Compress)
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

fn body_limits(config: &config::ServerConfig) -> BodyLimits {
    BodyLimits {
        bytes_max: config.body_bytes_max,
        anonymous_bytes_max: config.anonymous_body_bytes_max,
        timeout: Duration::from_millis(config.body_timeout_ms),
        is_logged_in: |request| request.data::<Caller>().is_some(),
    }
}

/// Returns the API description as committed, or the generator's own if it cannot be normalized.
fn description() -> String {
    api::description().unwrap_or_else(|error| {
        tracing::error!(error = %pika_shared::chain(&error), "cannot normalize the API description");
        api::service().spec()
    })
}

/// Returns the endpoint of the separate address, which serves only metrics.
pub fn metrics_routes(context: ApiContext) -> impl Endpoint<Output = Response> + 'static {
    let instruments = Arc::clone(&context.instruments);
    Route::new()
        .at("/metrics", poem::get(MetricsEndpoint::new(context, Access::Anybody)))
        .catch_all_error(errors::respond)
        .around(move |endpoint, request| request_id::assign(endpoint, request, Arc::clone(&instruments)))
        .map_to_response()
}
