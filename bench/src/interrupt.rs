//! What a signal means to a bench: it ends in order, and its children and databases with it.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::BenchError;

/// Set by the first signal that asks the bench to end.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(CancellationToken);

impl Interrupt {
    /// Listens from now on. A second signal ends the process at once, whatever it leaves behind.
    ///
    /// # Errors
    /// When the signals cannot be listened to.
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

    /// Runs `work` until it is done or the bench is asked to end. Whatever `work` holds then goes: processes are killed,
    /// temporary files removed. A database has to be closed by the caller, which is why it is made outside of `work`.
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
