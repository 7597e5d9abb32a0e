//! From a server's address to an open WebSocket: name resolution, TCP, TLS, upgrade.
//!
//! Certificates are verified against the system's authorities and those of `tls.ca_file`, or against the key in the
//! enrollment token. Verification cannot be disabled.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pika_protocol::ErrorCode;
use pika_protocol::limits::FRAME_BYTES_MAX;
use pika_shared::KeyPin;
use pika_shared::tls::{self, Authorities, TrustError};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, http};
use tokio_util::either::Either;

use super::dial::dial;
use super::{LinkError, Printable};
use crate::config::Endpoint;

/// The server's messages are a few hundred bytes; the default of 128 KiB would be a tenth of the agent.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// An open WebSocket.
pub(super) type Socket = WebSocketStream<Either<TcpStream, Box<TlsStream<TcpStream>>>>;

/// Opens connections to one server.
pub(super) struct Connector {
    endpoint: Endpoint,
    tls: Option<TlsConnector>,
    timeout: Duration,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TlsError {
    #[error("no server certificate could be verified")]
    Trust(#[from] TrustError),
    #[error(
        "the enrollment token contains the server's key, so the server's address must begin with https://"
    )]
    PinWithoutTls,
}

impl Connector {
    /// `ca_file` is an additional file of certificates, or an empty path; it is read only if TLS is used. If a key is
    /// pinned, only that key is trusted.
    pub(super) fn new(
        endpoint: Endpoint,
        ca_file: &Path,
        key_pin: Option<KeyPin>,
        timeout: Duration,
    ) -> Result<Connector, TlsError> {
        let config = match (endpoint.is_tls, key_pin) {
            (false, None) => None,
            (false, Some(_)) => return Err(TlsError::PinWithoutTls),
            (true, None) => Some(trusting_config(ca_file)?),
            (true, Some(pin)) => Some(tls::client_pinning(pin)?),
        };
        let tls = config.map(|config| TlsConnector::from(Arc::new(config)));
        Ok(Connector { endpoint, tls, timeout })
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Opens a connection, and also returns its local address.
    pub(super) async fn connect(&self, secret: Option<&SecretString>) -> Result<(Socket, IpAddr), LinkError> {
        match tokio::time::timeout(self.timeout, self.open(secret)).await {
            Ok(result) => result,
            Err(_) => {
                Err(LinkError::ConnectTimeout { endpoint: self.endpoint.to_string(), timeout: self.timeout })
            }
        }
    }

    async fn open(&self, secret: Option<&SecretString>) -> Result<(Socket, IpAddr), LinkError> {
        let endpoint = || self.endpoint.to_string();
        let Endpoint { host, port, .. } = &self.endpoint;
        let request = self
            .request(secret)
            .map_err(|source| LinkError::Upgrade { endpoint: endpoint(), source: Box::new(source) })?;

        let tcp = async {
            let stream = dial(lookup_host((host.as_str(), *port)).await?).await?;
            // A frame is one write, followed by waiting for an acknowledgement: there is nothing to coalesce.
            stream.set_nodelay(true)?;
            let local_address = stream.local_addr()?.ip();
            Ok((stream, local_address))
        };
        let (stream, local_address) =
            tcp.await.map_err(|source| LinkError::Connect { endpoint: endpoint(), source })?;
        let stream = match &self.tls {
            None => Either::Left(stream),
            Some(tls) => {
                let tls = async {
                    let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                    tls.connect(name, stream).await
                };
                let stream = tls.await.map_err(|source| LinkError::Tls { endpoint: endpoint(), source })?;
                Either::Right(Box::new(stream))
            }
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(2 * FRAME_BYTES_MAX)
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        match tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, _)) => Ok((socket, local_address)),
            Err(tungstenite::Error::Http(response)) if response.status() == StatusCode::UNAUTHORIZED => {
                let text = Printable::new("HTTP 401");
                Err(LinkError::Refused { code: ErrorCode::Unauthorized, text })
            }
            Err(source) => Err(LinkError::Upgrade { endpoint: endpoint(), source: Box::new(source) }),
        }
    }

    fn request(&self, secret: Option<&SecretString>) -> Result<Request, tungstenite::Error> {
        let uri: http::Uri = self.endpoint.to_string().parse().map_err(http::Error::from)?;
        let mut request = uri.into_client_request()?;
        if let Some(secret) = secret {
            let value = format!("Bearer {}", secret.expose_secret());
            let mut value = HeaderValue::from_str(&value).map_err(http::Error::from)?;
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let agent = concat!("pika-agent/", env!("CARGO_PKG_VERSION"));
        request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(agent));
        Ok(request)
    }
}

/// Trusts the system's authorities and those of `ca_file`.
fn trusting_config(ca_file: &Path) -> Result<ClientConfig, TrustError> {
    let mut sources = vec![Authorities::System];
    if !ca_file.as_os_str().is_empty() {
        sources.push(Authorities::File(ca_file));
    }
    tls::client_trusting(tls::collect(&sources)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_in_the_header_and_not_in_the_url() {
        let endpoint = Endpoint::parse("http://host:18888/prefix").unwrap();
        let connector = Connector::new(endpoint, Path::new(""), None, Duration::ZERO).unwrap();
        let request = connector.request(Some(&"s3cret".to_owned().into())).unwrap();
        assert_eq!(request.uri(), "ws://host:18888/prefix/ws/agent");
        assert_eq!(request.headers()[header::AUTHORIZATION], "Bearer s3cret");
        assert!(!format!("{request:?}").contains("s3cret"), "not even when the request is logged");
        assert!(connector.request(Some(&"line\nbreak".to_owned().into())).is_err());
        assert!(connector.request(None).unwrap().headers().get(header::AUTHORIZATION).is_none());
    }

    #[test]
    fn a_pinned_key_is_not_given_up_for_a_connection_in_clear() {
        let endpoint = Endpoint::parse("http://host:18888").unwrap();
        let pin = Some(KeyPin::of_key(b"key"));
        let connector = Connector::new(endpoint, Path::new(""), pin, Duration::ZERO);
        assert!(matches!(connector.map(drop), Err(TlsError::PinWithoutTls)));
    }
}
