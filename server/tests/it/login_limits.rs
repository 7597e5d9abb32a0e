//! The limits on guessing: what counts as a failure, for whom, and what never does.

use reqwest::Method;
use serde_json::json;

use crate::support::server::{Answer, answer, client_from, config};
use crate::support::{TestDatabase, TestServer};

const PASSWORD: &str = "a password of eight or more";

/// Fails at an account from an address until the answer changes, at most this often.
async fn fail(server: &TestServer, address: &str, username: &str, times_max: usize) -> (usize, Answer) {
    for n in 0..times_max {
        let answer = server.login_from(address, username, "wrong").await;
        if answer.status != 401 {
            return (n, answer);
        }
    }
    panic!("{username} can be guessed at from {address} without an end");
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
async fn concurrent_guesses_do_not_slip_through() {
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
    // Ana stays logged in; Bob has logged in there before.
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
                    answer(client_from(&address).post(&url).json(&body)).await;
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

    // After a restart, the sessions show who is at home where.
    let server = TestServer::start_unready(config).await;
    server.ready().await;
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
    let client = client_from("127.0.0.3");
    let body = json!({"token": "pika_api_x"});
    for n in 0..=20 {
        let answer = answer(client.post(server.url("/api/auth")).json(&body)).await;
        assert_eq!(answer.status, if n < 20 { 401 } else { 429 }, "{n}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_stolen_session_can_try_one_password_at_a_time() {
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
async fn concurrent_correct_logins_are_not_limited() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    config.auth.failures_per_account_and_address_max = 3;
    let server = TestServer::start_with(config).await;
    server.create_user("ana", "user", PASSWORD).await;
    let logins = (0..30).map(|_| server.login_from("127.0.0.2", "ana", PASSWORD));
    let answers = futures_util::future::join_all(logins).await;
    let n_refused = answers.iter().filter(|answer| answer.status != 200).count();
    assert_eq!((n_refused, server.instruments.logins_limited()), (0, 0), "{answers:?}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn errors_of_the_database_are_no_failed_logins() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    config.auth.failures_per_account_and_address_max = 2;
    config.auth.failures_per_address_max = 2;
    let server = TestServer::start_with(config).await;
    server.create_user("ana", "user", PASSWORD).await;
    let token = json!({"token": server.api_token(&server.admin_token, &["read"]).await});
    let client = database.connect().await;
    let rename = async |from: &str, to: &str| {
        client.batch_execute(&format!("ALTER TABLE {from} RENAME TO {to}")).await.unwrap();
    };
    let with_token = || answer(client_from("127.0.0.2").post(server.url("/api/auth")).json(&token));
    for table in ["sessions", "audit_log", "api_tokens"] {
        rename(table, "elsewhere").await;
        for _ in 0..4 {
            let failed = match table {
                "api_tokens" => with_token().await,
                _ => server.login_from("127.0.0.2", "ana", PASSWORD).await,
            };
            assert_eq!(failed.status, 500, "without {table}: {failed:?}");
        }
        rename("elsewhere", table).await;
    }
    assert_eq!(server.login_from("127.0.0.2", "ana", PASSWORD).await.status, 200);
    assert_eq!(with_token().await.status, 200);
    server.stop().await.unwrap();
}

/// However it is spelled: otherwise the number of guesses would reveal whether the user exists.
#[tokio::test]
async fn an_unknown_name_is_limited_in_all_spellings_together_like_a_known_one() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    config.auth.failures_per_account_and_address_max = 6;
    let server = TestServer::start_with(config).await;
    server.create_user("Ana Mu\u{308}ller", "user", PASSWORD).await;
    for name in ["Ana M\u{fc}ller", "Eva M\u{fc}ller"] {
        let mut n_guesses = 0;
        let spellings = [
            name.to_owned(),
            format!(" {name}"),
            format!("\u{3000}{name}\t"),
            name.to_uppercase(),
            name.replace('\u{fc}', "u\u{308}"),
        ];
        for spelling in spellings.iter().cycle().take(60) {
            n_guesses += usize::from(server.login_from("127.0.0.2", spelling, "wrong").await.status == 401);
        }
        assert_eq!(n_guesses, 6, "{name}");
    }
    server.stop().await.unwrap();
}
