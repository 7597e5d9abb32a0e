//! Serves HTTP/1.1 and HTTP/2 over accepted connections, each until its client ends it, one of its deadlines is missed, or
//! the server stops.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use poem::http::header;
use poem::http::uri::Scheme;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Endpoint, Response};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::acceptor::{Accepted, LimitedAcceptor};
use super::answer_body::AnswerBody;
use super::connection::{Connection, HEAD_BYTES_MAX};
use super::request_limits::ReadAhead;
use crate::domain::text::clean;
use crate::telemetry::ConnectionEnd;

/// The content type of live streams.
const EVENT_STREAM: &str = "text/event-stream";
/// Maximum number of concurrent requests of an HTTP/2 connection.
const HTTP2_STREAMS_MAX: u32 = 32;
/// Maximum number of streams reset by the client before they are handled; more close the connection.
const HTTP2_RESET_STREAMS_MAX: usize = 20;
/// Maximum bytes of an HTTP/2 header, and of a body that are read ahead.
const HTTP2_HEAD_BYTES_MAX: u32 = 16 * 1024;
const HTTP2_READ_AHEAD_BYTES: u32 = 16 * 1024;
/// Maximum bytes of all bodies of a connection that are read ahead. HTTP/2 does not allow less.
const HTTP2_CONNECTION_READ_AHEAD_BYTES: u32 = 65_535;
/// Maximum bytes of a response that wait to be sent.
const HTTP2_SEND_BYTES_MAX: usize = 64 * 1024;
/// How long a client of an idle connection has to react to its closing.
const GOAWAY_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves until `stopped`, then finishes pending requests within `deadline`.
pub async fn serve<E: Endpoint<Output = Response> + 'static>(
    acceptor: LimitedAcceptor,
    endpoint: E,
    stopped: CancellationToken,
    deadline: Duration,
) {
    let aborted = CancellationToken::new();
    let tasks = Tasks { tracker: TaskTracker::new(), aborted: aborted.clone() };
    let server = Arc::new(HttpServer { endpoint, tasks: tasks.clone(), stopped: stopped.clone() });
    tracing::info!(address = %acceptor.local(), "listening");
    loop {
        tokio::select! {
            () = stopped.cancelled() => break,
            accepted = acceptor.accept() => tasks.execute(Arc::clone(&server).serve_connection(accepted)),
        }
    }
    drop(acceptor);
    tasks.tracker.close();
    if tokio::time::timeout(deadline, tasks.tracker.wait()).await.is_err() {
        aborted.cancel();
        tasks.tracker.wait().await;
    }
}

/// Runs the tasks of connections and HTTP/2 requests until they end or are aborted.
#[derive(Clone, Debug)]
struct Tasks {
    tracker: TaskTracker,
    aborted: CancellationToken,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        let aborted = self.aborted.clone();
        self.tracker.spawn(async move { aborted.run_until_cancelled_owned(task).await });
    }
}

/// State shared by all connections.
struct HttpServer<E> {
    endpoint: E,
    tasks: Tasks,
    stopped: CancellationToken,
}

impl<E: Endpoint<Output = Response> + 'static> HttpServer<E> {
    async fn serve_connection(self: Arc<Self>, accepted: Accepted) {
        let Accepted { stream, connection, peer, local, scheme } = accepted;
        let service = service_fn(|request| {
            let (server, connection, scheme) = (Arc::clone(&self), connection.clone(), scheme.clone());
            async move { server.answer(request, connection, (local, peer, scheme)).await }
        });
        let builder = self.builder();
        let mut serving = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
        tokio::select! {
            // Received data takes precedence over missed deadlines, however late this is polled.
            biased;
            ended = serving.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(error = clean(&error.to_string()), "a connection ended with an error");
                }
            }
            missed = connection.overdue() => if let Some(missed) = missed {
                connection.note_end(missed, None);
                if missed == ConnectionEnd::IdleTimeout {
                    serving.as_mut().graceful_shutdown();
                    // It makes no difference whether the client reacts.
                    drop(tokio::time::timeout(GOAWAY_TIMEOUT, serving).await);
                }
            },
            () = self.stopped.cancelled() => {
                serving.as_mut().graceful_shutdown();
                tokio::select! {
                    _ = serving => {}
                    _ = connection.overdue() => {}
                }
            }
        }
    }

    /// Returns the HTTP settings, which limit the resources of connections.
    fn builder(&self) -> auto::Builder<Tasks> {
        let mut builder = auto::Builder::new(self.tasks.clone());
        builder.http1().max_buf_size(HEAD_BYTES_MAX);
        builder
            .http2()
            .max_concurrent_streams(HTTP2_STREAMS_MAX)
            .max_pending_accept_reset_streams(HTTP2_RESET_STREAMS_MAX)
            .max_header_list_size(HTTP2_HEAD_BYTES_MAX)
            .initial_stream_window_size(HTTP2_READ_AHEAD_BYTES)
            .initial_connection_window_size(HTTP2_CONNECTION_READ_AHEAD_BYTES)
            .max_send_buf_size(HTTP2_SEND_BYTES_MAX);
        builder
    }

    async fn answer(
        &self,
        mut request: hyper::Request<Incoming>,
        connection: Connection,
        (local, peer, scheme): (SocketAddr, SocketAddr, Scheme),
    ) -> Result<hyper::Response<impl Body<Data = Bytes, Error = io::Error> + Send + use<E>>, Infallible> {
        let answering = connection.begin_request();
        let read_ahead = ReadAhead::of(request.body());
        request.extensions_mut().insert(read_ahead);
        request.extensions_mut().insert(connection);
        let request = (request, LocalAddr(local.into()), RemoteAddr(peer.into()), scheme).into();
        let response: hyper::Response<_> = self.endpoint.get_response(request).await.into();
        let is_live = response.headers().get(header::CONTENT_TYPE).is_some_and(|of| of == EVENT_STREAM);
        if is_live {
            answering.keep_connection();
        }
        Ok(response.map(|body| AnswerBody::new(body, answering, is_live)))
    }
}
