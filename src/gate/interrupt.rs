//! Ctrl-C and SIGTERM: the run ends in order, with an INCONCLUSIVE bundle.

use futures::FutureExt;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Receives signals from the moment it is made, so that none ends the program halfway.
pub struct Interrupt {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupt {
    /// Takes the signals over.
    ///
    /// # Errors
    /// When signals cannot be received.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Returns when the person or the system asks the program to stop.
    pub async fn asked(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "interrupted by Ctrl-C",
            _ = self.terminate.recv() => "interrupted by SIGTERM",
        }
    }

    /// Whether that has happened while nobody waited for it.
    pub fn asked_already(&mut self) -> Option<&'static str> {
        self.asked().now_or_never()
    }
}

/// Returns when the person or the system asks the program to stop.
///
/// # Errors
/// When signals cannot be received.
pub async fn asked_to_stop() -> std::io::Result<&'static str> {
    Ok(Interrupt::listen()?.asked().await)
}
