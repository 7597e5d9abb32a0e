//! Clients generated from the last released description continue to work: `openapi/released.json` is the baseline, and
//! breaking changes against it are found here.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{committed, entries, operations, text};

#[test]
fn nothing_breaks_clients_of_the_last_release() {
    let released: Value = serde_json::from_str(&text("released.json")).unwrap();
    let changes = breaking_changes(&released, &committed());
    assert!(
        changes.is_empty(),
        "clients generated from openapi/released.json would break (openapi/README.md says what to do):\n- {}",
        changes.join("\n- ")
    );
}

/// Returns what breaks a client of the `released` description when the server implements the `current` one.
fn breaking_changes(released: &Value, current: &Value) -> Vec<String> {
    let mut changes = Changes { released, current, seen: BTreeSet::new(), found: BTreeSet::new() };
    let current_operations = operations(current);
    for (name, operation) in operations(released) {
        let Some((_, new)) = current_operations.iter().find(|(current, _)| *current == name) else {
            changes.add(format!("{name} is gone"));
            continue;
        };
        changes.operation(&name, operation, new);
    }
    changes.found.into_iter().collect()
}

/// The direction of a value. A reader must know everything that may come; a writer must write everything required.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Direction {
    Request,
    Response,
}

struct Changes<'a> {
    released: &'a Value,
    current: &'a Value,
    /// Named schemas that were compared already: some contain themselves.
    seen: BTreeSet<(Direction, &'a str)>,
    found: BTreeSet<String>,
}

impl<'a> Changes<'a> {
    fn add(&mut self, change: String) {
        self.found.insert(change);
    }

    fn operation(&mut self, name: &str, old: &'a Value, new: &'a Value) {
        if old["operationId"] != new["operationId"] {
            self.add(format!(
                "{name}: the operation id was {} and is {}",
                old["operationId"], new["operationId"]
            ));
        }
        if old["tags"] != new["tags"] {
            self.add(format!("{name}: the tag was {} and is {}", old["tags"], new["tags"]));
        }
        self.parameters(name, old, new);
        self.body(name, &old["requestBody"], &new["requestBody"]);
        for (status, response) in entries(old, "/responses") {
            let Some(current) = new["responses"].get(status) else {
                self.add(format!("{name}: the status {status} is gone"));
                continue;
            };
            for (header, _) in entries(response, "/headers") {
                if current["headers"].get(header).is_none() {
                    self.add(format!("{name} {status}: the header {header} is gone"));
                }
            }
            self.content(&format!("{name} {status}"), response, current, Direction::Response);
        }
    }

    fn parameters(&mut self, name: &str, old: &'a Value, new: &'a Value) {
        let list = |operation: &'a Value| operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
        let same = |one: &Value, other: &Value| one["name"] == other["name"] && one["in"] == other["in"];
        for parameter in list(old) {
            let what = format!("{name}: the parameter {}", parameter["name"]);
            match list(new).iter().find(|current| same(parameter, current)) {
                None => self.add(format!("{what} is gone")),
                Some(current) => {
                    if parameter["required"] != true && current["required"] == true {
                        self.add(format!("{what} has become required"));
                    }
                    self.schema(&what, &parameter["schema"], &current["schema"], Direction::Request);
                }
            }
        }
        for parameter in list(new) {
            if parameter["required"] == true && !list(old).iter().any(|known| same(known, parameter)) {
                self.add(format!("{name}: the parameter {} is new and required", parameter["name"]));
            }
        }
    }

    fn body(&mut self, name: &str, old: &'a Value, new: &'a Value) {
        match (old.is_null(), new.is_null()) {
            (true, false) if new["required"] == true => {
                self.add(format!("{name}: a body has become required"));
            }
            (false, true) => self.add(format!("{name}: it takes no body any more")),
            _ => self.content(&format!("{name}: the body"), old, new, Direction::Request),
        }
    }

    fn content(&mut self, what: &str, old: &'a Value, new: &'a Value, direction: Direction) {
        for (media_type, content) in entries(old, "/content") {
            match new["content"].get(media_type) {
                None => self.add(format!("{what} is not {media_type} any more")),
                Some(current) => self.schema(what, &content["schema"], &current["schema"], direction),
            }
        }
    }

    fn schema(&mut self, what: &str, old: &'a Value, new: &'a Value, direction: Direction) {
        // It may stand beside a reference, too.
        self.null(what, old, new, direction);
        // A request that accepts more than before still accepts what it did.
        let new = match new["oneOf"].as_array() {
            Some(more) if direction == Direction::Request && old.get("oneOf").is_none() => {
                more.iter().find(|one| one["type"] == old["type"]).unwrap_or(new)
            }
            _ => new,
        };
        let (old_name, old) = resolve(self.released, old);
        let (new_name, new) = resolve(self.current, new);
        let mut what = what.to_owned();
        if let Some(name) = old_name {
            if new_name != Some(name) {
                let found = new_name.unwrap_or("one without a name");
                self.add(format!("{what}: the schema was {name} and is {found}"));
            }
            if !self.seen.insert((direction, name)) {
                return;
            }
            name.clone_into(&mut what);
        }
        for key in ["type", "format"] {
            if old.get(key) != new.get(key) {
                let value = |schema: &Value| schema.get(key).map_or("nothing".to_owned(), Value::to_string);
                self.add(format!("{what}: the {key} was {} and is {}", value(old), value(new)));
            }
        }
        if direction == Direction::Request {
            self.bounds(&what, old, new);
        }
        self.enumeration(&what, old, new, direction);
        self.fields(&what, old, new, direction);
        for key in ["items", "additionalProperties"] {
            if let (Some(old), Some(new)) = (old.get(key), new.get(key)) {
                self.schema(&format!("{what}[]"), old, new, direction);
            }
        }
    }

    fn null(&mut self, what: &str, old: &Value, new: &Value, direction: Direction) {
        match (direction, old["nullable"] == true, new["nullable"] == true) {
            (Direction::Response, false, true) => self.add(format!("{what} may be null now")),
            (Direction::Request, true, false) => self.add(format!("{what} must not be null any more")),
            _ => {}
        }
    }

    /// A request that was accepted still is.
    fn bounds(&mut self, what: &str, old: &Value, new: &Value) {
        for (key, is_upper) in [
            ("maximum", true),
            ("maxLength", true),
            ("maxItems", true),
            ("minimum", false),
            ("minLength", false),
            ("minItems", false),
        ] {
            let Some(bound) = new[key].as_f64() else {
                continue;
            };
            let is_narrower =
                old[key].as_f64().is_none_or(|old| if is_upper { bound < old } else { bound > old });
            if is_narrower {
                self.add(format!("{what}: {key} was {} and is {bound}", old[key]));
            }
        }
        if !new["pattern"].is_null() && old["pattern"] != new["pattern"] {
            self.add(format!("{what}: the pattern was {} and is {}", old["pattern"], new["pattern"]));
        }
    }

    /// Generated clients accept only the values they know.
    fn enumeration(&mut self, what: &str, old: &Value, new: &Value, direction: Direction) {
        let values = |schema: &Value| schema["enum"].as_array().cloned();
        match (values(old), values(new)) {
            (None, Some(_)) if direction == Direction::Request => {
                self.add(format!("{what} has become an enumeration"));
            }
            (Some(old), Some(new)) => {
                let (from, to, change) = match direction {
                    Direction::Request => (&old, &new, "gone"),
                    Direction::Response => (&new, &old, "new"),
                };
                for value in from.iter().filter(|value| !to.contains(value)) {
                    self.add(format!("{what}: the value {value} is {change}"));
                }
            }
            _ => {}
        }
    }

    fn fields(&mut self, what: &str, old: &'a Value, new: &'a Value, direction: Direction) {
        let is_required = |schema: &Value, field: &str| {
            schema["required"].as_array().is_some_and(|required| required.iter().any(|name| name == field))
        };
        for (field, schema) in entries(old, "/properties") {
            let Some(current) = new["properties"].get(field) else {
                self.add(format!("{what}: the field {field} is gone"));
                continue;
            };
            match (direction, is_required(old, field), is_required(new, field)) {
                (Direction::Request, false, true) => {
                    self.add(format!("{what}: the field {field} has become required"));
                }
                (Direction::Response, true, false) => {
                    self.add(format!("{what}: the field {field} may be missing now"));
                }
                _ => {}
            }
            self.schema(&format!("{what}.{field}"), schema, current, direction);
        }
        for (field, _) in entries(new, "/properties") {
            if direction == Direction::Request
                && is_required(new, field)
                && old["properties"].get(field).is_none()
            {
                self.add(format!("{what}: the field {field} is new and required"));
            }
        }
    }
}

/// Returns the schema behind a reference, and its name.
fn resolve<'a>(description: &'a Value, schema: &'a Value) -> (Option<&'a str>, &'a Value) {
    let reference = schema.get("$ref").or_else(|| schema["allOf"][0].get("$ref")).and_then(Value::as_str);
    match reference.and_then(|reference| reference.rsplit('/').next()) {
        Some(name) => (Some(name), &description["components"]["schemas"][name]),
        None => (None, schema),
    }
}

/// Changes a description with `change`. Returns what is found against the unchanged one.
fn found(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let schema = |name: &str| json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{name}")}}});
    let released = json!({
        "paths": {"/things": {"post": {
            "operationId": "makeThing",
            "tags": ["things"],
            "parameters": [
                {"name": "page", "in": "query", "required": false, "schema": {"type": "integer", "maximum": 100.0}},
            ],
            "requestBody": {"required": true, "content": schema("Request")},
            "responses": {
                "201": {"content": schema("Thing"), "headers": {"Location": {}}},
                "409": {"content": schema("Error")},
            },
        }}},
        "components": {"schemas": {
            "Request": {"type": "object", "required": ["name"], "properties": {
                "name": {"type": "string", "maxLength": 10},
                "kind": {"allOf": [{"$ref": "#/components/schemas/Kind"}], "nullable": true},
            }},
            "Thing": {"type": "object", "required": ["id", "kind"], "properties": {
                "id": {"type": "integer", "format": "int64"},
                "kind": {"$ref": "#/components/schemas/Kind"},
                "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}},
            }},
            "Kind": {"type": "string", "enum": ["small", "large"]},
            "Error": {"type": "object", "properties": {"code": {"type": "string"}}},
        }},
    });
    let mut current = released.clone();
    change(&mut current);
    breaking_changes(&released, &current)
}

const OPERATION: &str = "/paths/~1things/post";

fn at<'a>(description: &'a mut Value, pointer: &str) -> &'a mut Value {
    description.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}"))
}

fn operation(description: &mut Value) -> &mut Value {
    at(description, OPERATION)
}

fn schemas(description: &mut Value) -> &mut Value {
    at(description, "/components/schemas")
}

fn remove(value: &mut Value, field: &str) {
    assert!(value.as_object_mut().unwrap().shift_remove(field).is_some(), "no {field}");
}

#[test]
fn additions_break_nothing() {
    assert_eq!(found(|_| {}), [""; 0]);
    assert_eq!(
        found(|description| {
            description["paths"]["/others"] = json!({"get": {"operationId": "listOthers"}});
            operation(description)["responses"]["503"] = json!({});
            operation(description)["parameters"][0]["schema"]["maximum"] = 200.0.into();
            let more = json!({"name": "search", "in": "query", "schema": {"type": "string"}});
            operation(description)["parameters"].as_array_mut().unwrap().push(more);
            schemas(description)["Thing"]["properties"]["size"] = json!({"type": "integer"});
            schemas(description)["Request"]["properties"]["size"] = json!({"type": "integer"});
            let name = json!({"oneOf": [{"type": "integer"}, {"type": "string", "maxLength": 10}]});
            schemas(description)["Request"]["properties"]["name"] = name;
        }),
        [""; 0]
    );
}

#[test]
fn removals_are_found() {
    assert_eq!(found(|d| remove(at(d, "/paths"), "/things")), ["POST /things is gone"]);
    assert_eq!(
        found(|d| operation(d)["operationId"] = "createThing".into()),
        [r#"POST /things: the operation id was "makeThing" and is "createThing""#]
    );
    assert_eq!(
        found(|d| remove(at(d, "/paths/~1things/post/responses"), "409")),
        ["POST /things: the status 409 is gone"]
    );
    assert_eq!(
        found(|d| remove(at(d, "/paths/~1things/post/responses/201/headers"), "Location")),
        ["POST /things 201: the header Location is gone"]
    );
    assert_eq!(
        found(|d| operation(d)["parameters"] = json!([])),
        [r#"POST /things: the parameter "page" is gone"#]
    );
    assert_eq!(
        found(|d| remove(at(d, "/components/schemas/Thing/properties"), "parts")),
        ["Thing: the field parts is gone"]
    );
    assert_eq!(
        found(|d| schemas(d)["Thing"]["required"] = json!(["id"])),
        ["Thing: the field kind may be missing now"]
    );
}

#[test]
fn narrowed_requests_are_found() {
    assert_eq!(
        found(|d| schemas(d)["Request"]["required"] = json!(["name", "kind"])),
        ["Request: the field kind has become required"]
    );
    assert_eq!(
        found(|d| {
            schemas(d)["Request"]["properties"]["size"] = json!({"type": "integer"});
            schemas(d)["Request"]["required"] = json!(["name", "size"]);
        }),
        ["Request: the field size is new and required"]
    );
    assert_eq!(
        found(|d| operation(d)["parameters"][0]["required"] = true.into()),
        [r#"POST /things: the parameter "page" has become required"#]
    );
    assert_eq!(
        found(|d| {
            let new =
                json!({"name": "force", "in": "query", "required": true, "schema": {"type": "boolean"}});
            operation(d)["parameters"].as_array_mut().unwrap().push(new);
        }),
        [r#"POST /things: the parameter "force" is new and required"#]
    );
    assert_eq!(
        found(|d| operation(d)["parameters"][0]["schema"]["maximum"] = 50.0.into()),
        [r#"POST /things: the parameter "page": maximum was 100.0 and is 50"#]
    );
    assert_eq!(
        found(|d| schemas(d)["Request"]["properties"]["name"]["minLength"] = 1.into()),
        ["Request.name: minLength was null and is 1"]
    );
    assert_eq!(
        found(|d| schemas(d)["Kind"]["enum"] = json!(["small"])),
        [r#"Kind: the value "large" is gone"#]
    );
    assert_eq!(
        found(|d| remove(at(d, "/components/schemas/Request/properties/kind"), "nullable")),
        ["Request.kind must not be null any more"]
    );
}

#[test]
fn widened_answers_are_found() {
    assert_eq!(
        found(|d| schemas(d)["Kind"]["enum"] = json!(["small", "middling", "large"])),
        [r#"Kind: the value "middling" is new"#]
    );
    assert_eq!(
        found(|d| schemas(d)["Thing"]["properties"]["id"]["nullable"] = true.into()),
        ["Thing.id may be null now"]
    );
}

#[test]
fn alternatives_are_compared() {
    let either = json!({"oneOf": [{"type": "integer"}, {"type": "string", "maxLength": 5}]});
    assert_eq!(
        found(|d| schemas(d)["Request"]["properties"]["name"] = either),
        ["Request.name: maxLength was 10 and is 5"]
    );
    let neither = json!({"oneOf": [{"type": "integer"}, {"type": "boolean"}]});
    assert_eq!(
        found(|d| schemas(d)["Request"]["properties"]["name"] = neither),
        [r#"Request.name: the type was "string" and is nothing"#]
    );
    let either = json!({"oneOf": [{"type": "integer", "format": "int64"}, {"type": "string"}]});
    assert_eq!(
        found(|d| schemas(d)["Thing"]["properties"]["id"] = either),
        [
            r#"Thing.id: the format was "int64" and is nothing"#,
            r#"Thing.id: the type was "integer" and is nothing"#
        ]
    );
}

#[test]
fn changed_types_are_found() {
    assert_eq!(
        found(|d| schemas(d)["Thing"]["properties"]["id"] = json!({"type": "string"})),
        [
            r#"Thing.id: the format was "int64" and is nothing"#,
            r#"Thing.id: the type was "integer" and is "string""#
        ]
    );
    assert_eq!(
        found(|d| schemas(d)["Thing"]["properties"]["kind"] = json!({"type": "string"})),
        ["Thing.kind: the schema was Kind and is one without a name"]
    );
}
