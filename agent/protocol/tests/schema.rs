//! Checks that `openapi/agent-protocol.schema.json` is the JSON Schema of this crate's frames.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fs;

use pika_protocol::message::{AgentFrame, ServerMessage};
use schemars::generate::SchemaSettings;
use serde_json::json;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/agent-protocol.schema.json");

#[test]
fn the_committed_schema_is_current() {
    assert!(
        fs::read_to_string(PATH).unwrap_or_default() == schema(),
        "openapi/agent-protocol.schema.json is not what the protocol's types say; run: \
         cargo test -p pika-protocol --test schema -- --ignored"
    );
}

#[test]
#[ignore = "writes openapi/agent-protocol.schema.json"]
fn write_the_schema() {
    fs::write(PATH, schema()).unwrap();
}

/// One document with both directions, `#/$defs/AgentFrame` and `#/$defs/ServerMessage`.
fn schema() -> String {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let (from_agent, from_server) =
        (generator.subschema_for::<AgentFrame>(), generator.subschema_for::<ServerMessage>());
    let document = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The agent protocol",
        "description": "A text frame of either direction. Generated from the types of agent/protocol; do not edit.",
        "anyOf": [from_agent, from_server],
        "$defs": generator.take_definitions(true),
    });
    format!("{document:#}\n")
}
