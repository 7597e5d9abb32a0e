//! File descriptors: a simulated fleet needs more than most systems allow a process from the start.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::BenchError;

/// Raises the limit of this process, and with it that of the processes it starts, until `needed` files and sockets can
/// be open at a time. Beyond the system's hard limit only root can go.
///
/// # Errors
/// When the limit stays too low.
pub(crate) fn allow(needed: u64) -> Result<(), BenchError> {
    let limit = getrlimit(Resource::Nofile);
    // No limit is no number.
    let is_enough = |limit: Option<u64>| limit.is_none_or(|limit| needed <= limit);
    if is_enough(limit.current) {
        return Ok(());
    }
    let maximum = if is_enough(limit.maximum) { limit.maximum } else { Some(needed) };
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum }).map_err(|_| {
        let allowed = limit.maximum.unwrap_or(u64::MAX);
        BenchError::Usage(format!(
            "{needed} file descriptors are needed and the limit is {allowed}: raise it (`ulimit -Hn`), run as root, or \
             simulate fewer agents"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_or_the_lack_is_explained() {
        let before = getrlimit(Resource::Nofile);
        allow(before.current.unwrap_or(1_024)).unwrap();
        let error = allow(u64::MAX - 1).unwrap_err().to_string();
        assert!(error.contains("file descriptors are needed"), "{error}");
        assert_eq!(getrlimit(Resource::Nofile).maximum, before.maximum);
    }
}
