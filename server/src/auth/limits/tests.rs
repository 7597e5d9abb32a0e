//! Tests of what counts against whom.

use futures_util::FutureExt as _;
use futures_util::future::join_all;

use super::*;

const MINUTE_MS: i64 = 60_000;

fn limits() -> LoginLimits {
    let limit = |failures_max| Limit::new(failures_max, 10 * MINUTE_MS);
    LoginLimits::with_limits(limit(2), limit(4), limit(6))
}

fn account(name: &str) -> Account {
    Account::named(name)
}

/// Admits an attempt that need not wait.
fn admit(
    limits: &LoginLimits,
    name: &str,
    address: &str,
    is_at_home: bool,
    now: TimestampMs,
) -> Result<Attempt, Refusal> {
    limits.admit(&account(name), address, is_at_home, now).now_or_never().unwrap()
}

/// Fails until it is limited. Returns how often that was.
fn fail(limits: &LoginLimits, name: &str, address: &str, now: TimestampMs) -> usize {
    (0..100).take_while(|_| admit(limits, name, address, false, now).map(drop).is_ok()).count()
}

#[test]
fn failures_at_one_account_from_one_address_are_few() {
    let limits = limits();
    assert_eq!(fail(&limits, "ana", "192.0.2.1", 0), 2);
    let limited = admit(&limits, "ana", "192.0.2.1", false, 0).unwrap_err();
    assert_eq!(limited, Refusal::Limited { retry_after_ms: 5 * MINUTE_MS });
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
fn a_name_is_one_account_in_all_its_spellings() {
    let limits = limits();
    assert_eq!(fail(&limits, "Änne", "192.0.2.1", 0), 2);
    assert_eq!(fail(&limits, " a\u{308}NNE\t", "192.0.2.1", 0), 0);
}

#[test]
fn successful_attempts_do_not_count() {
    let limits = limits();
    for _ in 0..100 {
        admit(&limits, "ana", "192.0.2.1", false, 0).unwrap().forgive();
    }
    assert!(limits.state().pending.is_empty() && limits.state().full_at.is_empty());
    assert_eq!(fail(&limits, "ana", "192.0.2.1", 0), 2);
}

#[tokio::test]
async fn attempts_at_the_same_time_are_admitted_as_far_as_all_may_fail() {
    let limits = limits();
    let guess = async || {
        let attempt = limits.admit(&account("ana"), "192.0.2.1", false, 0).await;
        tokio::task::yield_now().await;
        attempt.map(drop)
    };
    let guesses = join_all((0..10).map(|_| guess())).await;
    assert_eq!(guesses.iter().filter(|guess| guess.is_ok()).count(), 2);
}

#[tokio::test]
async fn attempts_at_the_same_time_that_succeed_are_all_admitted_in_turn() {
    let limits = limits();
    let login = async || {
        let attempt = limits.admit(&account("ana"), "192.0.2.1", false, 0).await?;
        let pending: Vec<u32> = limits.state().pending.values().copied().collect();
        assert!(pending.iter().all(|pending| *pending <= 2), "{pending:?}");
        tokio::task::yield_now().await;
        attempt.forgive();
        Ok::<(), Refusal>(())
    };
    let logins = join_all((0..100).map(|_| login())).await;
    assert!(logins.iter().all(Result::is_ok), "{logins:?}");
}

#[tokio::test]
async fn only_so_many_wait_for_others() {
    let limits = limits();
    let pending = [(); 2].map(|()| admit(&limits, "ana", "192.0.2.1", false, 0).unwrap());
    let waiting = limits.waiting.try_acquire_many(WAITING_MAX.try_into().unwrap()).unwrap();
    assert_eq!(admit(&limits, "ana", "192.0.2.1", false, 0).unwrap_err(), Refusal::Busy);
    drop(waiting);
    let account = account("ana");
    let waiting = limits.admit(&account, "192.0.2.1", false, 0);
    tokio::pin!(waiting);
    assert!(futures_util::poll!(&mut waiting).is_pending());
    for attempt in pending {
        attempt.forgive();
    }
    waiting.await.unwrap().forgive();
    assert_eq!(limits.waiting.available_permits(), WAITING_MAX);
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
    assert!(admit(&limits, "ana", "192.0.2.1", false, 0).is_ok());
    assert!(admit(&limits, "ana", "198.51.100.1", false, 0).is_err());
    assert!(admit(&limits, "ana", "198.51.100.1", true, 0).is_ok(), "the sessions knew it");
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
