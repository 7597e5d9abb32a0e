//! Cancels a token when the operating system signals the process to stop.

use std::io;

use tokio_util::sync::CancellationToken;

/// Installs handlers for SIGTERM and SIGINT, and returns a future that waits for either and cancels `shutdown`.
///
/// # Errors
/// If the operating system refuses a handler.
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

/// Returns a future that waits for Ctrl-C and cancels `shutdown`.
///
/// # Errors
/// Never; the signature is the same as on Unix.
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
