//! `pika-server backup`: writes a backup, for people and for cron.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use pika_server::backup::{self, Cost, What, Written};
use pika_server::config::Config;
use pika_server::domain::tier::{DAY_MS, HOUR_MS};
use pika_server::secrets::SecretKeys;
use pika_shared::Clock;

use crate::{Failure, open_store, print_error, read_password_of};

/// The exit status if the backup is complete, but contains secrets that only a key which is not configured opens.
const LOCKED_SECRETS: u8 = 3;
/// What `--to` calls standard output.
const STANDARD_OUTPUT: &str = "-";

#[derive(Args)]
pub(crate) struct BackupArguments {
    /// What to back up.
    #[arg(long, value_enum, default_value_t = Kind::Settings)]
    kind: Kind,
    /// Where to: a file, which is replaced once the backup is complete, or - for standard output; for a whole backup a new
    /// directory.
    #[arg(long)]
    to: PathBuf,
    /// The file whose first line is the passphrase that seals secrets [default: standard input].
    #[arg(long, env = "PIKA_BACKUP_PASSPHRASE_FILE")]
    passphrase_file: Option<PathBuf>,
    /// Do not seal secrets: whoever has the file can compute users' second factors and use channels.
    #[arg(long)]
    plain: bool,
    /// Include the audit log.
    #[arg(long)]
    audit: bool,
    /// Include samples, rollups, alerts, presence and gaps since a time: `since:2026-11-24`, `since:2026-11-24T12:00:00Z`,
    /// `since:30d`, `since:12h` or `since:all`.
    #[arg(long, value_name = "since:TIME")]
    metrics: Option<String>,
    /// Of a whole backup: the directory of `pg_dump` and `pg_restore` [default: those in PATH or in the usual places that can
    /// handle the database].
    #[arg(long)]
    pg_bin: Option<PathBuf>,
    /// Of a whole backup: restore it into a database of its own, compare, and drop that. Needs a superuser.
    #[arg(long)]
    verify: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Users, agents, keys, rules, channels and all other settings, in Pika's own format.
    Settings,
    /// Everything, by `pg_dump`.
    Whole,
}

pub(crate) async fn run(config: &Config, arguments: &BackupArguments) -> Result<ExitCode, Failure> {
    let now = Clock::system().now();
    if arguments.kind == Kind::Whole {
        return whole(config, arguments, now).await;
    }
    let since = arguments.metrics.as_deref().map(|text| parse_since(text, now)).transpose()?;
    let passphrase =
        if arguments.plain { None } else { Some(read_password_of(arguments.passphrase_file.as_deref())?) };
    let auth = &config.auth;
    let cost = Cost { log_n: auth.scrypt_log_n, r: auth.scrypt_r, p: auth.scrypt_p };
    let what = What { audit: arguments.audit, history_since: since, passphrase, cost };
    let keys = SecretKeys::parse(&config.alerting.secret_keys)?;
    let store = open_store(config)?;
    let written = if arguments.to.as_os_str() == STANDARD_OUTPUT {
        let output = BufWriter::new(std::io::stdout());
        backup::write(&store, &keys, &what, now, output).await?
    } else {
        let file = NewFile::create(&arguments.to)?;
        let written = backup::write(&store, &keys, &what, now, BufWriter::new(&file.file)).await?;
        file.keep()?;
        written
    };
    Ok(report(written))
}

async fn whole(config: &Config, arguments: &BackupArguments, now: i64) -> Result<ExitCode, Failure> {
    let (database, pg_bin) = (&config.database, arguments.pg_bin.as_deref());
    let manifest = backup::dump(database, &arguments.to, pg_bin, now).await?;
    let rows: i64 = manifest.tables.values().map(|content| content.rows).sum();
    print_error(&format!("backed up {rows} rows in {} bytes", manifest.bytes));
    if arguments.verify {
        backup::verify_dump(database, &arguments.to, pg_bin, now).await?;
        print_error("restored it into a database of its own, with the same rows");
    }
    Ok(ExitCode::SUCCESS)
}

fn report(written: Written) -> ExitCode {
    print_error(&format!(
        "backed up {} rows of settings and {} rows of metrics",
        written.rows, written.metric_rows
    ));
    if written.locked_secrets == 0 {
        return ExitCode::SUCCESS;
    }
    print_error(&format!(
        "{} secrets are sealed with a key that the configuration does not have; restored, they need that key",
        written.locked_secrets
    ));
    ExitCode::from(LOCKED_SECRETS)
}

/// A file that gets its name only when it is complete.
struct NewFile {
    file: File,
    partial: PathBuf,
    path: PathBuf,
    is_kept: bool,
}

impl NewFile {
    fn create(path: &Path) -> Result<Self, Failure> {
        let mut name = path.as_os_str().to_owned();
        name.push(".partial");
        let partial = PathBuf::from(name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options
            .open(&partial)
            .map_err(|error| format!("{} cannot be written: {error}", partial.display()))?;
        Ok(Self { file, partial, path: path.to_owned(), is_kept: false })
    }

    fn keep(mut self) -> Result<(), Failure> {
        let mut file = &self.file;
        let kept = file.flush().and_then(|()| self.file.sync_all());
        kept.and_then(|()| std::fs::rename(&self.partial, &self.path))
            .map_err(|error| format!("{} cannot be written: {error}", self.path.display()))?;
        self.is_kept = true;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_kept {
            drop(std::fs::remove_file(&self.partial));
        }
    }
}

/// Parses the time of `--metrics`, in milliseconds since the Unix epoch.
fn parse_since(text: &str, now: i64) -> Result<i64, Failure> {
    let wrong = || {
        format!(
            "{text} is not since:TIME, where TIME is a date, a time such as 2026-11-24T12:00:00Z, 30d, 12h or all"
        )
    };
    let time = text.strip_prefix("since:").ok_or_else(wrong)?;
    if time == "all" {
        return Ok(0);
    }
    for (unit, ms) in [("d", DAY_MS), ("h", HOUR_MS)] {
        if let Some(count) = time.strip_suffix(unit).and_then(|count| count.parse::<u32>().ok()) {
            return Ok(now.saturating_sub(ms.saturating_mul(count.into())));
        }
    }
    if let Ok(date) = time.parse::<Date>() {
        return Ok(TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0))?.as_millisecond());
    }
    Ok(time.parse::<Timestamp>().map_err(|_| wrong())?.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_each_form() {
        let now = 1_795_518_330_000;
        for (text, expected) in [
            ("since:all", 0),
            ("since:30d", now - 30 * DAY_MS),
            ("since:12h", now - 12 * HOUR_MS),
            ("since:2026-11-24", 1_795_478_400_000),
            ("since:2026-11-24T12:00:00Z", 1_795_521_600_000),
        ] {
            assert_eq!(parse_since(text, now).unwrap(), expected, "{text}");
        }
        for wrong in ["30d", "since:", "since:yesterday", "since:-1d", "until:all"] {
            assert!(parse_since(wrong, now).unwrap_err().to_string().contains("since:TIME"), "{wrong}");
        }
    }
}
