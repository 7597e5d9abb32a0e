//! Users' preferences are stored as sent, separately for each user, and limited in size.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestDatabase, TestServer, on_both_editions};

on_both_editions!(preferences_are_stored_as_sent);

const PATH: &str = "/api/account/preferences";
const PASSWORD: &str = "a password of eight or more";

async fn preferences_are_stored_as_sent(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let id = server.create_user("user", "user", PASSWORD).await;
    let user = server.session("user", PASSWORD).await;
    let of_user = async || server.request(Method::GET, PATH, Some(&user), None).await.body;
    assert_eq!(of_user().await, json!({"preferences": {}, "updatedAt": null}));

    let preferences =
        json!({"zone": "Europe/Berlin", "columns": ["cpu", {"width": 1.5}], "a": null, "n": "\0ü"});
    let body = json!({"preferences": preferences});
    let kept = server.request(Method::PUT, PATH, Some(&user), Some(body)).await;
    assert_eq!((kept.status, &kept.body["preferences"]), (200, &preferences));
    assert_eq!(of_user().await, kept.body);
    assert_eq!(of_user().await["preferences"].to_string(), preferences.to_string(), "in the same order");
    assert_eq!(server.get(PATH).await.body["preferences"], json!({}), "others have their own");

    // Two bytes of quotes, five of the name, two of braces: exactly the maximum, and one byte more.
    let sized = |bytes: usize| json!({"preferences": {"x": "x".repeat(bytes - 8)}});
    assert_eq!(server.put(PATH, sized(16_384)).await.status, 200);
    for (body, status) in [
        (sized(16_385), 422),
        (json!({"preferences": []}), 400),
        (json!({"preferences": "x"}), 400),
        (json!({}), 400),
        (json!({"preferences": {}, "more": 1}), 400),
    ] {
        assert_eq!(server.put(PATH, body.clone()).await.status, status, "{:.60}", body.to_string());
    }
    assert_eq!(server.get(PATH).await.body["preferences"]["x"].as_str().map(str::len), Some(16_376));
    assert_eq!(server.put(PATH, json!({"preferences": {}})).await.status, 200);
    assert_eq!(server.get(PATH).await.body["preferences"], Value::Object(serde_json::Map::new()));

    assert_eq!(server.delete(&format!("/api/users/{id}")).await.status, 204);
    assert_eq!(database.count("SELECT count(*) FROM user_preferences").await, 1);
    server.stop().await.unwrap();
}
