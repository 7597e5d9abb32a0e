//! Merging one YAML tree over another.

use serde_norway::{Mapping, Value};

/// Lays `over` on top of `base`: maps key by key, everything else as a whole. A key without a value, such as a
/// section whose entries are all commented out, changes nothing.
pub(super) fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (_, Value::Null) => {}
        (Value::Mapping(base), Value::Mapping(over)) => {
            for (key, value) in over {
                match base.get_mut(&key) {
                    Some(existing) => merge(existing, value),
                    None => drop(base.insert(key, value)),
                }
            }
        }
        (base, over) => *base = over,
    }
}

/// Sets the value at the end of `keys`.
pub(super) fn set(base: &mut Value, keys: &[&str], value: Value) {
    let over = keys.iter().rev().fold(value, |value, key| {
        let mut mapping = Mapping::new();
        mapping.insert(Value::from(*key), value);
        Value::Mapping(mapping)
    });
    merge(base, over);
}
