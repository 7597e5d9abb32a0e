//! The limit of open files, of which each connection uses one.

use rlimit::Resource;

/// Open files besides client connections: the log, database connections, the runtime's own.
const OTHERS: u64 = 256;

/// Raises the limit to what `connections_max` needs, as far as the system allows, and warns if that is not enough.
pub fn allow(connections_max: usize) {
    let needed = u64::try_from(connections_max).unwrap_or(u64::MAX).saturating_add(OTHERS);
    let Ok((soft, hard)) = Resource::NOFILE.get() else {
        return;
    };
    if needed <= soft {
        return;
    }
    // Only root can raise the hard limit.
    let is_raised = Resource::NOFILE.set(needed, hard.max(needed)).is_ok();
    if !is_raised && Resource::NOFILE.set(needed.min(hard), hard).is_err() {
        tracing::debug!("the limit of open files cannot be raised");
    }
    let limit = Resource::NOFILE.get_soft().unwrap_or(soft);
    if limit < needed {
        tracing::warn!(
            limit,
            needed,
            "the system's limit of open files (ulimit -n, LimitNOFILE) is too low for server.connections_max"
        );
    }
}
