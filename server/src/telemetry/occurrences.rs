//! Decides which occurrences of an event are logged, so that repetition cannot fill the log.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::network::network;

/// How long occurrences are counted together. After that, counting starts again.
const WINDOW: Duration = Duration::from_secs(60 * 60);
/// How often expired counts are removed while there is no room.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// The name under which causes without room are counted.
const OTHERS: &str = "others";

/// Counts occurrences by kind and cause; the 1st, 2nd, 4th, 8th … within an hour is to be logged.
///
/// Only so many are counted separately. Without room for another, it is counted together with all others of its kind,
/// so an hour's log lines are bounded, however many addresses take part.
#[derive(Debug)]
pub struct Occurrences {
    entries_max: usize,
    /// Random for every process, so that nobody can choose to collide with somebody else.
    hasher: RandomState,
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    counts: HashMap<u64, Count>,
    swept_at: Instant,
}

#[derive(Debug)]
struct Count {
    since: Instant,
    count: u64,
}

impl Count {
    fn is_over(&self, now: Instant) -> bool {
        WINDOW <= now.duration_since(self.since)
    }
}

impl Occurrences {
    /// Counts up to `entries_max` causes separately.
    pub fn new(entries_max: usize) -> Self {
        let table = Table { counts: HashMap::new(), swept_at: Instant::now() };
        Self { entries_max, hasher: RandomState::new(), table: Mutex::new(table) }
    }

    /// Counts an occurrence of this kind. `who` is the cause: an address (IPv6: its /64), or an agent's id. Returns the
    /// number within the hour, if this one is to be logged.
    #[must_use]
    pub fn note(&self, kind: &'static str, who: &str) -> Option<u64> {
        self.note_at(kind, who, Instant::now())
    }

    fn note_at(&self, kind: &'static str, who: &str, now: Instant) -> Option<u64> {
        let key = match who.parse::<IpAddr>() {
            Ok(address) => self.hasher.hash_one((kind, network(address))),
            Err(_) => self.hasher.hash_one((kind, who)),
        };
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let is_counted = table.counts.contains_key(&key) || table.has_room(self.entries_max, now);
        let key = if is_counted { key } else { self.hasher.hash_one((kind, OTHERS)) };
        let entry = table.counts.entry(key).or_insert(Count { since: now, count: 0 });
        if entry.is_over(now) {
            *entry = Count { since: now, count: 0 };
        }
        entry.count += 1;
        entry.count.is_power_of_two().then_some(entry.count)
    }
}

impl Table {
    fn has_room(&mut self, entries_max: usize, now: Instant) -> bool {
        if entries_max <= self.counts.len() && SWEEP_INTERVAL <= now.duration_since(self.swept_at) {
            self.swept_at = now;
            self.counts.retain(|_, count| !count.is_over(now));
        }
        self.counts.len() < entries_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(
        occurrences: &Occurrences,
        kind: &'static str,
        who: &str,
        times: u64,
        now: Instant,
    ) -> Vec<u64> {
        (0..times).filter_map(|_| occurrences.note_at(kind, who, now)).collect()
    }

    #[test]
    fn ever_fewer_of_the_same_are_logged_by_kind_and_address() {
        let (occurrences, now) = (Occurrences::new(10), Instant::now());
        assert_eq!(logged(&occurrences, "a", "192.0.2.1", 9, now), [1, 2, 4, 8]);
        assert_eq!(logged(&occurrences, "b", "192.0.2.1", 1, now), [1]);
        assert_eq!(logged(&occurrences, "a", "192.0.2.2", 2, now), [1, 2]);
        assert_eq!(logged(&occurrences, "a", "2001:db8::1", 1, now), [1]);
        assert_eq!(logged(&occurrences, "a", "2001:db8::ffff:2", 1, now), [2], "the same /64");
        assert_eq!(logged(&occurrences, "a", "192.0.2.1", 10, now + WINDOW), [1, 2, 4, 8], "another hour");
    }

    #[test]
    fn however_many_addresses_there_are_the_lines_of_an_hour_are_bounded() {
        let (occurrences, now) = (Occurrences::new(10), Instant::now());
        let flood = |now| -> usize {
            (0..1_000).map(|n| logged(&occurrences, "a", &format!("192.0.{n}.1"), 1, now).len()).sum()
        };
        assert_eq!(flood(now), 10 + 10, "ten apart, then the 1st, 2nd, 4th … 512th of all others");
        assert!(occurrences.table.lock().unwrap().counts.len() <= 11);
        assert_eq!(flood(now), 10 + 1, "each of the ten for the second time, and the 1,024th of the others");
        // An hour later they are forgotten.
        assert_eq!(logged(&occurrences, "a", "198.51.100.1", 1, now + WINDOW), [1]);
        assert_eq!(occurrences.table.lock().unwrap().counts.len(), 1);
    }
}
