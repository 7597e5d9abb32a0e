//! Normalizes the API's description for client generators: adds what poem-openapi's generator omits, and rewrites what
//! other generators cannot handle.
//!
//! - An optional field is also nullable: answers write null, requests accept it.
//! - A reference with a description beside it is `allOf` of the reference alone; the generator adds an empty second
//!   schema, which makes `allOf` of an enumeration unsatisfiable.
//! - Media types have no parameters.
//! - An operation lists only the error statuses it can return; the generator lists all for every operation.
//! - Names in answers are texts, not enumerations.
//! - The server is the one that serves the description.

use serde_json::{Map, Value, json};

use super::open_answers::open_answers;

/// Lists in which null means "nothing": (schema, field).
const LISTS_WITH_NULLS: [(&str, &str); 6] = [
    ("Series", "avg"),
    ("Series", "min"),
    ("Series", "max"),
    ("Series", "p95"),
    ("Sparkline", "avg"),
    ("Sparkline", "max"),
];

/// Operations that can conflict with existing state: 409.
const CONFLICTING: [&str; 22] = [
    "createApiToken",
    "createUser",
    "updateUser",
    "deleteUser",
    "setUserStatus",
    "beginTotp",
    "confirmTotp",
    "updateAgent",
    "acknowledgeAlert",
    "unacknowledgeAlert",
    "snoozeAlert",
    "unsnoozeAlert",
    "createAlertRule",
    "updateAlertRule",
    "deleteAlertRule",
    "resetAlertRule",
    "createAlertSilence",
    "updateAlertSilence",
    "createAlertChannel",
    "updateAlertChannel",
    "retryAlertDelivery",
    "setAlertSettings",
];
/// Operations without a path parameter whose object may nevertheless be missing: 404.
const MISSING: [&str; 4] = ["confirmTotp", "removeTotp", "testNewAlertChannel", "previewAlertChannel"];

/// Normalizes the generated description.
///
/// # Errors
/// If it is not JSON.
pub(super) fn normalize(generated: &str) -> serde_json::Result<String> {
    let mut description: Value = serde_json::from_str(generated)?;
    drop_media_type_parameters(&mut description);
    if let Some(Value::Object(paths)) = description.get_mut("paths") {
        for operation in paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
            keep_possible_statuses(operation);
        }
    }
    if let Value::Object(description) = &mut description {
        let server = json!([{"url": "/", "description": "The server that this description comes from."}]);
        description.insert("servers".to_owned(), server);
    }
    if let Some(Value::Object(schemas)) = description.pointer_mut("/components/schemas") {
        for (name, schema) in schemas {
            describe_fields(name, schema);
        }
    }
    open_answers(&mut description);
    let mut text = serde_json::to_string_pretty(&description)?;
    text.push('\n');
    Ok(text)
}

/// Removes the statuses that an operation cannot return.
fn keep_possible_statuses(operation: &mut Value) {
    let has = |name: &str| operation.get(name).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    let has_body = operation.get("requestBody").is_some();
    let has_input = has_body || has("parameters");
    let needs_login = has("security");
    let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default();
    let parameters = operation.get("parameters").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let has_path_parameter =
        parameters.iter().any(|parameter| parameter.get("in").and_then(Value::as_str) == Some("path"));
    let impossible: Vec<&str> = [
        ("400", has_input || id == "connectAgent"),
        ("401", needs_login || has_body),
        ("403", needs_login || has_body || id == "connectAgent"),
        ("404", has_path_parameter || MISSING.contains(&id)),
        ("409", CONFLICTING.contains(&id)),
        ("413", has_body),
        ("415", has_body),
        ("422", has_input),
    ]
    .into_iter()
    .filter_map(|(status, is_possible)| (!is_possible).then_some(status))
    .collect();
    if let Some(Value::Object(responses)) = operation.get_mut("responses") {
        responses.retain(|status, _| !impossible.contains(&status.as_str()));
    }
}

fn describe_fields(schema_name: &str, schema: &mut Value) {
    let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let Some(Value::Object(fields)) = schema.get_mut("properties") else {
        return;
    };
    for (name, field) in fields {
        let Value::Object(field) = field else {
            continue;
        };
        if let Some(Value::Array(parts)) = field.get_mut("allOf") {
            parts.retain(|part| part.get("$ref").is_some());
        }
        // Null means the field is omitted, so it is no default to fill in.
        if field.get("default") == Some(&Value::Null) {
            field.shift_remove("default");
        }
        if !required.iter().any(|required| required == name.as_str()) {
            field.insert("nullable".to_owned(), true.into());
        }
        if LISTS_WITH_NULLS.contains(&(schema_name, name))
            && let Some(Value::Object(items)) = field.get_mut("items")
        {
            items.insert("nullable".to_owned(), true.into());
        }
    }
}

/// Replaces `application/json; charset=utf-8` by `application/json` everywhere.
fn drop_media_type_parameters(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if let ("content", Value::Object(content)) = (name.as_str(), &mut *field) {
                    *content =
                        std::mem::take(content).into_iter().map(without_parameters).collect::<Map<_, _>>();
                }
                drop_media_type_parameters(field);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(drop_media_type_parameters),
        _ => {}
    }
}

fn without_parameters((media_type, content): (String, Value)) -> (String, Value) {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_owned();
    (essence, content)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_generator_omits_is_added() {
        let generated = json!({
            "paths": {"/": {"get": {"responses": {"200": {"content": {"application/json; charset=utf-8": {}}}}}}},
            "components": {"schemas": {"Series": {
                "required": ["avg", "unit"],
                "properties": {
                    "avg": {"type": "array", "items": {"type": "number"}},
                    "unit": {"description": "d", "allOf": [{"$ref": "#/u"}, {"description": "d"}]},
                    "device": {"type": "string", "default": null},
                },
            }}},
        });
        let normalized: Value = serde_json::from_str(&normalize(&generated.to_string()).unwrap()).unwrap();
        assert_eq!(
            normalized,
            json!({
                "servers": [{"url": "/", "description": "The server that this description comes from."}],
                "paths": {"/": {"get": {"responses": {"200": {"content": {"application/json": {}}}}}}},
                "components": {"schemas": {"Series": {
                    "required": ["avg", "unit"],
                    "properties": {
                        "avg": {"type": "array", "items": {"type": "number", "nullable": true}},
                        "unit": {"description": "d", "allOf": [{"$ref": "#/u"}]},
                        "device": {"type": "string", "nullable": true},
                    },
                }}},
            })
        );
    }

    #[test]
    fn an_operation_answers_what_it_can() {
        let responses: Map<String, Value> =
            ["200", "400", "401", "403", "404", "409", "413", "415", "422", "429", "500"]
                .into_iter()
                .map(|status| (status.to_owned(), json!({})))
                .collect();
        let statuses = |operation: Value| {
            let mut operation = operation;
            operation["responses"] = Value::Object(responses.clone());
            keep_possible_statuses(&mut operation);
            operation["responses"].as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
        };
        let security = json!([{"bearerToken": []}]);
        assert_eq!(statuses(json!({"operationId": "getHealth"})), "200 429 500");
        let get = json!({"operationId": "getX", "security": security, "parameters": [{"in": "path"}]});
        assert_eq!(statuses(get), "200 400 401 403 404 422 429 500");
        let create = json!({"operationId": "createUser", "security": security, "requestBody": {}});
        assert_eq!(statuses(create), "200 400 401 403 409 413 415 422 429 500");
    }
}
