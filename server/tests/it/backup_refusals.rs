//! What cannot be restored changes nothing, what was interrupted is not used, and the commands say so.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pika_server::backup::{self, FormatError, PassphraseError, RestoreFileError};
use pika_server::secrets::SecretKeys;
use pika_server::store::{MigrateError, RestoreError, UnsupportedDatabase};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::backups::{PASSPHRASE, back_up, contents, fill, keys, restore, what};
use crate::support::client::now;
use crate::support::history::store_history;
use crate::support::{TestDatabase, eventually};

#[tokio::test]
async fn what_cannot_be_restored_changes_nothing() {
    let database = TestDatabase::on_server().await;
    fill(&database.connect().await).await;
    let (directory, path, _) = back_up(&database.store(), &what(Some(PASSPHRASE), None)).await;
    let target = TestDatabase::on_server_unmigrated().await;
    let store = target.store();
    let wrong = restore(&store, &path, "another passphrase").await.unwrap_err();
    assert!(matches!(wrong, RestoreFileError::Passphrase(PassphraseError::Wrong)), "{wrong:?}");
    let none = backup::restore(&store, &keys(2), &path, None, now()).await.unwrap_err();
    assert!(matches!(none, RestoreFileError::NoPassphrase), "{none:?}");
    let passphrase = PASSPHRASE.into();
    let no_key = backup::restore(&store, &SecretKeys::default(), &path, Some(&passphrase), now()).await;
    let no_key = no_key.unwrap_err();
    assert!(
        matches!(&no_key, RestoreFileError::Secret { table, .. } if table == "alert_settings"),
        "{no_key:?}"
    );
    let text = std::fs::read(&path).unwrap();
    let cut = directory.path().join("cut");
    std::fs::write(&cut, &text[..text.len() / 2]).unwrap();
    let cut = restore(&store, &cut, PASSPHRASE).await.unwrap_err();
    assert!(matches!(cut, RestoreFileError::Format(FormatError::Cut)), "{cut:?}");
    let tables =
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'";
    assert_eq!(target.count(tables).await, 0);

    let full = restore(&database.store(), &path, PASSPHRASE).await.unwrap_err();
    assert!(matches!(full, RestoreFileError::Restore(RestoreError::NotEmpty { .. })), "{full:?}");
    let empty = target.store().begin_backup().await.unwrap_err();
    assert!(empty.to_string().contains("nothing to back up"), "{empty}");
    restore(&store, &path, PASSPHRASE).await.unwrap();
}

/// Whoever uses a database with half a backup in it is told.
async fn assert_refused(target: &TestDatabase, path: &Path) {
    let store = target.store();
    let error = store.migrate(now()).await.unwrap_err();
    assert!(matches!(error, MigrateError::Unsupported(UnsupportedDatabase::RestoreUnfinished)), "{error:?}");
    assert!(!error.is_temporary() && error.to_string().contains("drop the database"), "{error}");
    assert!(!store.is_schema_current().await.unwrap());
    let again = restore(&store, path, PASSPHRASE).await.unwrap_err();
    assert!(again.to_string().contains("drop the database"), "{again}");
    let backup = store.begin_backup().await.unwrap_err();
    assert!(backup.to_string().contains("drop the database"), "{backup}");
}

#[tokio::test]
async fn a_database_with_half_a_backup_is_refused() {
    let database = TestDatabase::on_server().await;
    let (store, client) = (database.store(), database.connect().await);
    fill(&client).await;
    let (_directory, path, _) = back_up(&store, &what(Some(PASSPHRASE), None)).await;
    // Before its rows, between them and history, and before the end.
    for n_steps in 0..3 {
        let target = TestDatabase::on_server_unmigrated().await;
        let mut begun = target.store().begin_restore(26, now()).await.unwrap();
        if 0 < n_steps {
            begun.begin_rows().await.unwrap();
            begun.end_rows(&BTreeMap::new()).await.unwrap();
        }
        if 1 < n_steps {
            begun.begin_history(now()).await.unwrap();
        }
        drop(begun);
        assert_refused(&target, &path).await;
    }
}

/// Runs `pika-server` with a passphrase on standard input.
async fn pika_server(database_url: &str, arguments: &[&str]) -> Output {
    let mut child = spawn(database_url, arguments);
    let mut stdin = child.stdin.take().unwrap();
    drop(stdin.write_all(format!("{PASSPHRASE}\n").as_bytes()).await);
    drop(stdin);
    child.wait_with_output().await.unwrap()
}

fn spawn(database_url: &str, arguments: &[&str]) -> tokio::process::Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pika-server"));
    command.args(arguments).env_clear().kill_on_drop(true);
    let key = STANDARD.encode([1; 32]);
    command.envs([
        ("DATABASE_URL", database_url),
        ("PIKA_AUTH_SCRYPT_LOG_N", "4"),
        ("PIKA_ALERTING_SECRET_KEYS", &key),
    ]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_backup_is_made_and_restored_at_the_command_line() {
    let database = TestDatabase::on_server().await;
    let client = database.connect().await;
    fill(&client).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pika.backup");
    let file = path.to_str().unwrap();
    let made =
        pika_server(&database.url, &["backup", "--to", file, "--audit", "--metrics", "since:1d"]).await;
    assert!(made.status.success(), "{}", said(&made));
    assert!(made.stdout.is_empty() && said(&made).contains("backed up "), "{}", said(&made));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let piped = pika_server(&database.url, &["backup", "--to", "-", "--plain"]).await;
    assert!(
        piped.status.success() && piped.stdout.starts_with(b"{\"format\":\"pika-backup\""),
        "{}",
        said(&piped)
    );

    let target = TestDatabase::on_server_unmigrated().await;
    let restored = pika_server(&target.url, &["restore", file]).await;
    assert!(restored.status.success(), "{}", said(&restored));
    assert_eq!(contents(&target.connect().await).await, contents(&client).await);

    // A secret that nobody can open is named by the exit status; without a passphrase there is no backup.
    client
        .batch_execute(
            "UPDATE totp SET secret = '\\x01' || substr(secret, 2, 3) || '\\x00' || substr(secret, 6)",
        )
        .await
        .unwrap();
    let locked = pika_server(&database.url, &["backup", "--to", file]).await;
    assert_eq!(locked.status.code(), Some(3), "{}", said(&locked));
    let short = directory.path().join("short");
    std::fs::write(&short, "short\n").unwrap();
    let arguments = ["backup", "--to", file, "--passphrase-file", short.to_str().unwrap()];
    let before = std::fs::read(&path).unwrap();
    let refused = pika_server(&database.url, &arguments).await;
    assert!(refused.status.code() == Some(1) && said(&refused).contains("passphrase"), "{}", said(&refused));
    assert_eq!(std::fs::read(&path).unwrap(), before, "an earlier backup stays");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2, "nothing partial is left");
}

#[tokio::test]
async fn a_killed_restore_leaves_nothing_that_is_used() {
    let database = TestDatabase::on_server().await;
    let (store, client) = (database.store(), database.connect().await);
    fill(&client).await;
    store_history(&store, &client).await;
    let (_directory, path, _) = back_up(&store, &what(Some(PASSPHRASE), Some(0))).await;
    let target = TestDatabase::on_server_unmigrated().await;
    let watcher = target.connect().await;
    let mut child = spawn(&target.url, &["restore", path.to_str().unwrap()]);
    child.stdin.take().unwrap().write_all(format!("{PASSPHRASE}\n").as_bytes()).await.unwrap();
    eventually("the restore has begun", || async {
        let sql = "SELECT to_regclass('public.pika_restore') IS NOT NULL";
        watcher.query_one(sql, &[]).await.unwrap().get::<_, bool>(0).then_some(())
    })
    .await;
    child.kill().await.unwrap();
    assert_refused(&target, &path).await;
}
