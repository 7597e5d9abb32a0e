//! Generates `openapi/agent-protocol.md` from this crate's types, their comments and the golden files, and checks that
//! it is current.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod source;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use pika_protocol::families;
use pika_protocol::family::{ColumnType, Measurement, Numbers};
use source::{Item, Member, Source, plain};

const BEGINNING: &str = "\
# The agent protocol

Generated from the types of `agent/protocol` and its golden files; do not edit. To regenerate:
`cargo test -p pika-protocol --test document -- --ignored`

An agent connects to the WebSocket at `GET /ws/agent` and sends JSON text frames `{\"type\": …, \"data\": …}`. Its first frame is `register`,
which carries an enrollment token or the agent's own secret (which may also be in the header `Authorization: Bearer …`). A frame that
carries a `seq` is answered by `ack` with the same `seq` once everything that was valid in it has been committed to the database; until
then the agent keeps it, and may send it again: a sample that is stored already is not stored twice. Invalid parts of a frame are
refused by `error`; the rest is stored. Unknown fields are ignored.

Times are milliseconds since the Unix epoch. Sizes are bytes. Percentages are 0–100.
";

/// The messages of a direction: type, structure of its data, golden files.
type Messages<'a> = &'a [(&'a str, Option<&'a str>, &'a [&'a str])];

const FROM_AGENTS: Messages<'_> = &[
    ("Register", Some("Register"), &["register"]),
    ("Heartbeat", None, &["heartbeat"]),
    ("Batch", Some("Batch"), &["batch"]),
    ("Gap", Some("Gap"), &["gap"]),
    ("Metrics", None, &["metrics_cpu", "metrics_disks", "metrics_network"]),
];

const FROM_SERVERS: Messages<'_> = &[
    ("RegisterAck", Some("RegisterAck"), &["register_ack", "register_ack_enrolled"]),
    ("RegisterError", Some("Refusal"), &["register_error"]),
    ("Ack", Some("Ack"), &["ack"]),
    ("Error", Some("Refusal"), &["error"]),
    ("Config", Some("AgentConfig"), &["config"]),
];

macro_rules! define_measurements {
    ($(
        $(#[doc = $doc:tt])+
        $field:ident: $container:ident<$measurement:path> = $families:tt,
    )+) => {
        /// Returns the fields of a sample with their types.
        fn measurements() -> Vec<(Member, Item)> {
            vec![$({
                let item = described::<$measurement>(stringify!($measurement));
                let member = Member {
                    wire_name: <<$measurement as Measurement>::Numbers as Numbers>::TABLE.sample_field().to_owned(),
                    comment: plain(concat!($($doc),+)),
                    is_optional: true,
                    rust_type: format!("{}<{}>", stringify!($container), item.name),
                    ..Member::default()
                };
                (member, item)
            },)+]
        }
    };
}
families!(define_measurements);

/// Returns a measurement according to its declaration.
fn described<M: Measurement>(path: &str) -> Item {
    let labels = M::Numbers::TABLE.series.iter().flat_map(|series| series.labels).map(|label| Member {
        wire_name: label.name.to_owned(),
        comment: plain(label.doc),
        is_optional: label.chars_min == 0,
        rust_type: "String".to_owned(),
        ..Member::default()
    });
    let numbers = M::FIELDS.iter().map(|field| Member {
        wire_name: field.name.to_owned(),
        comment: plain(field.doc),
        is_optional: field.column.is_optional,
        rust_type: if field.column.column_type == ColumnType::Float4 { "f32" } else { "i64" }.to_owned(),
        ..Member::default()
    });
    Item {
        name: path.rsplit([':', ' ']).next().unwrap().to_owned(),
        comment: plain(M::DOC),
        members: labels.chain(numbers).collect(),
        ..Item::default()
    }
}

#[test]
fn the_committed_document_is_current() {
    assert!(
        fs::read_to_string(path()).unwrap_or_default() == document(),
        "openapi/agent-protocol.md is not what the protocol's types say; run: \
         cargo test -p pika-protocol --test document -- --ignored"
    );
}

#[test]
#[ignore = "writes openapi/agent-protocol.md"]
fn write_the_document() {
    fs::write(path(), document()).unwrap();
}

/// No message and no metric is forgotten above.
#[test]
fn every_message_is_documented() {
    let messages = Source::read("message.rs");
    for (name, documented) in [("AgentMessage", FROM_AGENTS), ("ServerMessage", FROM_SERVERS)] {
        let mut expected: Vec<_> =
            messages.item(name).members.iter().map(|member| member.name.as_str()).collect();
        let mut found: Vec<_> = documented.iter().map(|(name, ..)| *name).collect();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{name}");
    }
}

fn path() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/agent-protocol.md"))
}

fn document() -> String {
    let (messages, samples, limits) =
        (Source::read("message.rs"), Source::read("sample.rs"), Source::read("limits.rs"));
    let item = |name: &str| messages.find(name).or_else(|| samples.find(name)).unwrap();
    let mut text = BEGINNING.to_owned();

    text.push_str("\n## Fields of every frame from an agent\n\n");
    let mut frame = item("AgentFrame").clone();
    frame.members.retain(|member| member.name != "message");
    fields(&mut text, &frame);

    for (title, name, list) in [
        ("Messages from agents", "AgentMessage", FROM_AGENTS),
        ("Messages from the server", "ServerMessage", FROM_SERVERS),
    ] {
        writeln!(text, "\n## {title}\n\n{}", item(name).comment).unwrap();
        for (variant, data, examples) in list {
            let member = item(name).members.iter().find(|member| member.name == *variant).unwrap();
            writeln!(text, "\n### `{}`\n\n{}", source::snake_case(variant), member.comment).unwrap();
            if let Some(data) = data {
                text.push('\n');
                fields(&mut text, item(data));
            }
            for example in *examples {
                writeln!(text, "\n```json\n{}\n```", golden(example)).unwrap();
            }
        }
    }

    text.push_str("\n## Samples\n");
    let (members, measurements): (Vec<Member>, Vec<Item>) = measurements().into_iter().unzip();
    let mut sample = item("Sample").clone();
    sample.members.extend(members);
    for item in [sample].iter().chain(&measurements) {
        writeln!(text, "\n### {}\n\n{}\n", item.name, item.comment).unwrap();
        fields(&mut text, item);
    }

    let facts = item("MachineFacts");
    writeln!(text, "\n## Facts of a machine\n\n{}\n", facts.comment).unwrap();
    fields(&mut text, facts);

    text.push_str(
        "\n## Error codes\n\nUsed by `error` and `register_error`.\n\n| code | meaning |\n|---|---|\n",
    );
    variants(&mut text, item("ErrorCode"));
    text.push_str("\n## Gap reasons\n\n| reason | meaning |\n|---|---|\n");
    variants(&mut text, item("GapReason"));

    text.push_str("\n## Limits\n\n| limit | value | |\n|---|---|---|\n");
    for limit in &limits.items {
        writeln!(text, "| `{}` | {} | {} |", limit.name, limit.value, limit.comment).unwrap();
    }
    text
}

fn fields(text: &mut String, item: &Item) {
    text.push_str("| field | type | |\n|---|---|---|\n");
    for member in &item.members {
        let optional = if member.is_optional { ", optional" } else { "" };
        writeln!(text, "| `{}` | {}{optional} | {} |", member.wire_name, member.wire_type(), member.comment)
            .unwrap();
    }
}

fn variants(text: &mut String, item: &Item) {
    for member in &item.members {
        writeln!(text, "| `{}` | {} |", source::snake_case(&member.name), member.comment).unwrap();
    }
}

fn golden(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.json"));
    fs::read_to_string(path).unwrap().trim_end().to_owned()
}
