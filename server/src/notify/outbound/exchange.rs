//! One HTTP/1.1 request and its answer, over its own connection.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Uri};
use hyper_util::rt::TokioIo;
use jiff::fmt::rfc2822;
use url::Url;

use super::{Connection, Destination, Outbound, OutboundError, parse_url};

/// Maximum bytes of an answer that are read.
const BODY_BYTES_MAX: usize = 65_536;
/// The `User-Agent` of requests.
const AGENT: &str = concat!("Pika/", env!("CARGO_PKG_VERSION"));

/// A request. Its `Debug` output omits everything: URL, headers and body may hold secrets.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The URL.
    pub url: String,
    /// The headers besides `Host` and `User-Agent`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("method", &self.method).finish_non_exhaustive()
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// How long to wait before the next request.
    pub retry_after: Option<Duration>,
    /// The host a redirect points to; it is not followed.
    pub moved_to: Option<String>,
    /// The body, as far as it was read.
    pub body: Vec<u8>,
}

impl Outbound {
    /// Sends a request and reads the answer, up to 64 KiB of it.
    ///
    /// # Errors
    /// If the destination is refused, or there is no valid answer in time.
    pub async fn send(&self, request: &Request) -> Result<Response, OutboundError> {
        let url = parse_url(&request.url)?;
        let destination = Destination::of_url(&url)?;
        let exchanged = async {
            let connection = self.connect(&destination, url.scheme() == "https").await?;
            let connection = match url.scheme() {
                "https" => self.encrypt(&destination, connection).await?,
                _ => connection,
            };
            exchange(connection, &url, request).await
        };
        tokio::time::timeout(self.request_timeout(), exchanged).await.unwrap_or(Err(OutboundError::Timeout))
    }
}

async fn exchange(
    connection: Box<dyn Connection>,
    url: &Url,
    request: &Request,
) -> Result<Response, OutboundError> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(connection)).await.map_err(OutboundError::Protocol)?;
    let mut connection = pin!(connection);
    let request = hyper_request(url, request)?;
    let mut exchange = pin!(async {
        let response = sender.send_request(request).await.map_err(OutboundError::Protocol)?;
        read(response, url).await
    });
    tokio::select! {
        biased;
        result = &mut exchange => return result,
        // It has ended, properly or not; an answer it may have brought is available.
        _ = &mut connection => {}
    }
    exchange.await
}

fn hyper_request(url: &Url, request: &Request) -> Result<hyper::Request<Full<Bytes>>, OutboundError> {
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let target: Uri = target.parse().map_err(|_| OutboundError::Request("its path"))?;
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let mut made = hyper::Request::new(Full::new(Bytes::from(request.body.clone())));
    *made.method_mut() = request.method.clone();
    *made.uri_mut() = target;
    let headers = made.headers_mut();
    let host = HeaderValue::from_str(host).map_err(|_| OutboundError::Request("its host"))?;
    headers.insert(HOST, host);
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    for (name, value) in &request.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        let name = name.map_err(|_| OutboundError::Request("the name of a header"))?;
        let mut value =
            HeaderValue::from_str(value).map_err(|_| OutboundError::Request("the value of a header"))?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(made)
}

async fn read(response: hyper::Response<Incoming>, url: &Url) -> Result<Response, OutboundError> {
    let (head, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    while bytes.len() < BODY_BYTES_MAX {
        match body.frame().await {
            Some(frame) => {
                let frame = frame.map_err(OutboundError::Protocol)?;
                if let Some(data) = frame.data_ref() {
                    bytes.extend_from_slice(&data[..data.len().min(BODY_BYTES_MAX - bytes.len())]);
                }
            }
            None => break,
        }
    }
    let moved_to = head.headers.get(LOCATION).and_then(|location| location.to_str().ok());
    let moved_to = moved_to.and_then(|location| url.join(location).ok());
    Ok(Response {
        status: head.status.as_u16(),
        retry_after: retry_after(&head.headers),
        moved_to: moved_to.and_then(|url| url.host_str().map(str::to_owned)),
        body: bytes,
    })
}

/// Parses `Retry-After`: seconds, or a date, which is relative to the answer's own.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let value = text(RETRY_AFTER)?.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = |text: &str| rfc2822::parse(text).ok().map(|date| date.timestamp().as_second());
    let seconds = date(value)?.checked_sub(date(text(hyper::header::DATE)?)?)?;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            headers.insert(hyper::header::DATE, "Tue, 24 Nov 2026 12:00:00 GMT".parse().unwrap());
            retry_after(&headers).map(|duration| duration.as_millis())
        };
        assert_eq!(of("31"), Some(31_000));
        assert_eq!(of("0.5"), Some(500));
        assert_eq!(of("Tue, 24 Nov 2026 12:01:30 GMT"), Some(90_000));
        assert_eq!(of("Tue, 24 Nov 2026 11:00:00 GMT"), None);
        assert_eq!(of("-1"), None);
        assert_eq!(of("soon"), None);
    }

    #[test]
    fn debug_output_of_a_request_is_empty() {
        let request = Request {
            method: Method::POST,
            url: "https://example.org/canary".to_owned(),
            headers: vec![("authorization".to_owned(), "canary".to_owned())],
            body: b"canary".to_vec(),
        };
        assert!(!format!("{request:?}").contains("canary"));
    }
}
