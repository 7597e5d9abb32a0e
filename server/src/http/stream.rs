//! The byte stream of a connection: counted, and encrypted if the server uses TLS. The handshake is part of the first
//! read, so that it does not block others and counts towards the first request's deadline.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

use super::connection::Connection;
use super::connection_limiter::ConnectionPermit;
use crate::telemetry::ConnectionEnd;

/// The network stream. Reports received bytes and blocked writes to the connection.
struct Metered {
    tcp: TcpStream,
    connection: Connection,
    /// Held while the stream is open.
    _permit: ConnectionPermit,
}

impl Metered {
    fn note_write(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Pending => self.connection.block_writes(),
            Poll::Ready(_) => self.connection.unblock_writes(),
        }
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        self.connection.forget_received();
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buf))?;
        Poll::Ready(self.connection.receive(buf.filled().len() - before))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write(cx, buf);
        self.note_write(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs);
        self.note_write(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }
}

/// The transport of a connection.
enum Transport {
    /// Plain TCP.
    Plain(Metered),
    /// TLS during the handshake.
    Handshake(Box<Accept<Metered>>, Connection),
    /// TLS.
    Tls(Box<TlsStream<Metered>>),
    /// The TLS handshake failed.
    Failed,
}

impl Transport {
    /// Continues the handshake, if there is one.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Transport::Handshake(handshake, connection) = self {
            match ready!(Pin::new(handshake.as_mut()).poll(cx)) {
                Ok(stream) => *self = Transport::Tls(Box::new(stream)),
                Err(error) => {
                    connection.note_end(ConnectionEnd::TlsFailed, Some(&error));
                    *self = Transport::Failed;
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// An accepted connection.
pub(super) struct Stream(Transport);

impl Stream {
    /// Wraps a connection with its permit, using TLS if there is an acceptor.
    pub(super) fn new(
        tcp: TcpStream,
        connection: Connection,
        permit: ConnectionPermit,
        tls: Option<&TlsAcceptor>,
    ) -> Self {
        let metered = Metered { tcp, connection: connection.clone(), _permit: permit };
        Self(match tls {
            None => Transport::Plain(metered),
            Some(acceptor) => Transport::Handshake(Box::new(acceptor.accept(metered)), connection),
        })
    }
}

/// Calls a method of the underlying stream, if there is one.
macro_rules! delegate {
    ($self:ident, $cx:ident, $failed:expr, |$stream:ident| $call:expr) => {{
        ready!($self.0.poll_ready($cx))?;
        match &mut $self.0 {
            Transport::Plain(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Transport::Tls(stream) => {
                let $stream = Pin::new(stream.as_mut());
                $call
            }
            Transport::Handshake(..) | Transport::Failed => Poll::Ready($failed),
        }
    }};
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        delegate!(self, cx, Err(io::ErrorKind::NotConnected.into()), |stream| stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self, cx, Err(io::ErrorKind::NotConnected.into()), |stream| stream.poll_write(cx, buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, cx, Ok(()), |stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Do not wait for a client that has not completed the handshake.
        if matches!(self.0, Transport::Handshake(..)) {
            self.0 = Transport::Failed;
        }
        delegate!(self, cx, Ok(()), |stream| stream.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let gone = Err(io::ErrorKind::NotConnected.into());
        delegate!(self, cx, gone, |stream| stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Transport::Plain(stream) => stream.is_write_vectored(),
            // Called only once, before the handshake is complete.
            Transport::Handshake(..) | Transport::Tls(_) => true,
            Transport::Failed => false,
        }
    }
}
