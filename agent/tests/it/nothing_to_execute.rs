//! The agent cannot be told to execute anything: there is no message for it, and no code.

use std::fs;
use std::path::{Path, PathBuf};

use pika_protocol::ServerMessage;

/// Adding a message that a server can send makes this fail to compile: read the documentation of
/// [`ServerMessage`] before you change it.
fn what_it_can_do(message: &ServerMessage) -> &'static str {
    match message {
        ServerMessage::RegisterAck(_) => "let the agent in, and tell it its clock offset",
        ServerMessage::RegisterError(_) => "refuse the agent",
        ServerMessage::Ack(_) => "make the agent forget samples of one frame",
        ServerMessage::Error(_) => "make the agent log a line now and then",
        ServerMessage::Config(_) => "set the interval, within bounds, and the clock offset",
    }
}

#[test]
fn there_is_no_message_for_it() {
    assert!(what_it_can_do(&crate::support::register_ack(None)).contains("clock"));
    for text in [
        r#"{"type":"command","data":{"id":"1","type":"exec","args":"reboot"}}"#,
        r#"{"type":"uninstall","data":{}}"#,
        r#"{"type":"update","data":{"url":"https://evil.example"}}"#,
        r#"{"type":"exec","data":"reboot"}"#,
    ] {
        assert!(serde_json::from_str::<ServerMessage>(text).is_err(), "{text}");
    }
}

#[test]
fn there_is_no_code_for_it() {
    let agent = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in [agent.join("src"), agent.join("protocol/src")] {
        collect_sources(&folder, &mut files);
    }
    assert!(20 < files.len(), "the sources were found: {}", files.len());
    // Spaces are taken out, so that no formatting hides a path.
    let forbidden = [
        "process::Command",
        "process::{",
        "process::*",
        "usestd::process;",
        "std::processas",
        "CommandExt",
        "os::unix::process",
        "tokio::process",
        "libloading",
        "libc::",
        "execve",
        "posix_spawn",
        "rustix::process",
        "rustix::runtime",
        "unsafe{",
    ];
    for path in &files {
        let text: String = fs::read_to_string(path).unwrap().split_whitespace().collect();
        for word in forbidden {
            assert!(!text.contains(word), "{} contains {word}", path.display());
        }
    }
}

#[test]
fn no_dependency_is_asked_for_it() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let text = fs::read_to_string(manifest).unwrap();
    let dependencies = text.split("[dev-dependencies]").next().unwrap();
    for word in ["\"process\"", "\"full\"", "libc", "nix", "duct", "libloading", "mlua", "wasmtime"] {
        assert!(!dependencies.contains(word), "Cargo.toml asks for {word}");
    }
}

fn collect_sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
