//! The API's description as clients are generated from it: what the generator of poem-openapi leaves unsaid or says in a
//! way that other generators stumble over is put right here.
//!
//! - A field that may be left out may be null, too: answers write null, requests take it.
//! - A reference with a description beside it is `allOf` of the reference alone; the generator adds a second schema that
//!   says nothing, which makes `allOf` of an enumeration one that nothing can be.
//! - Media types stand without parameters.

use serde_json::{Map, Value};

/// Lists in which null stands for "nothing there": (schema, field).
const LISTS_WITH_NULLS: [(&str, &str); 4] =
    [("Series", "avg"), ("Series", "min"), ("Series", "max"), ("Series", "p95")];

/// Puts the generator's description right.
///
/// # Errors
/// When it is not JSON.
pub(super) fn put_right(generated: &str) -> serde_json::Result<String> {
    let mut description: Value = serde_json::from_str(generated)?;
    drop_media_type_parameters(&mut description);
    if let Some(Value::Object(schemas)) = description.pointer_mut("/components/schemas") {
        for (name, schema) in schemas {
            describe_fields(name, schema);
        }
    }
    let mut text = serde_json::to_string_pretty(&description)?;
    text.push('\n');
    Ok(text)
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
        // Null is what leaving it out means, which is no value to fill in.
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

/// Everywhere: `application/json; charset=utf-8` is `application/json`.
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
    fn what_the_generator_leaves_unsaid_is_said() {
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
        let put_right: Value = serde_json::from_str(&put_right(&generated.to_string()).unwrap()).unwrap();
        assert_eq!(
            put_right,
            json!({
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
}
