//! Backups. Those of settings, and of metrics on request, are in Pika's own format, which is independent of the edition and the
//! versions of the database; those of the whole database are made by PostgreSQL's programs.

mod format;
mod passphrase;
mod piping;
mod programs;
mod restore;
mod whole;
mod write;

pub use format::{Contents, FormatError};
pub use passphrase::{Cost, PassphraseError};
pub use piping::PipingError;
pub use programs::ProgramsError;
pub use restore::{RestoreFileError, Restored, contents, restore};
pub use whole::{Manifest, WholeError, dump, is_dump, restore_dump, verify_dump};
pub use write::{What, WriteError, Written, write};
