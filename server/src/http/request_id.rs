//! Gives every request an id that its answer, its errors and its log lines share; counts and logs it.

use std::sync::Arc;
use std::time::Instant;

use poem::http::{HeaderValue, Method};
use poem::{Endpoint, IntoResponse, Request, Response, Result};
use uuid::Uuid;

use crate::telemetry::Instruments;

/// The header that carries the id.
const HEADER: &str = "X-Request-Id";

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request that is being handled; empty outside of one.
pub fn current() -> String {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

/// Runs a request under a new id, answers it in a header, and counts and logs the request. The query is not logged.
pub(super) async fn assign<E: Endpoint>(
    endpoint: Arc<E>,
    request: Request,
    instruments: Arc<Instruments>,
) -> Result<Response> {
    let id = Uuid::now_v7().to_string();
    let started_at = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let mut response = CURRENT
        .scope(id.clone(), async move { endpoint.call(request).await.map(E::Output::into_response) })
        .await?;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    let status = response.status().as_u16();
    instruments.add_request(known_method(&method), status, started_at.elapsed().as_secs_f64());
    tracing::debug!(
        request_id = %id,
        %method,
        path,
        status,
        duration_ms = u64::try_from(started_at.elapsed().as_millis()).unwrap_or(u64::MAX),
        "request"
    );
    Ok(response)
}

/// The method as it is counted: those that nobody answers count as one, for anybody can make names up.
fn known_method(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::POST
        | Method::PUT
        | Method::PATCH
        | Method::DELETE
        | Method::HEAD
        | Method::OPTIONS => method.as_str(),
        _ => "other",
    }
}
