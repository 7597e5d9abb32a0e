//! Accepts connections: those that the limits let in, and calmly when the system has no more to give.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use poem::http::uri::Scheme;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::connection::Connection;
use super::connection_limiter::{self, ConnectionLimiter, ConnectionPermit};
use super::deadlines::Timeouts;
use super::memory::{Buffers, Memory};
use super::stream::Stream;
use super::tls::TlsInUse;
use crate::telemetry::Instruments;

/// After an accept that failed (usually: no file descriptors left) the next is tried after this long.
const BACKOFF: Duration = Duration::from_millis(200);

/// A connection is probed when it was silent for this long, and again at this interval: clients that vanish without a
/// word must not keep others out.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// Bytes of an answer that the system holds for a client that takes none, beside what is on its way.
#[cfg(target_os = "linux")]
const UNSENT_BYTES_MAX: u32 = 64 * 1024;
/// The system ends a connection whose client has not acknowledged what it was sent for this long, or had no room for it.
/// Not sooner: a network may be away for a while.
#[cfg(target_os = "linux")]
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(60);

/// What connections share.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How many connections there may be.
    pub connections: Arc<ConnectionLimiter>,
    /// The memory for what clients send.
    pub memory: Arc<Memory>,
    /// How long clients may take.
    pub timeouts: Timeouts,
}

/// Accepts the TCP connections that the limits let in. An upgraded WebSocket counts until it ends.
#[derive(Debug)]
pub struct LimitedAcceptor {
    listener: TcpListener,
    local: SocketAddr,
    /// How to speak TLS; `None` where it is not spoken.
    tls: Option<watch::Receiver<TlsInUse>>,
    limits: Limits,
    instruments: Arc<Instruments>,
}

/// A connection that was accepted.
pub(super) struct Accepted {
    pub(super) stream: Stream,
    pub(super) connection: Connection,
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) scheme: Scheme,
}

impl LimitedAcceptor {
    /// Takes over a bound listener. Speaks TLS with what `tls` holds when a connection begins.
    ///
    /// # Errors
    /// When the system does not say where it listens.
    pub fn new(
        listener: TcpListener,
        tls: Option<watch::Receiver<TlsInUse>>,
        limits: Limits,
        instruments: Arc<Instruments>,
    ) -> io::Result<Self> {
        let local = listener.local_addr()?;
        Ok(Self { listener, local, tls, limits, instruments })
    }

    /// Where it listens.
    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// The next connection that the limits let in.
    pub(super) async fn accept(&self) -> Accepted {
        loop {
            match self.listener.accept().await {
                Ok((tcp, peer)) => match self.limits.connections.take(peer.ip()) {
                    Ok(permit) => return self.begin(tcp, peer, permit),
                    // No answer can be given before TLS is agreed upon.
                    Err(_) if self.tls.is_some() => {}
                    Err(refusal) => connection_limiter::reject(&tcp, refusal),
                },
                Err(error) => {
                    self.limits.connections.count_accept_error(&error);
                    tokio::time::sleep(BACKOFF).await;
                }
            }
        }
    }

    fn begin(&self, tcp: TcpStream, peer: SocketAddr, permit: ConnectionPermit) -> Accepted {
        if let Err(error) = set_options(&tcp) {
            tracing::debug!(%error, "options of a connection could not be set");
        }
        let Limits { connections, memory, timeouts } = &self.limits;
        let buffers = Buffers::new(Arc::clone(memory), peer.ip(), connections.is_proxy(peer.ip()));
        let instruments = Arc::clone(&self.instruments);
        let connection = Connection::new(peer.ip(), permit.slot(), buffers, *timeouts, instruments);
        let tls = self.tls.as_ref().map(|tls| TlsAcceptor::from(Arc::clone(&tls.borrow().config)));
        let scheme = if tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let stream = Stream::new(tcp, connection.clone(), permit, tls.as_ref());
        Accepted { stream, connection, peer, local: self.local, scheme }
    }
}

fn set_options(tcp: &TcpStream) -> io::Result<()> {
    // Acknowledgements are small and wanted at once.
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(tcp);
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
        socket.set_tcp_user_timeout(Some(ACKNOWLEDGE_TIMEOUT))?;
    }
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_system_watches_over_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        set_options(&tcp).unwrap();
        let socket = SockRef::from(&tcp);
        assert!(tcp.nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_IDLE);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(ACKNOWLEDGE_TIMEOUT));
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT_BYTES_MAX);
    }
}
