//! From the socket to the tables: what is stored, refused and acknowledged.

use pika_protocol::{ErrorCode, limits};
use serde_json::{Value, json};

use crate::support::client::{batch, now, sample};
use crate::support::server::config;
use crate::support::{AgentClient, TestDatabase, TestServer, eventually, on_both_editions, register_message};

on_both_editions!(
    an_acknowledged_sample_is_in_the_tables,
    messages_of_the_original_pika_are_stored,
    gaps_of_an_agent_can_be_listed,
);

async fn gaps_of_an_agent_can_be_listed(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (mut agent, id, _) = server.enroll("web-1").await;
    let end = now() - 1_000;
    let gap = |start: i64, samples: i64| json!({"start": start, "end": end, "samples": samples, "reason": "spool_full"});
    let frame = |seq: u64, gap: Value| json!({"type": "gap", "seq": seq, "timestamp": now(), "data": gap});
    agent.send(&frame(1, gap(end - 60_000, 12))).await;
    assert_eq!(agent.receive_type("ack").await["data"]["seq"], 1);
    // The acknowledgement was lost, so it is sent again.
    agent.send(&frame(2, gap(end - 60_000, 12))).await;
    assert_eq!(agent.receive_type("ack").await["data"]["seq"], 2);
    agent.send(&frame(3, gap(end - 60_000, 0))).await;
    assert_eq!(agent.receive_type("error").await["data"]["code"], "out_of_range");
    assert_eq!(agent.receive_type("ack").await["data"]["seq"], 3, "it need not come again");

    let path = format!("/api/agents/{id}/gaps");
    let gaps = server.get(&path).await.body["items"].clone();
    assert_eq!(gaps.as_array().unwrap().len(), 1, "{gaps}");
    assert_eq!((&gaps[0]["start"], &gaps[0]["end"]), (&json!(end - 60_000), &json!(end)));
    assert_eq!((&gaps[0]["samples"], &gaps[0]["reason"]), (&json!(12), &json!("spool_full")));
    assert_eq!(server.get(&format!("{path}?start={}", end + 1)).await.body["items"], json!([]));
    assert_eq!(server.get(&format!("{path}?end={}", end - 60_000)).await.body["items"], json!([]));

    for n in 0..1_002 {
        agent.send(&frame(4 + n, gap(end - 100_000 - i64::try_from(n).unwrap(), 1))).await;
        agent.receive_type("ack").await;
    }
    let kept = "SELECT count(*) FROM sample_gaps";
    assert_eq!(database.count(kept).await, 1_000, "an agent cannot fill the database with them");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_agent_that_is_too_fast_is_slowed_down_and_loses_nothing() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    config.ingest.samples_per_second_max = 20;
    let server = TestServer::start_with(config).await;
    let (mut agent, _, _) = server.enroll("web-1").await;
    let ts = now() - 60_000;
    for seq in 0..4 {
        let samples: Vec<_> = (0..10).map(|n| sample(ts + 1_000 * (10 * seq + n))).collect();
        agent.send(&batch(u64::try_from(seq).unwrap(), json!(samples))).await;
    }
    let told = agent.receive_type("error").await;
    assert_eq!(told["data"]["code"], "too_fast");
    assert!(told["data"]["seq"].is_null(), "nothing is refused: {told}");
    eventually("all of it is stored", || async {
        (database.count("SELECT count(*) FROM cpu_metrics").await == 40).then_some(())
    })
    .await;
    assert!(1 <= server.instruments.refused(ErrorCode::TooFast));
    server.stop().await.unwrap();
}

async fn an_acknowledged_sample_is_in_the_tables(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (mut agent, id, _) = server.enroll("web-1").await;
    let ts = now();
    agent.store(7, json!([sample(ts - 5_000), sample(ts)])).await;
    let expected = [
        ("cpu_metrics", 2),
        ("memory_metrics", 2),
        ("disk_metrics", 4),
        ("network_metrics", 2),
        ("load_metrics", 2),
    ];
    for (table, count) in expected {
        assert_eq!(database.count(&format!("SELECT count(*) FROM {table}")).await, count, "{table}");
    }
    let latest = server.get(&format!("/api/agents/{id}/metrics/latest")).await.body;
    assert_eq!(latest["cpu"]["timestamp"], ts);
    assert_eq!(latest["cpu"]["usagePercent"], 45.5);
    assert_eq!(latest["memory"]["usedBytes"], 400);
    assert_eq!(latest["disks"][1]["mountPoint"], "/data");
    assert_eq!(latest["networks"][0]["receivedBytesPerSecond"], 100.0);
    assert_eq!(latest["load"]["load5"], 0.25);
    server.stop().await.unwrap();
}

async fn messages_of_the_original_pika_are_stored(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (agent, id, secret) = server.enroll("placeholder").await;
    agent.close().await;
    // Verbatim from the original's README; only the credential is new.
    let mut agent = AgentClient::connect(&server.address, Some(&secret)).await;
    agent
        .send_text(
            r#"{
  "type": "register",
  "data": {
    "name": "探针名称",
    "hostname": "主机名",
    "ip": "192.168.1.100",
    "os": "linux",
    "arch": "amd64",
    "version": "1.0.0"
  }
}"#,
        )
        .await;
    agent.receive_type("register_ack").await;
    agent.send_text("{\n  \"type\": \"heartbeat\",\n  \"data\": {}\n}").await;
    let before = now();
    agent
        .send_text(
            r#"{
  "type": "metrics",
  "data": {
    "type": "cpu",
    "data": {
      "usagePercent": 45.5,
      "coreCount": 8
    }
  }
}"#,
        )
        .await;
    let latest = eventually("the sample is stored", || async {
        let latest = server.get(&format!("/api/agents/{id}/metrics/latest")).await.body;
        (!latest["cpu"].is_null()).then_some(latest)
    })
    .await;
    assert_eq!((&latest["cpu"]["usagePercent"], &latest["cpu"]["coreCount"]), (&json!(45.5), &json!(8)));
    let ts = latest["cpu"]["timestamp"].as_i64().unwrap();
    assert!((before..=now()).contains(&ts), "the server stamps the time");
    let known = server.get(&format!("/api/agents/{id}")).await.body;
    assert_eq!((&known["name"], &known["hostname"]), (&json!("探针名称"), &json!("主机名")));
    assert_eq!((&known["ip"], &known["remoteAddress"]), (&json!("192.168.1.100"), &json!("127.0.0.1")));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_replay_is_acknowledged_and_stored_once() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (mut agent, _, secret) = server.enroll("web-1").await;
    let samples = json!([sample(now())]);
    agent.store(1, samples.clone()).await;
    agent.close().await;
    let mut agent = server.reconnect("web-1", &secret).await;
    agent.store(1, samples).await;
    assert_eq!(database.count("SELECT count(*) FROM cpu_metrics").await, 1);
    assert_eq!(server.instruments.rows_duplicate(), 6);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn invalid_frames_are_refused_with_their_code_and_store_nothing() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (mut agent, ..) = server.enroll("web-1").await;
    let metrics = |data: Value| json!({"type": "metrics", "data": data}).to_string();
    let at = |timestamp: i64| {
        json!({"type": "batch", "timestamp": now(), "data": {"samples": [sample(timestamp)]}}).to_string()
    };
    let cases = [
        ("not JSON".to_owned(), ErrorCode::Malformed),
        ("{}".to_owned(), ErrorCode::Malformed),
        (
            r#"{"type":"metrics","data":{"type":"cpu","data":{"usagePercent":NaN,"coreCount":1}}}"#
                .to_owned(),
            ErrorCode::Malformed,
        ),
        (json!({"type": "exec", "data": {}}).to_string(), ErrorCode::UnknownType),
        (metrics(json!({"type": "gpu", "data": {}})), ErrorCode::UnknownType),
        (metrics(json!({"type": "cpu", "data": {"coreCount": 8}})), ErrorCode::InvalidField),
        (
            metrics(json!({"type": "cpu", "data": {"usagePercent": "45", "coreCount": 8}})),
            ErrorCode::InvalidField,
        ),
        (
            metrics(json!({"type": "cpu", "data": {"usagePercent": 100.5, "coreCount": 8}})),
            ErrorCode::OutOfRange,
        ),
        (
            metrics(json!({"type": "cpu", "data": {"usagePercent": -1, "coreCount": 8}})),
            ErrorCode::OutOfRange,
        ),
        (
            metrics(json!({"type": "cpu", "data": {"usagePercent": 1e39, "coreCount": 8}})),
            ErrorCode::OutOfRange,
        ),
        (
            metrics(
                json!({"type": "memory", "data": {"total": -1, "used": 0, "free": 0, "usagePercent": 0}}),
            ),
            ErrorCode::OutOfRange,
        ),
        (
            metrics(
                json!({"type": "disk", "data": {"mountPoint": "", "total": 1, "used": 0, "free": 0, "usagePercent": 0}}),
            ),
            ErrorCode::OutOfRange,
        ),
        (
            metrics(
                json!({"type": "disk", "data": {"mountPoint": "/a\u{0}b", "total": 1, "used": 0, "free": 0, "usagePercent": 0}}),
            ),
            ErrorCode::OutOfRange,
        ),
        (
            metrics(json!({"type": "load", "data": {"load1": -0.5, "load5": 0, "load15": 0}})),
            ErrorCode::OutOfRange,
        ),
        (at(now() + limits::FUTURE_MS_MAX + 60_000), ErrorCode::TimestampInFuture),
        (at(now() - 25 * 60 * 60 * 1000), ErrorCode::TimestampTooOld),
        (at(i64::MAX), ErrorCode::TimestampInFuture),
        (register_message("again", None).to_string(), ErrorCode::AlreadyRegistered),
    ];
    for (text, code) in cases {
        let before = server.instruments.refused(code);
        agent.send_text(&text).await;
        let error = agent.receive_type("error").await;
        assert_eq!(error["data"]["code"], code.as_str(), "{text}: {error}");
        assert_eq!(server.instruments.refused(code), before + 1, "{text}");
    }
    agent.send_binary(vec![1, 2, 3]).await;
    assert_eq!(agent.receive_type("error").await["data"]["code"], "binary_frame");
    // The connection has survived all of it, and valid samples are still stored.
    agent.store(1, json!([sample(now())])).await;
    for table in ["cpu_metrics", "memory_metrics", "load_metrics", "network_metrics"] {
        assert_eq!(database.count(&format!("SELECT count(*) FROM {table}")).await, 1, "{table}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn valid_samples_beside_invalid_ones_are_stored() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (mut agent, ..) = server.enroll("web-1").await;
    let ts = now();
    let mut bad = sample(ts);
    bad["cpu"]["usagePercent"] = json!(250);
    bad["disks"][1]["total"] = json!("large");
    let future = sample(ts + 3_600_000);
    agent.send(&batch(5, json!([bad, future, sample(ts - 5_000)]))).await;
    let mut codes = Vec::new();
    loop {
        let message = agent.receive().await.unwrap();
        if message["type"] == "ack" {
            break;
        }
        assert_eq!(message["data"]["seq"], 5);
        codes.push(message["data"]["code"].as_str().unwrap().to_owned());
    }
    codes.sort();
    assert_eq!(codes, ["invalid_field", "out_of_range", "timestamp_in_future"]);
    assert_eq!(database.count("SELECT count(*) FROM cpu_metrics").await, 1);
    assert_eq!(database.count("SELECT count(*) FROM memory_metrics").await, 2);
    assert_eq!(database.count("SELECT count(*) FROM disk_metrics").await, 3);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_frame_that_is_too_large_costs_its_connection_and_no_other() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (mut agent, ..) = server.enroll("web-1").await;
    let (mut other, ..) = server.enroll("web-2").await;
    agent.try_send_text(&"x".repeat(limits::FRAME_BYTES_MAX + 1)).await;
    assert_eq!(agent.receive_type("error").await["data"]["code"], "frame_too_large");
    assert_eq!(agent.closed().await, Some(1009));
    assert_eq!(server.instruments.refused(ErrorCode::FrameTooLarge), 1);
    other.store(1, json!([sample(now())])).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn nobody_registers_without_a_valid_token() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let used_up = server.enrollment_token(1).await;
    let mut first = AgentClient::connect(&server.address, None).await;
    first.send(&register_message("web-1", Some(&used_up))).await;
    first.receive_type("register_ack").await;
    for token in [
        None,
        Some(""),
        Some("pika_enroll_unknown"),
        Some("pika_agent_unknown"),
        Some(used_up.as_str()),
        Some(server.admin_token.as_str()),
    ] {
        let mut agent = AgentClient::connect(&server.address, None).await;
        agent.send(&register_message("intruder", token)).await;
        let error = agent.receive().await.unwrap();
        assert_eq!(
            (&error["type"], &error["data"]["code"]),
            (&json!("register_error"), &json!("unauthorized"))
        );
        assert_eq!(agent.closed().await, Some(1008));
    }
    assert_eq!(database.count("SELECT count(*) FROM agents").await, 1);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_enrollment_whose_answer_was_lost_is_repeated_without_a_second_use() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let token = server.enrollment_token(1).await;
    let mut register = register_message("web-1", Some(&token));
    register["data"]["secret"] = json!("pika_agent_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut agent = AgentClient::connect(&server.address, None).await;
        agent.send(&register).await;
        let ack = agent.receive_type("register_ack").await;
        assert_eq!(ack["data"].get("secret"), None, "the agent has it already");
        ids.push(ack["data"]["agentId"].clone());
    }
    assert_eq!(ids[0], ids[1]);
    assert_eq!(database.count("SELECT count(*) FROM agents").await, 1);
    register["data"]["secret"] = json!("pika_agent_guessable");
    let mut agent = AgentClient::connect(&server.address, None).await;
    agent.send(&register).await;
    assert_eq!(agent.receive_type("register_error").await["data"]["code"], "invalid_field");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn nothing_counts_before_register() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let mut agent = AgentClient::connect(&server.address, None).await;
    agent.send(&batch(1, json!([sample(now())]))).await;
    assert_eq!(agent.receive_type("error").await["data"]["code"], "not_registered");
    let token = server.enrollment_token(1).await;
    agent.send(&register_message("web-1", Some(&token))).await;
    agent.receive_type("register_ack").await;
    agent.store(1, json!([sample(now())])).await;
    assert_eq!(database.count("SELECT count(*) FROM cpu_metrics").await, 1);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_agent_that_does_not_register_in_time_is_disconnected() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    config.ingest.register_timeout_ms = 50;
    let server = TestServer::start_with(config).await;
    let mut silent = AgentClient::connect(&server.address, None).await;
    assert_eq!(silent.closed().await, Some(1008));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_wrong_clock_is_measured_reported_and_corrected() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let token = server.enrollment_token(1).await;
    let slow_ms = 600_000;
    let mut register = register_message("web-1", Some(&token));
    register["timestamp"] = json!(now() - slow_ms);
    let mut agent = AgentClient::connect(&server.address, None).await;
    agent.send(&register).await;
    let ack = agent.receive_type("register_ack").await;
    let told_ms = ack["data"]["clockOffsetMs"].as_i64().unwrap();
    assert!((slow_ms..slow_ms + 60_000).contains(&told_ms), "{told_ms}");
    let id = ack["data"]["agentId"].as_str().unwrap();
    assert_eq!(server.get(&format!("/api/agents/{id}")).await.body["clockOffsetMs"], told_ms);
    let taken_at = now() - slow_ms;
    let mut corrected = sample(taken_at);
    corrected["clockOffsetMs"] = json!(told_ms);
    agent.store(1, json!([corrected])).await;
    let stored = database.count("SELECT ts FROM cpu_metrics").await;
    assert_eq!(stored, taken_at + told_ms);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_clock_that_is_set_is_measured_again_and_costs_no_sample() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    // So that it is recorded soon.
    config.ingest.idle_timeout_ms = 9_000;
    let server = TestServer::start_with(config).await;
    let (mut agent, id, _) = server.enroll("web-1").await;
    let ahead_ms = 3_600_000;
    let at = |timestamp: i64, clock_offset_ms: i64| {
        let mut sample = sample(timestamp);
        sample["clockOffsetMs"] = json!(clock_offset_ms);
        sample
    };
    let taken_at = now();
    // The agent's clock was set an hour ahead without the agent noticing.
    let mut frame = batch(1, json!([at(taken_at - 5_000, 0), at(taken_at + ahead_ms, 0)]));
    frame["timestamp"] = json!(taken_at + ahead_ms);
    agent.send(&frame).await;
    let config = agent.receive_type("config").await;
    let told_ms = config["data"]["clockOffsetMs"].as_i64().unwrap();
    assert!((-ahead_ms..-ahead_ms + 60_000).contains(&told_ms), "{told_ms}");
    assert_eq!(agent.receive_type("ack").await["data"]["seq"], 1);
    let stored = database.count("SELECT max(ts) FROM cpu_metrics").await;
    assert_eq!(stored, taken_at + ahead_ms + told_ms);
    assert_eq!(database.count("SELECT min(ts) FROM cpu_metrics").await, taken_at - 5_000);
    let told = eventually("the API tells", || async {
        let known = server.get(&format!("/api/agents/{id}")).await.body;
        (known["clockOffsetMs"] == told_ms).then_some(())
    });
    tokio::select! {
        () = told => {}
        // Being polled, it answers pings.
        message = agent.receive() => panic!("{message:?}"),
    }
    assert_eq!(server.instruments.refused(ErrorCode::TimestampInFuture), 0);
    server.stop().await.unwrap();
}

/// By less than a sample may be ahead: nothing would be refused, and the sample would lie in the future.
#[tokio::test]
async fn a_clock_that_is_set_a_little_misplaces_no_sample() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (mut agent, _, _) = server.enroll("web-1").await;
    let ahead_ms = 60_000;
    let taken_at = now();
    let [mut before, mut after] = [sample(taken_at - 5_000), sample(taken_at + ahead_ms)];
    for sample in [&mut before, &mut after] {
        sample["clockOffsetMs"] = json!(0);
    }
    let mut frame = batch(1, json!([before, after]));
    frame["timestamp"] = json!(taken_at + ahead_ms);
    agent.send(&frame).await;
    let config = agent.receive_type("config").await;
    let told_ms = config["data"]["clockOffsetMs"].as_i64().unwrap();
    assert_eq!(agent.receive_type("ack").await["data"]["seq"], 1);
    assert_eq!(database.count("SELECT min(ts) FROM cpu_metrics").await, taken_at - 5_000);
    assert_eq!(database.count("SELECT max(ts) FROM cpu_metrics").await, taken_at + ahead_ms + told_ms);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_replay_over_another_connection_is_stored_at_the_same_time() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (mut agent, _, secret) = server.enroll("web-1").await;
    let mut taken = sample(now());
    taken["clockOffsetMs"] = json!(0);
    agent.store(1, json!([taken])).await;
    agent.close().await;
    // The clock was set in the meantime; the sample was taken before that.
    let mut agent = AgentClient::connect(&server.address, Some(&secret)).await;
    let mut register = register_message("web-1", None);
    register["timestamp"] = json!(now() - 600_000);
    agent.send(&register).await;
    agent.receive_type("register_ack").await;
    agent.store(2, json!([taken])).await;
    assert_eq!(database.count("SELECT count(*) FROM cpu_metrics").await, 1);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_agent_that_invents_names_is_stopped_over_all_its_connections() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (mut agent, _, secret) = server.enroll("web-1").await;
    let samples = |from: usize| {
        let network =
            |n: usize| json!({"interface": format!("veth{n}"), "bytesRecvTotal": 1, "bytesSentTotal": 1});
        let sample = |n: usize| {
            let networks: Vec<Value> = (n..n + 100).map(network).collect();
            json!({"timestamp": now() - i64::try_from(n).unwrap(), "networks": networks})
        };
        json!((from..from + 600).step_by(100).map(sample).collect::<Vec<_>>())
    };
    agent.store(1, samples(0)).await;
    agent.close().await;
    let mut agent = server.reconnect("web-1", &secret).await;
    agent.send(&batch(2, samples(600))).await;
    assert_eq!(agent.receive_type("error").await["data"]["code"], "too_many");
    agent.receive_type("ack").await;
    assert_eq!(database.count("SELECT count(*) FROM network_interfaces").await, 1_024);
    // Names known before continue to work.
    agent.store(3, samples(0)).await;
    assert_eq!(server.instruments.refused(ErrorCode::TooMany), 1);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn new_names_of_a_deleted_agent_do_not_hold_its_connection_up() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (mut agent, ..) = server.enroll("web-1").await;
    database.connect().await.batch_execute("DELETE FROM agents").await.unwrap();
    agent.send(&batch(1, json!([sample(now())]))).await;
    while agent.receive_type("error").await["data"]["code"] != "unauthorized" {}
    assert_eq!(server.instruments.refused(ErrorCode::TooMany), 2, "disks and interfaces");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_long_mount_point_is_refused_and_the_rest_stored() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (mut agent, ..) = server.enroll("web-1").await;
    let mut taken = sample(now());
    // Random, so that the database cannot compress it; 1,000 characters, 4,000 bytes.
    let name: String =
        (0..1_000_u32).map(|n| char::from_u32(0x20000 + n * 7_919 % 40_000).unwrap()).collect();
    taken["disks"][1]["mountPoint"] = json!(name);
    agent.store(1, json!([taken])).await;
    assert_eq!(database.count("SELECT count(*) FROM disk_metrics").await, 1);
    assert_eq!(database.count("SELECT count(*) FROM cpu_metrics").await, 1);
    assert_eq!(server.instruments.refused(ErrorCode::OutOfRange), 1);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn frames_sent_before_the_answer_to_register_are_not_lost() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let token = server.enrollment_token(1).await;
    let mut agent = AgentClient::connect(&server.address, None).await;
    agent.send(&register_message("web-1", Some(&token))).await;
    agent.send(&batch(1, json!([sample(now())]))).await;
    agent.send(&batch(2, json!([sample(now() - 5_000)]))).await;
    agent.receive_type("register_ack").await;
    assert_eq!(agent.receive_type("ack").await["data"]["seq"], 1);
    assert_eq!(agent.receive_type("ack").await["data"]["seq"], 2);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_stop_stores_and_acknowledges_frames_in_flight() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    config.ingest.flush_interval_ms = 500;
    let server = TestServer::start_with(config).await;
    let (mut agent, ..) = server.enroll("web-1").await;
    for seq in 1..=5 {
        agent.send(&batch(seq, json!([sample(now() - i64::try_from(seq).unwrap() * 1_000)]))).await;
    }
    // The heartbeat's acknowledgement shows that all frames before it have been read.
    agent.send(&json!({"type": "heartbeat", "seq": 6, "data": {}})).await;
    let mut acked = Vec::new();
    while !acked.contains(&6) {
        acked.push(agent.receive_type("ack").await["data"]["seq"].as_i64().unwrap());
    }
    server.begin_stop();
    while acked.len() < 6 {
        acked.push(agent.receive_type("ack").await["data"]["seq"].as_i64().unwrap());
    }
    assert_eq!(agent.closed().await, Some(1001));
    server.ended().await.unwrap();
    assert_eq!(database.count("SELECT count(*) FROM cpu_metrics").await, 5);
}

#[tokio::test]
async fn late_samples_are_stored_too() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (mut agent, ..) = server.enroll("web-1").await;
    let hour_ms = 3_600_000;
    agent.store(1, json!([sample(now() - 23 * hour_ms), sample(now())])).await;
    assert_eq!(database.count("SELECT count(*) FROM cpu_metrics").await, 2);
    server.stop().await.unwrap();
}
