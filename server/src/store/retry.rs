//! Retries while the database is unavailable.

use std::future::Future;
use std::time::Duration;

/// The first wait after a failure; each further one doubles.
const WAIT_MIN: Duration = Duration::from_millis(100);
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Counts failed attempts and waits between them, exponentially longer.
#[derive(Debug)]
pub struct Backoff {
    wait: Duration,
    failures: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { wait: WAIT_MIN, failures: 0 }
    }
}

impl Backoff {
    /// Counts a failure. Returns the number of failures so far.
    pub fn fail(&mut self) -> u64 {
        self.failures += 1;
        self.failures
    }

    /// Returns the number of failures so far.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Waits, each time twice as long as before up to a limit.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next_wait()).await;
    }

    fn next_wait(&mut self) -> Duration {
        let next = WAIT_MAX.min(2 * self.wait);
        std::mem::replace(&mut self.wait, next)
    }
}

/// Calls `ask` until it succeeds or returns an error that is not temporary. Calls `failed` with each temporary error
/// and the number of failures so far.
///
/// # Errors
/// The first error that is not temporary.
pub async fn retry<T, E, F: Future<Output = Result<T, E>>>(
    mut ask: impl FnMut() -> F,
    is_temporary: impl Fn(&E) -> bool,
    mut failed: impl FnMut(&E, u64),
) -> Result<T, E> {
    let mut backoff = Backoff::default();
    loop {
        match ask().await {
            Err(error) if is_temporary(&error) => failed(&error, backoff.fail()),
            answer => return answer,
        }
        backoff.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_bound() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..8).map(|_| backoff.next_wait().as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    }

    #[tokio::test]
    async fn it_is_asked_again_until_there_is_an_answer() {
        let (mut n_asked, mut failed) = (0, Vec::new());
        let ask = || {
            n_asked += 1;
            std::future::ready(if n_asked < 3 { Err(n_asked) } else { Ok(n_asked) })
        };
        let answer = retry(ask, |_| true, |error, failures| failed.push((*error, failures))).await;
        assert_eq!((answer, failed), (Ok(3), vec![(1, 1), (2, 2)]));
    }

    #[tokio::test]
    async fn a_permanent_error_is_returned_at_once() {
        let answer: Result<(), _> =
            retry(|| std::future::ready(Err("no")), |_| false, |_, _| panic!("it is not temporary")).await;
        assert_eq!(answer, Err("no"));
    }
}
