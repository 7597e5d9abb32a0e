//! The file format: lines of JSON. The first says what the backup is of, the last has a sum over all before it, so that a file
//! that was cut short is noticed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::passphrase::Parameters;
use crate::domain::TimestampMs;

/// What the first line calls the format.
const FORMAT: &str = "pika-backup";
/// The version of the format that this binary writes, and the newest that it reads. The columns of the rows belong to the
/// schema, which has a version of its own.
const VERSION: u32 = 1;
/// Maximum length of a line in bytes, several times what is ever written.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// What a backup is of.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Contents {
    format: String,
    version: u32,
    /// The version of the Pika that wrote it.
    pub pika: String,
    /// The version of the database's schema.
    pub schema: i32,
    /// When it was made.
    pub created_at: TimestampMs,
    /// The edition of the database.
    pub edition: String,
    /// Whether it contains the audit log.
    pub has_audit: bool,
    /// Since when it contains history; absent if it contains none.
    pub history_since: Option<TimestampMs>,
    /// How secrets are sealed; absent if they are not.
    pub(super) passphrase: Option<Parameters>,
    pub(super) sequences: BTreeMap<String, i64>,
    pub(super) rolled_until: BTreeMap<String, TimestampMs>,
}

impl Contents {
    /// Returns whether its secrets are sealed with a passphrase.
    pub fn has_passphrase(&self) -> bool {
        self.passphrase.is_some()
    }

    pub(super) fn new(schema: i32, edition: &str, created_at: TimestampMs) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            pika: env!("CARGO_PKG_VERSION").to_owned(),
            schema,
            created_at,
            edition: edition.to_owned(),
            has_audit: false,
            history_since: None,
            passphrase: None,
            sequences: BTreeMap::new(),
            rolled_until: BTreeMap::new(),
        }
    }
}

/// A line between the first and the last.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Line {
    /// A row of a table.
    Row {
        table: String,
        row: Box<RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        secret: Option<Secret>,
    },
    /// From here on, rows are copied into this table.
    Copy { table: String, columns: Vec<String> },
    /// Rows in the text form of COPY.
    Rows(String),
    /// The last line.
    End { lines: u64, sha256: String },
}

/// A secret of a row, in base64.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Secret {
    /// Sealed with the passphrase.
    Sealed(String),
    /// Not sealed.
    Plain(String),
    /// As the database had it: its key was not known.
    Locked(String),
}

/// Why a file is not a backup that can be restored.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// It cannot be read.
    #[error("the file cannot be read")]
    Read(#[from] io::Error),
    /// It does not begin like a backup.
    #[error("the file is not a backup of Pika's settings")]
    NotABackup,
    /// A newer Pika has written it.
    #[error("the file has version {0} of the format, which this Pika does not know; use a newer one")]
    TooNew(u32),
    /// The end is missing.
    #[error("the file ends early: it was not written to its end, or cut short")]
    Cut,
    /// The sum is another one.
    #[error("the file was changed or damaged: its sum is not the one in its last line")]
    Damaged,
    /// A line is not one of a backup.
    #[error("line {0} of the file cannot be read")]
    Line(u64),
}

/// Writes lines and keeps their sum.
pub(super) struct Writer<W> {
    inner: W,
    sum: Sha256,
    lines: u64,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, sum: Sha256::new(), lines: 0 }
    }

    pub(super) fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.sum.update(&text);
        self.lines += 1;
        self.inner.write_all(&text)
    }

    /// Writes the last line. Returns the number of lines before it.
    pub(super) fn end(mut self) -> io::Result<u64> {
        let lines = self.lines;
        let sha256 = hex(&std::mem::take(&mut self.sum).finalize());
        self.line(&Line::End { lines, sha256 })?;
        self.inner.flush()?;
        Ok(lines)
    }
}

/// Reads a file's lines.
pub(super) struct Lines {
    reader: BufReader<File>,
    text: Vec<u8>,
    number: u64,
}

impl Lines {
    /// Opens a file and reads what it is of.
    pub(super) fn open(path: &Path) -> Result<(Self, Contents), FormatError> {
        let reader = BufReader::with_capacity(1 << 20, File::open(path)?);
        let mut lines = Self { reader, text: Vec::new(), number: 0 };
        let first: serde_json::Value = lines
            .read()?
            .and_then(|text| serde_json::from_slice(text).ok())
            .ok_or(FormatError::NotABackup)?;
        if first.get("format").and_then(|format| format.as_str()) != Some(FORMAT) {
            return Err(FormatError::NotABackup);
        }
        let version = first.get("version").and_then(serde_json::Value::as_u64).unwrap_or_default();
        if u64::from(VERSION) < version {
            return Err(FormatError::TooNew(u32::try_from(version).unwrap_or(u32::MAX)));
        }
        let contents = serde_json::from_value(first).map_err(|_| FormatError::NotABackup)?;
        Ok((lines, contents))
    }

    /// Reads the next line; `None` after the last one.
    pub(super) fn next(&mut self) -> Result<Option<Line>, FormatError> {
        let number = self.number + 1;
        let Some(text) = self.read()? else {
            return Err(FormatError::Cut);
        };
        match serde_json::from_slice(text).map_err(|_| FormatError::Line(number))? {
            Line::End { .. } => Ok(None),
            line => Ok(Some(line)),
        }
    }

    /// Reads a whole line; `None` at the file's end, and where the last line is not whole.
    fn read(&mut self) -> Result<Option<&[u8]>, FormatError> {
        self.text.clear();
        (&mut self.reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut self.text)?;
        self.number += 1;
        Ok(self.text.ends_with(b"\n").then_some(&self.text))
    }
}

/// Checks that a file is a whole backup. Returns what it is of.
pub(super) fn verify(path: &Path) -> Result<Contents, FormatError> {
    let (_, contents) = Lines::open(path)?;
    let mut lines =
        Lines { reader: BufReader::with_capacity(1 << 20, File::open(path)?), text: Vec::new(), number: 0 };
    let (mut sum, mut n_lines) = (Sha256::new(), 0);
    loop {
        let Some(text) = lines.read()? else {
            return Err(FormatError::Cut);
        };
        // Rows are not parsed here: only the last line begins like this.
        if let Some(Line::End { lines, sha256 }) =
            text.starts_with(br#"{"end":"#).then(|| serde_json::from_slice(text).ok()).flatten()
        {
            let is_whole = lines == n_lines && sha256 == hex(&sum.finalize());
            return if is_whole { Ok(contents) } else { Err(FormatError::Damaged) };
        }
        sum.update(text);
        n_lines += 1;
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        writer.line(&Contents::new(26, "apache", 1)).unwrap();
        writer.line(&Line::Copy { table: "cpu_metrics".to_owned(), columns: vec!["ts".to_owned()] }).unwrap();
        writer.line(&Line::Rows("1\n2\n".to_owned())).unwrap();
        assert_eq!(writer.end().unwrap(), 3);
        bytes
    }

    fn verified(bytes: &[u8]) -> Result<Contents, FormatError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        verify(file.path())
    }

    #[test]
    fn a_whole_file_is_accepted() {
        assert_eq!(verified(&written()).unwrap().schema, 26);
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        let whole = written();
        for length in 0..whole.len() {
            let error = verified(&whole[..length]).unwrap_err();
            assert!(matches!(error, FormatError::NotABackup | FormatError::Cut), "{length}: {error}");
        }
    }

    #[test]
    fn a_changed_file_is_refused() {
        let whole = written();
        let text = String::from_utf8(whole.clone()).unwrap();
        let changed = text.replace(r"1\n2\n", r"1\n3\n");
        assert!(matches!(verified(changed.as_bytes()), Err(FormatError::Damaged)));
        let missing: String =
            text.lines().filter(|line| !line.contains("rows")).map(|line| format!("{line}\n")).collect();
        assert!(matches!(verified(missing.as_bytes()), Err(FormatError::Damaged)));
        let newer = text.replacen("\"version\":1", "\"version\":2", 1);
        assert!(matches!(verified(newer.as_bytes()), Err(FormatError::TooNew(2))));
    }
}
