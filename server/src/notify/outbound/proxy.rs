//! A proxy between the server and the destination, using CONNECT.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use super::{Destination, DestinationError, OutboundError};

/// Maximum size of a proxy's answer, in bytes.
const ANSWER_BYTES_MAX: usize = 8_192;

/// Returns the address of the proxy at a URL such as `http://proxy.example.org:3128`.
pub(super) fn destination(url: &str) -> Result<Destination, DestinationError> {
    let url = Url::parse(url).map_err(|_| DestinationError::Syntax)?;
    if url.scheme() != "http" {
        return Err(DestinationError::Scheme);
    }
    Destination::of_url(&url)
}

/// Asks the proxy for a connection to `destination`.
pub(super) async fn open(stream: &mut TcpStream, destination: &Destination) -> Result<(), OutboundError> {
    let authority = destination.authority();
    let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(OutboundError::Broken)?;
    let mut answer = Vec::new();
    // One byte at a time: what follows belongs to the connection.
    while !answer.ends_with(b"\r\n\r\n") {
        if ANSWER_BYTES_MAX <= answer.len() {
            return Err(OutboundError::Proxy(0));
        }
        answer.push(stream.read_u8().await.map_err(OutboundError::Broken)?);
    }
    match status(&answer) {
        200..=299 => Ok(()),
        status => Err(OutboundError::Proxy(status)),
    }
}

/// Returns the status of an answer; 0 if there is none.
fn status(answer: &[u8]) -> u16 {
    let line = String::from_utf8_lossy(answer);
    let mut words = line.split_whitespace();
    let is_http = words.next().is_some_and(|version| version.starts_with("HTTP/1."));
    let status = words.next().and_then(|word| word.parse().ok());
    status.filter(|_| is_http).unwrap_or_default()
}
