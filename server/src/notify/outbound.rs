//! Connections to user-supplied destinations: every address is checked, and only checked addresses are connected to.
//!
//! A name is looked up once per connection, all its addresses must pass, and one of these is connected to, so a
//! different answer to a later lookup has no effect. Redirects are not followed, and proxies in the environment are not
//! used.

mod address;
mod destination;
mod error;
mod exchange;
mod proxy;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use ipnet::IpNet;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use address::{Reach, reach};

pub use destination::{Destination, DestinationError, parse_url};
pub use error::OutboundError;
pub use exchange::{Request, Response};

/// How long connecting may take, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum addresses of a name that are tried.
const ADDRESSES_MAX: usize = 4;

/// Looks up the addresses of a name.
pub type Resolve = Box<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// Options of outbound connections.
#[derive(Debug)]
pub struct OutboundOptions {
    /// Networks that may be reached although they are not public, also without TLS.
    pub allowed_networks: Vec<IpNet>,
    /// A proxy for all connections; empty for none.
    pub http_proxy: String,
    /// Timeout of a whole request.
    pub request_timeout: Duration,
    /// The trusted authorities; `None` if the system has none.
    pub tls: Option<Arc<ClientConfig>>,
}

/// Opens outbound connections. A clone is a pointer to the same.
#[derive(Clone)]
pub struct Outbound(Arc<Inner>);

struct Inner {
    allowed_networks: Vec<IpNet>,
    proxy: Option<Destination>,
    request_timeout: Duration,
    tls: Option<TlsConnector>,
    resolve: Resolve,
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("allowed_networks", &self.0.allowed_networks).finish_non_exhaustive()
    }
}

/// A connection, encrypted or not.
pub(super) trait Connection: AsyncRead + AsyncWrite + Send + Sync + Unpin + fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin + fmt::Debug> Connection for T {}

impl Outbound {
    /// Uses these options, with names looked up by the system.
    ///
    /// # Errors
    /// If the proxy's URL is invalid.
    pub fn new(options: OutboundOptions) -> Result<Self, DestinationError> {
        Self::resolving(options, Box::new(|name| Box::pin(system_addresses(name))))
    }

    /// Like [`Outbound::new`], with names looked up by `resolve`.
    ///
    /// # Errors
    /// As [`Outbound::new`].
    pub fn resolving(options: OutboundOptions, resolve: Resolve) -> Result<Self, DestinationError> {
        let OutboundOptions { allowed_networks, http_proxy, request_timeout, tls } = options;
        let proxy = match http_proxy.as_str() {
            "" => None,
            url => Some(proxy::destination(url)?),
        };
        let tls = tls.map(TlsConnector::from);
        Ok(Self(Arc::new(Inner { allowed_networks, proxy, request_timeout, tls, resolve })))
    }

    /// Returns the timeout of a whole request.
    pub(super) fn request_timeout(&self) -> Duration {
        self.0.request_timeout
    }

    /// Checks whether a destination may be connected to, as far as can be told now: every connection checks again. A
    /// name that cannot be found is not refused.
    ///
    /// # Errors
    /// Says why it may not.
    pub async fn check(&self, destination: &Destination, is_encrypted: bool) -> Result<(), OutboundError> {
        let checked = tokio::time::timeout(CONNECT_TIMEOUT, self.addresses(destination, is_encrypted)).await;
        match checked {
            Ok(Err(error)) if error.is_refusal() => Err(error),
            _ => Ok(()),
        }
    }

    /// Like [`Outbound::check`], for a URL.
    ///
    /// # Errors
    /// Says why it may not.
    pub async fn check_url(&self, url: &str) -> Result<(), OutboundError> {
        let url = parse_url(url)?;
        self.check(&Destination::of_url(&url)?, url.scheme() == "https").await
    }

    /// Connects without TLS. `is_encrypted` means that TLS will follow.
    pub(super) async fn connect(
        &self,
        destination: &Destination,
        is_encrypted: bool,
    ) -> Result<Box<dyn Connection>, OutboundError> {
        tokio::time::timeout(CONNECT_TIMEOUT, self.connect_now(destination, is_encrypted))
            .await
            .unwrap_or(Err(OutboundError::Timeout))
    }

    /// Starts TLS on a connection, with a peer that must prove to be `destination`.
    pub(super) async fn encrypt(
        &self,
        destination: &Destination,
        connection: Box<dyn Connection>,
    ) -> Result<Box<dyn Connection>, OutboundError> {
        let connector = self.0.tls.as_ref().ok_or(OutboundError::NoAuthorities)?;
        let host = || destination.host.clone();
        let failed = |source| OutboundError::Tls { host: host(), source };
        let name = match destination.address {
            Some(address) => ServerName::from(address),
            None => ServerName::try_from(host()).map_err(|error| failed(io::Error::other(error)))?,
        };
        let encrypted = tokio::time::timeout(CONNECT_TIMEOUT, connector.connect(name, connection));
        let encrypted = encrypted.await.map_err(|_| OutboundError::Timeout)?;
        Ok(Box::new(encrypted.map_err(failed)?))
    }

    async fn connect_now(
        &self,
        destination: &Destination,
        is_encrypted: bool,
    ) -> Result<Box<dyn Connection>, OutboundError> {
        if let Some(proxy) = &self.0.proxy {
            return self.connect_through(proxy, destination, is_encrypted).await;
        }
        let addresses = self.addresses(destination, is_encrypted).await?;
        let stream = connect_to_one_of(destination, &addresses).await?;
        Ok(Box::new(stream))
    }

    /// The proxy looks names up, so its rules apply to them; literal addresses are still checked here.
    async fn connect_through(
        &self,
        proxy: &Destination,
        destination: &Destination,
        is_encrypted: bool,
    ) -> Result<Box<dyn Connection>, OutboundError> {
        match destination.address {
            Some(address) => self.check_addresses(destination, &[address], is_encrypted)?,
            None if !is_encrypted => {
                return Err(OutboundError::NotEncrypted { host: destination.host.clone() });
            }
            None => {}
        }
        let addresses = self.look_up(proxy).await?;
        let mut stream = connect_to_one_of(proxy, &addresses).await?;
        proxy::open(&mut stream, destination).await?;
        Ok(Box::new(stream))
    }

    /// Returns the addresses of a destination, all of which may be connected to.
    async fn addresses(
        &self,
        destination: &Destination,
        is_encrypted: bool,
    ) -> Result<Vec<IpAddr>, OutboundError> {
        let addresses = self.look_up(destination).await?;
        self.check_addresses(destination, &addresses, is_encrypted)?;
        Ok(addresses)
    }

    fn check_addresses(
        &self,
        destination: &Destination,
        addresses: &[IpAddr],
        is_encrypted: bool,
    ) -> Result<(), OutboundError> {
        let host = || destination.host.clone();
        for address in addresses {
            match reach(*address, &self.0.allowed_networks) {
                Reach::Refused => return Err(OutboundError::RefusedAddress { host: host() }),
                Reach::Public if !is_encrypted => {
                    return Err(OutboundError::NotEncrypted { host: host() });
                }
                Reach::Public | Reach::Allowed => {}
            }
        }
        Ok(())
    }

    async fn look_up(&self, destination: &Destination) -> Result<Vec<IpAddr>, OutboundError> {
        if let Some(address) = destination.address {
            return Ok(vec![address]);
        }
        let not_found = |source| OutboundError::NotFound { host: destination.host.clone(), source };
        let addresses = (self.0.resolve)(destination.host.clone()).await.map_err(not_found)?;
        if addresses.is_empty() {
            return Err(not_found(io::Error::other("the name has no address")));
        }
        Ok(addresses)
    }
}

async fn connect_to_one_of(
    destination: &Destination,
    addresses: &[IpAddr],
) -> Result<TcpStream, OutboundError> {
    let mut failure = io::Error::other("the name has no address");
    for address in addresses.iter().take(ADDRESSES_MAX) {
        match TcpStream::connect(SocketAddr::new(*address, destination.port)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(OutboundError::Connect { host: destination.host.clone(), source: failure })
}

async fn system_addresses(name: String) -> io::Result<Vec<IpAddr>> {
    let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
    Ok(found.map(|address| address.ip()).collect())
}

#[cfg(test)]
mod tests;
