//! Asks a running server whether it is ready: what `pika-server healthcheck` and container engines do.

use std::io;
use std::time::Duration;

use poem::http::Uri;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long the whole question may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Most of an answer that is read.
const ANSWER_BYTES_MAX: u64 = 4 * 1024;

/// Why the server counts as not ready.
#[derive(Debug, thiserror::Error)]
pub enum HealthcheckError {
    /// Not `http://host[:port]`.
    #[error("the address must be http://host:port")]
    Address,
    /// Nobody answers there.
    #[error("the server does not answer")]
    Unreachable(#[from] io::Error),
    /// No answer in time.
    #[error("the server does not answer within {} seconds", TIMEOUT.as_secs())]
    TimedOut,
    /// It answers, and says no.
    #[error("the server is not ready: {0}")]
    NotReady(String),
}

/// Succeeds when the server at `url` is ready.
///
/// # Errors
/// When it is not, or does not answer.
pub async fn run(url: &str) -> Result<(), HealthcheckError> {
    timeout(TIMEOUT, ask(url)).await.map_err(|_| HealthcheckError::TimedOut)?
}

async fn ask(url: &str) -> Result<(), HealthcheckError> {
    let uri: Uri = url.parse().map_err(|_| HealthcheckError::Address)?;
    let (Some("http"), Some(host)) = (uri.scheme_str(), uri.host()) else {
        return Err(HealthcheckError::Address);
    };
    let port = uri.port_u16().unwrap_or(80);
    let mut stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Err(HealthcheckError::NotReady(format!("{status} {body}").trim().to_owned()))
}
