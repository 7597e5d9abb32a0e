//! Signals end a benchmark in order, including its child processes and databases.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::BenchError;

/// Cancelled by the first signal.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(CancellationToken);

impl Interrupt {
    /// Starts listening for signals. A second signal ends the process immediately, without cleaning up.
    ///
    /// # Errors
    /// If signal handlers cannot be installed.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let token = CancellationToken::new();
        let set = token.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hang_up.recv() => {}
                }
                if set.is_cancelled() {
                    std::process::exit(1);
                }
                set.cancel();
            }
        });
        Ok(Self(token))
    }

    /// Runs `work` until it is done or the benchmark is interrupted, which drops `work`: processes are killed,
    /// temporary files removed. The caller has to close the database, which is why it is created outside `work`.
    ///
    /// # Errors
    /// Those of `work`, and [`BenchError::Interrupted`].
    pub(crate) async fn or<T>(
        &self,
        work: impl Future<Output = Result<T, BenchError>>,
    ) -> Result<T, BenchError> {
        tokio::select! {
            result = work => result,
            () = self.0.cancelled() => Err(BenchError::Interrupted),
        }
    }
}
