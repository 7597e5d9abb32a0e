//! Merging of configuration layers: a file over the defaults.

use serde_json::Value;

/// The error for a number or a boolean in place of text: YAML reads `password: 0123` as 83.
#[derive(Debug, PartialEq, Eq)]
pub struct Unquoted {
    /// The path of the key, its parts separated by dots.
    pub key: String,
}

/// Merges `over` into `base`: maps key by key, everything else as a whole. A key without a value, such as a section
/// whose entries are all commented out, changes nothing.
///
/// # Errors
/// If a value that is text in `base` is a number or a boolean in `over`.
pub fn overlay(base: &mut Value, over: Value) -> Result<(), Unquoted> {
    overlay_at(base, over, "")
}

fn overlay_at(base: &mut Value, over: Value, path: &str) -> Result<(), Unquoted> {
    match (base, over) {
        (_, Value::Null) => {}
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                overlay_at(base.entry(key).or_insert(Value::Null), value, &path)?;
            }
        }
        (Value::String(_), Value::Number(_) | Value::Bool(_)) => {
            return Err(Unquoted { key: path.to_owned() });
        }
        (base, over) => *base = over,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn maps_are_merged_key_by_key_and_all_else_is_replaced() {
        let mut base = json!({"a": {"b": 1, "c": [1, 2]}, "d": "x"});
        overlay(&mut base, json!({"a": {"c": [3], "e": true}, "d": null})).unwrap();
        assert_eq!(base, json!({"a": {"b": 1, "c": [3], "e": true}, "d": "x"}));
    }

    #[test]
    fn text_must_be_text() {
        let error = overlay(&mut json!({"a": {"b": "x"}}), json!({"a": {"b": 17}})).unwrap_err();
        assert_eq!(error, Unquoted { key: "a.b".to_owned() });
    }
}
