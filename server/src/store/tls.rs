//! TLS to the database: either not at all, or with the certificate verified. There is nothing in between.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connection::DatabaseUrlError;

/// Makes TLS connections where the configuration asks for them.
pub(super) type Tls = MakeRustlsConnect;

/// A connector that trusts the authorities of `root_certificates`, or those of the system. Unencrypted connections
/// never use it, so for them it trusts nobody and nothing is read.
pub(super) fn connector(encrypted: bool, root_certificates: Option<&Path>) -> Result<Tls, DatabaseUrlError> {
    let mut roots = RootCertStore::empty();
    if encrypted {
        add_roots(&mut roots, root_certificates)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(DatabaseUrlError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn add_roots(roots: &mut RootCertStore, file: Option<&Path>) -> Result<(), DatabaseUrlError> {
    let certificates = match file {
        Some(path) => CertificateDer::pem_file_iter(path)
            .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
            .map_err(|source| DatabaseUrlError::Certificates { path: path.to_owned(), source })?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    roots.add_parsable_certificates(certificates);
    if roots.is_empty() {
        return Err(DatabaseUrlError::NoCertificates);
    }
    Ok(())
}
