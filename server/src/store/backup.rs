//! Reads what a backup of settings contains, and restores it into an empty database.
//!
//! Rows travel as JSON, by the names of their columns, and history as the text of COPY; neither depends on the edition or the
//! version of TimescaleDB. A restore first makes the schema that the backup was made of and then migrates it, so that
//! migrations treat restored rows as they would have treated the original ones.

mod kept;
mod load;
mod read;
mod whole;

pub use kept::{KEPT, KeptTable, NOT_KEPT, Part};
pub use load::{CopyIn, Restore, RestoreError};
pub use read::{Backup, BackupError, HistoryTable, KeptRow};
pub use whole::{TableContent, WholeRestore, WholeTarget};

pub(super) const STATEMENTS: [&[&str]; 2] =
    [&[read::EXISTS, read::COLUMNS, read::SEQUENCES, read::ROLLED_UNTIL, load::CONTENT], whole::STATEMENTS];
