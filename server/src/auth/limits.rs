//! Limits on failed logins: how many, by address and by account, before the next attempt has to wait.
//!
//! Three buckets take a token for every attempt and get it back unless the attempt fails: that of the account and the
//! address together, that of the address, and that of the account. From an address that the account is at home at (it has
//! logged in there before), only the first one counts, so that no stranger elsewhere can keep anybody out.
//!
//! Nothing here knows which accounts exist.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config;
use crate::domain::TimestampMs;
use crate::domain::id::UserId;

/// Buckets that are kept. When there are more, the emptiest half is forgotten: those whose owners failed least.
const BUCKETS_MAX: usize = 100_000;
/// Pairs of account and address that are kept. When there are more, the half that logged in longest ago is forgotten.
const HOMES_MAX: usize = 100_000;
/// Bits of an IPv6 address that belong to the network; the rest is its owner's to choose.
const IPV6_NETWORK_MASK: u128 = !0 << 64;

/// Whose password it is. Unknown names are limited like known ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Account {
    /// A user.
    Known(UserId),
    /// A name that no user has, in small letters.
    Unknown(String),
}

/// Why an attempt was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limited {
    /// How long to wait.
    pub(super) retry_after_ms: i64,
}

/// An attempt that was admitted. It counts as failed until it is forgiven.
#[derive(Debug)]
#[must_use]
pub(super) struct Attempt(Vec<Bucket>);

/// The limits.
#[derive(Clone, Debug)]
pub(super) struct LoginLimits {
    per_pair: Limit,
    per_address: Limit,
    per_account: Limit,
    /// Random for every process, so that nobody can aim at a bucket of somebody else.
    hasher: RandomState,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// For each bucket, when it will be full again.
    full_at: HashMap<u64, TimestampMs>,
    /// For each pair of account and address, when it last logged in.
    homes: HashMap<u64, TimestampMs>,
}

/// So many failures at once, and one more whenever an interval has passed.
#[derive(Clone, Copy, Debug)]
struct Limit {
    interval_ms: i64,
    window_ms: i64,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    key: u64,
    limit: Limit,
}

impl Limit {
    fn new(failures_max: u32, window_ms: i64) -> Self {
        let interval_ms = (window_ms / i64::from(failures_max)).max(1);
        Self { interval_ms, window_ms: interval_ms * i64::from(failures_max) }
    }
}

impl LoginLimits {
    pub(super) fn new(config: &config::Auth) -> Self {
        let limit = |failures_max| Limit::new(failures_max, config.failure_window_ms);
        Self {
            per_pair: limit(config.failures_per_account_and_address_max),
            per_address: limit(config.failures_per_address_max),
            per_account: limit(config.failures_per_account_max),
            hasher: RandomState::new(),
            state: Arc::default(),
        }
    }

    /// Admits an attempt at an account, unless too many have failed.
    pub(super) fn admit(
        &self,
        account: &Account,
        address: &str,
        is_at_home: bool,
        now: TimestampMs,
    ) -> Result<Attempt, Limited> {
        let network = network(address);
        let mut buckets = vec![self.bucket(("pair", account, &network), self.per_pair)];
        if !is_at_home && !self.is_home(account, address) {
            buckets.push(self.bucket(("address", &network), self.per_address));
            buckets.push(self.bucket(("account", account), self.per_account));
        }
        self.take(buckets, now)
    }

    /// Admits an attempt that names no account.
    pub(super) fn admit_address(&self, address: &str, now: TimestampMs) -> Result<Attempt, Limited> {
        self.take(vec![self.bucket(("address", &network(address)), self.per_address)], now)
    }

    /// The attempt did not fail.
    pub(super) fn forgive(&self, attempt: Attempt) {
        let mut state = self.state();
        for Bucket { key, limit } in attempt.0 {
            if let Some(full_at) = state.full_at.get_mut(&key) {
                *full_at -= limit.interval_ms;
            }
        }
    }

    /// The account has logged in from there.
    pub(super) fn remember_home(&self, account: &Account, address: &str, now: TimestampMs) {
        let key = self.home(account, address);
        let mut state = self.state();
        state.homes.insert(key, now);
        shrink(&mut state.homes, HOMES_MAX, i64::MIN);
    }

    fn is_home(&self, account: &Account, address: &str) -> bool {
        self.state().homes.contains_key(&self.home(account, address))
    }

    fn home(&self, account: &Account, address: &str) -> u64 {
        self.hasher.hash_one(("home", account, network(address)))
    }

    fn bucket(&self, key: impl std::hash::Hash, limit: Limit) -> Bucket {
        Bucket { key: self.hasher.hash_one(key), limit }
    }

    /// Takes a token from every bucket, or from none where one is empty.
    fn take(&self, buckets: Vec<Bucket>, now: TimestampMs) -> Result<Attempt, Limited> {
        let mut state = self.state();
        let after = |state: &State, Bucket { key, limit }: Bucket| {
            state.full_at.get(&key).copied().unwrap_or(now).max(now) + limit.interval_ms
        };
        let waits = buckets.iter().map(|bucket| after(&state, *bucket) - now - bucket.limit.window_ms);
        if let Some(retry_after_ms) = waits.max().filter(|wait| 0 < *wait) {
            return Err(Limited { retry_after_ms });
        }
        for bucket in &buckets {
            let full_at = after(&state, *bucket);
            state.full_at.insert(bucket.key, full_at);
        }
        shrink(&mut state.full_at, BUCKETS_MAX, now);
        Ok(Attempt(buckets))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets what is over by `now`, and where that is not enough the earlier half of the rest.
fn shrink(map: &mut HashMap<u64, TimestampMs>, max: usize, now: TimestampMs) {
    if map.len() <= max {
        return;
    }
    map.retain(|_, at| now < *at);
    if max / 2 < map.len() {
        let mut times: Vec<TimestampMs> = map.values().copied().collect();
        let excess = map.len() - max / 2;
        let (_, median, _) = times.select_nth_unstable(excess - 1);
        let median = *median;
        map.retain(|_, at| median < *at);
    }
}

/// What counts as one address: an IPv4 address, or the /64 of an IPv6 address.
pub(super) fn network(address: &str) -> String {
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => Ipv6Addr::from_bits(address.to_bits() & IPV6_NETWORK_MASK).to_string(),
        Ok(IpAddr::V4(address)) => address.to_string(),
        Err(_) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: i64 = 60_000;

    fn limits() -> LoginLimits {
        LoginLimits {
            per_pair: Limit::new(2, 10 * MINUTE_MS),
            per_address: Limit::new(4, 10 * MINUTE_MS),
            per_account: Limit::new(6, 10 * MINUTE_MS),
            hasher: RandomState::new(),
            state: Arc::default(),
        }
    }

    fn account(name: &str) -> Account {
        Account::Unknown(name.to_owned())
    }

    /// Fails until it is limited, and answers how often that was.
    fn fail(limits: &LoginLimits, name: &str, address: &str, now: TimestampMs) -> usize {
        (0..100).take_while(|_| limits.admit(&account(name), address, false, now).is_ok()).count()
    }

    #[test]
    fn failures_at_one_account_from_one_address_are_few() {
        let limits = limits();
        assert_eq!(fail(&limits, "ana", "192.0.2.1", 0), 2);
        let limited = limits.admit(&account("ana"), "192.0.2.1", false, 0).unwrap_err();
        assert_eq!(limited.retry_after_ms, 5 * MINUTE_MS);
        assert_eq!(fail(&limits, "ana", "192.0.2.1", 5 * MINUTE_MS - 1), 0);
        assert_eq!(fail(&limits, "ana", "192.0.2.1", 5 * MINUTE_MS), 1);
        assert_eq!(fail(&limits, "ana", "192.0.2.1", 60 * MINUTE_MS), 2);
    }

    #[test]
    fn an_address_and_an_account_have_limits_of_their_own() {
        let limits = limits();
        let names = ["a", "b", "c"].map(|name| fail(&limits, name, "192.0.2.1", 0));
        assert_eq!(names, [2, 2, 0]);
        let addresses = ["2", "3", "4", "5"].map(|n| fail(&limits, "victim", &format!("192.0.2.{n}"), 0));
        assert_eq!(addresses, [2, 2, 2, 0]);
    }

    #[test]
    fn what_did_not_fail_does_not_count() {
        let limits = limits();
        for _ in 0..100 {
            let attempt = limits.admit(&account("ana"), "192.0.2.1", false, 0).unwrap();
            limits.forgive(attempt);
        }
        assert_eq!(fail(&limits, "ana", "192.0.2.1", 0), 2);
    }

    #[test]
    fn attempts_at_the_same_time_count_before_they_have_failed() {
        let limits = limits();
        let admitted: Vec<_> =
            (0..10).filter_map(|_| limits.admit(&account("ana"), "192.0.2.1", false, 0).ok()).collect();
        assert_eq!(admitted.len(), 2);
    }

    #[test]
    fn nobody_is_locked_out_at_home_by_strangers() {
        let limits = limits();
        limits.remember_home(&account("ana"), "192.0.2.1", 0);
        for n in 2..100 {
            fail(&limits, "ana", &format!("192.0.2.{n}"), 0);
        }
        for name in ["b", "c", "d", "e"] {
            fail(&limits, name, "192.0.2.1", 0);
        }
        assert!(limits.admit(&account("ana"), "192.0.2.1", false, 0).is_ok());
        assert!(limits.admit(&account("ana"), "198.51.100.1", false, 0).is_err());
        assert!(limits.admit(&account("ana"), "198.51.100.1", true, 0).is_ok(), "the sessions knew it");
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let limits = limits();
        assert_eq!(fail(&limits, "ana", "2001:db8::1", 0), 2);
        assert_eq!(fail(&limits, "ana", "2001:db8::ffff:1", 0), 0);
        assert_eq!(fail(&limits, "ana", "2001:db8:0:1::1", 0), 2);
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_worst_is_kept() {
        let mut map: HashMap<u64, i64> = (0..1_001).map(|n| (n, i64::try_from(n).unwrap())).collect();
        shrink(&mut map, 1_000, 100);
        assert_eq!(map.len(), 500);
        assert!(map.contains_key(&1_000) && !map.contains_key(&500));
    }
}
