//! Holds every user to a number of tests of channels a minute: each sends a real message to somewhere else.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::ApiError;
use crate::domain::id::UserId;
use crate::http::request_id;

/// Tests of one user within [`WINDOW`].
const TESTS_MAX: usize = 3;
const WINDOW: Duration = Duration::from_secs(60);

/// When each user has tried channels lately.
#[derive(Debug, Default)]
pub struct ChannelTests(Mutex<HashMap<UserId, Vec<Instant>>>);

impl ChannelTests {
    /// Counts a test of a user.
    ///
    /// # Errors
    /// 429 where there were too many.
    pub(super) fn begin(&self, user: UserId) -> Result<(), ApiError> {
        let now = Instant::now();
        let mut tests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tests.retain(|_, times| {
            times.retain(|at| now.duration_since(*at) < WINDOW);
            !times.is_empty()
        });
        let times = tests.entry(user).or_default();
        if times.len() < TESTS_MAX {
            times.push(now);
            return Ok(());
        }
        drop(tests);
        if let Some(count) = request_id::note("too many tests of channels") {
            tracing::warn!(%user, count, request_id = request_id::current(), "too many tests of channels");
        }
        let message = format!("channels were tried {TESTS_MAX} times within a minute; try again in a minute");
        Err(ApiError::too_many_requests(&message))
    }
}
