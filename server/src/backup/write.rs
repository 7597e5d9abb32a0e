//! Writes a backup.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::TryStreamExt as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::format::{Contents, Line, Secret, Writer};
use super::passphrase::{self, Cost, PassphraseError};
use crate::domain::TimestampMs;
use crate::domain::tier::{DAY_MS, bucket_start};
use crate::secrets::{SecretKeys, SecretsError, is_sealed};
use crate::store::{self, Backup, BackupError, HistoryTable, KEPT, KeptRow, KeptTable, Part, Store};

/// Rows of a table of metrics are gathered into lines of about this many bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// What to back up besides settings, and how secrets are kept.
#[derive(Debug)]
pub struct What {
    /// Whether to include the audit log.
    pub audit: bool,
    /// Include history since then, rounded down to the beginning of a day.
    pub history_since: Option<TimestampMs>,
    /// Seals the secrets in the file; `None`: they are not sealed.
    pub passphrase: Option<SecretString>,
    /// The cost of deriving a key from the passphrase.
    pub cost: Cost,
}

/// What was written.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// The number of rows of settings.
    pub rows: u64,
    /// The number of rows of samples and rollups.
    pub metric_rows: u64,
    /// Secrets that are in the backup as the database has them, since their key is not configured.
    pub locked_secrets: u64,
}

/// Why a backup could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The database could not be read.
    #[error(transparent)]
    Read(#[from] BackupError),
    /// The passphrase cannot be used.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// A secret could not be sealed.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The output refused something.
    #[error("the backup cannot be written")]
    Write(#[from] io::Error),
}

impl From<store::Error> for WriteError {
    fn from(error: store::Error) -> Self {
        WriteError::Read(error.into())
    }
}

/// Writes a backup of the database, all as of one moment. `keys` are those that the database's secrets are sealed with.
///
/// # Errors
/// If the database or the output fails, or the passphrase is too short. What was written until then has no end, and cannot
/// be restored.
pub async fn write(
    store: &Store,
    keys: &SecretKeys,
    what: &What,
    now: TimestampMs,
    output: impl Write,
) -> Result<Written, WriteError> {
    let backup = store.begin_backup().await?;
    let mut contents = Contents::new(backup.schema, backup.database.edition.as_str(), now);
    contents.has_audit = what.audit;
    contents.history_since = what.history_since.map(|since| bucket_start(since, DAY_MS));
    contents.sequences = backup.sequences().await?;
    if contents.history_since.is_some() {
        contents.rolled_until = backup.rolled_until().await?;
    }
    let mut sealing = None;
    if let Some(passphrase) = &what.passphrase {
        let (key, parameters) = passphrase::new_key(passphrase, what.cost)?;
        (sealing, contents.passphrase) = (Some(key), Some(parameters));
    }
    let mut writing = Writing {
        backup: &backup,
        keys,
        sealing,
        writer: Writer::new(output),
        written: Written { rows: 0, metric_rows: 0, locked_secrets: 0 },
    };
    writing.writer.line(&contents)?;
    let since = contents.history_since;
    for table in KEPT {
        let is_included = match table.part {
            Part::Settings => true,
            Part::Audit => what.audit,
            Part::History => since.is_some(),
        };
        if is_included {
            writing.rows(table, since.unwrap_or(TimestampMs::MIN)).await?;
        }
    }
    if let Some(since) = since {
        for table in backup.history_tables().await? {
            writing.history(&table, since).await?;
        }
    }
    writing.writer.end()?;
    Ok(writing.written)
}

/// A backup that is being written.
struct Writing<'a, W> {
    backup: &'a Backup,
    keys: &'a SecretKeys,
    sealing: Option<SecretKeys>,
    writer: Writer<W>,
    written: Written,
}

impl<W: Write> Writing<'_, W> {
    async fn rows(&mut self, table: &KeptTable, since: TimestampMs) -> Result<(), WriteError> {
        let mut rows = self.backup.rows(table, since).await?;
        while let Some(row) = rows.try_next().await? {
            let secret = self.secret(table, &row)?;
            self.writer.line(&Line::Row { table: table.name.to_owned(), row: row.row, secret })?;
            self.written.rows += 1;
        }
        Ok(())
    }

    fn secret(&mut self, table: &KeptTable, row: &KeptRow) -> Result<Option<Secret>, WriteError> {
        let Some(stored) = &row.secret else {
            return Ok(None);
        };
        let stored = stored.expose_secret();
        let owner = table.owner(&row.row).unwrap_or_default();
        let opened =
            if is_sealed(stored) { self.keys.open(stored, &owner) } else { Ok(stored.to_vec().into()) };
        let Ok(opened) = opened else {
            self.written.locked_secrets += 1;
            return Ok(Some(Secret::Locked(STANDARD.encode(stored))));
        };
        Ok(Some(match &self.sealing {
            Some(sealing) => Secret::Sealed(STANDARD.encode(sealing.seal(opened.expose_secret(), &owner)?)),
            None => Secret::Plain(STANDARD.encode(opened.expose_secret())),
        }))
    }

    async fn history(&mut self, table: &HistoryTable, since: TimestampMs) -> Result<(), WriteError> {
        let begin = Line::Copy { table: table.relation.clone(), columns: table.columns.clone() };
        self.writer.line(&begin)?;
        let mut rows = self.backup.copy_out(table, since).await?;
        let mut piece = String::with_capacity(PIECE_BYTES + 1024);
        while let Some(bytes) = rows.try_next().await? {
            // Only numbers.
            piece.push_str(&String::from_utf8_lossy(&bytes));
            self.written.metric_rows += 1;
            if PIECE_BYTES <= piece.len() {
                self.writer.line(&Line::Rows(std::mem::take(&mut piece)))?;
            }
        }
        if !piece.is_empty() {
            self.writer.line(&Line::Rows(piece))?;
        }
        Ok(())
    }
}
