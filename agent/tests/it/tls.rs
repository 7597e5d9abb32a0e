//! Certificates are verified, always.

use std::sync::Arc;

use futures_util::StreamExt as _;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;

use crate::support::*;

fn fixture(name: &str) -> String {
    format!("{}/tests/it/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(fixture("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn a_server_of_a_trusted_authority_is_spoken_to() {
    let server = FakeServer::start().await;
    let dir = state_dir(None);
    let url = format!("https://localhost:{}", server.address.port());
    let yaml = format!("tls:\n  ca_file: {}\n", fixture("ca.pem"));
    let agent = start_agent_at(&url, dir.path(), &yaml);
    let stream = within("TLS", acceptor().accept(server.accept_tcp().await)).await.unwrap();
    let mut socket = within("an upgrade", Box::pin(tokio_tungstenite::accept_async(stream))).await.unwrap();
    let message = within("register", socket.next()).await.unwrap().unwrap();
    assert!(matches!(message, Message::Text(text) if text.contains(r#""type":"register""#)));
    drop(socket);
    agent.stop().await;
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_gets_nothing() {
    // The system's authorities do not know the certificate; where the system has none the agent does not start.
    let server = FakeServer::start().await;
    let dir = state_dir(None);
    let url = format!("https://localhost:{}", server.address.port());
    let mut agent = start_agent_at(&url, dir.path(), "");
    tokio::select! {
        stream = server.accept_tcp() => {
            assert!(acceptor().accept(stream).await.is_err(), "the agent disconnects");
            agent.stop().await;
        }
        result = &mut agent.task => assert!(result.unwrap().is_err()),
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_accepted() {
    let server = FakeServer::start().await;
    let dir = state_dir(None);
    let yaml = format!("tls:\n  ca_file: {}\n", fixture("ca.pem"));
    let url = format!("https://127.0.0.1:{}", server.address.port());
    let agent = start_agent_at(&url, dir.path(), &yaml);
    let result = within("TLS", acceptor().accept(server.accept_tcp().await)).await;
    assert!(result.is_err(), "the agent disconnects");
    agent.stop().await;
}
