//! Describes the parameters of operations, for errors about wrong ones. Derived from the API's description.

use std::collections::HashMap;

use serde_json::Value;

/// The parameters of all operations.
#[derive(Clone, Debug, Default)]
pub struct Parameters(HashMap<String, Vec<Parameter>>);

/// What errors say about a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The parameter's name.
    pub name: String,
    /// The values it accepts; follows "must be".
    pub allowed: String,
    /// The parameter's meaning.
    pub description: String,
    is_in_path: bool,
}

impl Parameters {
    /// Reads the API's description; empty if it is malformed.
    pub fn of(description: &str) -> Self {
        let description: Value = serde_json::from_str(description).unwrap_or_default();
        let paths = description.get("paths").and_then(Value::as_object);
        let operations = paths
            .into_iter()
            .flat_map(|paths| paths.values())
            .filter_map(Value::as_object)
            .flat_map(|path| path.values());
        let known = operations.filter_map(|operation| {
            let id = operation.get("operationId")?.as_str()?;
            let parameters = operation.get("parameters")?.as_array()?;
            let parameters = parameters.iter().filter_map(|parameter| described(&description, parameter));
            Some((id.to_owned(), parameters.collect()))
        });
        Self(known.collect())
    }

    /// Returns a parameter of an operation. The framework calls those in paths `param0`, `param1` and so on.
    pub fn find(&self, operation: &str, name: &str) -> Option<&Parameter> {
        let parameters = self.0.get(operation)?;
        let position = name.strip_prefix("param").and_then(|position| position.parse::<usize>().ok());
        let in_path =
            position.and_then(|position| parameters.iter().filter(|known| known.is_in_path).nth(position));
        in_path.or_else(|| parameters.iter().find(|known| known.name == name))
    }
}

fn text(value: &Value, field: &str) -> String {
    value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn described(description: &Value, parameter: &Value) -> Option<Parameter> {
    Some(Parameter {
        name: text(parameter, "name"),
        allowed: allowed(description, parameter.get("schema")?),
        description: text(parameter, "description"),
        is_in_path: text(parameter, "in") == "path",
    })
}

/// Returns what a schema accepts, in words.
fn allowed(description: &Value, schema: &Value) -> String {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#')) {
        return description.pointer(name).map_or_else(String::new, |schema| allowed(description, schema));
    }
    if let Some(schemas) = schema.get("oneOf").and_then(Value::as_array) {
        let all: Vec<String> = schemas.iter().map(|schema| allowed(description, schema)).collect();
        return all.join(", or ");
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
        return match values[..] {
            [only] => only.to_owned(),
            _ => format!("one of {}", values.join(", ")),
        };
    }
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    match (text(schema, "type").as_str(), text(schema, "format").as_str()) {
        ("integer", _) => match (bound("minimum"), bound("maximum")) {
            (Some(minimum), Some(maximum)) => format!("a whole number, {minimum}–{maximum}"),
            _ => "a whole number".to_owned(),
        },
        ("array", _) => schema.get("items").map_or_else(String::new, |item| allowed(description, item)),
        ("boolean", _) => "true or false".to_owned(),
        (_, "uuid") => "a UUID".to_owned(),
        _ => match bound("maxLength") {
            Some(maximum) => format!("a text of at most {maximum} characters"),
            None => "a text".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_become_words() {
        let description = json!({"schemas": {"Order": {"enum": ["asc", "desc"]}}});
        let words = |schema: Value| allowed(&description, &schema);
        assert_eq!(words(json!({"$ref": "#/schemas/Order"})), "one of asc, desc");
        assert_eq!(words(json!({"type": "integer", "minimum": 1.0, "maximum": 9.0})), "a whole number, 1–9");
        assert_eq!(words(json!({"type": "string", "maxLength": 255})), "a text of at most 255 characters");
        let several = json!({"type": "array", "items": {"type": "string", "format": "uuid"}});
        assert_eq!(words(several), "a UUID");
        let either = json!({"oneOf": [{"type": "integer"}, {"type": "string", "enum": ["raw"]}]});
        assert_eq!(words(either), "a whole number, or raw");
    }

    #[test]
    fn parameters_in_paths_are_found_by_their_position() {
        let id = |name: &str, place: &str| json!({"name": name, "in": place, "schema": {"type": "string"}});
        let parameters = json!([id("page", "query"), id("user", "path"), id("token", "path")]);
        let description = json!({"paths": {"/": {"get": {"operationId": "x", "parameters": parameters}}}});
        let known = Parameters::of(&description.to_string());
        let name = |name: &str| known.find("x", name).map(|found| found.name.clone());
        assert_eq!(name("param1").as_deref(), Some("token"));
        assert_eq!(name("page").as_deref(), Some("page"));
        assert_eq!((name("param2"), name("nothing")), (None, None));
    }
}
