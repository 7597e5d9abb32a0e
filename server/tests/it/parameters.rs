//! Errors about wrong parameters say what would be right.

use reqwest::Method;
use serde_json::Value;

use crate::support::{TestDatabase, TestServer};

const SOME_ID: &str = "00000000-0000-4000-8000-000000000000";

/// Returns the schema behind a reference.
fn resolved<'a>(description: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        Some(name) => &description["components"]["schemas"][name],
        None => schema,
    }
}

/// Returns what the answer to a wrong value must mention; empty if every text is right.
fn expected(schema: &Value) -> Vec<String> {
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(|value| value.as_str().unwrap().to_owned()).collect();
    }
    if let Some(schemas) = schema["oneOf"].as_array() {
        return schemas.iter().flat_map(expected).collect();
    }
    if schema["type"] == "array" {
        return expected(&schema["items"]);
    }
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("integer"), _) => {
            let bounds = ["minimum", "maximum"].into_iter().filter_map(|bound| schema[bound].as_f64());
            bounds.map(|bound| format!("{bound}")).chain(["whole number".to_owned()]).collect()
        }
        (_, Some("uuid")) => vec!["UUID".to_owned()],
        _ => Vec::new(),
    }
}

/// Returns a valid value of a required parameter.
fn required(name: &str) -> String {
    let value = match name {
        "type" => "cpu",
        "metric" => "load1",
        "agentId" => SOME_ID,
        _ => panic!("the parameter {name} is new: say here what it may be"),
    };
    format!("{name}={value}&")
}

#[tokio::test]
async fn a_parameter_that_cannot_be_read_is_answered_with_what_is_allowed() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let description = server.get("/api/openapi.json").await.body;
    let mut n_tried = 0;
    let mut wrong = Vec::new();
    for (path, operations) in description["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            for parameter in &parameters {
                let name = parameter["name"].as_str().unwrap();
                let mut expected = expected(resolved(&description, &parameter["schema"]));
                if expected.is_empty() {
                    continue;
                }
                expected.push(name.to_owned());
                let in_path = path.replace("{id}", if name == "id" { "bogus" } else { SOME_ID });
                let others = parameters.iter().filter(|other| {
                    *other != parameter && other["in"] == "query" && other["required"] == true
                });
                let required: String =
                    others.map(|other| required(other["name"].as_str().unwrap())).collect();
                let query = if name == "id" { String::new() } else { format!("{name}=bogus") };
                let method: Method = method.to_uppercase().parse().unwrap();
                let path = format!("{in_path}?{required}{query}");
                let answer = server.request(method.clone(), &path, Some(&server.admin_token), None).await;
                let message = answer.body["message"].as_str().unwrap_or_default();
                if answer.status != 400 || !expected.iter().all(|text| message.contains(text.as_str())) {
                    wrong.push(format!(
                        "{method} {path}: {} {message:?} does not name {expected:?}",
                        answer.status
                    ));
                }
                n_tried += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(30 <= n_tried, "only {n_tried} parameters");
    let missing = server.get(&format!("/api/agents/{SOME_ID}/metrics")).await;
    let message = missing.body["message"].as_str().unwrap();
    assert!(message.contains("type is missing") && message.contains("cpu, memory"), "{message}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_number_out_of_range_is_answered_with_the_range() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (agent, id, _) = server.enroll("web-1").await;
    let metrics = format!("/api/agents/{id}/metrics?type=cpu&");
    let times = "0–253402300800000";
    for (path, range) in [
        (format!("{metrics}points=0"), "1–5000"),
        (format!("{metrics}points=5001"), "1–5000"),
        (format!("{metrics}points=-1"), "1–5000"),
        (format!("{metrics}points=99999999999"), "1–5000"),
        (format!("{metrics}interval=0"), "1–316224000000"),
        (format!("{metrics}interval={}", i64::MAX), "1–316224000000"),
        (format!("{metrics}interval=9{}", i64::MAX), "1–316224000000"),
        (format!("{metrics}start=-1"), times),
        (format!("{metrics}end=-1"), times),
        (format!("{metrics}end={}", i64::MAX), times),
        ("/api/agents?status=7".to_owned(), "0 or 1"),
        ("/api/agents?status=99999999999".to_owned(), "0 or 1"),
        ("/api/users?page=0".to_owned(), "1–1000000"),
        ("/api/users?pageSize=101".to_owned(), "1–100"),
        ("/api/audit?pageSize=0".to_owned(), "1–100"),
        ("/api/audit?page=1000001".to_owned(), "1–1000000"),
        ("/api/users?sort=shoeSize".to_owned(), "username"),
        (format!("/api/users?search={}", "x".repeat(256)), "255 characters"),
    ] {
        let answer = server.get(&path).await;
        let message = answer.body["message"].as_str().unwrap_or_default();
        assert!([400, 422].contains(&answer.status), "{path}: {answer:?}");
        assert!(message.contains(range), "{path}: {message}");
    }
    drop(agent);
    server.stop().await.unwrap();
}
