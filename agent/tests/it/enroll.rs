//! Enrollment, and who the agent says it is.

use std::path::Path;

use pika_agent::collect::Host;
use pika_agent::config::Endpoint;
use pika_agent::identity::Identity;
use pika_agent::link::{self, EnrollError, Enrolled, Enrollment, LinkError};
use pika_protocol::message::Refusal;
use pika_protocol::{AgentMessage, ErrorCode, Register, ServerMessage};
use pika_shared::Clock;
use secrecy::ExposeSecret as _;
use tokio::task::JoinHandle;

use crate::support::*;

fn start_enrollment(server: &FakeServer) -> JoinHandle<Result<Enrolled, EnrollError>> {
    let url = server.url();
    tokio::spawn(async move {
        let host = Host::detect();
        let enrollment = Enrollment {
            server: &url,
            endpoint: Endpoint::parse(&url).unwrap(),
            ca_file: Path::new(""),
            key_pin: None,
            name: "web-1",
            interval_ms: 5_000,
            host: &host,
            token: "one-time-token".to_owned().into(),
            secret: "own-secret".to_owned().into(),
        };
        link::enroll(enrollment, Clock::system(), timing()).await
    })
}

async fn receive_register(peer: &mut Peer) -> Register {
    match peer.receive().await.message {
        AgentMessage::Register(register) => register,
        other => panic!("expected register, not {other:?}"),
    }
}

#[tokio::test]
async fn a_token_is_exchanged_for_an_identity() {
    let server = FakeServer::start().await;
    let enrollment = start_enrollment(&server);
    let mut peer = server.accept().await;
    assert_eq!(peer.head.uri(), "/prefix/ws/agent", "no secret is in the URL");
    assert!(peer.head.headers().get("authorization").is_none());
    let register = receive_register(&mut peer).await;
    assert_eq!(register.token.as_deref(), Some("one-time-token"));
    assert_eq!(register.secret.as_deref(), Some("own-secret"));
    assert_eq!((register.name.as_str(), register.ip.as_str()), ("web-1", "127.0.0.1"));
    assert_eq!(
        (register.os.as_str(), register.version.as_str()),
        (std::env::consts::OS, env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(register.interval_ms, Some(5_000));

    peer.send(&register_ack_at(Some(SECRET), -60_000)).await;
    // Completes the close handshake.
    while peer.receive_message().await.is_some() {}
    let Enrolled { identity, clock_offset } = within("the enrollment", enrollment).await.unwrap().unwrap();
    assert_eq!(clock_offset.ms, -60_000);
    assert_eq!((identity.id.as_str(), identity.server), (AGENT_ID, server.url()));
    assert_eq!(identity.secret.expose_secret(), SECRET);
}

#[tokio::test]
async fn a_refused_token_is_an_error_with_the_servers_reason() {
    let server = FakeServer::start().await;
    let enrollment = start_enrollment(&server);
    let mut peer = server.accept().await;
    receive_register(&mut peer).await;
    let message = "the token has expired".to_owned();
    let refusal = Refusal { code: ErrorCode::Unauthorized, message, seq: None };
    peer.send(&ServerMessage::RegisterError(refusal)).await;
    let error = within("the enrollment", enrollment).await.unwrap().unwrap_err();
    assert!(matches!(error, EnrollError::Link(LinkError::Refused { code: ErrorCode::Unauthorized, .. })));
    assert!(error.to_string().contains("the token has expired"), "{error}");
}

#[tokio::test]
async fn an_answer_without_a_secret_confirms_the_agents_own() {
    let server = FakeServer::start().await;
    let enrollment = start_enrollment(&server);
    let mut peer = server.accept().await;
    receive_register(&mut peer).await;
    peer.send(&register_ack(None)).await;
    while peer.receive_message().await.is_some() {}
    let Enrolled { identity, .. } = within("the enrollment", enrollment).await.unwrap().unwrap();
    assert_eq!(identity.secret.expose_secret(), "own-secret");
}

#[tokio::test]
async fn an_enrolled_agent_proves_itself_in_the_header() {
    let server = FakeServer::start().await;
    let dir = state_dir(None);
    let agent = start_agent(&server, dir.path(), "name: web-1\n");
    let mut peer = server.accept().await;
    assert_eq!(peer.head.uri(), "/prefix/ws/agent");
    assert_eq!(peer.head.headers()["authorization"], format!("Bearer {SECRET}"));
    let register = receive_register(&mut peer).await;
    assert_eq!((register.name.as_str(), register.token), ("web-1", None));
    agent.stop().await;
}

#[tokio::test]
async fn a_refused_agent_waits_and_asks_again() {
    let server = FakeServer::start().await;
    let dir = state_dir(None);
    let agent = start_agent(&server, dir.path(), "");
    for code in [ErrorCode::Unauthorized, ErrorCode::Unavailable, ErrorCode::Superseded] {
        let mut peer = server.accept().await;
        receive_register(&mut peer).await;
        let refusal = Refusal { code, message: "no\nreally".to_owned(), seq: None };
        peer.send(&ServerMessage::RegisterError(refusal)).await;
    }
    server.accept_registered().await.receive_batch().await;
    agent.stop().await;
}

#[tokio::test]
async fn a_rotation_counts_when_the_server_repeats_the_secret() {
    let server = FakeServer::start().await;
    let dir = state_dir(Some(&server));
    let mut identity = Identity::load(dir.path()).unwrap();
    identity.prepare_rotation(dir.path()).unwrap();
    let next = identity.next_secret.clone().unwrap().expose_secret().to_owned();
    // First a server that does not know of rotations, then one whose answer is lost, then one that does as it should.
    for answer in [Some(None), None, Some(Some(next.as_str()))] {
        let config = agent_config(dir.path(), "");
        let endpoint = Endpoint::parse(&server.url()).unwrap();
        let mut tried = identity.clone();
        let rotation = tokio::spawn(async move {
            let host = Host::detect();
            let clock = Clock::system();
            let result = link::rotate(&config, endpoint, &mut tried, &host, clock, timing()).await;
            (result, tried)
        });
        let mut peer = server.accept().await;
        assert_eq!(peer.head.headers()["authorization"], format!("Bearer {SECRET}"));
        assert_eq!(receive_register(&mut peer).await.secret.as_deref(), Some(next.as_str()));
        if let Some(secret) = answer {
            peer.send(&register_ack(secret)).await;
            while peer.receive_message().await.is_some() {}
        }
        drop(peer);
        let (result, tried) = within("the rotation", rotation).await.unwrap();
        let is_confirmed = answer == Some(Some(next.as_str()));
        assert_eq!(result.is_ok(), is_confirmed, "{answer:?}: {result:?}");
        assert_eq!(tried.secret.expose_secret(), if is_confirmed { next.as_str() } else { SECRET });
        assert_eq!(tried.next_secret.is_none(), is_confirmed);
    }
}

#[tokio::test]
async fn a_running_agent_goes_on_with_the_secret_that_was_rotated_beside_it() {
    let server = FakeServer::start().await;
    let dir = state_dir(Some(&server));
    let agent = start_agent(&server, dir.path(), "");
    let mut peer = server.accept_registered().await;
    let mut identity = Identity::load(dir.path()).unwrap();
    identity.prepare_rotation(dir.path()).unwrap();
    let next = identity.next_secret.clone().unwrap().expose_secret().to_owned();
    let refusal = Refusal { code: ErrorCode::Superseded, message: "taken over".to_owned(), seq: None };
    peer.send(&ServerMessage::Error(refusal)).await;
    drop(peer);
    // It brings both, because nobody has told it yet which of them counts.
    let mut peer = server.accept().await;
    assert_eq!(receive_register(&mut peer).await.secret.as_deref(), Some(next.as_str()));
    peer.send(&register_ack(Some(&next))).await;
    identity.confirm(Some(&next));
    identity.store(dir.path()).unwrap();
    drop(peer);
    let mut peer = server.accept().await;
    assert_eq!(peer.head.headers()["authorization"], format!("Bearer {next}"));
    assert_eq!(receive_register(&mut peer).await.secret, None);
    agent.stop().await;
}
