//! Waits for a condition, never for a fixed time.

use std::future::Future;
use std::time::Duration;

/// How long a condition may take on a slow, shared machine before the test fails.
const DEADLINE: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Calls `ask` repeatedly until it returns a value.
///
/// # Panics
/// If there is none in time.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let answered = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    tokio::time::timeout(DEADLINE, answered).await.unwrap_or_else(|_| panic!("timed out waiting for: {what}"))
}
