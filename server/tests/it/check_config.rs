//! `pika-server check-config` finds and names whatever would keep the server from starting, and so does a start.

use std::process::{Output, Stdio};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

/// Runs the program with a configuration file of this text and only these variables.
async fn run(command: &str, text: &str, environment: &[(&str, &str)]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("server.yaml");
    std::fs::write(&file, text).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_pika-server"));
    program.arg(command).arg("--config").arg(&file).env_clear().envs(environment.iter().copied());
    program.kill_on_drop(true).output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Checks that both commands refuse it and mention these words. A start that does not would never end.
async fn is_refused(file: &str, environment: &[(&str, &str)], words: &[&str]) {
    let limit = std::time::Duration::from_secs(60);
    for command in ["check-config", "serve"] {
        let run = tokio::time::timeout(limit, run(command, file, environment)).await;
        let refused = run.unwrap_or_else(|_| panic!("{command} goes on with {file:?} {environment:?}"));
        let message = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{command} {file:?} {environment:?}: {message}");
        for word in words {
            assert!(message.contains(word), "{command} {file:?} {environment:?}: {word} is not in {message}");
        }
    }
}

#[tokio::test]
async fn the_defaults_can_be_used() {
    let good = run("check-config", "", &[]).await;
    assert!(good.status.success(), "{}", text(&good.stderr));
    assert_eq!((text(&good.stdout).as_str(), good.stderr.len()), ("the configuration can be used\n", 0));
}

#[tokio::test]
async fn whatever_would_keep_a_start_from_working_is_named() {
    for (variable, value, word) in [
        ("DATABASE_URL", "nonsense", "database URL"),
        ("PIKA_SERVER_ADDR", "x", "PIKA_SERVER_ADDR"),
        ("PIKA_SERVER_ADDR", "192.0.2.1:18888", "192.0.2.1"),
        ("PIKA_DATABASE_POOL_SIZE", "0", "database.pool_size"),
        ("PIKA_AUTH_SCRYPT_LOG_N", "40", "auth.scrypt_log_n"),
        ("PIKA_AUTH_SCRYPT_LOG_N", "0", "auth.scrypt_log_n"),
        ("PIKA_AUTH_SCRYPT_R", "1000000", "auth.scrypt_r"),
        ("PIKA_AUTH_SCRYPT_P", "1000000", "auth.scrypt_p"),
        ("PIKA_LOG_LEVEL", "info,pika_server=loud", "log.level"),
        ("PIKA_LOG_FILENAME", "/proc/none/pika.log", "log.filename"),
        ("PIKA_METRICS_ADDR", "0.0.0.0:18888", "metrics.addr"),
        ("PIKA_METRICS_ADDR", "127.0.0.1:18888", "metrics.addr"),
        ("PIKA_METRICS_ADDR", "[::]:18888", "metrics.addr"),
        ("PIKA_ADMIN_PASSWORD", "short", "auth.admin_password"),
        ("PIKA_ADMIN_PASSWORD_FILE", "/nowhere/password", "PIKA_ADMIN_PASSWORD_FILE"),
        ("PIKA_SERVER_TRUSTED_PROXIES", "10.0.0.0/8,0.0.0.0/0", "server.trusted_proxies"),
        ("PIKA_SERVER_TRUSTED_PROXIES", "::/0", "server.trusted_proxies"),
        ("PIKA_SERVER_TRUSTED_PROXIES", "0.0.0.0/1,128.0.0.0/1", "server.trusted_proxies"),
        ("PIKA_SERVER_PUBLIC_URL", "pika.example.org", "server.public_url"),
        ("PIKA_SERVER_PUBLC_URL", "https://pika.example.org", "PIKA_SERVER_PUBLIC_URL"),
        ("PIKA_SERVER_ADRR", "127.0.0.1:0", "PIKA_SERVER_ADDR"),
        ("PIKA_ADMIN_PASWORD", "long enough", "PIKA_ADMIN_PASSWORD"),
        ("PIKA_DATABASE_POSTGRES_PASSWORD_FIL", "/x", "PIKA_DATABASE_POSTGRES_PASSWORD_FILE"),
    ] {
        is_refused("", &[(variable, value)], &["pika-server: ", word]).await;
    }
}

#[tokio::test]
async fn files_that_cannot_be_read_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let tls = format!("server:\n  tls: {{certificate_file: {}, key_file: {}}}\n", path("cert"), path("key"));
    is_refused(&tls, &[], &["cert"]).await;
    let url = ("DATABASE_URL", "postgres://u:p@db.example.org/d?sslmode=require");
    let roots = path("roots.pem");
    is_refused("", &[url, ("PIKA_DATABASE_ROOT_CERTIFICATES", &roots)], &["roots.pem"]).await;
}

#[tokio::test]
async fn a_check_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("logs/pika.log");
    let checked = run("check-config", "", &[("PIKA_LOG_FILENAME", log.to_str().unwrap())]).await;
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn allowed_but_unwise_settings_cause_warnings() {
    let plain = [("DATABASE_URL", "postgres://u:hunter2@db.example.org/d")];
    let prefers = [("DATABASE_URL", "postgres://u:hunter2@10.0.0.7/d?sslmode=prefer")];
    let unknown = [("PIKA_DATABASE_HOSTNAME", "db")];
    let port = [("PIKA_SERVER_PORT", "8080")];
    for (environment, word) in [
        (&plain, "db.example.org"),
        (&prefers, "10.0.0.7"),
        (&unknown, "PIKA_DATABASE_HOSTNAME"),
        (&unknown, "PIKA_DATABASE_POSTGRES_HOSTNAME"),
        (&port, "PIKA_SERVER_PORT"),
    ] {
        let checked = run("check-config", "", environment).await;
        let message = text(&checked.stderr);
        assert!(checked.status.success() && message.contains(word), "{environment:?}: {message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
    for environment in [
        ("DATABASE_URL", "postgres://u:p@db.example.org/d?sslmode=require"),
        ("DATABASE_URL", "postgres://u:p@127.0.0.1/d"),
        ("DATABASE_URL", "postgres://u:p@[::1]/d"),
        ("DATABASE_URL", "postgres://u:p@localhost/d"),
        ("DATABASE_URL", "postgres://u:p@%2Fvar%2Frun%2Fpostgresql/d"),
        // What Kubernetes sets for a service of this name.
        ("PIKA_SERVER_SERVICE_HOST", "10.0.0.1"),
        ("PIKA_SERVER_SERVICE_PORT_HTTP", "18888"),
        ("PIKA_SERVER_PORT", "tcp://10.0.0.1:18888"),
        ("PIKA_SERVER_PORT_18888_TCP_ADDR", "10.0.0.1"),
    ] {
        let checked = run("check-config", "", &[environment]).await;
        let message = text(&checked.stderr);
        assert!(checked.status.success() && message.is_empty(), "{environment:?}: {message}");
    }
}

#[tokio::test]
async fn a_start_warns_too() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_pika-server"));
    program.env_clear().envs([
        ("DATABASE_URL", "postgres://u:hunter2@db.example.invalid/d"),
        ("PIKA_SERVER_ADDR", "127.0.0.1:0"),
        ("PIKA_DATABASE_HOSTNAME", "db"),
    ]);
    let mut server = program.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
    for word in ["PIKA_DATABASE_POSTGRES_HOSTNAME", "db.example.invalid is not encrypted"] {
        let line = lines.next_line().await.unwrap().unwrap();
        assert!(line.contains("WARN") && line.contains(word) && !line.contains("hunter2"), "{line}");
    }
    server.kill().await.unwrap();
}

/// Variables of other parts of Pika may be set.
#[tokio::test]
async fn variables_of_other_parts_are_ignored() {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let files = [
        "start.sh",
        "test.sh",
        "docker/compose.yaml",
        "openapi/check.sh",
        "config/README.md",
        "bench/README.md",
        "bench/src/main.rs",
    ];
    let mut names = std::collections::BTreeSet::new();
    for text in files.map(|file| std::fs::read_to_string(root.join(file)).unwrap()) {
        for (at, _) in text.match_indices("PIKA_") {
            let name: String =
                text[at..].chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect();
            names.insert(name);
        }
    }
    assert!(10 < names.len(), "{names:?}");
    for name in names.iter().filter(|name| !name.ends_with('_')) {
        let message = text(&run("check-config", "", &[(name, "1")]).await.stderr);
        assert!(!message.contains("is not a configuration key"), "{message}");
    }
}
