//! The server cannot make the agent execute anything: there is neither a message nor code for it.

use std::fs;
use std::path::{Path, PathBuf};

use pika_protocol::ServerMessage;

/// Adding a message that a server can send makes this fail to compile: read the documentation of
/// [`ServerMessage`] before you change it.
fn what_it_can_do(message: &ServerMessage) -> &'static str {
    match message {
        ServerMessage::RegisterAck(_) => "register the agent, and send it its clock offset",
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
    // Spaces are removed, so that formatting cannot hide a path.
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

/// Crates that start processes or load code, whatever their features.
const FORBIDDEN_CRATES: [&str; 16] = [
    "async-process",
    "cmd_lib",
    "command-group",
    "deno_core",
    "dlopen",
    "dlopen2",
    "duct",
    "exec",
    "libloading",
    "mlua",
    "nix",
    "portable-pty",
    "rhai",
    "self_update",
    "subprocess",
    "wasmtime",
];

/// Forbidden features of crates that are otherwise allowed.
const FORBIDDEN_FEATURES: [(&str, &[&str]); 3] = [
    ("rustix", &["all-apis", "process", "runtime", "pty"]),
    // `gpu` loads NVIDIA's library.
    ("sysinfo", &["user", "gpu"]),
    ("tokio", &["full", "process"]),
];

/// Returns name and features of every direct or indirect dependency of the agent.
fn dependencies() -> Vec<(String, Vec<String>)> {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--package", "pika-agent", "--edges", "normal", "--prefix", "none"])
        .args(["--format", "{p}|{f}", "--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let dependency = |line: &str| {
        let (package, features) = line.split_once('|').unwrap();
        let name = package.split(' ').next().unwrap().to_owned();
        // A crate that was listed before is marked with a star.
        let features = features.trim_end_matches(" (*)").split(',').filter(|feature| !feature.is_empty());
        (name, features.map(str::to_owned).collect())
    };
    text.lines().map(dependency).collect()
}

#[test]
fn no_dependency_does_it_however_deep() {
    let dependencies = dependencies();
    let has = |wanted: &str| dependencies.iter().any(|(name, _)| name == wanted);
    assert!(has("tokio") && has("rustix") && has("pika-protocol"), "the tree was read: {dependencies:?}");
    for (name, features) in &dependencies {
        assert!(!FORBIDDEN_CRATES.contains(&name.as_str()), "the agent depends on {name}");
        let forbidden = FORBIDDEN_FEATURES.iter().filter(|(of, _)| of == name).flat_map(|(_, words)| *words);
        for word in forbidden {
            assert!(!features.iter().any(|feature| feature == word), "{name} has the feature {word}");
        }
    }
}

/// The only files that make, open for writing, shorten, remove or rename anything, all of it in the state directory. The log
/// goes to standard error.
const WRITING_FILES: [&str; 3] = ["src/files/portable.rs", "src/files/unix.rs", "src/outbox/spool.rs"];

#[test]
fn few_files_of_the_source_write_at_all() {
    let agent = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in [agent.join("src"), agent.join("protocol/src")] {
        collect_sources(&folder, &mut files);
    }
    let mut writing = Vec::new();
    for path in &files {
        let text = fs::read_to_string(path).unwrap();
        // Tests come last, in their module or in files of their own.
        let code = text.split("#[cfg(test)]").next().unwrap();
        let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let words = [
            "fs::write",
            "fs::rename",
            "fs::remove",
            "fs::copy",
            "fs::create",
            "fs::hard_link",
            "fs::set_permissions",
            "symlink",
            "File::create",
            "File::options",
            "OpenOptions::new",
            "DirBuilder",
            "set_len",
            "openat",
            "mkdirat",
            "renameat",
            "unlinkat",
            "linkat",
            "chown",
        ];
        let is_test = path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests");
        if !is_test && code.iter().any(|line| words.iter().any(|word| line.contains(word))) {
            writing.push(path.strip_prefix(agent).unwrap().to_str().unwrap().to_owned());
        }
    }
    writing.sort();
    assert_eq!(writing, WRITING_FILES);
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
