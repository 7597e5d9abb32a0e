//! What is remembered of control groups from one sample to the next: since when they exist, and what they have counted.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pika_protocol::limits::CGROUPS_PER_SAMPLE_MAX;

use super::discover::Group;
use super::usage::{N_COUNTERS, Usage};
use crate::collect::delta::{Counters, Moved, Width};

/// How long a group has to exist until it is reported by name, in milliseconds: a little less than a minute, because
/// samples are not exactly on time.
const YOUNG_MS: i64 = 55_000;

/// How long a group that is gone is remembered, in milliseconds. When it is back, it was started again.
const GONE_MS_MAX: i64 = 3_600_000;

/// Maximum number of groups that are remembered although they are gone.
const GONE_MAX: usize = CGROUPS_PER_SAMPLE_MAX;

const WIDTHS: [Width; N_COUNTERS] = [Width::Full; N_COUNTERS];

const NOTHING: Moved<N_COUNTERS> = Moved { interval_ms: None, amounts: [None; N_COUNTERS] };

/// All groups that are remembered.
#[derive(Debug, Default)]
pub(super) struct KnownGroups {
    by_path: BTreeMap<PathBuf, Known>,
    /// When groups were last looked for, in milliseconds since boot.
    read_at_ms: Option<i64>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Known {
    inode: u64,
    /// When it was found, when it was last there, and when its counters were last read, in milliseconds since boot.
    found_ms: i64,
    seen_ms: i64,
    counted_ms: i64,
    cpu_us: Option<u64>,
    counters: Counters<N_COUNTERS>,
    /// What it has counted since its last reading.
    pub(super) moved: Moved<N_COUNTERS>,
    /// How often it was started again since then.
    pub(super) restarts: i64,
    /// Whether it has been reported by name.
    pub(super) has_series: bool,
    /// The name that somebody told.
    pub(super) name: Option<String>,
}

impl Known {
    /// Returns whether the group has existed long enough to be reported by name.
    pub(super) fn is_named(&self, uptime_ms: i64) -> bool {
        self.has_series || YOUNG_MS <= uptime_ms.saturating_sub(self.found_ms)
    }

    /// Makes the counters start from zero at the given time.
    fn begin(&mut self, at_ms: i64) {
        self.counters = Counters::new(WIDTHS);
        self.counters.advance(at_ms, [Some(0); N_COUNTERS]);
        self.cpu_us = None;
    }
}

impl KnownGroups {
    /// Returns when groups were last looked for.
    pub(super) fn read_at_ms(&self) -> Option<i64> {
        self.read_at_ms
    }

    /// Puts groups into the order in which they are reported: those that have been, then the oldest.
    pub(super) fn sort(&self, groups: &mut [Group]) {
        groups.sort_by_cached_key(|group| {
            let known = self.by_path.get(&group.path);
            let order = known.map_or((true, i64::MAX), |known| (!known.has_series, known.found_ms));
            (order, group.path.clone())
        });
    }

    /// Notes that a group is there, and what it uses, if that was read. Returns what is known about it; `None` if it is
    /// gone already.
    pub(super) fn note(
        &mut self,
        group: &Group,
        usage: Option<&Usage>,
        uptime_ms: i64,
    ) -> Option<&mut Known> {
        let last_ms = self.read_at_ms;
        let known = self.by_path.entry(group.path.clone()).or_insert_with(|| {
            let mut known = Known {
                inode: group.inode,
                found_ms: uptime_ms,
                seen_ms: uptime_ms,
                counted_ms: uptime_ms,
                cpu_us: None,
                counters: Counters::new(WIDTHS),
                moved: NOTHING,
                restarts: 0,
                has_series: false,
                name: None,
            };
            // It was made since groups were last looked for, so everything that it counts is new.
            if let Some(last_ms) = last_ms {
                known.begin(last_ms);
            }
            known
        });
        let was_gone = last_ms.is_some_and(|last_ms| known.seen_ms < last_ms);
        known.seen_ms = uptime_ms;
        let Some(usage) = usage else {
            known.moved = NOTHING;
            return Some(known);
        };
        let has_shrunk = known.cpu_us.zip(usage.cpu_us).is_some_and(|(before, now)| now < before);
        known.restarts = i64::from(was_gone || known.inode != group.inode || has_shrunk);
        if 0 < known.restarts {
            let last_ms = last_ms.unwrap_or(known.counted_ms);
            known.begin(known.counted_ms.max(last_ms));
            known.inode = group.inode;
        }
        known.moved = known.counters.advance(uptime_ms, usage.counters());
        known.cpu_us = usage.cpu_us;
        known.counted_ms = uptime_ms;
        Some(known)
    }

    /// Ends a sample: forgets groups that are gone, unless they may be back. Returns the time since the sample before, in
    /// milliseconds.
    pub(super) fn end(&mut self, uptime_ms: i64) -> Option<i64> {
        self.by_path.retain(|_, known| {
            known.seen_ms == uptime_ms
                || known.has_series && uptime_ms.saturating_sub(known.seen_ms) < GONE_MS_MAX
        });
        let mut gone: Vec<(i64, PathBuf)> = self
            .by_path
            .iter()
            .filter(|(_, known)| known.seen_ms != uptime_ms)
            .map(|(path, known)| (known.seen_ms, path.clone()))
            .collect();
        gone.sort_unstable();
        for (_, path) in gone.iter().take(gone.len().saturating_sub(GONE_MAX)) {
            self.by_path.remove(path);
        }
        let last_ms = self.read_at_ms.replace(uptime_ms);
        last_ms.map(|last_ms| uptime_ms.saturating_sub(last_ms)).filter(|interval_ms| 0 < *interval_ms)
    }

    /// Returns the number of groups that are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_path.len()
    }
}
