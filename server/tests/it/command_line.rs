//! The subcommands of `pika-server`, run as a user would.

use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::support::{TestDatabase, TestServer};

async fn pika_server(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pika-server"));
    command.args(arguments).env_clear().envs(environment.iter().copied());
    command.output().await.unwrap()
}

/// Runs `pika-server user …` with this standard input.
async fn user(database: &TestDatabase, arguments: &[&str], input: &str) -> Output {
    with_input(&database.url, &[&["user"], arguments].concat(), input).await
}

async fn with_input(database_url: &str, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pika-server"));
    command.args(arguments).env_clear();
    command.envs([("DATABASE_URL", database_url), ("PIKA_AUTH_SCRYPT_LOG_N", "4")]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The program may not read it.
    drop(stdin.write_all(input.as_bytes()).await);
    drop(stdin);
    child.wait_with_output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs `pika-server config get …` with a configuration file. Returns what it prints, and its exit status.
async fn config_get(file: &str, arguments: &[&str], environment: &[(&str, &str)]) -> (String, i32) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.yaml");
    std::fs::write(&path, file).unwrap();
    let arguments = [&["--config", path.to_str().unwrap(), "config", "get"], arguments].concat();
    let output = pika_server(&arguments, environment).await;
    (text(&output.stdout) + &text(&output.stderr), output.status.code().unwrap())
}

#[tokio::test]
async fn keys_are_printed_with_the_value_in_effect() {
    let file = "Server:\n  Addr: 127.0.0.1:1\n  cors_origins: [https://a.example, https://b.example]\n\
                database:\n  postgres: {hostname: db.example.org, password: hunter2}\n  pool_size: 3\nlog:\n";
    let url = "postgres://pika:hunter2@db.example.org:15432/pika?sslmode=disable\n";
    let environment = [("PIKA_SERVER_ADDR", "127.0.0.1:2"), ("PIKA_INGEST_WRITE_METHOD", "insert")];
    for (key, printed) in [
        ("server.addr", "127.0.0.1:2\n"),
        ("SERVER.ADDR", "127.0.0.1:2\n"),
        ("server.cors_origins", "https://a.example,https://b.example\n"),
        ("server.public_url", "\n"),
        ("server.tls.pin_key", "false\n"),
        ("database.pool_size", "3\n"),
        ("database.url", url),
        ("ingest.write_method", "insert\n"),
        ("server.tls", "certificate_file: ''\nkey_file: ''\nreload_interval_ms: 10000\npin_key: false\n"),
    ] {
        assert_eq!(config_get(file, &[key], &environment).await, (printed.to_owned(), 0), "{key}");
    }
    let elsewhere = [("DATABASE_URL", "postgres://a/b")];
    assert_eq!(config_get(file, &["database.url"], &elsewhere).await, ("postgres://a/b\n".to_owned(), 0));
}

#[tokio::test]
async fn given_values_are_distinguished_from_defaults() {
    // Even if it equals the default or is empty: what counts is where it comes from.
    let file = "database:\n  url: \"\"\n  postgres:\n    hostname: localhost\nserver:\n  tls:\n";
    let environment = [("PIKA_SERVER_ADDR", "127.0.0.1:2"), ("PIKA_LOG_FILENAME", "")];
    for (key, printed) in [
        ("database.postgres.hostname", "localhost\n"),
        ("database.pool_size", ""),
        ("database.url", ""),
        ("server.addr", "127.0.0.1:2\n"),
        ("server.tls", ""),
        ("log.filename", ""),
    ] {
        let status = if printed.is_empty() { 3 } else { 0 };
        let got = config_get(file, &["--given", key], &environment).await;
        assert_eq!(got, (printed.to_owned(), status), "{key}");
    }
    let (section, status) = config_get(file, &["database.postgres", "--given"], &[]).await;
    assert!(status == 0 && section.starts_with("hostname: localhost\nport: 15432\n"), "{section}");
    let url = [("DATABASE_URL", "postgres://a/b")];
    assert_eq!(config_get("", &["database.url", "--given"], &url).await.1, 0);
}

#[tokio::test]
async fn a_key_that_does_not_exist_names_the_nearest() {
    for (key, nearest) in [
        ("database.postgres.host", "database.postgres.hostname"),
        ("server.adr", "server.addr"),
        ("databse", "database"),
        ("pool_size", "database.pool_size"),
    ] {
        let (said, status) = config_get("", &[key], &[]).await;
        assert!(status == 1 && said.contains(&format!("did you mean {nearest}?")), "{key}: {said}");
    }
    let (said, status) = config_get("", &["zzz"], &[]).await;
    assert!(status == 1 && !said.contains("mean"), "{said}");
    let (said, status) = config_get("log:\n  levl: info\n", &["log.level"], &[]).await;
    assert!(status == 1 && said.contains("levl"), "a configuration that cannot be used: {said}");
}

#[tokio::test]
async fn a_database_is_migrated_and_an_enrollment_token_created() {
    let database = TestDatabase::on_server_unmigrated().await;
    let environment = [("DATABASE_URL", database.url.as_str())];
    let planned = pika_server(&["migrate", "--dry-run"], &environment).await;
    let plan = text(&planned.stdout);
    assert!(planned.status.success() && plan.starts_with("would apply V1__accounts\n"), "{plan}");
    assert_eq!(database.count("SELECT count(*) FROM pg_class WHERE relname = 'users'").await, 0);
    let migrated = pika_server(&["migrate"], &environment).await;
    assert!(migrated.status.success(), "{}", text(&migrated.stderr));
    assert!(text(&migrated.stdout).contains("the schema is up to date"), "{}", text(&migrated.stdout));
    let planned = pika_server(&["migrate", "--dry-run"], &environment).await;
    assert_eq!(text(&planned.stdout), "the schema is up to date\n", "{}", text(&planned.stderr));
    let made = pika_server(&["enrollment", "create", "--name", "test"], &environment).await;
    assert!(text(&made.stdout).starts_with("pika_enroll_"), "{}", text(&made.stderr));
    assert_eq!(database.count("SELECT count(*) FROM enrollments").await, 1);
}

#[tokio::test]
async fn the_description_is_printed_and_a_server_that_is_not_there_is_not_ready() {
    let description = pika_server(&["openapi"], &[]).await;
    let description: Value = serde_json::from_slice(&description.stdout).unwrap();
    assert_eq!(description["info"]["title"], "Pika");
    let nobody = pika_server(&["healthcheck", "--url", "http://127.0.0.1:1"], &[]).await;
    assert!(!nobody.status.success());
    assert!(text(&nobody.stderr).contains("does not answer"), "{}", text(&nobody.stderr));
}

#[tokio::test]
async fn users_are_created_and_listed_at_the_command_line() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let made = user(&database, &["create", "ana", "--role", "admin"], "").await;
    let password = text(&made.stdout).trim_end().to_owned();
    assert!(made.status.success() && 20 <= password.len(), "{}", text(&made.stderr));
    assert_eq!(text(&made.stdout).lines().count(), 1, "the password alone, to be piped");
    assert_eq!(server.login("ana", &password).await.body["user"]["role"], "admin");

    let given = user(&database, &["create", "Bob", "--password-stdin"], "bobs own password\nmore\n").await;
    assert!(given.status.success() && given.stdout.is_empty(), "{}", text(&given.stderr));
    assert!(!text(&given.stderr).contains("bobs own password"));
    assert_eq!(server.login("bob", "bobs own password").await.body["user"]["role"], "user");

    let listed = text(&user(&database, &["list"], "").await.stdout);
    let names: Vec<_> = listed.lines().map(|line| line.split('\t').nth(1).unwrap()).collect();
    assert_eq!(names, ["admin", "ana", "Bob"]);
    for (arguments, input, reason) in [
        (vec!["create", "BOB"], "", "the username is taken"),
        (vec!["create", "eve", "--password-stdin"], "short\n", "at least 8 characters"),
        (vec!["create", " "], "", "must not be empty"),
        (vec!["enable", "nobody"], "", "there is no user nobody"),
    ] {
        let refused = user(&database, &arguments, input).await;
        assert!(
            !refused.status.success() && text(&refused.stderr).contains(reason),
            "{}",
            text(&refused.stderr)
        );
    }
    let log = server.get("/api/audit?object=bob").await.body;
    let entry = log["items"].as_array().unwrap().last().unwrap();
    assert_eq!((&entry["actorKind"], &entry["action"]), (&json!("command_line"), &json!("user.create")));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_locked_out_user_gets_back_in_at_the_command_line() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let client = database.connect().await;
    // The password and the device are lost, and the user is disabled.
    client
        .batch_execute(
            "INSERT INTO totp (user_id, secret, created_at, confirmed_at) SELECT id, 'x', 0, 0 FROM users; \
             UPDATE users SET status = 0",
        )
        .await
        .unwrap();
    let enabled = user(&database, &["enable", "ADMIN"], "").await;
    assert_eq!(text(&enabled.stdout), "admin is enabled\n", "{}", text(&enabled.stderr));
    let reset = user(&database, &["reset-password", "admin"], "").await;
    let password = text(&reset.stdout).trim_end().to_owned();
    assert!(text(&reset.stderr).contains("--remove-totp removes it"), "{}", text(&reset.stderr));
    assert_eq!(server.get("/api/account/info").await.status, 401, "all sessions have ended");
    assert_eq!(server.login("admin", &password).await.body["code"], "totp_required");
    let arguments = ["reset-password", "admin", "--password-stdin", "--remove-totp"];
    let reset = user(&database, &arguments, "a new password\n").await;
    assert!(reset.status.success() && reset.stdout.is_empty(), "{}", text(&reset.stderr));
    assert_eq!(server.login("admin", "a new password").await.status, 200);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn users_are_not_managed_before_the_schema_is_there() {
    let database = TestDatabase::on_server_unmigrated().await;
    let refused = user(&database, &["list"], "").await;
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains("run pika-server migrate"), "{}", text(&refused.stderr));
}

#[tokio::test]
async fn what_makes_the_role_of_grafana_is_printed_without_its_password() {
    let url = "postgres://pika@db.example.org/pika";
    let printed = with_input(url, &["grafana-role", "--print"], "hunter2 of Grafana\n").await;
    let statements = text(&printed.stdout);
    assert!(printed.status.success(), "{printed:?}");
    assert!(statements.contains("CREATE ROLE pika_grafana"), "{statements}");
    assert!(statements.contains("PASSWORD 'SCRAM-SHA-256$"), "{statements}");
    assert!(!statements.contains("hunter2"), "{statements}");
    let refused = with_input(url, &["grafana-role", "--print"], "\n").await;
    assert!(!refused.status.success() && text(&refused.stderr).contains("no password"), "{refused:?}");
}
