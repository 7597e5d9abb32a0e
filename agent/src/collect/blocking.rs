//! Runs a collector that may block on its own thread, with a deadline.

use std::time::Duration;

use tokio::task::JoinHandle;

use super::{CollectError, Collector, Tick};

/// A collector that runs on a blocking thread.
pub(super) enum Blocking<C: Collector> {
    /// Ready to run.
    Idle(C),
    /// Still running after a call that timed out.
    Running(JoinHandle<(C, Result<C::Output, CollectError>)>),
    /// It panicked.
    Ended,
}

impl<C> Blocking<C>
where
    C: Collector + Send + 'static,
    C::Output: Send + 'static,
{
    /// Runs the collector. After a timeout, the running call has to finish before the next one starts, so that a hung
    /// file system ties up one thread, not one more at every sample.
    pub(super) async fn collect(
        &mut self,
        tick: Tick,
        deadline: Duration,
    ) -> Result<C::Output, CollectError> {
        let mut collector = match std::mem::replace(self, Blocking::Ended) {
            Blocking::Idle(collector) => collector,
            Blocking::Running(task) if !task.is_finished() => {
                *self = Blocking::Running(task);
                return Err(CollectError::Hung);
            }
            // Its result is too old for this sample.
            Blocking::Running(task) => task.await.map_err(|_| CollectError::Ended)?.0,
            Blocking::Ended => return Err(CollectError::Ended),
        };
        let mut task = tokio::task::spawn_blocking(move || {
            let result = collector.collect(tick);
            (collector, result)
        });
        match tokio::time::timeout(deadline, &mut task).await {
            Ok(Ok((collector, result))) => {
                *self = Blocking::Idle(collector);
                result
            }
            Ok(Err(_)) => Err(CollectError::Ended),
            Err(_) => {
                *self = Blocking::Running(task);
                Err(CollectError::Hung)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const SHORT: Duration = Duration::from_millis(5);
    const LONG: Duration = Duration::from_secs(10);
    const TICK: Tick = Tick { uptime_ms: 1 };

    impl Collector for mpsc::Receiver<u32> {
        type Output = u32;

        fn collect(&mut self, _: Tick) -> Result<u32, CollectError> {
            self.recv().map_err(|_| CollectError::Ended)
        }
    }

    struct Panicking;

    impl Collector for Panicking {
        type Output = ();

        fn collect(&mut self, _: Tick) -> Result<(), CollectError> {
            panic!("on purpose")
        }
    }

    #[tokio::test]
    async fn a_hung_collector_is_passed_over_until_it_answers() {
        let (answer, hung) = mpsc::channel::<u32>();
        let mut blocking = Blocking::Idle(hung);

        assert!(matches!(blocking.collect(TICK, SHORT).await, Err(CollectError::Hung)));
        assert!(
            matches!(blocking.collect(TICK, LONG).await, Err(CollectError::Hung)),
            "at once, no second thread"
        );

        answer.send(1).unwrap();
        let Blocking::Running(task) = &mut blocking else { panic!("it was running") };
        while !task.is_finished() {
            tokio::task::yield_now().await;
        }
        answer.send(2).unwrap();
        assert_eq!(blocking.collect(TICK, LONG).await.unwrap(), 2, "the late result is discarded");
    }

    #[tokio::test]
    async fn a_collector_that_panics_ends_alone() {
        let mut blocking = Blocking::Idle(Panicking);
        assert!(matches!(blocking.collect(TICK, LONG).await, Err(CollectError::Ended)));
        assert!(matches!(blocking.collect(TICK, LONG).await, Err(CollectError::Ended)));
    }
}
