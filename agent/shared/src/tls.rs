//! How a client verifies a server: by the certificate authorities of the system or of a file, or by the server's key
//! alone. Verification cannot be disabled for connections across a network.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::KeyPin;

/// Why a client has nothing to verify servers with.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read, or is not a PEM file.
    #[error("cannot read the certificates in {}", path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        source: pem::Error,
    },
    /// The file contains no certificates.
    #[error("{} holds no usable certificate", path.display())]
    FileEmpty {
        /// The path of the file.
        path: PathBuf,
    },
    /// The system has no certificate authorities.
    #[error("this system has no certificate authorities; install ca-certificates or name a file of them")]
    NoAuthorities,
    /// The TLS library returned an error.
    #[error("TLS cannot be set up")]
    SetUp(#[source] Error),
}

/// Returns the cryptography provider that all of Pika uses. It is always passed explicitly, because the process's
/// default depends on the features of other crates.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A source of certificate authorities.
#[derive(Clone, Copy, Debug)]
pub enum Authorities<'a> {
    /// The system's own.
    System,
    /// A PEM file.
    File(&'a Path),
}

/// Collects the authorities of all `sources`.
///
/// # Errors
/// If a file cannot be read or holds none, or if there is none at all. Unreadable ones of the system are only logged.
pub fn collect(sources: &[Authorities<'_>]) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    for source in sources {
        match source {
            Authorities::System => {
                let native = rustls_native_certs::load_native_certs();
                if let Some(error) = native.errors.first() {
                    tracing::warn!(%error, "some of the system's certificate authorities cannot be read");
                }
                roots.add_parsable_certificates(native.certs);
            }
            Authorities::File(path) => {
                let certificates = CertificateDer::pem_file_iter(path)
                    .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                    .map_err(|source| TrustError::File { path: path.to_path_buf(), source })?;
                let (n_added, _) = roots.add_parsable_certificates(certificates);
                if n_added == 0 {
                    return Err(TrustError::FileEmpty { path: path.to_path_buf() });
                }
            }
        }
    }
    if roots.is_empty() { Err(TrustError::NoAuthorities) } else { Ok(roots) }
}

/// Returns the settings of a client that trusts certificates signed by `roots`.
///
/// # Errors
/// If the library rejects the settings.
pub fn client_trusting(roots: RootCertStore) -> Result<ClientConfig, TrustError> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TrustError::SetUp)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

/// Returns the settings of a client that trusts exactly the certificates of one key, no matter who signed them.
///
/// # Errors
/// If the library rejects the settings.
pub fn client_pinning(pin: KeyPin) -> Result<ClientConfig, TrustError> {
    client_accepting(move |certificate| {
        let certificate = ParsedCertificate::try_from(certificate)?;
        if KeyPin::of_key(&certificate.subject_public_key_info()) == pin {
            return Ok(());
        }
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    })
}

/// Returns the settings of a client that accepts any certificate. Only for connections that never leave the machine and
/// carry no secret: certificates name the server's public name, not `localhost`.
///
/// # Errors
/// If the library rejects the settings.
pub fn client_of_loopback() -> Result<ClientConfig, TrustError> {
    client_accepting(|_| Ok(()))
}

fn client_accepting(
    accept: impl Fn(&CertificateDer<'_>) -> Result<(), Error> + Send + Sync + 'static,
) -> Result<ClientConfig, TrustError> {
    let verifier = Verifier { accept: Box::new(accept), provider: provider() };
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TrustError::SetUp)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(config)
}

type Accept = dyn Fn(&CertificateDer<'_>) -> Result<(), Error> + Send + Sync;

/// Checks only the certificate. The handshake's signature, which is verified as usual, proves that the server has the
/// private key.
struct Verifier {
    accept: Box<Accept>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        (self.accept)(end_entity)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unusable_file_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        assert!(matches!(collect(&[Authorities::File(&path)]), Err(TrustError::File { .. })));
        std::fs::write(&path, "no certificate").unwrap();
        assert!(matches!(collect(&[Authorities::File(&path)]), Err(TrustError::FileEmpty { .. })));
    }
}
