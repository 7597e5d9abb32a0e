//! Backups of settings, and of metrics on request, in Pika's own format: independent of the edition and the versions of the
//! database.

mod format;
mod passphrase;
mod restore;
mod write;

pub use format::{Contents, FormatError};
pub use passphrase::{Cost, PassphraseError};
pub use restore::{RestoreFileError, Restored, contents, restore};
pub use write::{What, WriteError, Written, write};
