//! `pika-server restore`: restores a backup into an empty database.

use std::path::PathBuf;

use clap::Args;
use pika_server::backup;
use pika_server::config::Config;
use pika_server::secrets::SecretKeys;
use pika_shared::Clock;

use crate::{Failure, open_store, print, read_password_of};

#[derive(Args)]
pub(crate) struct RestoreArguments {
    /// The backup: a file, or the directory of a whole backup.
    file: PathBuf,
    /// Of a whole backup: the directory of `pg_restore` [default: the one in PATH or in the usual places].
    #[arg(long)]
    pg_bin: Option<PathBuf>,
    /// The file whose first line is the passphrase of the backup [default: standard input].
    #[arg(long, env = "PIKA_BACKUP_PASSPHRASE_FILE")]
    passphrase_file: Option<PathBuf>,
}

pub(crate) async fn run(config: &Config, arguments: &RestoreArguments) -> Result<(), Failure> {
    let now = Clock::system().now();
    if backup::is_dump(&arguments.file) {
        let (database, pg_bin) = (&config.database, arguments.pg_bin.as_deref());
        let manifest = backup::restore_dump(database, &arguments.file, pg_bin, now).await?;
        return print(&format!(
            "restored the database that Pika {} backed up; servers may start\n",
            manifest.pika
        ));
    }
    let contents = backup::contents(&arguments.file)?;
    let passphrase = if contents.has_passphrase() {
        Some(read_password_of(arguments.passphrase_file.as_deref())?)
    } else {
        None
    };
    let keys = SecretKeys::parse(&config.alerting.secret_keys)?;
    let store = open_store(config)?;
    let restored = backup::restore(&store, &keys, &arguments.file, passphrase.as_ref(), now).await?;
    for migration in &restored.migrated.applied {
        print(&format!("applied {migration}\n"))?;
    }
    print(&format!(
        "restored {} rows of settings and {} rows of metrics, backed up by Pika {}\n",
        restored.rows, restored.metric_rows, restored.contents.pika
    ))
}
