//! File descriptors, of which a simulated fleet needs more than the default limit of most systems.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::BenchError;

/// Raises the limit of this process and its children to `needed` open files and sockets. Only root can exceed the
/// system's hard limit.
///
/// # Errors
/// If the limit stays too low.
pub(crate) fn allow(needed: u64) -> Result<(), BenchError> {
    let limit = getrlimit(Resource::Nofile);
    // `None` means no limit.
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
