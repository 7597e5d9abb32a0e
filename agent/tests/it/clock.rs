//! Clocks that are wrong, and clocks that are set: every sample is sent with the offset that fits the clock by which it was
//! taken, and with the same at every try.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use pika_protocol::{AgentMessage, Sample};
use pika_shared::Clock;

use crate::support::*;

const EVERY_SECOND: &str = "interval_ms: 1000\n";

/// Returns the machine's clock with an adjustable offset in milliseconds.
fn clock_that_is_set() -> (Clock, Arc<AtomicI64>) {
    let set_by_ms = Arc::new(AtomicI64::new(0));
    let (shown, system) = (Arc::clone(&set_by_ms), Clock::system());
    (Clock::new(move || system.now() + shown.load(Ordering::Relaxed)), set_by_ms)
}

async fn receive_samples(peer: &mut Peer) -> (u64, Vec<Sample>) {
    loop {
        let frame = peer.receive().await;
        if let AgentMessage::Batch(batch) = frame.message {
            return (frame.seq.unwrap(), batch.samples);
        }
    }
}

/// Registers the agent, and sends it this clock offset.
async fn accept_at(server: &FakeServer, clock_offset_ms: i64) -> Peer {
    let mut peer = server.accept().await;
    assert!(matches!(peer.receive().await.message, AgentMessage::Register(_)));
    peer.send(&register_ack_at(None, clock_offset_ms)).await;
    peer
}

/// Returns when a sample was taken, by the server's clock.
fn taken_at(sample: &Sample) -> i64 {
    sample.timestamp + sample.clock_offset_ms.expect("every sample has an offset")
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_clock_that_is_set_misplaces_no_sample() {
    // A server believes a clock that goes ahead at once, and one that stays behind only after a while: the agent knows.
    for set_by_ms in [60_000, -60_000] {
        let server = FakeServer::start().await;
        let dir = state_dir(None);
        let (clock, clock_set_by_ms) = clock_that_is_set();
        let agent = start_agent_with(clock, &server.url(), dir.path(), EVERY_SECOND);
        let mut peer = accept_at(&server, 0).await;
        let (seq, before) = receive_samples(&mut peer).await;
        peer.acknowledge(seq).await;
        assert_eq!(before[0].clock_offset_ms, Some(0));
        clock_set_by_ms.store(set_by_ms, Ordering::Relaxed);
        // It asks before it sends samples of the new time.
        while let Some(message) = peer.receive_message().await {
            assert!(!message.is_text() || !message.to_text().unwrap().contains("\"batch\""), "{message:?}");
        }
        let mut peer = accept_at(&server, -set_by_ms).await;
        let (_, after) = receive_samples(&mut peer).await;
        let now = Clock::system().now();
        for sample in &after {
            assert!((now - 30_000..=now).contains(&taken_at(sample)), "{} at {now}", taken_at(sample));
        }
        // The acknowledgement is lost, and another connection measures another offset.
        drop(peer);
        let mut peer = accept_at(&server, -set_by_ms + 123).await;
        let (mut again, mut missing) = (Vec::new(), after.clone());
        while !missing.is_empty() {
            let (seq, samples) = receive_samples(&mut peer).await;
            peer.acknowledge(seq).await;
            missing.retain(|sample| !samples.iter().any(|other| other.timestamp == sample.timestamp));
            again.extend(samples);
        }
        for sample in &after {
            let other = again.iter().find(|other| other.timestamp == sample.timestamp).unwrap();
            assert_eq!(other.clock_offset_ms, sample.clock_offset_ms, "at every try the same");
        }
        agent.stop().await;
    }
}

#[tokio::test]
async fn samples_taken_before_the_first_acknowledgement_have_one_offset_at_every_try() {
    let server = FakeServer::start().await;
    let dir = state_dir(None);
    let agent = start_agent(&server, dir.path(), EVERY_SECOND);
    let mut peer = server.accept().await;
    peer.receive().await;
    samples_taken(dir.path(), 2).await;
    peer.send(&register_ack_at(None, -5_000)).await;
    let (_, first) = receive_samples(&mut peer).await;
    assert_eq!(first[0].clock_offset_ms, Some(-5_000));
    drop(peer);
    agent.stop().await;

    let agent = start_agent(&server, dir.path(), EVERY_SECOND);
    let mut peer = accept_at(&server, -7_000).await;
    let again = loop {
        let (seq, samples) = receive_samples(&mut peer).await;
        peer.acknowledge(seq).await;
        if let Some(again) = samples.into_iter().find(|sample| sample.timestamp == first[0].timestamp) {
            break again;
        }
    };
    assert_eq!(again.clock_offset_ms, Some(-5_000));
    agent.stop().await;
}

#[tokio::test]
async fn enrolling_tells_the_offset_of_the_first_samples() {
    let server = FakeServer::start().await;
    let dir = state_dir(None);
    let mut command = Command::new(env!("CARGO_BIN_EXE_pika-agent"));
    command.args(["enroll", "--server", &server.url(), "--state-dir"]).arg(dir.path());
    command.env("PIKA_ENROLLMENT_TOKEN", "token").stdout(Stdio::null()).stderr(Stdio::null());
    let enrollment = tokio::task::spawn_blocking(move || command.status().unwrap());
    let mut peer = accept_at(&server, -5_000).await;
    while peer.receive_message().await.is_some() {}
    assert!(within("the enrollment", enrollment).await.unwrap().success());

    // The server is unavailable, and measures another offset when it is back.
    let agent = start_agent(&server, dir.path(), EVERY_SECOND);
    let mut peer = server.accept().await;
    peer.receive().await;
    samples_taken(dir.path(), 1).await;
    peer.send(&register_ack_at(None, -7_000)).await;
    assert_eq!(receive_samples(&mut peer).await.1[0].clock_offset_ms, Some(-5_000));
    agent.stop().await;
}
