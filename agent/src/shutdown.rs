//! When to stop: the signals of the operating system as one cancellation token.

use std::io;

use tokio_util::sync::CancellationToken;

/// Waits for SIGTERM or SIGINT (Ctrl-C elsewhere) and cancels `shutdown` then. The handlers are in place when the
/// outer call returns; the returned future does the waiting.
///
/// # Errors
/// When the operating system refuses a handler.
#[cfg(unix)]
pub fn on_signal(shutdown: CancellationToken) -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = shutdown.cancelled() => {}
        }
        shutdown.cancel();
    })
}

/// Waits for Ctrl-C and cancels `shutdown` then.
///
/// # Errors
/// Never; the signature is that of Unix.
#[cfg(not(unix))]
pub fn on_signal(shutdown: CancellationToken) -> io::Result<impl Future<Output = ()>> {
    Ok(async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            () = shutdown.cancelled() => {}
        }
        shutdown.cancel();
    })
}
