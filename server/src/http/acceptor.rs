//! Accepts connections: those that have a place, and calmly when the system has no more to give.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use poem::http::uri::Scheme;
use poem::listener::Acceptor;
use poem::web::{LocalAddr, RemoteAddr};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};

use super::places::{Place, Places};
use crate::telemetry::{ConnectionRefusal, Counters};

/// After an accept that failed (usually: no file descriptors left) the next is tried after this long.
const BACKOFF: Duration = Duration::from_millis(200);

/// A connection over which nothing was answered by then is closed: its client sends its request too slowly, or not at
/// all. Longer than the slowest answer takes.
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection is probed when it was silent for this long, and again at this interval: clients that vanish without a
/// word must not hold their places.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// When a client that found no place should try again.
const TURNED_AWAY_RETRY_SECONDS: u64 = 10;

/// Accepts TCP connections that have a place. An upgraded WebSocket has its place until it ends.
#[derive(Debug)]
pub struct LimitedAcceptor {
    listener: TcpListener,
    places: Arc<Places>,
    counters: Arc<Counters>,
    first_answer_timeout: Duration,
}

impl LimitedAcceptor {
    /// Takes over a bound listener: at most so many connections in all, and so many from one address.
    pub fn new(
        listener: TcpListener,
        connections_max: usize,
        connections_per_address_max: usize,
        counters: Arc<Counters>,
    ) -> Self {
        let places = Places::new(connections_max, connections_per_address_max, Arc::clone(&counters));
        Self { listener, places, counters, first_answer_timeout: FIRST_ANSWER_TIMEOUT }
    }
}

impl Acceptor for LimitedAcceptor {
    type Io = LimitedStream;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.listener.local_addr().map(|address| LocalAddr(address.into())).into_iter().collect()
    }

    async fn accept(&mut self) -> io::Result<(LimitedStream, LocalAddr, RemoteAddr, Scheme)> {
        let (stream, peer, place) = loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => match self.places.take(peer.ip()) {
                    Ok(place) => break (stream, peer, place),
                    Err(refusal) => turn_away(&stream, refusal),
                },
                Err(error) => {
                    self.counters.add_refused_connection(ConnectionRefusal::AcceptError);
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(BACKOFF).await;
                }
            }
        };
        // Acknowledgements are small and wanted at once.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
        if let Err(error) = SockRef::from(&stream).set_tcp_keepalive(&keepalive) {
            tracing::debug!(%error, "SO_KEEPALIVE could not be set");
        }
        let local = self.listener.local_addr()?;
        let first_answer_due = Some(Box::pin(sleep(self.first_answer_timeout)));
        let stream = LimitedStream { stream, first_answer_due, _place: place };
        Ok((stream, LocalAddr(local.into()), RemoteAddr(peer.into()), Scheme::HTTP))
    }
}

/// Says why, as far as that can be done without waiting, before the connection is dropped.
fn turn_away(stream: &TcpStream, refusal: ConnectionRefusal) {
    let (status, code, limit) = match refusal {
        ConnectionRefusal::FullForAddress => {
            ("429 Too Many Requests", "too_many_requests", "server.connections_per_address_max")
        }
        ConnectionRefusal::Full | ConnectionRefusal::AcceptError => {
            ("503 Service Unavailable", "unavailable", "server.connections_max")
        }
    };
    let body =
        format!("{{\"code\":\"{code}\",\"message\":\"too many connections ({limit})\",\"requestId\":\"\"}}");
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nRetry-After: \
         {TURNED_AWAY_RETRY_SECONDS}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    if let Err(error) = stream.try_write(answer.as_bytes()) {
        tracing::trace!(%error, "a connection that was turned away could not be told why");
    }
}

/// A connection that counts until it is dropped.
#[derive(Debug)]
pub struct LimitedStream {
    stream: TcpStream,
    /// Until something was answered.
    first_answer_due: Option<Pin<Box<Sleep>>>,
    _place: Place,
}

impl LimitedStream {
    fn note_answer(&mut self, written: &Poll<io::Result<usize>>) {
        if matches!(written, Poll::Ready(Ok(count)) if 0 < *count) {
            self.first_answer_due = None;
        }
    }
}

impl AsyncRead for LimitedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(due) = &mut self.first_answer_due
            && due.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for LimitedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note_answer(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note_answer(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn accepted() -> (LimitedStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut acceptor = LimitedAcceptor::new(listener, 1, 1, Arc::new(Counters::new().unwrap()));
        acceptor.first_answer_timeout = Duration::from_millis(50);
        let client = TcpStream::connect(address).await.unwrap();
        let (stream, ..) = acceptor.accept().await.unwrap();
        (stream, client)
    }

    #[tokio::test]
    async fn a_client_that_sends_too_slowly_is_let_go() {
        let (mut stream, mut client) = accepted().await;
        let dripping = async {
            loop {
                client.write_all(b"x").await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let reading = async {
            loop {
                if let Err(error) = stream.read(&mut [0; 16]).await {
                    return error;
                }
            }
        };
        tokio::select! {
            error = reading => assert_eq!(error.kind(), io::ErrorKind::TimedOut),
            () = dripping => {}
        }
    }

    #[tokio::test]
    async fn a_connection_that_was_answered_may_be_silent() {
        let (mut stream, mut client) = accepted().await;
        stream.write_all(b"answer").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.write_all(b"x").await.unwrap();
        assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 1);
        assert!(SockRef::from(&stream.stream).keepalive().unwrap());
    }
}
