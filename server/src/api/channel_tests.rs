//! Limits how many channel tests a user may run per minute: each sends a real message to an outside service.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::ApiError;
use crate::domain::id::UserId;
use crate::http::request_id;

/// Maximum tests of one user within [`WINDOW`].
const TESTS_MAX: usize = 3;
const WINDOW: Duration = Duration::from_secs(60);

/// The recent tests of each user.
#[derive(Debug, Default)]
pub struct ChannelTests(Mutex<HashMap<UserId, Vec<Instant>>>);

impl ChannelTests {
    /// Counts a test of a user.
    ///
    /// # Errors
    /// 429 if there were too many.
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
