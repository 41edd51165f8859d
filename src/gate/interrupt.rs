//! Ctrl-C and SIGTERM: the run ends in order, with an INCONCLUSIVE bundle.

use tokio::signal::unix::{SignalKind, signal};

/// Returns when the person or the system asks the program to stop.
///
/// # Errors
/// When signals cannot be received.
pub async fn asked_to_stop() -> std::io::Result<&'static str> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => Ok("interrupted by Ctrl-C"),
        _ = terminate.recv() => Ok("interrupted by SIGTERM"),
    }
}
