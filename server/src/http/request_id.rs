//! Gives every request an id, which is in its response, errors and log lines; counts and logs requests.

use std::sync::Arc;
use std::time::Instant;

use poem::http::{HeaderValue, Method, StatusCode};
use poem::{Endpoint, IntoResponse, Request, Response, Result};
use uuid::Uuid;

use super::client_address::peer_address;
use crate::domain::text::clean;
use crate::telemetry::Instruments;

/// The header that carries the id.
const HEADER: &str = "X-Request-Id";

tokio::task_local! {
    static CURRENT: Current;
}

/// The current request.
struct Current {
    id: String,
    address: String,
    instruments: Arc<Instruments>,
}

/// Returns the id of the current request; empty outside a request.
pub fn current() -> String {
    CURRENT.try_with(|current| current.id.clone()).unwrap_or_default()
}

/// Counts an occurrence of this kind for the current request. Returns the number for its address within the hour if
/// this one is to be logged.
pub fn note(kind: &'static str) -> Option<u64> {
    let noted = CURRENT.try_with(|current| current.instruments.strangers().note(kind, &current.address));
    noted.unwrap_or(Some(1))
}

/// Handles a request with a new id, returns the id in a header, and counts and logs the request. The query is not
/// logged.
///
/// # Errors
/// Those of the endpoint.
pub async fn assign<E: Endpoint>(
    endpoint: Arc<E>,
    request: Request,
    instruments: Arc<Instruments>,
) -> Result<Response> {
    let id = Uuid::now_v7().to_string();
    let started_at = Instant::now();
    let method = request.method().clone();
    let path = clean(request.uri().path());
    let address = peer_address(&request);
    let current = Current { id: id.clone(), address: address.clone(), instruments: Arc::clone(&instruments) };
    let mut response = CURRENT
        .scope(current, async move { endpoint.call(request).await.map(E::Output::into_response) })
        .await?;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    let status = response.status();
    let method = known_method(&method);
    instruments.add_request(method, status.as_u16(), started_at.elapsed().as_secs_f64());
    if let Some(refusal) = refusal(status)
        && let Some(count) = instruments.strangers().note(refusal, &address)
    {
        let status = status.as_u16();
        tracing::info!(request_id = %id, %address, count, method, path, status, "refused a request: {refusal}");
    }
    tracing::debug!(
        request_id = %id,
        method,
        path,
        status = status.as_u16(),
        duration_ms = u64::try_from(started_at.elapsed().as_millis()).unwrap_or(u64::MAX),
        "request"
    );
    Ok(response)
}

/// Returns the reason for refusals that need no login. Refused origins are logged separately.
fn refusal(status: StatusCode) -> Option<&'static str> {
    match status {
        StatusCode::UNAUTHORIZED => Some("credentials are missing or wrong"),
        StatusCode::REQUEST_TIMEOUT => Some("its body came too slowly"),
        StatusCode::PAYLOAD_TOO_LARGE => Some("its body is too large"),
        StatusCode::TOO_MANY_REQUESTS => Some("too many"),
        _ => None,
    }
}

/// Returns the method for metrics: unknown ones count as one, since clients can make up names.
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
