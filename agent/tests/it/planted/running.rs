//! The agent itself, run by root in the directory of its user.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::process::{Command, Stdio};

use super::*;
use crate::process::Process;

#[tokio::test]
async fn a_running_agent_follows_no_planted_link() {
    for names in [
        &["spool/lock"][..],
        &["spool/cursor"],
        &["spool/00000000000000000001.seg"],
        &["state.json", "gaps.json"],
        &["state.tmp", "gaps.tmp", "identity.tmp"],
    ] {
        let server = FakeServer::start().await;
        let scene = Scene::new(&server.url());
        for name in names {
            scene.plant_link(name);
        }
        report_samples(&server, &scene).await;
        scene.assert_treasure_is_untouched();
    }
}

#[tokio::test]
async fn a_running_agent_writes_to_no_file_that_has_another_name_elsewhere() {
    for name in ["spool/lock", "spool/cursor", "spool/00000000000000000001.seg"] {
        let server = FakeServer::start().await;
        let scene = Scene::new(&server.url());
        fs::hard_link(&scene.treasure, scene.state.join(name)).unwrap();
        report_samples(&server, &scene).await;
        scene.assert_treasure_is_untouched();
    }
}

#[tokio::test]
async fn a_spool_that_is_a_link_to_elsewhere_is_not_used() {
    let server = FakeServer::start().await;
    let scene = Scene::new(&server.url());
    let elsewhere = scene.treasure.with_extension("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::remove_dir(scene.state.join("spool")).unwrap();
    symlink(&elsewhere, scene.state.join("spool")).unwrap();
    give(&scene.state.join("spool"));
    report_samples(&server, &scene).await;
    if is_root() {
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0, "samples wait in memory");
    }
}

#[tokio::test]
async fn pipes_and_devices_in_the_spool_hang_nothing() {
    let server = FakeServer::start().await;
    let scene = Scene::new(&server.url());
    let spool = scene.state.join("spool");
    make_pipe(&spool.join("00000000000000000001.seg"));
    make_pipe(&spool.join("00000000000000000007.seg"));
    make_pipe(&spool.join("cursor"));
    make_pipe(&scene.state.join("state.json"));
    make_pipe(&scene.state.join("gaps.json"));
    // /dev/zero, where the system lets root make it: a file without an end.
    let device = spool.join("00000000000000000009.seg");
    let made = Command::new("mknod").arg(&device).args(["c", "1", "5"]).stderr(Stdio::null()).status();
    assert_eq!(made.is_ok_and(|status| status.success()), device.exists());
    report_samples(&server, &scene).await;
}

#[tokio::test]
async fn what_root_writes_for_the_agent_belongs_to_the_agent() {
    let server = FakeServer::start().await;
    let scene = Scene::new(&server.url());
    report_samples(&server, &scene).await;
    let files = tree(&scene.state);
    assert!(
        files.iter().any(|(path, _)| path.extension().is_some_and(|extension| extension == "seg")),
        "{files:?}"
    );
    for (path, _) in files {
        assert!(!is_root() || fs::metadata(&path).unwrap().uid() == USER, "{}", path.display());
    }
}

/// Runs the agent as whoever runs the test, until it has stopped on its own after some samples.
async fn report_samples(server: &FakeServer, scene: &Scene) {
    let process = Process::start(&scene.state);
    let mut peer = server.accept_registered().await;
    for _ in 0..2 {
        let (seq, _) = peer.receive_batch().await;
        peer.acknowledge(seq).await;
    }
    process.signal("-TERM");
    while let Some(message) = peer.receive_message().await {
        if let tokio_tungstenite::tungstenite::Message::Text(text) = message {
            let frame: pika_protocol::AgentFrame = serde_json::from_str(&text).unwrap();
            if let Some(seq) = frame.seq {
                peer.acknowledge(seq).await;
            }
        }
    }
    assert!(process.end().await.success());
}
