//! Logging in under attack: guessing, fixation, replay, and strangers who want to keep others out.

use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::support::client::now;
use crate::support::server::{ADMIN_PASSWORD, Answer, answer, config};
use crate::support::{TestDatabase, TestServer, on_both_editions};

const PASSWORD: &str = "a password of eight or more";
const HOME: &str = "127.0.0.1";

on_both_editions!(sessions_are_listed_and_ended);

async fn info(server: &TestServer, token: &str) -> u16 {
    server.request(Method::GET, "/api/account/info", Some(token), None).await.status
}

/// Fails at an account from an address until there is another answer, at most so often.
async fn fail(server: &TestServer, address: &str, username: &str, times_max: usize) -> (usize, Answer) {
    for n in 0..times_max {
        let answer = server.login_from(address, username, "wrong").await;
        if answer.status != 401 {
            return (n, answer);
        }
    }
    panic!("{username} can be guessed at from {address} without an end");
}

async fn sessions_are_listed_and_ended(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let body = json!({"username": "admin", "password": ADMIN_PASSWORD});
    let login = server.http.post(server.url("/api/login")).header("User-Agent", "test\tbrowser").json(&body);
    let other = answer(login).await.body["token"].as_str().unwrap().to_owned();
    let listed = server.get("/api/account/sessions").await.body;
    let current = |is_current: bool| {
        let items = listed["items"].as_array().unwrap();
        items.iter().find(|item| item["current"] == is_current).unwrap().clone()
    };
    let item = current(false);
    assert_eq!((&item["userAgent"], &item["address"]), (&json!("testbrowser"), &json!(HOME)), "{listed}");
    assert!(item["createdAt"].as_i64().unwrap() < item["expiresAt"].as_i64().unwrap());
    assert!(!listed.to_string().contains("pika_session_"));
    let path = format!("/api/account/sessions/{}", item["id"].as_str().unwrap());
    assert_eq!(server.delete(&path).await.status, 204);
    assert_eq!(server.delete(&path).await.status, 404);
    assert_eq!((info(&server, &other).await, info(&server, &server.admin_token).await), (401, 200));

    server.create_user("ana", "user", PASSWORD).await;
    let ana = server.session("ana", PASSWORD).await;
    let of_admin = format!("/api/account/sessions/{}", current(true)["id"].as_str().unwrap());
    let stolen = server.request(Method::DELETE, &of_admin, Some(&ana), None).await;
    assert_eq!(stolen.status, 404, "nobody ends the sessions of others");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_login_accepts_no_token_that_the_client_chose() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let chosen = format!("{}x", server.admin_token);
    let body = json!({"username": "admin", "password": ADMIN_PASSWORD});
    let login_with = |cookie: String| {
        let request = server.http.post(server.url("/api/login")).header("Cookie", cookie);
        answer(request.json(&body))
    };
    let login = login_with(format!("pika_session={chosen}")).await;
    let first = login.body["token"].as_str().unwrap().to_owned();
    assert_ne!(first, chosen);
    assert_eq!((info(&server, &chosen).await, info(&server, &first).await), (401, 200));
    let login = login_with(format!("pika_session={first}")).await;
    let second = login.body["token"].as_str().unwrap().to_owned();
    assert_eq!((info(&server, &first).await, info(&server, &second).await), (401, 200), "the old one ends");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_token_is_worth_nothing_after_the_logout() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let token = server.session("admin", ADMIN_PASSWORD).await;
    let logout = |token: String| {
        let server = &server;
        async move { server.request(Method::POST, "/api/logout", Some(&token), None).await.status }
    };
    assert_eq!(logout(token.clone()).await, 204);
    assert_eq!(info(&server, &token).await, 401);
    assert_eq!(logout(token.clone()).await, 401);
    let told = server.request(Method::POST, "/api/auth", None, Some(json!({"token": token}))).await;
    assert_eq!(told.status, 401);
    assert_eq!(info(&server, &server.admin_token).await, 200, "other sessions stay");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_unknown_user_costs_a_password_check_like_a_known_one() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    server.create_user("ana", "user", PASSWORD).await;
    let before = server.instruments.passwords_checked();
    for (n, username) in ["nobody", "ana", "not\u{0}a name"].into_iter().enumerate() {
        assert_eq!(server.login(username, "wrong").await.status, 401);
        assert_eq!(server.instruments.passwords_checked(), before + n as u64 + 1, "{username:?}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_password_cannot_be_guessed_by_force() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    config.auth.failures_per_account_and_address_max = 5;
    let server = TestServer::start_with(config).await;
    server.create_user("ana", "user", PASSWORD).await;
    for username in ["ana", "nobody"] {
        let (times, limited) = fail(&server, "127.0.0.2", username, 100).await;
        let code = (times, limited.status, &limited.body["code"]);
        assert_eq!(code, (5, 429, &json!("too_many_requests")), "whether there is a user or not: {username}");
        let retry_after: u64 = limited.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=180).contains(&retry_after), "{retry_after}");
    }
    let checked = server.instruments.passwords_checked();
    let limited = server.instruments.logins_limited();
    let right = server.login_from("127.0.0.2", "ANA", PASSWORD).await;
    assert_eq!(right.status, 429, "a right guess is not told");
    assert_eq!(server.instruments.passwords_checked(), checked, "and not even looked at");
    assert_eq!(server.instruments.logins_limited(), limited + 1);
    assert_eq!(server.login("ana", PASSWORD).await.status, 200, "elsewhere all is well");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn guesses_at_the_same_time_do_not_slip_through() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    config.auth.failures_per_account_and_address_max = 3;
    let server = TestServer::start_with(config).await;
    server.create_user("ana", "user", PASSWORD).await;
    let guesses = (0..20).map(|_| server.login_from("127.0.0.2", "ana", "wrong"));
    let answers = futures_util::future::join_all(guesses).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 401).count(), 3);
    assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 17);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn logins_that_succeed_are_not_limited() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    config.auth.failures_per_account_and_address_max = 2;
    config.auth.failures_per_account_max = 2;
    let server = TestServer::start_with(config).await;
    server.create_user("ana", "user", PASSWORD).await;
    for _ in 0..10 {
        assert_eq!(server.login_from("127.0.0.2", "ana", PASSWORD).await.status, 200);
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn nobody_can_be_locked_out_by_a_stranger() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    config.auth.failures_per_account_and_address_max = 2;
    config.auth.failures_per_account_max = 6;
    let server = TestServer::start_with(config.clone()).await;
    server.create_user("ana", "user", PASSWORD).await;
    server.create_user("bob", "user", PASSWORD).await;
    // Ana stays logged in; Bob has been there.
    server.session("ana", PASSWORD).await;
    let bob = server.session("bob", PASSWORD).await;
    server.request(Method::POST, "/api/logout", Some(&bob), None).await;
    let attack = |server: &TestServer| {
        let attacks: Vec<_> = ["ana", "bob"]
            .into_iter()
            .flat_map(|name| (2..12).map(move |n| (name, format!("127.0.0.{n}"))))
            .collect();
        let (url, instruments) = (server.url("/api/login"), server.instruments.clone());
        async move {
            for (name, address) in attacks {
                let body = json!({"username": name, "password": "wrong"});
                for _ in 0..2 {
                    answer(crate::support::server::client_from(&address).post(&url).json(&body)).await;
                }
            }
            assert!(0 < instruments.logins_limited(), "the attack was noticed");
        }
    };
    attack(&server).await;
    assert_eq!(
        server.login_from("127.0.0.99", "ana", PASSWORD).await.status,
        429,
        "from anywhere it is stopped"
    );
    for name in ["ana", "bob"] {
        assert_eq!(server.login(name, PASSWORD).await.status, 200, "{name} gets in at home");
    }
    server.stop().await.unwrap();

    // After a restart, the sessions tell who is at home where.
    let server = TestServer::start_unready(config).await;
    crate::support::eventually("the server is ready", || async {
        (server.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    attack(&server).await;
    assert_eq!(server.login_from("127.0.0.99", "ana", PASSWORD).await.status, 429);
    assert_eq!(server.login("ana", PASSWORD).await.status, 200);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_address_that_tries_many_accounts_or_tokens_is_stopped() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    config.auth.failures_per_address_max = 20;
    let server = TestServer::start_with(config).await;
    let mut n_failed = 0;
    for n in 0..100 {
        let answer = server.login_from("127.0.0.2", &format!("user-{n}"), "wrong").await;
        n_failed += usize::from(answer.status == 401);
    }
    assert_eq!(n_failed, 20);
    let client = crate::support::server::client_from("127.0.0.3");
    let body = json!({"token": "pika_api_x"});
    for n in 0..=20 {
        let answer = answer(client.post(server.url("/api/auth")).json(&body)).await;
        assert_eq!(answer.status, if n < 20 { 401 } else { 429 }, "{n}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn one_password_at_a_time_can_be_tried_with_a_stolen_session() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    config.auth.failures_per_account_and_address_max = 3;
    let server = TestServer::start_with(config).await;
    let id = server.create_user("ana", "user", PASSWORD).await;
    let token = server.session("ana", PASSWORD).await;
    let guess = json!({"oldPassword": "wrong", "newPassword": "not yours to change"});
    let path = format!("/api/users/{id}/password");
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let answer = server.request(Method::POST, &path, Some(&token), Some(guess.clone())).await;
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [403, 403, 403, 429]);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_user_has_a_bounded_number_of_sessions() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    server.create_user("ana", "user", PASSWORD).await;
    let first = server.session("ana", PASSWORD).await;
    let logins = (0..50).map(|_| server.session("ana", PASSWORD));
    for login in logins {
        login.await;
    }
    let of_ana =
        "SELECT count(*) FROM sessions WHERE user_id = (SELECT id FROM users WHERE username = 'ana')";
    assert_eq!(database.count(of_ana).await, 50);
    assert_eq!(info(&server, &first).await, 401, "the oldest one has ended");
    assert_eq!(info(&server, &server.admin_token).await, 200, "those of others have not");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_login_hashes_a_cheap_password_anew() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    server.stop().await.unwrap();
    let hash = || async {
        let client = database.connect().await;
        client.query_one("SELECT password_hash FROM users", &[]).await.unwrap().get::<_, String>(0)
    };
    let cheap = hash().await;
    assert!(cheap.starts_with("$scrypt$ln=4,"), "{cheap}");
    let mut dear = config(&database.url);
    dear.auth.scrypt_log_n = 5;
    let server = TestServer::start_with(dear.clone()).await;
    assert!(hash().await.starts_with("$scrypt$ln=5,"));
    let rehashed = hash().await;
    server.session("admin", ADMIN_PASSWORD).await;
    assert_eq!(hash().await, rehashed, "once is enough");
    server.stop().await.unwrap();
    dear.auth.scrypt_log_n = 4;
    let server = TestServer::start_with(dear).await;
    assert_eq!(hash().await, rehashed, "never down");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn logins_at_the_same_time_succeed_while_the_password_is_hashed_anew() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    server.stop().await.unwrap();
    let mut dear = config(&database.url);
    dear.auth.scrypt_log_n = 5;
    let server = TestServer::start_unready(dear).await;
    crate::support::eventually("the server is ready", || async {
        (server.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    let logins = futures_util::future::join_all((0..8).map(|_| server.login("admin", ADMIN_PASSWORD))).await;
    for login in logins {
        assert_eq!(login.status, 200, "{login:?}");
    }
    server.stop().await.unwrap();
}

/// Everything that the accounts' API is given or makes, followed through answers, log, audit log and database.
#[tokio::test]
async fn secrets_are_in_no_answer_but_one_and_in_no_log_nor_row() {
    let log = std::sync::Arc::new(std::sync::Mutex::new(Vec::<u8>::new()));
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(crate::support::LogBuffer(log.clone()))
        .finish();
    // As long as there is only one, other tests' threads, which have none, decide what is worth logging.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _guard = tracing::subscriber::set_default(subscriber);
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let mut secrets = vec![ADMIN_PASSWORD.to_owned(), server.admin_token.clone(), PASSWORD.to_owned()];
    let id = server.create_user("ana", "user", PASSWORD).await;
    let ana = server.session("ana", PASSWORD).await;
    secrets.push(ana.clone());
    secrets.push(server.api_token(&ana, &["read"]).await);
    let wrong = "a wrong password typed in";
    secrets.push(wrong.to_owned());
    server.login("ana", wrong).await;
    server.login(wrong, "x").await;
    let setup = json!({"password": PASSWORD});
    let setup = server.request(Method::POST, "/api/account/totp", Some(&ana), Some(setup)).await.body;
    let totp_secret = setup["secret"].as_str().unwrap().to_owned();
    let code = json!({"code": crate::second_factor::code(&totp_secret, 0)});
    let codes = server.request(Method::POST, "/api/account/totp/confirm", Some(&ana), Some(code)).await.body;
    let recovery: Vec<String> = serde_json::from_value(codes["recoveryCodes"].clone()).unwrap();
    secrets.push(totp_secret);
    secrets.extend(recovery);
    let reset = server.post(&format!("/api/users/{id}/reset-password"), json!({})).await.body;
    secrets.push(reset["password"].as_str().unwrap().to_owned());
    secrets.push(server.enrollment_token(1).await);

    let mut texts = vec![("log", String::from_utf8(log.lock().unwrap().clone()).unwrap())];
    assert!(texts[0].1.contains("request_id"), "the log was listened to");
    for path in
        ["/api/users", "/api/audit?pageSize=100", "/api/tokens", "/api/account/sessions", "/api/enrollments"]
    {
        texts.push(("answer", server.get(path).await.body.to_string()));
    }
    let client = database.connect().await;
    for table in ["users", "sessions", "api_tokens", "recovery_codes", "audit_log", "enrollments"] {
        let rows = client.query(&format!("SELECT to_jsonb(t)::text FROM {table} t"), &[]).await.unwrap();
        assert!(!rows.is_empty(), "{table}");
        texts.extend(rows.iter().map(|row| (table, row.get::<_, String>(0))));
    }
    for secret in &secrets {
        assert!(8 <= secret.len());
        // The way bytea is shown.
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        for (place, text) in &texts {
            assert!(
                !text.contains(secret.as_str()) && !text.contains(&hex),
                "{secret} is in {place}: {text}"
            );
        }
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_user_who_is_disabled_during_a_login_is_not_logged_in() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let store = database.store();
    let found = store.user_with_password("admin").await.unwrap().unwrap();
    let token = pika_server::domain::token::NewToken::random(pika_shared::token::TokenKind::Session);
    let new = pika_server::store::NewSession {
        token_hash: token.as_ref().unwrap().hash,
        user_id: found.user.id,
        expires_at: now() + 60_000,
        user_agent: String::new(),
        replaces: None,
    };
    database.connect().await.batch_execute("UPDATE users SET status = 0").await.unwrap();
    let event = crate::support::by_test(pika_server::domain::audit::Action::Login);
    assert!(store.insert_session(&new, &found.password_hash, &event).await.unwrap().is_none());
    assert_eq!(info(&server, token.unwrap().secret.expose_secret()).await, 401);
    assert_eq!(server.get("/api/account/info").await.body["code"], Value::from("unauthorized"));
    server.stop().await.unwrap();
}
