//! Tests of loading, merging and checking.

use std::error::Error as _;

use pika_protocol::family::Table;

use super::*;

fn load(text: &str) -> Result<Config, ConfigError> {
    Config::from_yaml("test.yaml", text, |_| None, &Overrides::default())
}

fn chain(error: &ConfigError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[test]
fn defaults_hold_every_key() {
    // No field has a default in the code, so the file parses only when every one of them is in it.
    let config = load("").unwrap();
    assert_eq!(config.interval_ms, 5_000);
    assert_eq!(config.state_dir, Path::new("/var/lib/pika-agent"));
    assert!(config.collectors.disk.enabled);
    let source = include_str!("../config.rs");
    assert!(!source.contains(&["serde(", "default"].concat()), "a key could be missing from agent.yaml");
}

#[test]
fn every_table_has_a_collector_of_its_name() {
    for table in Table::ALL {
        let name = table.name.trim_end_matches("_metrics");
        let text = chain(&load(&format!("collectors: {{ {name}: {{ enabled: 3 }} }}")).unwrap_err());
        assert!(text.contains(&format!("collectors.{name}.enabled")), "{text}");
    }
}

#[test]
fn files_are_merged_key_by_key() {
    let config =
        load("collectors:\n  disk:\n    enabled: false\nnetwork:\n  exclude_interfaces: [x]\ntls:\n")
            .unwrap();
    assert!(!config.collectors.disk.enabled);
    assert!(config.collectors.cpu.enabled);
    assert_eq!(config.network.exclude_interfaces, ["x"]);
    assert!(config.network.include_interfaces.is_empty());
}

#[test]
fn text_is_told_from_numbers() {
    let text = chain(&load("state_dir: 17\n").unwrap_err());
    assert!(text.contains("state_dir must be text"), "{text}");
}

#[test]
fn unknown_keys_are_named_with_their_path() {
    let text = chain(&load("disk:\n  exclude_mounts: []\n").unwrap_err());
    assert!(text.contains("test.yaml") && text.contains("disk") && text.contains("exclude_mounts"), "{text}");
    let text = chain(&load("collectors:\n  cpu:\n    enabled: 3\n").unwrap_err());
    assert!(text.contains("collectors.cpu.enabled"), "{text}");
}

#[test]
fn the_environment_wins_over_the_file_and_the_command_line_over_both() {
    let variable = |name: &str| match name {
        "PIKA_AGENT_SERVER" => Some("https://env.example".to_owned()),
        "PIKA_AGENT_INTERVAL_MS" => Some("2000".to_owned()),
        "PIKA_AGENT_LOG_LEVEL" => Some("debug".to_owned()),
        "PIKA_AGENT_NAME" => Some("17".to_owned()),
        "PIKA_AGENT_STATE_DIR" => Some(String::new()),
        _ => None,
    };
    let text = "server: http://file.example\ninterval_ms: 3000\n";
    let config = Config::from_yaml("f", text, variable, &Overrides::default()).unwrap();
    assert_eq!((config.server.as_str(), config.interval_ms), ("https://env.example", 2_000));
    assert_eq!((config.name.as_str(), config.log.level), ("17", LogLevel::Debug));
    assert_eq!(config.state_dir, Path::new("/var/lib/pika-agent"), "an empty variable is no setting");

    let overrides = Overrides { server: Some("http://cli.example".to_owned()), ..Overrides::default() };
    let config = Config::from_yaml("f", text, variable, &overrides).unwrap();
    assert_eq!(config.server, "http://cli.example");
}

#[test]
fn bounds_are_enforced() {
    for text in [
        "interval_ms: 999",
        "interval_ms: 3600001",
        "slow_interval_ms: 9999",
        "slow_interval_ms: 3600001",
        "view: everything",
        "heartbeat_interval_ms: 0",
        "outbox:\n  samples_per_frame_max: 201",
        "outbox:\n  frames_in_flight_max: 1",
        "server: ftp://x",
        "state_dir: ''",
        "- a list",
        "log:\n  level: loud",
    ] {
        assert!(load(text).is_err(), "{text}");
    }
}
