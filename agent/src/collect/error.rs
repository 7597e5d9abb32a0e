//! Why a family could not be read.

#[cfg(target_os = "linux")]
use std::io;
#[cfg(target_os = "linux")]
use std::path::PathBuf;

/// The reason.
#[derive(Debug, thiserror::Error)]
pub(super) enum CollectError {
    #[cfg(target_os = "linux")]
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[cfg(target_os = "linux")]
    #[error("{0} has an unknown form")]
    Format(&'static str),
    #[cfg(any(test, not(target_os = "linux")))]
    #[error("sysinfo does not know this operating system")]
    Unsupported,
    #[error("{0}")]
    NoData(&'static str),
    #[error(
        "a file system or device does not respond; file systems can be excluded with `disk.exclude_mount_points`, and \
         the collector can be disabled"
    )]
    Hung,
    #[error("the collector ended unexpectedly")]
    Ended,
}
