//! Transport: connections, TLS, limits and deadlines, headers, and helpers for requests.

mod acceptor;
mod answer_body;
mod client_address;
mod compression;
mod connection;
mod connection_limiter;
mod deadlines;
mod memory;
mod request;
pub mod request_id;
mod request_limits;
mod security_headers;
mod serve;
mod stream;
mod tls;

pub use acceptor::{LimitedAcceptor, Limits};
pub use client_address::{FindClient, is_secure, peer_address};
pub use compression::Compress;
pub use connection::Connection;
pub use connection_limiter::ConnectionLimiter;
pub use deadlines::Timeouts;
pub use memory::{Memory, OutOfMemory};
pub use request::{accepts, bearer_token, cookie, list, origin};
pub use request_limits::{BodyLimits, CountMemory, RequestRefused};
pub use security_headers::SecurityHeaders;
pub use serve::serve;
pub use tls::{Tls, TlsError, TlsInUse};
