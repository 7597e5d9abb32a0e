//! Labels changed by several administrators, or of many agents.

use serde_json::{Value, json};

use crate::support::{TestDatabase, TestServer, on_both_editions};

on_both_editions!(
    tags_of_many_agents_change_at_once_or_not_at_all,
    two_administrators_do_not_overwrite_each_other,
);

async fn tags_of_many_agents_change_at_once_or_not_at_all(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (_one, one, _) = server.enroll("web-1").await;
    let (_other, other, _) = server.enroll("web-2").await;
    let tags = async |id: &str| server.get(&format!("/api/agents/{id}")).await.body["tags"].clone();
    let label = |tags: Value| json!({"name": "", "tags": tags, "note": ""});
    server.put(&format!("/api/agents/{one}"), label(json!(["b", "old", "a"]))).await;
    server.put(&format!("/api/agents/{other}"), label(json!(["new", "c"]))).await;

    let nobody = "00000000-0000-4000-8000-000000000000";
    let change = |add: Value, remove: Value| json!({"ids": [one, other, nobody], "addTags": add, "removeTags": remove});
    let changed = server.post("/api/agents/bulk", change(json!(["new", " c "]), json!(["old"]))).await;
    assert_eq!(
        (changed.status, &changed.body["ids"]),
        (200, &json!([one])),
        "the other already has all of it"
    );
    assert_eq!((tags(&one).await, tags(&other).await), (json!(["b", "a", "new", "c"]), json!(["new", "c"])));
    let log = server.get("/api/audit?action=agent.update&pageSize=1").await.body["items"][0].clone();
    assert_eq!((&log["objectId"], &log["details"]["addTags"]), (&json!(one), &json!(["new", "c"])));

    // 29 more fit one agent but not the other, so neither gets them.
    let many: Vec<String> = (0..29).map(|n| n.to_string()).collect();
    let long = "x".repeat(65);
    for (body, status) in [
        (change(json!(many), json!([])), 422),
        (change(json!(["x"]), json!(["x"])), 422),
        (change(json!([long]), json!([])), 422),
        (json!({"ids": [], "addTags": ["x"]}), 400),
        (json!({"ids": vec![nobody; 1_001], "addTags": ["x"]}), 400),
        (json!({"ids": [one]}), 200),
    ] {
        let answer = server.post("/api/agents/bulk", body).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    assert_eq!(tags(&other).await, json!(["new", "c"]));
    server.stop().await.unwrap();
}

async fn two_administrators_do_not_overwrite_each_other(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (_agent, id, _) = server.enroll("web-1").await;
    let path = format!("/api/agents/{id}");
    let read = server.get(&path).await.body["updatedAt"].clone();
    let label = |note: &str, updated_at: &Value| json!({"name": "", "tags": [], "note": note, "updatedAt": updated_at});
    let first = server.put(&path, label("first", &read)).await;
    assert_eq!(first.status, 200, "{first:?}");
    assert_ne!(first.body["updatedAt"], read);
    let second = server.put(&path, label("second", &read)).await;
    assert_eq!((second.status, &second.body["code"]), (409, &json!("conflict")), "{second:?}");
    assert_eq!(server.get(&path).await.body["note"], "first");
    assert_eq!(server.put(&path, label("again", &first.body["updatedAt"])).await.status, 200);
    assert_eq!(server.put(&path, label("unconditionally", &Value::Null)).await.status, 200);
    let nobody = "/api/agents/00000000-0000-4000-8000-000000000000";
    assert_eq!(server.put(nobody, label("", &read)).await.status, 404);
    server.stop().await.unwrap();
}
