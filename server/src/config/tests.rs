//! Tests of loading and validating the configuration.

use super::*;

fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.yaml");
    std::fs::write(&file, text).unwrap();
    let environment: Vec<_> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::load(Some(&file), &environment)
}

fn message(error: &ConfigError) -> String {
    pika_shared::chain(error).to_string()
}

#[test]
fn the_defaults_are_complete() {
    let config = load("", &[]).unwrap();
    assert_eq!(config.server.addr.port(), 18888);
    assert_eq!(
        config.database.url().expose_secret(),
        "postgres://pika:pika@localhost:15432/pika?sslmode=disable"
    );
}

#[test]
fn the_configuration_of_the_original_is_accepted() {
    let text = "Database:\n  Type: postgres\n  Postgres:\n    Hostname: db\n    Port: 5432\n    Username: u\n    \
                Password: p@ss/word\n    Database: d\n\nlog:\n  Level: debug\n  Filename: ./logs/pika.log\n\n\
                Server:\n  Addr: \"0.0.0.0:18888\"\n";
    let config = load(text, &[]).unwrap();
    assert_eq!(config.database.url().expose_secret(), "postgres://u:p%40ss%2Fword@db:5432/d?sslmode=disable");
    assert_eq!(config.log.level, "debug");
}

#[test]
fn an_unknown_key_is_named_with_its_path() {
    let text = message(&load("server:\n  adress: x\n", &[]).unwrap_err());
    assert!(text.contains("server") && text.contains("adress"), "{text}");
    let text = message(&load("sever: {}\n", &[]).unwrap_err());
    assert!(text.contains("sever"), "{text}");
}

#[test]
fn a_value_of_the_wrong_type_or_size_is_named() {
    let text = message(&load("ingest:\n  flush_rows_max: many\n", &[]).unwrap_err());
    assert!(text.contains("ingest.flush_rows_max"), "{text}");
    let text = message(&load("ingest:\n  flush_rows_max: 0\n", &[]).unwrap_err());
    assert!(text.contains("ingest.flush_rows_max") && text.contains("1–1000000"), "{text}");
}

#[test]
fn the_environment_wins_and_files_hold_secrets() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "12345\n").unwrap();
    let config = load(
        "server:\n  addr: \"127.0.0.1:1\"\n",
        &[
            ("PIKA_SERVER_ADDR", "127.0.0.1:2"),
            ("PIKA_DATABASE_POOL_SIZE", "3"),
            ("PIKA_DATABASE_POSTGRES_PASSWORD_FILE", secret.path().to_str().unwrap()),
            ("UNRELATED", "x"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.addr.port(), 2);
    assert_eq!(config.database.pool_size, 3);
    assert_eq!(config.database.postgres.password.expose_secret(), "12345");
}

#[test]
fn database_url_is_understood_and_pikas_own_wins() {
    let url = |environment| load("", environment).unwrap().database.url();
    assert_eq!(url(&[("DATABASE_URL", "postgres://a/b")]).expose_secret(), "postgres://a/b");
    assert_eq!(
        url(&[("DATABASE_URL", "postgres://a/b"), ("PIKA_DATABASE_URL", "postgres://c/d")]).expose_secret(),
        "postgres://c/d"
    );
}

#[test]
fn a_mistyped_variable_is_named() {
    let text = message(&load("", &[("PIKA_DATABASE_POOL_SIZE", "many")]).unwrap_err());
    assert!(text.contains("PIKA_DATABASE_POOL_SIZE"), "{text}");
}

#[test]
fn a_bad_text_in_a_variable_is_blamed_on_the_variable() {
    let text = message(&load("", &[("PIKA_SERVER_ADDR", "everywhere")]).unwrap_err());
    assert!(text.contains("PIKA_SERVER_ADDR") && !text.contains("config.yaml"), "{text}");
}

#[test]
fn the_first_password_has_two_names() {
    for name in ["PIKA_ADMIN_PASSWORD", "PIKA_AUTH_ADMIN_PASSWORD"] {
        let config = load("", &[(name, "secret enough")]).unwrap();
        assert_eq!(config.auth.admin_password.expose_secret(), "secret enough", "{name}");
    }
}

#[test]
fn a_password_of_digits_must_be_quoted_and_is_not_repeated() {
    let text = message(&load("database:\n  postgres:\n    password: 815123\n", &[]).unwrap_err());
    assert!(text.contains("database.postgres.password") && text.contains("quotes"), "{text}");
    assert!(!text.contains("815"), "{text}");
    let config = load("database:\n  postgres:\n    password: \"0815\"\n", &[]).unwrap();
    assert_eq!(config.database.postgres.password.expose_secret(), "0815");
}

#[test]
fn hosts_of_all_kinds_fit_into_the_url() {
    let url = |hostname: &str| {
        let config = load(&format!("database:\n  postgres:\n    hostname: \"{hostname}\"\n"), &[]).unwrap();
        crate::store::Store::of_config(&config.database).map(|_| ())
    };
    // A pool needs a runtime.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _guard = runtime.enter();
    for hostname in ["db.example.org", "::1", "/var/run/postgresql"] {
        assert!(url(hostname).is_ok(), "{hostname}");
    }
}

#[test]
fn durations_have_upper_bounds() {
    for key in ["ingest.idle_timeout_ms", "ingest.late_limit_ms", "auth.session_lifetime_ms"] {
        let (section, name) = key.split_once('.').unwrap();
        let error = load(&format!("{section}:\n  {name}: {}\n", i64::MAX), &[]).unwrap_err();
        assert!(message(&error).contains(key), "{error}");
    }
    assert!(load("server:\n  public_url: pika.example.org\n", &[]).is_err());
    assert!(load("grafana:\n  url: grafana.example.org\n", &[]).is_err());
    assert_eq!(
        load("", &[("PIKA_GRAFANA_URL", "https://g.example.org")]).unwrap().grafana.url,
        "https://g.example.org"
    );
}

#[test]
fn lists_come_from_the_file_or_the_environment() {
    let text =
        "server:\n  trusted_proxies: [10.0.0.0/8, \"::1\"]\n  cors_origins: [https://tool.example.org]\n";
    let config = load(text, &[]).unwrap();
    assert_eq!(config.server.trusted_proxies, ["10.0.0.0/8", "::1/128"].map(|net| net.parse().unwrap()));
    let proxies = [("PIKA_SERVER_TRUSTED_PROXIES", "192.0.2.1, 10.0.0.0/8")];
    let config = load(text, &proxies).unwrap();
    assert_eq!(config.server.trusted_proxies, ["192.0.2.1/32", "10.0.0.0/8"].map(|net| net.parse().unwrap()));
    assert!(load("", &[("PIKA_SERVER_CORS_ORIGINS", "")]).unwrap().server.cors_origins.is_empty());
    let error = load("", &[("PIKA_SERVER_TRUSTED_PROXIES", "everybody")]).unwrap_err();
    assert!(message(&error).contains("PIKA_SERVER_TRUSTED_PROXIES"), "{error}");
    for text in ["cors_origins: [\"*\"]", "cors_origins: [https://a.example/]", "tls: {key_file: a}"] {
        assert!(load(&format!("server:\n  {text}\n"), &[]).is_err(), "{text}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let config = load("database:\n  postgres:\n    password: hunter2\n", &[]).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}
