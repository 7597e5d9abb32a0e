//! TLS to the database: either none, or with the certificate verified. There is nothing in between.

use std::path::Path;

use pika_shared::tls::{self, Authorities, TrustError};
use rustls::RootCertStore;
use tokio_postgres_rustls::MakeRustlsConnect;

/// Opens TLS connections if the configuration asks for them.
pub(super) type Tls = MakeRustlsConnect;

/// Returns a connector that trusts the authorities of `root_certificates`, or those of the system. Unencrypted
/// connections never use it, so for them it trusts none and reads nothing.
pub(super) fn connector(encrypted: bool, root_certificates: Option<&Path>) -> Result<Tls, TrustError> {
    let roots = if encrypted {
        tls::collect(&[root_certificates.map_or(Authorities::System, Authorities::File)])?
    } else {
        RootCertStore::empty()
    };
    Ok(MakeRustlsConnect::new(tls::client_trusting(roots)?))
}
