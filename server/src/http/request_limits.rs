//! Limits the memory of requests, and the size and duration of bodies, which are read completely before they are
//! handled.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use poem::http::{Method, StatusCode, Version};
use poem::{Body, Endpoint, Error, Middleware, Request, Result};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::connection::{Buffered, Connection, READ_AHEAD_BYTES};
use super::memory::OutOfMemory;
use crate::telemetry::MemoryRefusal;

/// Memory of a request in addition to its header and its body.
const REQUEST_BYTES: usize = 4 * 1024;
/// Bytes of a refused body that are read and discarded, and for how long, before the response is sent.
const DISCARDED_BYTES_MAX: u64 = 4 * 1024 * 1024;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);
/// Minimum buffer for the next piece of a body.
const PIECE_BYTES_MIN: usize = 1_024;

/// The bytes of a request's body that are read ahead, stored in the request's data.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReadAhead(usize);

impl ReadAhead {
    pub(super) fn of(body: &impl hyper::body::Body) -> Self {
        if body.is_end_stream() {
            return Self(0);
        }
        let length = body.size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok());
        Self(length.map_or(READ_AHEAD_BYTES, |length| length.min(READ_AHEAD_BYTES)))
    }
}

/// Why a request is not handled.
#[derive(Debug, thiserror::Error)]
pub enum RequestRefused {
    /// Its body is too large.
    #[error("the body is too large: it has more than {bytes_max} bytes (server.{limit})")]
    BodyTooLarge {
        /// The maximum size.
        bytes_max: usize,
        /// The configuration key of the limit.
        limit: &'static str,
    },
    /// Its body takes too long to arrive.
    #[error("the body did not arrive in time (server.body_timeout_ms)")]
    BodyTooSlow,
    /// Its body is incomplete.
    #[error("the body is not complete")]
    BodyIncomplete,
    /// A limit on buffered bytes is reached.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
}

impl RequestRefused {
    /// Returns the status of the response.
    pub fn status(&self) -> StatusCode {
        match self {
            RequestRefused::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            RequestRefused::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            RequestRefused::BodyIncomplete => StatusCode::BAD_REQUEST,
            RequestRefused::OutOfMemory(OutOfMemory(MemoryRefusal::Full)) => StatusCode::SERVICE_UNAVAILABLE,
            RequestRefused::OutOfMemory(OutOfMemory(MemoryRefusal::FullForAddress)) => {
                StatusCode::TOO_MANY_REQUESTS
            }
        }
    }
}

impl From<RequestRefused> for Error {
    fn from(refused: RequestRefused) -> Self {
        let status = refused.status();
        Error::new(refused, status)
    }
}

/// Counts bytes of a request as buffered, if there is room.
fn buffer(request: &Request, bytes: usize) -> Result<Option<Buffered>, RequestRefused> {
    let connection = request.data::<Connection>();
    Ok(connection.map(|connection| connection.buffer(bytes)).transpose()?)
}

/// Middleware that counts the memory of requests until the head of the response.
#[derive(Clone, Copy, Debug)]
pub struct CountMemory;

impl<E: Endpoint> Middleware<E> for CountMemory {
    type Output = MemoryCounted<E>;

    fn transform(&self, endpoint: E) -> Self::Output {
        MemoryCounted { endpoint }
    }
}

/// An endpoint that is only called if there is memory for the request.
pub struct MemoryCounted<E> {
    endpoint: E,
}

impl<E: Endpoint> Endpoint for MemoryCounted<E> {
    type Output = E::Output;

    async fn call(&self, mut request: Request) -> Result<Self::Output> {
        let ReadAhead(body_bytes) = request.data().copied().unwrap_or_default();
        let bytes = REQUEST_BYTES + header_bytes(&request) + body_bytes;
        let _buffered = match buffer(&request, bytes) {
            Ok(buffered) => buffered,
            Err(refused) => {
                discard(request.version(), &mut request.take_body().into_async_read()).await;
                return Err(refused.into());
            }
        };
        self.endpoint.call(request).await
    }
}

/// Reads and discards the rest of a body for a short while: an HTTP/1.1 client that is still sending may otherwise lose
/// an early response when the connection is closed.
async fn discard(version: Version, reader: &mut (impl AsyncRead + Unpin)) {
    if Version::HTTP_2 <= version {
        return;
    }
    let mut rest = reader.take(DISCARDED_BYTES_MAX);
    let mut nowhere = tokio::io::sink();
    let discarding = tokio::io::copy(&mut rest, &mut nowhere);
    if !matches!(tokio::time::timeout(DISCARD_TIMEOUT, discarding).await, Ok(Ok(_))) {
        tracing::trace!("a refused body is endless");
    }
}

fn header_bytes(request: &Request) -> usize {
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    request.uri().path_and_query().map_or(0, |target| target.as_str().len()) + fields.sum::<usize>()
}

/// Limits of bodies.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Maximum size of a body of logged-in clients.
    pub bytes_max: usize,
    /// Maximum size of a body of other clients.
    pub anonymous_bytes_max: usize,
    /// Timeout for receiving a body.
    pub timeout: Duration,
    /// Returns whether the client is logged in.
    pub is_logged_in: fn(&Request) -> bool,
}

impl<E: Endpoint> Middleware<E> for BodyLimits {
    type Output = BodyLimited<E>;

    fn transform(&self, endpoint: E) -> Self::Output {
        BodyLimited { endpoint, limits: *self }
    }
}

/// An endpoint whose bodies are read in advance and limited.
pub struct BodyLimited<E> {
    endpoint: E,
    limits: BodyLimits,
}

impl<E: Endpoint> Endpoint for BodyLimited<E> {
    type Output = E::Output;

    async fn call(&self, mut request: Request) -> Result<Self::Output> {
        let has_body = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(request.method());
        if !has_body {
            return self.endpoint.call(request).await;
        }
        // Held until the request is answered.
        let mut buffered = buffer(&request, 0)?;
        let is_logged_in = (self.limits.is_logged_in)(&request);
        let mut reader = request.take_body().into_async_read();
        let reading = self.limits.read(&mut reader, is_logged_in, buffered.as_mut());
        let read = tokio::time::timeout(self.limits.timeout, reading).await;
        match read.unwrap_or(Err(RequestRefused::BodyTooSlow)) {
            Ok(bytes) => request.set_body(Body::from(bytes)),
            Err(refused) => {
                discard(request.version(), &mut reader).await;
                return Err(refused.into());
            }
        }
        self.endpoint.call(request).await
    }
}

impl BodyLimits {
    async fn read(
        self,
        reader: &mut (impl AsyncRead + Unpin),
        is_logged_in: bool,
        mut buffered: Option<&mut Buffered>,
    ) -> Result<Bytes, RequestRefused> {
        let (bytes_max, limit) = if is_logged_in {
            (self.bytes_max, "body_bytes_max")
        } else {
            (self.anonymous_bytes_max, "anonymous_body_bytes_max")
        };
        let mut bytes = BytesMut::new();
        loop {
            bytes.reserve(PIECE_BYTES_MIN);
            let count = reader.read_buf(&mut bytes).await.map_err(|_| RequestRefused::BodyIncomplete)?;
            if count == 0 {
                return Ok(bytes.freeze());
            }
            if bytes_max < bytes.len() {
                return Err(RequestRefused::BodyTooLarge { bytes_max, limit });
            }
            if let Some(buffered) = &mut buffered {
                // These bytes are counted already.
                buffered.grow_to(bytes.len().saturating_sub(READ_AHEAD_BYTES))?;
            }
        }
    }
}
