//! Evaluates alert rules: what is so, since when, and who has to be told. Of several servers on one database one at a time
//! does it; everything that it goes on with is in the database.

mod away;
pub mod backtest;
pub mod dry_run;
pub mod evaluator;
mod hand_over;
mod intervals;
pub mod judge;
mod judged;
mod look;
pub mod replay;
mod withhold;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use pika_shared::{Clock, chain};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

pub use evaluator::{Evaluated, Evaluator, EvaluatorOptions};

use crate::config::Config;
use crate::domain::TimestampMs;
use crate::store::Store;
use crate::telemetry::Instruments;

/// Consecutive failures after which one is logged as an error rather than a warning.
const FAILURES_SHOWN: u64 = 2;

impl EvaluatorOptions {
    /// Derives the options from the configuration.
    pub fn of_config(config: &Config) -> Self {
        let tick_ms = i64::try_from(config.alerting.evaluation_interval_ms).unwrap_or(i64::MAX);
        let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        // What presence itself needs to notice that an agent is gone, or back, and two ticks.
        let presence_ms = ms(config.ingest.idle_timeout_ms)
            .saturating_add(ms(config.ingest.reconnect_grace_ms))
            .saturating_add(3 * TOUCH_INTERVAL_MS);
        Self { tick_ms, settle_ms: presence_ms.saturating_add(2 * tick_ms) }
    }
}

/// How often signs of life are recorded, at most, in milliseconds.
const TOUCH_INTERVAL_MS: i64 = 10_000;

/// Evaluates continuously, and reports every complete evaluation. Ends only when dropped.
pub async fn run(
    config: &Config,
    store: Store,
    clock: Clock,
    instruments: Arc<Instruments>,
    completed: watch::Sender<Option<TimestampMs>>,
) -> Infallible {
    let options = EvaluatorOptions::of_config(config);
    let mut ticks = tokio::time::interval(Duration::from_millis(config.alerting.evaluation_interval_ms));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut evaluator = Evaluator::new(store, clock.clone(), instruments, options);
    let mut failures = 0_u64;
    loop {
        ticks.tick().await;
        match evaluator.tick().await {
            Ok(Evaluated::Done { is_complete: true }) => {
                failures = 0;
                completed.send_replace(Some(clock.now()));
            }
            Ok(_) => failures = 0,
            Err(error) => {
                failures += 1;
                if failures.is_power_of_two() && FAILURES_SHOWN <= failures {
                    tracing::error!(error = %chain(&error), failures, "alert rules cannot be evaluated");
                } else if failures < FAILURES_SHOWN {
                    tracing::warn!(error = %chain(&error), "alert rules could not be evaluated; retrying");
                }
            }
        }
    }
}
