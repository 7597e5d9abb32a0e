//! A client that speaks HTTP/2 from the first byte, without TLS.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// One connection.
pub(crate) struct Http2Client {
    address: String,
    requests: SendRequest<Full<Bytes>>,
}

impl Http2Client {
    pub(crate) async fn connect(address: &str) -> Self {
        let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let (requests, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        // Ends with the server's, or with the client's.
        tokio::spawn(connection);
        Self { address: address.to_owned(), requests }
    }

    /// Requests a path with these header fields, in their order. Returns the status and the body.
    pub(crate) async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> (StatusCode, Bytes) {
        let mut request = Request::get(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.requests.send_request(request.body(Full::default()).unwrap()).await.unwrap();
        let status = response.status();
        (status, response.into_body().collect().await.unwrap().to_bytes())
    }
}
