//! TLS by the server itself: reads certificate and key, and rereads them when they change, without closing connections.

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use pika_shared::{KeyPin, chain, tls};

use crate::config::TlsFiles;

/// Protocols over TLS, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file has other contents.
    #[error("{} is not a PEM file with the expected contents", path.display())]
    Pem {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        source: pem::Error,
    },
    /// They do not match, or are of an unsupported kind.
    #[error("certificate and key cannot be used")]
    Pair(#[source] rustls::Error),
    /// The reading task failed.
    #[error("the files could not be read")]
    Stopped(#[source] tokio::task::JoinError),
}

/// The contents of both files.
#[derive(PartialEq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// The TLS settings of new connections.
#[derive(Clone, Debug)]
pub struct TlsInUse {
    /// Certificate, key and protocols.
    pub config: Arc<ServerConfig>,
    /// The hash of the public key in enrollment tokens.
    pub key_pin: KeyPin,
}

/// The current certificate and key: new connections use the newest valid pair.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    /// SHA-256 of the contents last read, valid or not.
    seen: Option<[u8; 32]>,
    current: watch::Sender<TlsInUse>,
}

impl Contents {
    fn read(files: &TlsFiles) -> Result<Contents, TlsError> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|source| TlsError::Read { path: path.clone(), source })
        };
        Ok(Self { certificate: read(&files.certificate)?, key: read(&files.key)? })
    }

    /// Returns the TLS settings for these contents; `files` are their paths, for errors.
    fn usable(&self, files: &TlsFiles) -> Result<TlsInUse, TlsError> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .map_err(|source| TlsError::Pem { path: files.certificate.clone(), source })?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|source| TlsError::Pem { path: files.key.clone(), source })?;
        let provider = tls::provider();
        let pair = CertifiedKey::from_der(certificates, key, &provider).map_err(TlsError::Pair)?;
        let certificate =
            pair.end_entity_cert().and_then(ParsedCertificate::try_from).map_err(TlsError::Pair)?;
        let key_pin = KeyPin::of_key(&certificate.subject_public_key_info());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(TlsInUse { config: Arc::new(config), key_pin })
    }

    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.certificate.len().to_be_bytes());
        digest.update(&self.certificate);
        digest.update(&self.key);
        digest.finalize().into()
    }
}

impl Tls {
    /// Reads both files.
    ///
    /// # Errors
    /// If one cannot be read, or they do not match.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let contents = Contents::read(&files)?;
        let config = contents.usable(&files)?;
        Ok(Self { files, seen: Some(contents.digest()), current: watch::Sender::new(config) })
    }

    /// Returns the settings for new connections, which are updated.
    pub fn subscribe(&self) -> watch::Receiver<TlsInUse> {
        self.current.subscribe()
    }

    /// Periodically rereads the files. New contents are used from the next connection on; invalid ones are logged once,
    /// and the old ones stay in use.
    pub async fn keep_current(mut self, interval: Duration) -> Infallible {
        loop {
            tokio::time::sleep(interval).await;
            match self.reload().await {
                Ok(true) => tracing::info!(
                    certificate = %self.files.certificate.display(),
                    "using the new certificate"
                ),
                Ok(false) => {}
                Err(error) => tracing::error!(
                    error = %chain(&error),
                    "the new certificate or key cannot be used; keeping the old ones"
                ),
            }
        }
    }

    /// Returns whether new settings are in use. Reports the same contents only once.
    async fn reload(&mut self) -> Result<bool, TlsError> {
        let files = self.files.clone();
        let read =
            tokio::task::spawn_blocking(move || Contents::read(&files)).await.map_err(TlsError::Stopped)?;
        let seen = read.as_ref().ok().map(Contents::digest);
        if seen == self.seen {
            return Ok(false);
        }
        self.seen = seen;
        self.current.send_replace(read?.usable(&self.files)?);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(directory: &std::path::Path, certificate: &str, key: &str) -> TlsFiles {
        let files = TlsFiles { certificate: directory.join("cert.pem"), key: directory.join("key.pem") };
        std::fs::write(&files.certificate, certificate).unwrap();
        std::fs::write(&files.key, key).unwrap();
        files
    }

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[tokio::test]
    async fn a_broken_pair_leaves_the_old_one_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) = pair();
        let mut tls = Tls::load(write(directory.path(), &certificate, &key)).unwrap();
        let subscription = tls.subscribe();
        let old = Arc::clone(&subscription.borrow().config);
        assert!(!tls.reload().await.unwrap(), "nothing has changed");

        let (other_certificate, other_key) = pair();
        for (certificate, key) in
            [(&other_certificate, &key), (&"nothing".to_owned(), &key), (&certificate, &String::new())]
        {
            write(directory.path(), certificate, key);
            assert!(tls.reload().await.is_err());
            assert!(!tls.reload().await.unwrap(), "is complained about once");
            assert!(Arc::ptr_eq(&old, &subscription.borrow().config));
        }
        std::fs::remove_file(directory.path().join("key.pem")).unwrap();
        assert!(matches!(tls.reload().await, Err(TlsError::Read { .. })));
        assert!(Arc::ptr_eq(&old, &subscription.borrow().config));

        write(directory.path(), &other_certificate, &other_key);
        assert!(tls.reload().await.unwrap());
        assert!(!Arc::ptr_eq(&old, &subscription.borrow().config));
    }

    #[test]
    fn a_pair_that_does_not_fit_is_refused_at_the_start() {
        let directory = tempfile::tempdir().unwrap();
        let ((certificate, _), (_, key)) = (pair(), pair());
        assert!(matches!(Tls::load(write(directory.path(), &certificate, &key)), Err(TlsError::Pair(_))));
    }
}
