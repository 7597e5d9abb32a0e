//! Restores a backup.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde_json::value::{RawValue, to_raw_value};

use super::format::{self, Contents, FormatError, Line, Lines, Secret};
use super::passphrase::{self, PassphraseError};
use crate::domain::TimestampMs;
use crate::secrets::{SecretKeys, SecretsError};
use crate::store::{CopyIn, KeptTable, Migrated, Restore, RestoreError, Store};

/// Rows are inserted in statements of at most this many,
const ROWS_PER_STATEMENT: usize = 1_000;
/// and about this many bytes.
const BYTES_PER_STATEMENT: usize = 4 << 20;

/// What was restored.
#[derive(Clone, Debug)]
pub struct Restored {
    /// What the backup is of.
    pub contents: Contents,
    /// The number of rows of settings.
    pub rows: u64,
    /// The number of rows of samples and rollups.
    pub metric_rows: u64,
    /// The database, and the migrations that were applied after the backup's.
    pub migrated: Migrated,
}

/// Why a backup could not be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreFileError {
    /// The file is not a whole backup.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The passphrase is wrong.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// The backup's secrets are sealed, and there is no passphrase.
    #[error("the backup's secrets are sealed with a passphrase, which is needed to restore it")]
    NoPassphrase,
    /// A secret cannot be opened or sealed.
    #[error("a secret of {table} cannot be restored")]
    Secret {
        /// The table.
        table: String,
        /// Why not.
        #[source]
        source: SecretsError,
    },
    /// There is a row of a table that is not known.
    #[error("the backup has rows of {0}, which this Pika does not know")]
    UnknownTable(String),
    /// The database refuses it.
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

/// Returns what a file is a backup of.
///
/// # Errors
/// If it is not a whole backup.
pub fn contents(path: &Path) -> Result<Contents, FormatError> {
    format::verify(path)
}

/// Restores a file into an empty database. Secrets are sealed with the first of `keys`. Nothing is changed unless the file is
/// whole and the passphrase the right one.
///
/// # Errors
/// As the variants say. If it fails in the middle, or never ends, servers refuse the database.
pub async fn restore(
    store: &Store,
    keys: &SecretKeys,
    path: &Path,
    passphrase: Option<&SecretString>,
    now: TimestampMs,
) -> Result<Restored, RestoreFileError> {
    let contents = format::verify(path)?;
    let opening = match &contents.passphrase {
        Some(parameters) => {
            let passphrase = passphrase.ok_or(RestoreFileError::NoPassphrase)?;
            Some(passphrase::key(passphrase, parameters)?)
        }
        None => None,
    };
    let secrets = Secrets { opening, keys };
    secrets.check(path)?;
    let (mut lines, _) = Lines::open(path)?;
    let mut restore = store.begin_restore(contents.schema, now).await?;
    restore.begin_rows().await?;
    let (rows, mut next) = load_rows(&restore, &secrets, &mut lines).await?;
    restore.end_rows(&contents.sequences).await?;
    let mut metric_rows = 0;
    if contents.history_since.is_some() {
        restore.begin_history(now).await?;
        while let Some(Line::Copy { table, columns }) = next {
            let n_rows;
            (n_rows, next) = copy(&restore, &table, &columns, &mut lines).await?;
            metric_rows += n_rows;
        }
        restore.end_history(&contents.rolled_until, contents.created_at).await?;
    }
    let migrated = restore.finish(now).await?;
    Ok(Restored { contents, rows, metric_rows, migrated })
}

/// Loads rows up to the first line that is none. Returns their number and that line.
async fn load_rows(
    restore: &Restore,
    secrets: &Secrets<'_>,
    lines: &mut Lines,
) -> Result<(u64, Option<Line>), RestoreFileError> {
    let mut batch = Batch::default();
    let mut n_rows = 0;
    loop {
        match lines.next()? {
            Some(Line::Row { table, row, secret }) => {
                let Some(table) = KeptTable::find(&table) else {
                    return Err(RestoreFileError::UnknownTable(table));
                };
                let row = secrets.row(table, row, secret)?;
                batch.add(restore, table, row).await?;
                n_rows += 1;
            }
            other => {
                batch.insert(restore).await?;
                return Ok((n_rows, other));
            }
        }
    }
}

/// Copies rows into a table. Returns their number and the first line that does not belong to them.
async fn copy(
    restore: &Restore,
    table: &str,
    columns: &[String],
    lines: &mut Lines,
) -> Result<(u64, Option<Line>), RestoreFileError> {
    let copying: Option<CopyIn> = restore.copy_in(table, columns).await?;
    let mut copying = copying.ok_or_else(|| RestoreFileError::UnknownTable(table.to_owned()))?;
    loop {
        match lines.next()? {
            Some(Line::Rows(rows)) => copying.add(rows).await?,
            other => return Ok((copying.finish().await?, other)),
        }
    }
}

/// Rows of one table that wait to be inserted together.
#[derive(Default)]
struct Batch {
    table: Option<&'static KeptTable>,
    rows: Vec<Box<RawValue>>,
    n_bytes: usize,
}

impl Batch {
    async fn add(
        &mut self,
        restore: &Restore,
        table: &'static KeptTable,
        row: Box<RawValue>,
    ) -> Result<(), RestoreError> {
        let is_other = self.table.is_some_and(|known| known.name != table.name);
        if is_other || ROWS_PER_STATEMENT <= self.rows.len() || BYTES_PER_STATEMENT <= self.n_bytes {
            self.insert(restore).await?;
        }
        self.table = Some(table);
        self.n_bytes += row.get().len();
        self.rows.push(row);
        Ok(())
    }

    async fn insert(&mut self, restore: &Restore) -> Result<(), RestoreError> {
        if let Some(table) = self.table.take() {
            restore.insert(table, &self.rows).await?;
        }
        self.rows.clear();
        self.n_bytes = 0;
        Ok(())
    }
}

/// Turns secrets of a backup into those of the database.
struct Secrets<'a> {
    opening: Option<SecretKeys>,
    keys: &'a SecretKeys,
}

impl Secrets<'_> {
    /// Converts all secrets once, so that one that cannot be restored is noticed before anything is changed.
    fn check(&self, path: &Path) -> Result<(), RestoreFileError> {
        let (mut lines, _) = Lines::open(path)?;
        while let Some(Line::Row { table, row, secret }) = lines.next()? {
            let table =
                KeptTable::find(&table).ok_or_else(|| RestoreFileError::UnknownTable(table.clone()))?;
            self.row(table, row, secret)?;
        }
        Ok(())
    }

    /// Returns the row with its secret as the database stores it.
    fn row(
        &self,
        table: &KeptTable,
        row: Box<RawValue>,
        secret: Option<Secret>,
    ) -> Result<Box<RawValue>, RestoreFileError> {
        let Some(column) = table.secret else {
            return Ok(row);
        };
        let unreadable = |_| RestoreError::Row(table.name);
        let mut columns: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(row.get()).map_err(unreadable)?;
        let stored = match secret {
            Some(secret) => {
                let owner = table.owner(&row).ok_or(RestoreError::Row(table.name))?;
                let failed = |source| RestoreFileError::Secret { table: table.name.to_owned(), source };
                let stored = self.stored(table, &owner, &secret).map_err(failed)?;
                Some(
                    stored
                        .expose_secret()
                        .iter()
                        .fold("\\x".to_owned(), |hex, byte| format!("{hex}{byte:02x}")),
                )
            }
            None => None,
        };
        // Also where there is none: all rows have the same columns.
        columns.insert(column.to_owned(), to_raw_value(&stored).map_err(unreadable)?);
        Ok(to_raw_value(&columns).map_err(unreadable)?)
    }

    fn stored(
        &self,
        table: &KeptTable,
        owner: &str,
        secret: &Secret,
    ) -> Result<SecretSlice<u8>, SecretsError> {
        let decode = |text: &String| STANDARD.decode(text).map_err(|_| SecretsError::CannotOpen);
        let opened: SecretSlice<u8> = match secret {
            Secret::Locked(stored) => return Ok(decode(stored)?.into()),
            Secret::Plain(plain) => decode(plain)?.into(),
            Secret::Sealed(sealed) => {
                let opening = self.opening.as_ref().ok_or(SecretsError::NoKey)?;
                opening.open(&decode(sealed)?, owner)?
            }
        };
        // Without a key, second factors are stored as they are; channels cannot be used without one.
        if self.keys.is_empty() && table.name == "totp" {
            return Ok(opened);
        }
        Ok(self.keys.seal(opened.expose_secret(), owner)?.into())
    }
}
