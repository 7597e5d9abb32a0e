//! The program itself: its subcommands, run as a user would.

use std::process::Output;

use serde_json::Value;
use tokio::process::Command;

use crate::support::TestDatabase;

async fn pika_server(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pika-server"));
    command.args(arguments).env_clear().envs(environment.iter().copied());
    command.output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_configuration_is_checked() {
    let good = pika_server(&["check-config"], &[]).await;
    assert!(good.status.success(), "{}", text(&good.stderr));
    assert_eq!(text(&good.stdout), "the configuration can be used\n");
    for (variable, value) in
        [("DATABASE_URL", "nonsense"), ("PIKA_SERVER_ADDR", "x"), ("PIKA_DATABASE_POOL_SIZE", "0")]
    {
        let bad = pika_server(&["check-config"], &[(variable, value)]).await;
        let message = text(&bad.stderr);
        assert!(!bad.status.success() && message.starts_with("pika-server: "), "{variable}: {message}");
    }
}

#[tokio::test]
async fn a_database_is_migrated_and_an_enrollment_token_made() {
    let database = TestDatabase::on_server_unmigrated().await;
    let environment = [("DATABASE_URL", database.url.as_str())];
    let migrated = pika_server(&["migrate"], &environment).await;
    assert!(migrated.status.success(), "{}", text(&migrated.stderr));
    assert!(text(&migrated.stdout).contains("the schema is up to date"), "{}", text(&migrated.stdout));
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
