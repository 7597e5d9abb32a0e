//! Limits how many back-tests of alert rules run at the same time: each reads much and computes for up to a minute.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ApiError;
use crate::domain::id::UserId;
use crate::http::request_id;

/// Maximum back-tests of all users; each user may run one.
const RUNNING_MAX: usize = 2;

/// The users whose back-tests are running.
#[derive(Clone, Debug, Default)]
pub struct Backtests(Arc<Mutex<HashSet<UserId>>>);

/// A back-test that is running. It ends when this is dropped, also if the client hangs up.
#[derive(Debug)]
pub(super) struct Running {
    backtests: Backtests,
    user: UserId,
}

impl Backtests {
    /// Begins a back-test of a user.
    ///
    /// # Errors
    /// 429 if one of this user is running, or too many of others.
    pub(super) fn begin(&self, user: UserId) -> Result<Running, ApiError> {
        let mut running = self.running();
        let message = if running.contains(&user) {
            "a back-test of yours is running; try again when it is done"
        } else if RUNNING_MAX <= running.len() {
            "too many back-tests are running; try again in a minute"
        } else {
            running.insert(user);
            return Ok(Running { backtests: self.clone(), user });
        };
        drop(running);
        if let Some(count) = request_id::note("too many back-tests") {
            tracing::warn!(%user, count, request_id = request_id::current(), "too many back-tests");
        }
        Err(ApiError::too_many_requests(message))
    }

    fn running(&self) -> MutexGuard<'_, HashSet<UserId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.backtests.running().remove(&self.user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_user_may_run_one_and_all_together_only_a_few() {
        let backtests = Backtests::default();
        let users: Vec<UserId> = (0..=RUNNING_MAX).map(|_| UserId::random()).collect();
        let first = backtests.begin(users[0]).unwrap();
        assert!(matches!(backtests.begin(users[0]), Err(ApiError::TooManyRequests(..))));
        let _others: Vec<Running> =
            users[1..RUNNING_MAX].iter().map(|user| backtests.begin(*user).unwrap()).collect();
        assert!(matches!(backtests.begin(users[RUNNING_MAX]), Err(ApiError::TooManyRequests(..))));
        drop(first);
        backtests.begin(users[RUNNING_MAX]).unwrap();
    }
}
