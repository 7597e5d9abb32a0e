//! Replaces enumerations in answers by texts, and keeps them in requests, so that programs generated from an older
//! description accept names it does not know.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Where named schemas are.
const SCHEMAS: &str = "#/components/schemas/";

/// Describes names in answers as texts that list the known values. An enumeration used by no request is removed.
pub(super) fn open_answers(description: &mut Value) {
    let operations: Vec<&Value> = operations(description).collect();
    let answered =
        reachable(description, operations.iter().filter_map(|operation| operation.get("responses")));
    let asked =
        operations.iter().flat_map(|operation| [operation.get("parameters"), operation.get("requestBody")]);
    let asked = reachable(description, asked.flatten());
    let Some(Value::Object(schemas)) = description.pointer_mut("/components/schemas") else {
        return;
    };
    let enumerations: Map<String, Value> = schemas
        .iter()
        .filter_map(|(name, schema)| Some((name.clone(), schema.get("enum")?.clone())))
        .collect();
    for (name, schema) in
        schemas.iter_mut().filter(|(name, _)| answered.contains(*name) && !asked.contains(*name))
    {
        if let (false, Some(Value::Object(fields))) =
            (enumerations.contains_key(name), schema.get_mut("properties"))
        {
            fields.values_mut().for_each(|field| open(field, &enumerations));
        }
    }
    schemas.retain(|name, _| !enumerations.contains_key(name) || asked.contains(name));
}

fn operations(description: &Value) -> impl Iterator<Item = &Value> {
    let paths = description.get("paths").and_then(Value::as_object).into_iter().flat_map(Map::values);
    paths.filter_map(Value::as_object).flat_map(Map::values)
}

/// Returns the named schemas that parts of the description refer to, directly or indirectly.
fn reachable<'a>(description: &'a Value, from: impl Iterator<Item = &'a Value>) -> BTreeSet<String> {
    let (mut found, mut rest) = (BTreeSet::new(), from.collect::<Vec<_>>());
    while let Some(value) = rest.pop() {
        match value {
            Value::Object(fields) => {
                rest.extend(fields.values());
                let name = value.get("$ref").and_then(name);
                if let Some(name) = name.filter(|name| found.insert((*name).to_owned())) {
                    rest.extend(
                        description.pointer("/components/schemas").and_then(|schemas| schemas.get(name)),
                    );
                }
            }
            Value::Array(values) => rest.extend(values),
            _ => {}
        }
    }
    found
}

/// Returns the named schema of a reference.
fn name(reference: &Value) -> Option<&str> {
    reference.as_str()?.strip_prefix(SCHEMAS)
}

/// Turns a field that is an enumeration, or a list of its values, into text.
fn open(field: &mut Value, enumerations: &Map<String, Value>) {
    let values = match known_values(field, enumerations) {
        Some(values) => {
            let Value::Object(field) = field else { return };
            field.retain(|key, _| key == "description" || key == "nullable");
            field.insert("type".to_owned(), "string".into());
            values
        }
        None => match field.get_mut("items") {
            Some(items) => {
                let Some(values) = known_values(items, enumerations) else { return };
                *items = serde_json::json!({"type": "string"});
                values
            }
            None => return,
        },
    };
    if let Some(Value::String(text)) = field.get_mut("description") {
        text.push_str(&format!(" Known are {values}; others may follow."));
    }
}

/// Returns the values of an enumeration as text; `None` if the schema is not one.
fn known_values(schema: &Value, enumerations: &Map<String, Value>) -> Option<String> {
    let reference = schema.get("$ref").or_else(|| schema.get("allOf")?.get(0)?.get("$ref"));
    let values = match reference {
        Some(reference) => enumerations.get(name(reference)?)?,
        None => schema.get("enum")?,
    };
    let values = values.as_array()?.iter().filter_map(Value::as_str);
    Some(values.map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_have_texts_where_requests_have_enumerations() {
        let of = |name: &str| json!({"application/json": {"schema": {"$ref": format!("{SCHEMAS}{name}")}}});
        let either =
            |name: &str| json!({"description": "Which.", "allOf": [{"$ref": format!("{SCHEMAS}{name}")}]});
        let mut description = json!({
            "paths": {"/": {"post": {
                "requestBody": {"content": of("Question")},
                "responses": {"200": {"content": of("Answer")}},
            }}},
            "components": {"schemas": {
                "Question": {"properties": {"kind": either("Kind")}},
                "Answer": {"properties": {
                    "kind": either("Kind"),
                    "unit": either("Unit"),
                    "units": {"type": "array", "description": "All.", "items": {"$ref": format!("{SCHEMAS}Unit")}},
                    "parts": {"type": "array", "items": {"$ref": format!("{SCHEMAS}Answer")}},
                }},
                "Kind": {"type": "string", "enum": ["small", "large"]},
                "Unit": {"type": "string", "enum": ["percent"]},
            }},
        });
        open_answers(&mut description);
        let schemas = &description["components"]["schemas"];
        assert_eq!(schemas["Question"]["properties"]["kind"], either("Kind"));
        assert!(schemas.get("Kind").is_some() && schemas.get("Unit").is_none());
        let fields = &schemas["Answer"]["properties"];
        let text = "Which. Known are `small`, `large`; others may follow.";
        assert_eq!(fields["kind"], json!({"description": text, "type": "string"}));
        assert_eq!(fields["unit"]["description"], "Which. Known are `percent`; others may follow.");
        assert_eq!(fields["units"]["description"], "All. Known are `percent`; others may follow.");
        assert_eq!(fields["units"]["items"], json!({"type": "string"}));
        assert_eq!(fields["parts"]["items"], json!({"$ref": format!("{SCHEMAS}Answer")}));
    }
}
