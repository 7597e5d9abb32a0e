//! Compresses JSON responses to GET. Responses to POST are not compressed, because they may contain a new secret, about
//! which the compressed length could leak information; nor are live streams, which must not be delayed.

use async_compression::Level;
use async_compression::tokio::bufread::GzipEncoder;
use hyper::body::Body as _;
use poem::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use poem::{Body, Endpoint, IntoResponse as _, Middleware, Request, Response, Result};
use tokio::io::BufReader;

use super::request::accepts;

/// Shorter responses fit into one packet either way.
const BYTES_MIN: u64 = 1_024;

/// Middleware that compresses responses for clients that accept gzip, while they are sent.
#[derive(Clone, Copy, Debug)]
pub struct Compress;

impl<E: Endpoint> Middleware<E> for Compress {
    type Output = Compressed<E>;

    fn transform(&self, endpoint: E) -> Self::Output {
        Compressed { endpoint }
    }
}

/// An endpoint whose responses are compressed.
pub struct Compressed<E> {
    endpoint: E,
}

impl<E: Endpoint> Endpoint for Compressed<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let is_read = request.method() == Method::GET;
        let takes_gzip = accepts(request.headers(), "gzip");
        let response = self.endpoint.call(request).await?.into_response();
        Ok(if is_read { compress(response, takes_gzip) } else { response })
    }
}

fn compress(response: Response, takes_gzip: bool) -> Response {
    let response: hyper::Response<_> = response.into();
    let is_long = response.body().size_hint().exact().is_none_or(|bytes| BYTES_MIN <= bytes);
    let mut response = Response::from(response);
    let is_encoded = response.headers().contains_key(header::CONTENT_ENCODING);
    if response.status() != StatusCode::OK || !is_long || !is_json(&response) || is_encoded {
        return response;
    }
    let headers = response.headers_mut();
    // Added whether or not this client accepts gzip, so that caches do not mix the variants.
    headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if !takes_gzip {
        return response;
    }
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.remove(header::CONTENT_LENGTH);
    weaken_etag(headers);
    let reader = BufReader::new(response.take_body().into_async_read());
    response.set_body(Body::from_async_read(GzipEncoder::with_quality(reader, Level::Fastest)));
    response
}

fn is_json(response: &Response) -> bool {
    let content_type = response.content_type().and_then(|content_type| content_type.split(';').next());
    content_type.is_some_and(|essence| essence.trim() == "application/json")
}

/// Makes an `ETag` weak: a strong one identifies the exact bytes, which have changed.
fn weaken_etag(headers: &mut HeaderMap) {
    let Some(etag) = headers.get(header::ETAG).filter(|etag| etag.as_bytes().starts_with(b"\"")) else {
        return;
    };
    if let Ok(weak) = HeaderValue::from_bytes(&[b"W/", etag.as_bytes()].concat()) {
        headers.insert(header::ETAG, weak);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(content_type: &str, length: usize) -> Response {
        let response = Response::builder().content_type(content_type).header(header::ETAG, "\"1\"");
        response.body(vec![b' '; length])
    }

    fn encoding(response: &Response) -> Option<&str> {
        response.header(header::CONTENT_ENCODING)
    }

    #[test]
    fn long_json_is_compressed_for_those_who_take_it() {
        let compressed = compress(answer("application/json; charset=utf-8", 1_024), true);
        assert_eq!(encoding(&compressed), Some("gzip"));
        assert_eq!(compressed.header(header::ETAG), Some("W/\"1\""));
        assert_eq!(compressed.header(header::VARY), Some("Accept-Encoding"));
        let plain = compress(answer("application/json", 1_024), false);
        assert_eq!((encoding(&plain), plain.header(header::ETAG)), (None, Some("\"1\"")));
        assert_eq!(plain.header(header::VARY), Some("Accept-Encoding"));
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        let mut encoded = answer("application/json", 1_024);
        encoded.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
        let mut failed = answer("application/json", 1_024);
        failed.set_status(StatusCode::INTERNAL_SERVER_ERROR);
        let others = [
            (answer("application/json", 1_023), None),
            (answer("text/event-stream", 9_999), None),
            (answer("image/png", 9_999), None),
            (failed, None),
            (encoded, Some("br")),
        ];
        for (number, (response, expected)) in others.into_iter().enumerate() {
            let response = compress(response, true);
            assert_eq!((encoding(&response), response.header(header::VARY)), (expected, None), "{number}");
        }
    }
}
