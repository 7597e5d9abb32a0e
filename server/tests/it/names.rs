//! One rule for all names: normalized, visible, in one direction; and usernames that cannot be confused.

use reqwest::Method;
use scrypt::password_hash::PasswordHasher as _;
use scrypt::{Params, Scrypt};
use serde_json::{Value, json};

use crate::support::client::now;
use crate::support::database::migrate_accounts_again;
use crate::support::server::{ADMIN_PASSWORD, Answer};
use crate::support::{AgentClient, TestDatabase, TestServer, on_both_editions, register_message};

const PASSWORD: &str = "a password of eight or more";

/// Characters that are invisible, change the direction of text, or start a line.
const HIDDEN: [char; 14] = [
    '\u{34f}',
    '\u{61c}',
    '\u{115f}',
    '\u{180e}',
    '\u{200b}',
    '\u{2028}',
    '\u{2029}',
    '\u{202e}',
    '\u{2066}',
    '\u{2800}',
    '\u{3164}',
    '\u{fe0f}',
    '\u{ffa0}',
    '\u{e0041}',
];

on_both_editions!(
    names_are_normalized,
    a_password_is_the_same_in_either_form,
    names_from_before_normalization_still_work,
);

fn refused(answer: &Answer, field: &str) -> bool {
    answer.status == 422 && answer.body["message"].as_str().unwrap_or_default().starts_with(field)
}

#[tokio::test]
async fn names_cannot_contain_hidden_characters() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (_agent, id, _) = server.enroll("web-1").await;
    let agent = format!("/api/agents/{id}");
    for hidden in HIDDEN {
        let name = format!("ad{hidden}min");
        let user = server.post("/api/users", json!({"username": name})).await;
        let nick = server.post("/api/users", json!({"username": "x", "nickname": name})).await;
        let token = server.post("/api/tokens", json!({"name": name, "scopes": ["read"]})).await;
        let body = json!({"name": name, "expiresAt": now() + 60_000, "maxUses": 1});
        let enrollment = server.post("/api/enrollments", body).await;
        let custom = server.put(&agent, json!({"name": name, "tags": [], "note": ""})).await;
        let tag = server.put(&agent, json!({"name": "", "tags": [name], "note": ""})).await;
        for (answer, field) in [
            (user, "username"),
            (nick, "nickname"),
            (token, "name"),
            (enrollment, "name"),
            (custom, "name"),
            (tag, "tags"),
        ] {
            let code = format!("U+{:04X}", u32::from(hidden));
            let message = answer.body["message"].as_str().unwrap_or_default();
            assert!(refused(&answer, field) && message.contains(&code), "{code} in {field}: {answer:?}");
        }
        let enrollment = server.enrollment_token(1).await;
        let mut stranger = AgentClient::connect(&server.address, None).await;
        let mut message = register_message("web-2", Some(&enrollment));
        message["data"]["name"] = json!(name);
        stranger.send(&message).await;
        let answer = stranger.receive().await.unwrap();
        assert_eq!(answer["type"], "register_error", "{hidden:?}: {answer}");
    }
    let blank = json!({"name": " \u{3000} ", "expiresAt": now() + 60_000, "maxUses": 1});
    assert!(refused(&server.post("/api/enrollments", blank).await, "name"));
    server.stop().await.unwrap();
}

/// Like one named before the rule existed.
#[tokio::test]
async fn a_known_agent_registers_without_the_hidden_characters_in_its_name() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (agent, id, secret) = server.enroll("web-1").await;
    drop(agent);
    let mut agent = AgentClient::connect(&server.address, None).await;
    let mut message = register_message("web-1", Some(&secret));
    message["data"]["name"] = json!("web \u{2764}\u{fe0f}");
    agent.send(&message).await;
    let answer = agent.receive().await.unwrap();
    assert_eq!(answer["type"], "register_ack", "{answer}");
    let shown = server.get(&format!("/api/agents/{id}")).await.body;
    assert_eq!(shown["name"], "web \u{2764}", "{shown}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn usernames_cannot_be_confused() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let id = server.create_user("Paul Bill", "user", PASSWORD).await;
    for (alike, of) in [
        ("\u{430}dmin", "a Cyrillic letter"),
        ("\u{410}DMIN", "and in capitals"),
        ("adm\u{131}n", "without its dot"),
        ("\u{ff41}dmin", "a wide letter"),
        ("ADMlN", "a small L for an I"),
        ("adrnin", "two letters for one"),
        ("Paul\u{a0}Bill", "another space"),
        ("Paul  Bill", "two spaces"),
        ("Paul Bi11", "ones for Ls"),
    ] {
        for answer in [
            server.post("/api/users", json!({"username": alike})).await,
            server.put(&format!("/api/users/{id}"), json!({"username": alike})).await,
        ] {
            let own = alike.starts_with("Paul") && answer.status == 200;
            let message = answer.body["message"].as_str().unwrap_or_default();
            assert!(
                own || (answer.status == 409 && message.contains("looks like")),
                "{alike} ({of}): {answer:?}"
            );
        }
    }
    for other in ["administrator", "Pauline Bill", "root"] {
        assert_eq!(server.post("/api/users", json!({"username": other})).await.status, 201, "{other}");
    }
    server.stop().await.unwrap();
}

async fn names_are_normalized(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (apart, whole) = ("Jose\u{301}", "Jos\u{e9}");
    let made = server.post("/api/users", json!({"username": apart, "nickname": apart})).await.body;
    assert_eq!((&made["user"]["username"], &made["user"]["nickname"]), (&json!(whole), &json!(whole)));
    let taken = server.post("/api/users", json!({"username": whole.to_uppercase()})).await;
    assert_eq!((taken.status, &taken.body["message"]), (409, &json!("the username is taken")));
    let password = made["password"].as_str().unwrap();
    for spelling in [apart, whole, "JOS\u{c9}", "JOSE\u{301}"] {
        assert_eq!(server.login(spelling, password).await.status, 200, "{spelling}");
    }
    let (_agent, id, _) = server.enroll(apart).await;
    let labels = json!({"name": apart, "tags": [apart, whole], "note": ""});
    let agent = server.put(&format!("/api/agents/{id}"), labels).await.body;
    assert_eq!((&agent["reportedName"], &agent["hostname"]), (&json!(whole), &json!(whole)));
    assert_eq!((&agent["name"], &agent["tags"]), (&json!(whole), &json!([whole])));
    for query in ["tag=Jose%CC%81", "tag=Jos%C3%A9", "search=jose%CC%81"] {
        assert_eq!(server.get(&format!("/api/agents?{query}")).await.body["total"], 1, "{query}");
    }
    assert_eq!(server.get("/api/users?search=Jose%CC%81").await.body["total"], 1);
    let body = json!({"name": format!(" {apart} "), "expiresAt": now() + 60_000, "maxUses": 1});
    assert_eq!(server.post("/api/enrollments", body).await.body["name"], whole);
    server.stop().await.unwrap();
}

async fn a_password_is_the_same_in_either_form(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (apart, whole) = ("pa\u{308}sswo\u{308}rter", "p\u{e4}ssw\u{f6}rter");
    server.create_user("ana", "user", whole).await;
    server.create_user("bob", "user", apart).await;
    // As it was hashed before passwords were normalized.
    server.create_user("old", "user", "to be replaced").await;
    let hash =
        Scrypt::new_with_params(Params::new(4, 8, 1).unwrap()).hash_password(apart.as_bytes()).unwrap();
    let client = database.connect().await;
    let set = "UPDATE users SET password_hash = $1 WHERE username = 'old'";
    client.execute(set, &[&hash.to_string()]).await.unwrap();
    for (username, password) in
        [("ana", whole), ("ana", apart), ("bob", whole), ("bob", apart), ("old", apart), ("old", whole)]
    {
        let login = server.login(username, password).await;
        assert_eq!(login.status, 200, "{username} {password:?}: {login:?}");
    }
    assert_eq!(server.login("old", "passworter").await.status, 401);
    assert_eq!(server.login("admin", ADMIN_PASSWORD).await.status, 200);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn pictures_must_use_https() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let me = server.get("/api/account/info").await.body["id"].as_str().unwrap().to_owned();
    let path = format!("/api/users/{me}");
    for bad in [
        "javascript:alert(1)",
        "http://example.org/a.png",
        "data:image/png;base64,AAAA",
        "//example.org/a.png",
        "https:",
        "https://",
        "https:///a.png",
        "a.png",
        "https://example.org/a b\"onerror=x",
        "https://user:password@example.org/a.png",
    ] {
        assert!(refused(&server.put(&path, json!({"avatar": bad})).await, "avatar"), "{bad}");
        let made = server.post("/api/users", json!({"username": "x", "avatar": bad})).await;
        assert!(refused(&made, "avatar"), "{bad}: {made:?}");
    }
    for good in ["https://example.org/a.png?size=64#x", "HTTPS://example.org", ""] {
        let changed = server.put(&path, json!({"avatar": good})).await;
        assert_eq!((changed.status, &changed.body["avatar"]), (200, &json!(good)));
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_invalid_register_is_answered_as_register() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let token = server.enrollment_token(1).await;
    let ways: [fn(&mut Value); 3] = [
        |message| message["data"]["hostname"] = json!(5),
        |message| message["data"]["intervalMs"] = json!("often"),
        |message| message["data"] = Value::Null,
    ];
    for spoil in ways {
        let mut message = register_message("web-1", Some(&token));
        spoil(&mut message);
        let mut agent = AgentClient::connect(&server.address, None).await;
        agent.send(&message).await;
        let answer = agent.receive().await.unwrap();
        assert_eq!(
            (&answer["type"], &answer["data"]["code"]),
            (&json!("register_error"), &json!("invalid_field")),
            "{answer}"
        );
        assert_eq!(agent.closed().await, Some(1008));
    }
    let listed = server.request(Method::GET, "/api/agents", Some(&server.admin_token), None).await;
    assert_eq!(listed.body["total"], 0);
    server.stop().await.unwrap();
}

/// Users and tags from before names were normalized.
async fn names_from_before_normalization_still_work(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    server.create_user("old", "user", PASSWORD).await;
    server.create_user("hidden", "user", PASSWORD).await;
    let (_agent, ..) = server.enroll("web-1").await;
    server.stop().await.unwrap();
    let before = "UPDATE users SET username = U&'Jose\\0301', avatar = 'javascript:alert(1)' WHERE username = 'old'; \
         UPDATE users SET username = U&'hi\\FE0Fdden' WHERE username = 'hidden'; \
         UPDATE agents SET tags = ARRAY[U&'Jose\\0301', 'x']";
    migrate_accounts_again(&database.connect().await, before).await;
    let server = TestServer::start(&database.url).await;
    for spelling in ["Jose\u{301}", "jos\u{e9}", "Hi\u{fe0f}dden"] {
        assert_eq!(server.login(spelling, PASSWORD).await.status, 200, "{spelling}");
    }
    assert_eq!(server.get("/api/agents?tag=Jos%C3%A9").await.body["total"], 1);
    let old = server.get("/api/users?search=jos").await.body;
    assert_eq!((&old["total"], &old["items"][0]["avatar"]), (&json!(1), &json!("")), "{old}");
    server.stop().await.unwrap();
}
