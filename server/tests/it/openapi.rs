//! The committed description is the one the server generates, without the generator's known faults.

mod compatibility;
mod readme;

use std::collections::BTreeSet;
use std::path::PathBuf;

use pika_server::domain::family::{Family, Unit};
use poem_openapi::OpenApi as _;
use serde_json::Value;

/// Strings in requests that are not enumerations although their names suggest it: (schema or operation, field or
/// parameter).
const OPEN_STRINGS: [(&str, &str); 8] = [
    // New actions come with new features, as do conditions, families and kinds of channels.
    ("getAuditLog", "action"),
    ("AlertChannelRequest", "kind"),
    ("AlertCondition", "family"),
    ("AlertCondition", "kind"),
    // Codes of a second factor.
    ("LoginRequest", "code"),
    ("TotpConfirmation", "code"),
    ("TotpRemoval", "code"),
    // A field's name, possibly with `-` before it.
    ("listUsers", "sort"),
];

/// Names of strings that should be enumerations.
const ENUMERATED: [&str; 15] = [
    "action", "code", "edition", "family", "kind", "order", "reason", "role", "scope", "severity", "sort",
    "status", "tier", "type", "unit",
];

/// Reads a file of the folder `openapi`.
fn text(name: &str) -> String {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn committed() -> Value {
    serde_json::from_str(&text("openapi.json")).unwrap()
}

/// Returns the fields of an object of the description; empty if there is no such object.
fn entries<'a>(value: &'a Value, pointer: &str) -> Vec<(&'a str, &'a Value)> {
    let object = value.pointer(pointer).and_then(Value::as_object);
    object.into_iter().flatten().map(|(name, value)| (name.as_str(), value)).collect()
}

/// Returns all operations: method and path, and their description.
fn operations(description: &Value) -> Vec<(String, &Value)> {
    let mut operations = Vec::new();
    for (path, methods) in entries(description, "/paths") {
        for (method, operation) in entries(methods, "") {
            operations.push((format!("{} {path}", method.to_uppercase()), operation));
        }
    }
    operations
}

fn parameters(operation: &Value) -> &[Value] {
    operation["parameters"].as_array().map_or(&[], Vec::as_slice)
}

fn is_empty(text: &Value) -> bool {
    text.as_str().is_none_or(|text| text.trim().is_empty())
}

#[test]
fn the_committed_description_is_current() {
    assert!(
        text("openapi.json") == pika_server::api::description().unwrap(),
        "openapi/openapi.json is not what the server generates; run: \
         cargo run -p pika-server -- openapi > openapi/openapi.json"
    );
}

/// Two structs that share a path make operations vanish silently.
#[test]
fn no_operation_vanishes() {
    let meta = pika_server::api::Resources::meta();
    let in_code: usize = meta.iter().flat_map(|api| &api.paths).map(|path| path.operations.len()).sum();
    assert_eq!(in_code, operations(&committed()).len());
}

/// A JSON parser keeps only one of two equal statuses.
#[test]
fn statuses_are_unique() {
    for path in pika_server::api::Resources::meta().iter().flat_map(|api| &api.paths) {
        for operation in &path.operations {
            let mut statuses = BTreeSet::new();
            for response in &operation.responses.responses {
                assert!(
                    statuses.insert(response.status),
                    "{} declares {:?} twice",
                    path.path,
                    response.status
                );
            }
        }
    }
}

#[test]
fn every_operation_has_an_id_a_summary_and_a_tag() {
    let (description, mut ids) = (committed(), BTreeSet::new());
    for (name, operation) in operations(&description) {
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{name} has no operation id"));
        assert!(ids.insert(id), "the operation id {id} is there twice");
        assert!(is_camel_case(id), "the operation id {id} is not in camelCase");
        assert!(!is_empty(&operation["summary"]), "{id} has no summary");
        assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{id} has not one tag");
    }
}

fn is_camel_case(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|character| character.is_ascii_alphanumeric())
}

#[test]
fn every_schema_field_and_parameter_is_described() {
    let description = committed();
    let mut missing = Vec::new();
    for (name, schema) in entries(&description, "/components/schemas") {
        if is_empty(&schema["description"]) {
            missing.push(name.to_owned());
        }
        for (field, schema) in entries(schema, "/properties") {
            if is_empty(&schema["description"]) {
                missing.push(format!("{name}.{field}"));
            }
            assert!(is_camel_case(field), "{name}.{field} is not in camelCase");
        }
    }
    for (name, operation) in operations(&description) {
        for parameter in parameters(operation) {
            if is_empty(&parameter["description"]) {
                missing.push(format!("{name}: {}", parameter["name"]));
            }
        }
    }
    assert!(missing.is_empty(), "without a description: {missing:?}");
}

/// Every time and duration states its unit, in its name or its description.
#[test]
fn every_time_says_its_unit() {
    let description = committed();
    let mut missing = Vec::new();
    let mut check = |owner: &str, name: &str, schema: &Value, text: &Value| {
        let is_int64 = schema["format"] == "int64" || schema["items"]["format"] == "int64";
        let text = text.as_str().unwrap_or_default();
        if is_int64 && is_time(name) && !name.ends_with("Ms") && !text.contains("millisecond") {
            missing.push(format!("{owner}.{name}"));
        }
    };
    for (owner, schema) in entries(&description, "/components/schemas") {
        for (name, field) in entries(schema, "/properties") {
            check(owner, name, field, &field["description"]);
        }
    }
    for (owner, operation) in operations(&description) {
        for parameter in parameters(operation) {
            let name = parameter["name"].as_str().unwrap();
            check(&owner, name, &parameter["schema"], &parameter["description"]);
        }
    }
    assert!(missing.is_empty(), "times that do not say that they are milliseconds: {missing:?}");
}

fn is_time(name: &str) -> bool {
    ["At", "Ms", "Time", "Interval", "Age"].iter().any(|end| name.ends_with(end))
        || ["at", "start", "end", "timestamp", "timestamps", "interval", "time", "since", "until"]
            .contains(&name)
}

/// Returns the named schemas in some parts of an operation, with those they refer to.
fn schemas_of<'a>(description: &'a Value, parts: &[&str]) -> BTreeSet<&'a str> {
    let mut rest: Vec<&Value> = Vec::new();
    for (_, operation) in operations(description) {
        rest.extend(parts.iter().filter_map(|part| operation.get(part)));
    }
    let mut found = BTreeSet::new();
    while let Some(value) = rest.pop() {
        match value {
            Value::Object(fields) => rest.extend(fields.values()),
            Value::Array(values) => rest.extend(values),
            Value::String(text) => {
                let name = text.strip_prefix("#/components/schemas/");
                if let Some(name) = name.filter(|name| found.insert(*name)) {
                    rest.push(&description["components"]["schemas"][name]);
                }
            }
            _ => {}
        }
    }
    found
}

/// Clients accept names newer than themselves, except within what they have requested in the same form.
#[test]
fn no_answer_has_an_enumeration() {
    let description = committed();
    let asked = schemas_of(&description, &["parameters", "requestBody"]);
    let answered = schemas_of(&description, &["responses"]);
    let enumerated: Vec<_> = answered
        .difference(&asked)
        .filter(|name| {
            let schema = description["components"]["schemas"][name].to_string();
            schema.contains("\"enum\":")
        })
        .collect();
    assert!(enumerated.is_empty(), "enumerations in answers: {enumerated:?}");
    let fields = |schema: &str| &description["components"]["schemas"][schema]["properties"];
    let text = |schema: &str, field: &str| fields(schema)[field]["description"].as_str().unwrap();
    for family in Family::ALL {
        assert!(text("Metrics", "type").contains(&format!("`{}`", family.name())), "{family:?}");
    }
    for unit in Unit::ALL {
        assert!(text("Series", "unit").contains(&format!("`{}`", unit.name())), "{unit:?}");
    }
}

#[test]
fn fixed_sets_of_values_are_enumerations_in_requests() {
    let description = committed();
    let asked = schemas_of(&description, &["parameters", "requestBody"]);
    let mut strings = BTreeSet::new();
    for (owner, schema) in entries(&description, "/components/schemas") {
        if !asked.contains(owner) {
            continue;
        }
        for (name, field) in entries(schema, "/properties") {
            strings.extend(is_free_string(name, field).then_some((owner, name)));
        }
    }
    for (_, operation) in operations(&description) {
        for parameter in parameters(operation) {
            let (id, name) =
                (operation["operationId"].as_str().unwrap(), parameter["name"].as_str().unwrap());
            strings.extend(is_free_string(name, &parameter["schema"]).then_some((id, name)));
        }
    }
    let known = BTreeSet::from(OPEN_STRINGS);
    let new: Vec<_> = strings.difference(&known).collect();
    assert!(new.is_empty(), "free strings where an enumeration is meant: {new:?}");
    let gone: Vec<_> = known.difference(&strings).collect();
    assert!(gone.is_empty(), "OPEN_STRINGS lists what is none: {gone:?}");
}

fn is_free_string(name: &str, schema: &Value) -> bool {
    let name = name.to_lowercase();
    schema["type"] == "string"
        && schema.get("enum").is_none()
        && ENUMERATED.iter().any(|ending| name.ends_with(ending))
}

/// Errors have one format; answers with content describe it.
#[test]
fn every_answer_is_described() {
    let description = committed();
    for (name, operation) in operations(&description) {
        for (status, response) in entries(operation, "/responses") {
            let schema = &response["content"]["application/json"]["schema"];
            let event = &response["content"]["text/event-stream"]["schema"]["items"];
            match status.parse::<u16>().unwrap() {
                400.. => assert_eq!(schema["$ref"], "#/components/schemas/Error", "{name} {status}"),
                101 | 204 => assert!(response.get("content").is_none(), "{name} {status} has content"),
                _ => assert!(
                    schema["$ref"].is_string() || event["$ref"].is_string(),
                    "{name} {status} has no named schema"
                ),
            }
        }
    }
}
