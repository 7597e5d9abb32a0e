//! An HTTP/2 client with prior knowledge, without TLS.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// One connection.
pub(crate) struct Http2Client {
    address: String,
    requests: SendRequest<Full<Bytes>>,
}

impl Http2Client {
    pub(crate) async fn connect(address: &str) -> Self {
        Self::connect_with_window(address, 64 * 1024).await
    }

    /// Connects with a flow-control window of this many bytes.
    pub(crate) async fn connect_with_window(address: &str, window_bytes: u32) -> Self {
        let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let mut builder = Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(window_bytes);
        let (requests, connection) = builder.handshake(stream).await.unwrap();
        // Ends with the server's connection, or with the client.
        tokio::spawn(connection);
        Self { address: address.to_owned(), requests }
    }

    /// Requests a path with these header fields, in order. Returns the answer before its body is read.
    pub(crate) async fn begin(&mut self, path: &str, headers: &[(&str, &str)]) -> Response<Incoming> {
        let mut request = Request::get(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.requests.send_request(request.body(Full::default()).unwrap()).await.unwrap()
    }

    /// Like [`Http2Client::begin`], but also reads the body.
    pub(crate) async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> (StatusCode, Bytes) {
        let response = self.begin(path, headers).await;
        let status = response.status();
        (status, response.into_body().collect().await.unwrap().to_bytes())
    }
}
