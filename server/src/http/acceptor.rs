//! Accepts connections: those that have a place, and calmly when the system has no more to give. Where the server speaks
//! TLS, the handshake is a part of the connection's first read, so that it holds up nobody else and has to be finished
//! before the first answer is due.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use poem::http::uri::Scheme;
use poem::listener::Acceptor;
use poem::web::{LocalAddr, RemoteAddr};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

use super::places::{self, Place, Places};
use super::tls::TlsInUse;

/// After an accept that failed (usually: no file descriptors left) the next is tried after this long.
const BACKOFF: Duration = Duration::from_millis(200);

/// A connection over which nothing was answered by then is closed: its client sends its request too slowly, or not at
/// all. Longer than the slowest answer takes.
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection is probed when it was silent for this long, and again at this interval: clients that vanish without a
/// word must not hold their places.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Accepts TCP connections that have a place. An upgraded WebSocket has its place until it ends.
#[derive(Debug)]
pub struct LimitedAcceptor {
    listener: TcpListener,
    /// How to speak TLS; `None` where it is not spoken.
    tls: Option<watch::Receiver<TlsInUse>>,
    places: Arc<Places>,
    first_answer_timeout: Duration,
}

impl LimitedAcceptor {
    /// Takes over a bound listener, whose connections take `places`. Speaks TLS with what `tls` holds when a connection
    /// begins.
    pub fn new(listener: TcpListener, tls: Option<watch::Receiver<TlsInUse>>, places: Arc<Places>) -> Self {
        Self { listener, tls, places, first_answer_timeout: FIRST_ANSWER_TIMEOUT }
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
                    // No answer can be given before TLS is agreed upon.
                    Err(_) if self.tls.is_some() => {}
                    Err(refusal) => places::turn_away(&stream, refusal),
                },
                Err(error) => {
                    self.places.count_accept_error();
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
        let (transport, scheme) = match &self.tls {
            None => (Transport::Plain(stream), Scheme::HTTP),
            Some(tls) => {
                let acceptor = TlsAcceptor::from(Arc::clone(&tls.borrow().config));
                (Transport::Handshake(Box::new(acceptor.accept(stream))), Scheme::HTTPS)
            }
        };
        let stream = LimitedStream { transport, first_answer_due, _place: place };
        Ok((stream, LocalAddr(local.into()), RemoteAddr(peer.into()), scheme))
    }
}

/// What a connection's bytes go through.
enum Transport {
    /// Nothing.
    Plain(TcpStream),
    /// TLS that is not agreed upon yet.
    Handshake(Box<Accept<TcpStream>>),
    /// TLS.
    Tls(Box<TlsStream<TcpStream>>),
    /// Nothing any more: no TLS could be agreed upon.
    Failed,
}

impl Transport {
    /// Goes on with the handshake, if there is one.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Transport::Handshake(handshake) = self {
            match ready!(Pin::new(handshake).poll(cx)) {
                Ok(stream) => *self = Transport::Tls(Box::new(stream)),
                Err(error) => {
                    tracing::debug!(%error, "a client could not agree on TLS");
                    *self = Transport::Failed;
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Calls a method of the stream beneath, when there is one.
macro_rules! delegate {
    ($self:ident, $cx:ident, $failed:expr, |$stream:ident| $call:expr) => {{
        ready!($self.transport.poll_ready($cx))?;
        match &mut $self.transport {
            Transport::Plain(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Transport::Tls(stream) => {
                let $stream = Pin::new(stream.as_mut());
                $call
            }
            Transport::Handshake(_) | Transport::Failed => Poll::Ready($failed),
        }
    }};
}

/// A connection that counts until it is dropped.
pub struct LimitedStream {
    transport: Transport,
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
        delegate!(self, cx, Err(io::ErrorKind::NotConnected.into()), |stream| stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for LimitedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let gone = Err(io::ErrorKind::NotConnected.into());
        let written = delegate!(self, cx, gone, |stream| stream.poll_write(cx, buf));
        self.note_answer(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, cx, Ok(()), |stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nobody waits for a client that has not even agreed on TLS.
        if matches!(self.transport, Transport::Handshake(_)) {
            self.transport = Transport::Failed;
        }
        delegate!(self, cx, Ok(()), |stream| stream.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let gone = Err(io::ErrorKind::NotConnected.into());
        let written = delegate!(self, cx, gone, |stream| stream.poll_write_vectored(cx, bufs));
        self.note_answer(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            // Asked before the handshake is over, and for good.
            Transport::Handshake(_) | Transport::Tls(_) => true,
            Transport::Failed => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::telemetry::Instruments;

    async fn accepted() -> (LimitedStream, TcpStream) {
        accepted_with(None).await
    }

    async fn accepted_with(tls: Option<watch::Receiver<TlsInUse>>) -> (LimitedStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let places = Places::new(1, 1, Vec::new(), Arc::new(Instruments::new().unwrap()));
        let mut acceptor = LimitedAcceptor::new(listener, tls, places);
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
    async fn a_client_that_only_agrees_on_tls_is_let_go() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let in_use = TlsInUse { config: Arc::new(config), key_pin: pika_shared::KeyPin::of_key(b"") };
        let tls = watch::Sender::new(in_use).subscribe();
        // One that never begins, and one that finishes the handshake and says no more.
        let (mut stream, _client) = accepted_with(Some(tls.clone())).await;
        assert_eq!(stream.read(&mut [0; 16]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);

        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let client_config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (mut stream, client) = accepted_with(Some(tls)).await;
        let connector = tokio_rustls::TlsConnector::from(Arc::new(client_config));
        let handshake = connector.connect("localhost".try_into().unwrap(), client);
        let mut buffer = [0; 16];
        let (_client, read) = tokio::join!(handshake, stream.read(&mut buffer));
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(matches!(stream.transport, Transport::Tls(_)), "TLS was agreed upon");
    }

    #[tokio::test]
    async fn a_connection_that_was_answered_may_be_silent() {
        let (mut stream, mut client) = accepted().await;
        stream.write_all(b"answer").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.write_all(b"x").await.unwrap();
        assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 1);
        let Transport::Plain(tcp) = &stream.transport else { panic!("no TLS was asked for") };
        assert!(SockRef::from(tcp).keepalive().unwrap());
    }
}
