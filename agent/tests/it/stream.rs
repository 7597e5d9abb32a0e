//! Samples on their way: acknowledged, sent again, paced; and a server that misbehaves.

use pika_protocol::limits::FRAME_BYTES_MAX;
use pika_protocol::message::{AgentConfig, Refusal};
use pika_protocol::{AgentMessage, ErrorCode, Sample, ServerMessage};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::support::*;

const EVERY_SECOND: &str = "interval_ms: 1000\n";

/// One sample at the start, then none.
const ONE_SAMPLE: &str = "interval_ms: 3600000\n";

async fn receive_sample(peer: &mut Peer) -> Sample {
    loop {
        let frame = peer.receive().await;
        if let AgentMessage::Batch(mut batch) = frame.message {
            peer.acknowledge(frame.seq.unwrap()).await;
            return batch.samples.remove(0);
        }
    }
}

#[tokio::test]
async fn samples_hold_every_family_and_come_one_a_frame() {
    let server = FakeServer::start().await;
    let dir = state_dir(None);
    let agent = start_agent(&server, dir.path(), EVERY_SECOND);
    let mut peer = server.accept_registered().await;
    let mut last_seq = 0;
    for _ in 0..2 {
        let frame = peer.receive().await;
        let seq = frame.seq.unwrap();
        assert!(last_seq < seq && frame.timestamp.is_some());
        last_seq = seq;
        let AgentMessage::Batch(batch) = frame.message else { panic!("expected a batch") };
        assert_eq!(batch.samples.len(), 1);
        assert!(batch.samples[0].memory.is_some() && batch.samples[0].cpu.is_some());
        peer.acknowledge(seq).await;
    }
    agent.stop().await;
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again_on_the_next_connection() {
    let server = FakeServer::start().await;
    let dir = state_dir(None);
    let agent = start_agent(&server, dir.path(), EVERY_SECOND);
    let mut peer = server.accept_registered().await;
    let (acknowledged_seq, acknowledged) = peer.receive_batch().await;
    peer.acknowledge(acknowledged_seq).await;
    let (seq_2, open_2) = peer.receive_batch().await;
    let (seq_3, open_3) = peer.receive_batch().await;
    drop(peer);

    let mut peer = server.accept_registered().await;
    let expected = [open_2, open_3].concat();
    let (seq, mut found) = peer.receive_batch().await;
    assert!(seq_2 < seq && seq_3 < seq, "frame numbers grow");
    peer.acknowledge(seq).await;
    let missing: Vec<i64> = expected.into_iter().filter(|timestamp| !found.contains(timestamp)).collect();
    found.extend(peer.receive_until(&missing).await);
    assert!(!found.contains(&acknowledged[0]), "what was acknowledged does not come again");
    let mut unique = found.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), found.len(), "nothing comes twice on one connection");
    agent.stop().await;
}

#[tokio::test]
async fn samples_taken_while_nobody_listens_arrive_later() {
    let server = FakeServer::start().await;
    let dir = state_dir(None);
    let agent = start_agent(&server, dir.path(), EVERY_SECOND);
    // Every attempt fails in another place; samples go on being taken meanwhile.
    drop(server.accept_tcp().await);
    drop(server.accept().await);
    let mut peer = server.accept().await;
    peer.receive().await;
    tokio::select! {
        () = samples_taken(dir.path(), 3) => {}
        frame = peer.receive() => panic!("nothing may come before `register` is answered: {frame:?}"),
    }
    peer.send(&register_ack(None)).await;
    let (seq, newest) = peer.receive_batch().await;
    peer.acknowledge(seq).await;
    let (seq, older) = peer.receive_batch().await;
    peer.acknowledge(seq).await;
    assert!(2 <= older.len(), "{older:?}");
    assert_eq!(newest.len(), 1, "the newest comes first");
    assert!(older.iter().all(|timestamp| *timestamp < newest[0]), "{older:?} before {newest:?}");
    agent.stop().await;
}

#[tokio::test]
async fn the_server_can_set_interval_and_clock_offset_within_bounds() {
    let server = FakeServer::start().await;
    let dir = state_dir(None);
    let agent = start_agent(&server, dir.path(), ONE_SAMPLE);
    let mut peer = server.accept_registered().await;
    assert!(matches!(receive_sample(&mut peer).await.clock_offset_ms, None | Some(0)));
    // One millisecond would be an attack; a second is the least.
    let config = AgentConfig { interval_ms: Some(1), clock_offset_ms: Some(-4_711) };
    peer.send(&ServerMessage::Config(config)).await;
    let first = receive_sample(&mut peer).await;
    let second = receive_sample(&mut peer).await;
    assert_eq!(first.clock_offset_ms, Some(-4_711));
    assert!(800 <= second.timestamp - first.timestamp, "{} then {}", first.timestamp, second.timestamp);
    agent.stop().await;

    // Both runs of one agent: the offset is remembered while the server cannot be asked.
    let agent = start_agent(&server, dir.path(), ONE_SAMPLE);
    let mut peer = server.accept().await;
    peer.receive().await;
    samples_taken(dir.path(), 1).await;
    peer.send(&register_ack(None)).await;
    assert_eq!(receive_sample(&mut peer).await.clock_offset_ms, Some(-4_711));
    agent.stop().await;
}

#[tokio::test]
async fn what_is_not_of_the_protocol_is_ignored() {
    let server = FakeServer::start().await;
    let dir = state_dir(None);
    let agent = start_agent(&server, dir.path(), EVERY_SECOND);
    let mut peer = server.accept_registered().await;
    let deep = "[".repeat(100_000);
    for text in [
        "",
        "null",
        "[]",
        "{}",
        "not json",
        r#"{"type":"command","data":{"id":"1","type":"exec","args":"reboot"}}"#,
        r#"{"type":"uninstall","data":{}}"#,
        r#"{"type":"ack","data":{"seq":-1}}"#,
        r#"{"type":"ack","data":{"seq":18446744073709551615}}"#,
        r#"{"type":"config","data":{"intervalMs":"fast"}}"#,
        r#"{"type":"config","data":{}}"#,
        &deep,
    ] {
        peer.send_raw(Message::text(text)).await;
    }
    peer.send_raw(Message::binary(vec![0; 1_000])).await;
    peer.send_raw(Message::Ping(b"are you there".to_vec().into())).await;
    peer.send(&register_ack(Some("another secret"))).await;
    let refusal = Refusal { code: ErrorCode::OutOfRange, message: "x\n".repeat(500), seq: Some(1) };
    peer.send(&ServerMessage::Error(refusal)).await;
    loop {
        match peer.receive_message().await.expect("the connection is still open") {
            Message::Pong(payload) => {
                assert_eq!(payload.as_ref(), b"are you there");
                break;
            }
            _ => continue,
        }
    }
    receive_sample(&mut peer).await;
    receive_sample(&mut peer).await;

    // A frame above the limit costs the connection, and only that.
    let too_large = Message::text("x".repeat(FRAME_BYTES_MAX + 1));
    let sent = futures_util::SinkExt::send(&mut peer.socket, too_large).await;
    drop((sent, peer));
    receive_sample(&mut server.accept_registered().await).await;
    agent.stop().await;
}

#[tokio::test]
async fn an_idle_agent_shows_that_it_is_alive() {
    let server = FakeServer::start().await;
    let dir = state_dir(None);
    let yaml = format!("{ONE_SAMPLE}heartbeat_interval_ms: 1000\n");
    let agent = start_agent(&server, dir.path(), &yaml);
    let mut peer = server.accept_registered().await;
    receive_sample(&mut peer).await;
    let mut heartbeats = 0;
    let mut pings = 0;
    while heartbeats < 2 || pings < 1 {
        match peer.receive_message().await.expect("the connection is still open") {
            Message::Text(text) => {
                assert!(text.contains(r#""type":"heartbeat","data":{}"#), "{text}");
                heartbeats += 1;
            }
            Message::Ping(_) => pings += 1,
            other => panic!("unexpected {other:?}"),
        }
    }
    agent.stop().await;
}

#[tokio::test]
async fn a_server_that_is_silent_is_left() {
    let server = FakeServer::start().await;
    let dir = state_dir(None);
    let yaml = format!("{ONE_SAMPLE}heartbeat_interval_ms: 1000\n");
    let agent = start_agent(&server, dir.path(), &yaml);
    // The socket stays open, but nobody reads it, so no ping is answered.
    let silent = server.accept_registered().await;
    let mut peer = server.accept_registered().await;
    receive_sample(&mut peer).await;
    drop(silent);
    agent.stop().await;
}

#[tokio::test]
async fn stopping_waits_for_acknowledgements_and_closes_the_connection() {
    let server = FakeServer::start().await;
    let dir = state_dir(None);
    let agent = start_agent(&server, dir.path(), EVERY_SECOND);
    let mut peer = server.accept_registered().await;
    let (seq, _) = peer.receive_batch().await;
    agent.shutdown.cancel();
    assert!(!agent.task.is_finished());
    peer.acknowledge(seq).await;
    let close = loop {
        match peer.receive_message().await {
            Some(Message::Close(frame)) => break frame.unwrap(),
            Some(_) => {}
            None => panic!("no close frame"),
        }
    };
    assert_eq!(close.code, CloseCode::Normal);
    while peer.receive_message().await.is_some() {}
    agent.stop().await;
}

#[tokio::test]
async fn stopping_does_not_wait_forever() {
    let server = FakeServer::start().await;
    let dir = state_dir(None);
    let agent = start_agent(&server, dir.path(), EVERY_SECOND);
    let mut peer = server.accept_registered().await;
    let (_, open) = peer.receive_batch().await;
    agent.stop().await;
    drop(peer);

    let agent = start_agent(&server, dir.path(), EVERY_SECOND);
    let mut peer = server.accept_registered().await;
    peer.receive_until(&open).await;
    agent.stop().await;
}
