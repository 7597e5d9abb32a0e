//! Generated certificates, and a client that trusts only one of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pika_server::config::Config;
use rcgen::{CertificateParams, CertifiedKey, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A self-signed certificate for `localhost`, and its key.
pub(crate) struct TestCertificate(CertifiedKey<KeyPair>);

impl TestCertificate {
    pub(crate) fn new() -> Self {
        Self(rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap())
    }

    /// Another certificate for the same key.
    pub(crate) fn renewed(&self) -> Self {
        let signing_key = KeyPair::from_pem(&self.key_pem()).unwrap();
        let parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let cert = parameters.self_signed(&signing_key).unwrap();
        Self(CertifiedKey { cert, signing_key })
    }

    pub(crate) fn certificate_pem(&self) -> String {
        self.0.cert.pem()
    }

    pub(crate) fn key_pem(&self) -> String {
        self.0.signing_key.serialize_pem()
    }

    fn der(&self) -> CertificateDer<'static> {
        self.0.cert.der().clone()
    }
}

/// The directory of the server's certificate and key.
pub(crate) struct TlsDirectory(tempfile::TempDir);

impl TlsDirectory {
    pub(crate) fn with(certificate: &TestCertificate) -> Self {
        let directory = Self(tempfile::tempdir().unwrap());
        directory.put(certificate);
        directory
    }

    pub(crate) fn put(&self, certificate: &TestCertificate) {
        std::fs::write(self.certificate_file(), certificate.certificate_pem()).unwrap();
        std::fs::write(self.key_file(), certificate.key_pem()).unwrap();
    }

    pub(crate) fn certificate_file(&self) -> PathBuf {
        self.path().join("server.pem")
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.path().join("server.key")
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Configures the server to use them.
    pub(crate) fn configure(&self, config: &mut Config) {
        config.server.tls.certificate_file = self.certificate_file();
        config.server.tls.key_file = self.key_file();
        config.server.tls.reload_interval_ms = 10;
    }
}

/// An open connection over TLS.
pub(crate) struct TlsClient(TlsStream<TcpStream>);

impl TlsClient {
    /// Connects; fails if the server has any other certificate.
    pub(crate) async fn connect(
        address: &str,
        trusted: &TestCertificate,
        protocols: &[&str],
    ) -> std::io::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        Ok(Self(TlsConnector::from(Arc::new(config)).connect(name, stream).await?))
    }

    /// Returns the negotiated protocol.
    pub(crate) fn protocol(&self) -> Option<String> {
        let protocol = self.0.get_ref().1.alpn_protocol()?;
        Some(String::from_utf8(protocol.to_vec()).unwrap())
    }

    /// Waits until the server has ended the connection.
    pub(crate) async fn ended(&mut self) {
        while matches!(self.0.read(&mut [0; 1_024]).await, Ok(1..)) {}
    }

    /// Sends a request. Returns the head and the part of the body received with it.
    pub(crate) async fn request(&mut self, method: &str, path: &str, body: &str) -> String {
        self.request_as("", method, path, body).await
    }

    /// Like [`TlsClient::request`], with a session's token.
    pub(crate) async fn request_as(&mut self, token: &str, method: &str, path: &str, body: &str) -> String {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 64 * 1024];
        let count = self.0.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..count]).into_owned()
    }
}
