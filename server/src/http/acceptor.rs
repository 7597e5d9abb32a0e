//! Accepts connections within the limits, and backs off when the system runs out of resources.

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

/// Delay after a failed accept, usually because no file descriptors are left.
const BACKOFF: Duration = Duration::from_millis(200);

/// A connection is probed after it was silent for this long, and then at this interval, so that clients that vanish do
/// not keep others out.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// Unsent bytes of a response that the system buffers, in addition to those in flight.
#[cfg(target_os = "linux")]
const UNSENT_BYTES_MAX: u32 = 64 * 1024;
/// The system closes a connection whose client has not acknowledged data, or had no room for it, for this long. Not
/// sooner, because a network may be interrupted for a while.
#[cfg(target_os = "linux")]
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(60);

/// The limits shared by all connections.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The limit on connections.
    pub connections: Arc<ConnectionLimiter>,
    /// The memory for data from clients.
    pub memory: Arc<Memory>,
    /// The timeouts of clients.
    pub timeouts: Timeouts,
}

/// Accepts TCP connections within the limits. An upgraded WebSocket counts until it ends.
#[derive(Debug)]
pub struct LimitedAcceptor {
    listener: TcpListener,
    local: SocketAddr,
    /// The TLS settings; `None` without TLS.
    tls: Option<watch::Receiver<TlsInUse>>,
    limits: Limits,
    instruments: Arc<Instruments>,
}

/// An accepted connection.
pub(super) struct Accepted {
    pub(super) stream: Stream,
    pub(super) connection: Connection,
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) scheme: Scheme,
}

impl LimitedAcceptor {
    /// Wraps a bound listener. New connections use the current settings in `tls`.
    ///
    /// # Errors
    /// If the local address cannot be determined.
    pub fn new(
        listener: TcpListener,
        tls: Option<watch::Receiver<TlsInUse>>,
        limits: Limits,
        instruments: Arc<Instruments>,
    ) -> io::Result<Self> {
        let local = listener.local_addr()?;
        Ok(Self { listener, local, tls, limits, instruments })
    }

    /// Returns the local address.
    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Accepts the next connection within the limits.
    pub(super) async fn accept(&self) -> Accepted {
        loop {
            match self.listener.accept().await {
                Ok((tcp, peer)) => match self.limits.connections.take(peer.ip()) {
                    Ok(permit) => return self.begin(tcp, peer, permit),
                    // No response can be sent before the TLS handshake.
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
            tracing::debug!(%error, "cannot set the options of a connection");
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
    // Acknowledgements are small and should be sent immediately.
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
