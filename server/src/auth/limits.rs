//! Limits on failed logins, by address and by account, before the next attempt has to wait.
//!
//! Every failure takes a token from three buckets: that of account and address together, that of the address, and that
//! of the account. From an address where the account is at home (it has logged in there before), only the first one
//! counts, so that no stranger elsewhere can lock anybody out.
//!
//! An attempt is admitted only if there are tokens for it and for all others still pending, which also bounds
//! concurrent guesses. An attempt that may get a token once others have ended waits for that.
//!
//! Nothing here knows which accounts exist.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

use crate::config;
use crate::domain::TimestampMs;
use crate::domain::name::username_key;

/// Maximum buckets kept. Beyond that, the half with the fewest failures is dropped.
const BUCKETS_MAX: usize = 100_000;
/// Maximum pairs of account and address kept. Beyond that, the half that logged in longest ago is dropped.
const HOMES_MAX: usize = 100_000;
/// Maximum attempts waiting for others to end; more are rejected.
const WAITING_MAX: usize = 256;
/// How long an attempt waits for others to end before it is rejected.
const WAIT_TIMEOUT: Duration = Duration::from_secs(10);

/// The account an attempt is aimed at, by the key of its username, whether it exists or not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Account(String);

impl Account {
    /// Returns the account of a username, whatever its spelling.
    pub(super) fn named(username: &str) -> Self {
        Self(username_key(username))
    }

    /// Returns the key of the username.
    pub(super) fn key(&self) -> &str {
        &self.0
    }
}

/// Why an attempt was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Too many have failed.
    Limited {
        /// How long to wait, in milliseconds.
        retry_after_ms: i64,
    },
    /// Too many are waiting, or the others take too long to end.
    Busy,
}

/// An admitted attempt. It counts as failed unless it is forgiven: a client that hangs up before the answer may have
/// learned as much as one that is refused.
#[derive(Debug)]
#[must_use]
pub(super) struct Attempt {
    limits: LoginLimits,
    buckets: Vec<Bucket>,
    now: TimestampMs,
    has_failed: bool,
}

impl Attempt {
    /// Ends the attempt without counting it as failed.
    pub(super) fn forgive(mut self) {
        self.has_failed = false;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.limits.end(&self.buckets, self.has_failed, self.now);
    }
}

/// Limits on failed logins.
#[derive(Clone, Debug)]
pub(super) struct LoginLimits {
    per_pair: Limit,
    per_address: Limit,
    per_account: Limit,
    /// Random per process, so that nobody can aim at somebody else's bucket.
    hasher: RandomState,
    state: Arc<Mutex<State>>,
    /// Notified when an attempt ends.
    ended: Arc<Notify>,
    /// Bounds how many attempts wait.
    waiting: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct State {
    /// For each bucket, when it will be full again.
    full_at: HashMap<u64, TimestampMs>,
    /// For each bucket, how many attempts have not ended yet.
    pending: HashMap<u64, u32>,
    /// For each pair of account and address, when it last logged in.
    homes: HashMap<u64, TimestampMs>,
}

/// This many failures at once, and one more whenever an interval has passed.
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

impl State {
    /// When a bucket is full again if this many more attempts fail.
    fn full_after(&self, bucket: &Bucket, failures: u32, now: TimestampMs) -> TimestampMs {
        let full_at = self.full_at.get(&bucket.key).copied().unwrap_or(now).max(now);
        full_at + i64::from(failures) * bucket.limit.interval_ms
    }

    /// How long until a bucket has tokens for this many failures.
    fn wait_ms(&self, bucket: &Bucket, failures: u32, now: TimestampMs) -> i64 {
        self.full_after(bucket, failures, now) - now - bucket.limit.window_ms
    }

    fn pending(&self, bucket: &Bucket) -> u32 {
        self.pending.get(&bucket.key).copied().unwrap_or(0)
    }
}

impl LoginLimits {
    pub(super) fn new(config: &config::AuthConfig) -> Self {
        let limit = |failures_max| Limit::new(failures_max, config.failure_window_ms);
        Self::with_limits(
            limit(config.failures_per_account_and_address_max),
            limit(config.failures_per_address_max),
            limit(config.failures_per_account_max),
        )
    }

    fn with_limits(per_pair: Limit, per_address: Limit, per_account: Limit) -> Self {
        Self {
            per_pair,
            per_address,
            per_account,
            hasher: RandomState::new(),
            state: Arc::default(),
            ended: Arc::default(),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
        }
    }

    /// Admits an attempt at an account unless too many have failed.
    pub(super) async fn admit(
        &self,
        account: &Account,
        address: &str,
        is_at_home: bool,
        now: TimestampMs,
    ) -> Result<Attempt, Refusal> {
        let network = network(address);
        let mut buckets = vec![self.bucket(("pair", account, &network), self.per_pair)];
        if !is_at_home && !self.is_home(account, address) {
            buckets.push(self.bucket(("address", &network), self.per_address));
            buckets.push(self.bucket(("account", account), self.per_account));
        }
        self.take(buckets, now).await
    }

    /// Admits an attempt that names no account.
    pub(super) async fn admit_address(&self, address: &str, now: TimestampMs) -> Result<Attempt, Refusal> {
        self.take(vec![self.bucket(("address", &network(address)), self.per_address)], now).await
    }

    /// Remembers that the account has logged in from this address.
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

    /// Admits an attempt, waiting for those before it if their outcome decides.
    async fn take(&self, buckets: Vec<Bucket>, now: TimestampMs) -> Result<Attempt, Refusal> {
        if let Some(attempt) = self.try_take(&buckets, now)? {
            return Ok(attempt);
        }
        let _waiting = self.waiting.try_acquire().map_err(|_| Refusal::Busy)?;
        let taken = async {
            loop {
                // Registered before looking, so that an attempt that ends in between is noticed.
                let ended = self.ended.notified();
                if let Some(attempt) = self.try_take(&buckets, now)? {
                    return Ok(attempt);
                }
                ended.await;
            }
        };
        tokio::time::timeout(WAIT_TIMEOUT, taken).await.unwrap_or(Err(Refusal::Busy))
    }

    /// Admits an attempt if every bucket has a token for it and for those still pending. Returns `None` if that depends
    /// on how those end.
    fn try_take(&self, buckets: &[Bucket], now: TimestampMs) -> Result<Option<Attempt>, Refusal> {
        let mut state = self.state();
        let wait = buckets.iter().map(|bucket| state.wait_ms(bucket, 1, now)).max();
        if let Some(retry_after_ms) = wait.filter(|wait| 0 < *wait) {
            return Err(Refusal::Limited { retry_after_ms });
        }
        if buckets.iter().any(|bucket| 0 < state.wait_ms(bucket, state.pending(bucket) + 1, now)) {
            return Ok(None);
        }
        for bucket in buckets {
            *state.pending.entry(bucket.key).or_default() += 1;
        }
        Ok(Some(Attempt { limits: self.clone(), buckets: buckets.to_vec(), now, has_failed: true }))
    }

    fn end(&self, buckets: &[Bucket], has_failed: bool, now: TimestampMs) {
        let mut state = self.state();
        for bucket in buckets {
            match state.pending(bucket) {
                0 | 1 => state.pending.remove(&bucket.key),
                more => state.pending.insert(bucket.key, more - 1),
            };
            if has_failed {
                let full_at = state.full_after(bucket, 1, now);
                state.full_at.insert(bucket.key, full_at);
            }
        }
        shrink(&mut state.full_at, BUCKETS_MAX, now);
        drop(state);
        self.ended.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops what is over by `now`, and if that is not enough the earlier half of the rest.
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

/// What counts as one address: an IPv4 address, or the /64 network of an IPv6 address.
pub(super) fn network(address: &str) -> String {
    address
        .parse()
        .map_or_else(|_| address.to_owned(), |address| crate::domain::network::network(address).to_string())
}

#[cfg(test)]
mod tests;
