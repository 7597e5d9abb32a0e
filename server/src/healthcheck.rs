//! Checks whether a running server is ready, for `pika-server healthcheck` and container engines.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use pika_shared::tls::{self, TrustError};
use poem::http::Uri;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Timeout of the whole check.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum bytes of a response that are read.
const ANSWER_BYTES_MAX: u64 = 4 * 1024;

/// Why the server counts as not ready.
#[derive(Debug, thiserror::Error)]
pub enum HealthcheckError {
    /// The URL is not `http://host[:port]`, or is `https://` with another machine.
    #[error("the address must be http://host:port, or https:// with an address of this machine")]
    Address,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] TrustError),
    /// The server cannot be reached.
    #[error("the server does not answer")]
    Unreachable(#[from] io::Error),
    /// The server did not respond in time.
    #[error("the server does not answer within {} seconds", TIMEOUT.as_secs())]
    TimedOut,
    /// The server is not ready.
    #[error("the server is not ready: {0}")]
    NotReady(String),
}

/// Succeeds if the server at `url` is ready.
///
/// # Errors
/// If it is not, or does not answer.
pub async fn run(url: &str) -> Result<(), HealthcheckError> {
    timeout(TIMEOUT, ask(url)).await.map_err(|_| HealthcheckError::TimedOut)?
}

async fn ask(url: &str) -> Result<(), HealthcheckError> {
    let uri: Uri = url.parse().map_err(|_| HealthcheckError::Address)?;
    let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else {
        return Err(HealthcheckError::Address);
    };
    let name = host.trim_matches(['[', ']']);
    match scheme {
        "http" => {
            let port = uri.port_u16().unwrap_or(80);
            ask_over(TcpStream::connect((name, port)).await?, host).await
        }
        "https" if is_loopback(name) => {
            let stream = TcpStream::connect((name, uri.port_u16().unwrap_or(443))).await?;
            let name = ServerName::try_from(name.to_owned()).map_err(|_| HealthcheckError::Address)?;
            ask_over(unverified_tls()?.connect(name, stream).await?, host).await
        }
        _ => Err(HealthcheckError::Address),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn ask_over(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    host: &str,
) -> Result<(), HealthcheckError> {
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
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

/// Returns a connector that accepts any certificate, which names the server's public name instead of this machine. The
/// request never leaves the machine and contains no secret.
fn unverified_tls() -> Result<TlsConnector, TrustError> {
    Ok(TlsConnector::from(Arc::new(tls::client_of_loopback()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn other_machines_are_not_asked_without_looking_at_their_certificate() {
        for url in ["https://pika.example.org", "https://192.0.2.1:18888", "https://127.0.0.1.example.org"] {
            assert!(matches!(run(url).await, Err(HealthcheckError::Address)), "{url}");
        }
    }
}
