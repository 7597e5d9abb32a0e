//! Reads request bodies whole, up to a limit and in a limited time, before anything looks at them.

use std::time::Duration;

use poem::error::ReadBodyError;
use poem::http::{Method, StatusCode};
use poem::{Body, Endpoint, Error, Middleware, Request, Result};

/// A body that takes longer is given up.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Limits the bodies of requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyLimit {
    bytes_max: usize,
}

impl BodyLimit {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max }
    }
}

impl<E: Endpoint> Middleware<E> for BodyLimit {
    type Output = BodyLimited<E>;

    fn transform(&self, endpoint: E) -> Self::Output {
        BodyLimited { endpoint, bytes_max: self.bytes_max }
    }
}

/// An endpoint whose bodies are limited.
pub(super) struct BodyLimited<E> {
    endpoint: E,
    bytes_max: usize,
}

impl<E: Endpoint> Endpoint for BodyLimited<E> {
    type Output = E::Output;

    async fn call(&self, mut request: Request) -> Result<Self::Output> {
        if [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(request.method()) {
            let read = request.take_body().into_bytes_limit(self.bytes_max);
            let bytes = match tokio::time::timeout(READ_TIMEOUT, read).await {
                Ok(Ok(bytes)) => bytes,
                Ok(Err(ReadBodyError::PayloadTooLarge)) => {
                    return Err(Error::from_status(StatusCode::PAYLOAD_TOO_LARGE));
                }
                Ok(Err(_)) => return Err(Error::from_status(StatusCode::BAD_REQUEST)),
                Err(_) => return Err(Error::from_status(StatusCode::REQUEST_TIMEOUT)),
            };
            request.set_body(Body::from(bytes));
        }
        self.endpoint.call(request).await
    }
}
