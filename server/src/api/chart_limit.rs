//! Limits how many charts a user may request at the same time. How much of the database all charts together may use is
//! limited by the store.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ApiError;
use crate::domain::id::UserId;
use crate::http::request_id;
use crate::store;
use crate::telemetry::{ChartRefusal, Instruments};

/// The charts that are being read or waiting for their turn.
#[derive(Clone, Debug)]
pub struct ChartLimit {
    per_user_max: usize,
    in_progress: Arc<Mutex<HashMap<UserId, usize>>>,
    instruments: Arc<Instruments>,
}

/// A chart in progress. It ends when this is dropped, also if the client hangs up.
#[derive(Debug)]
struct Chart {
    limit: ChartLimit,
    user: UserId,
}

impl ChartLimit {
    /// Limits each user to this many charts at the same time.
    pub fn new(per_user_max: usize, instruments: Arc<Instruments>) -> Self {
        Self { per_user_max, in_progress: Arc::default(), instruments }
    }

    /// Reads a chart for a user.
    ///
    /// # Errors
    /// 429 if too many charts of this user, or of all users, are in progress; the error of `reading`.
    pub(super) async fn read<T, E: Borrow<store::Error> + Into<ApiError>>(
        &self,
        user: UserId,
        reading: impl Future<Output = Result<T, E>>,
    ) -> Result<T, ApiError> {
        let _chart = self.begin(user)?;
        reading.await.map_err(|error| {
            if matches!(error.borrow(), store::Error::TooManyCharts) {
                self.refuse(user, ChartRefusal::Pool);
            }
            error.into()
        })
    }

    fn begin(&self, user: UserId) -> Result<Chart, ApiError> {
        let mut in_progress = self.in_progress();
        let n_charts = in_progress.get(&user).copied().unwrap_or(0);
        if self.per_user_max <= n_charts {
            drop(in_progress);
            self.refuse(user, ChartRefusal::User);
            return Err(ApiError::too_many_requests(&format!(
                "{n_charts} of your charts are in progress, which is the maximum; try again when one is done"
            )));
        }
        in_progress.insert(user, n_charts + 1);
        Ok(Chart { limit: self.clone(), user })
    }

    fn refuse(&self, user: UserId, refusal: ChartRefusal) {
        self.instruments.add_refused_chart(refusal);
        let request_id = request_id::current();
        tracing::debug!(request_id, %user, limit = refusal.as_str(), "refused a chart");
    }

    fn in_progress(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        self.in_progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Chart {
    fn drop(&mut self) {
        let mut in_progress = self.limit.in_progress();
        match in_progress.get_mut(&self.user) {
            Some(n_charts) if 1 < *n_charts => *n_charts -= 1,
            _ => {
                in_progress.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_user_has_a_limit_of_their_own() {
        let limit = ChartLimit::new(2, Arc::new(Instruments::new().unwrap()));
        let (one, other) = (UserId::random(), UserId::random());
        let charts = [limit.begin(one).unwrap(), limit.begin(one).unwrap()];
        assert!(matches!(limit.begin(one), Err(ApiError::TooManyRequests(..))));
        drop(limit.begin(other).unwrap());
        drop(charts);
        assert!(limit.in_progress().is_empty());
        limit.begin(one).unwrap();
    }
}
