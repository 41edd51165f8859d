//! Wakes the loops of this process: at once after a local commit, and by NOTIFY after anybody else's.
//!
//! A channel is a counter that only rises (`watch`), so a wake-up that comes while a loop is busy is not lost. Every
//! wait also ends after the fallback interval: correctness never depends on a notification arriving.
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::store::wakeups;
pub use crate::store::wakeups::Channel;

/// Pause before the listener tries a lost connection again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// The wake-up channels of one process.
#[derive(Debug)]
pub struct Wakeups {
    channels: [watch::Sender<u64>; Channel::ALL.len()],
    untold: Mutex<Vec<Channel>>,
    to_tell: Notify,
}

impl Default for Wakeups {
    fn default() -> Self {
        Self {
            channels: std::array::from_fn(|_| watch::Sender::new(0)),
            untold: Mutex::default(),
            to_tell: Notify::new(),
        }
    }
}

impl Wakeups {
    /// Wakes everybody of this process who waits on the channel.
    pub fn notify(&self, channel: Channel) {
        self.sender(channel).send_modify(|count| *count += 1);
    }

    /// Has other processes woken for something that is committed, soon and together with what comes meanwhile.
    ///
    /// A NOTIFY inside the transaction would do it too, but PostgreSQL lets transactions that notify commit one at a time
    /// only. Who misses a wake-up finds its work by polling.
    pub fn tell_others(&self, channel: Channel) {
        let mut untold = self.untold();
        if !untold.contains(&channel) {
            untold.push(channel);
        }
        self.to_tell.notify_one();
    }

    /// Tells other processes until shutdown.
    pub async fn tell(&self, pool: &PgPool, shutdown: &CancellationToken) {
        loop {
            tokio::select! {
                () = self.to_tell.notified() => {}
                () = shutdown.cancelled() => return,
            }
            let channels = std::mem::take(&mut *self.untold());
            if let Err(error) = wakeups::tell(pool, &channels).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "failed to wake other processes"
                );
            }
        }
    }

    fn untold(&self) -> std::sync::MutexGuard<'_, Vec<Channel>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A waiter on some channels; wake-ups since this call are seen.
    pub fn waiter(&self, channels: &[Channel], shutdown: &CancellationToken) -> Waiter {
        Waiter {
            receivers: channels
                .iter()
                .map(|channel| self.sender(*channel).subscribe())
                .collect(),
            shutdown: shutdown.clone(),
        }
    }

    fn sender(&self, channel: Channel) -> &watch::Sender<u64> {
        let index = Channel::ALL
            .iter()
            .position(|known| *known == channel)
            .expect("ALL lists every channel");
        &self.channels[index]
    }

    /// Forwards NOTIFY until shutdown; after a lost connection everybody is woken, because something may have been missed.
    pub async fn listen(&self, pool: PgPool, shutdown: CancellationToken) {
        loop {
            let outcome = tokio::select! {
                outcome = self.listen_once(&pool) => outcome,
                () = shutdown.cancelled() => return,
            };
            if let Err(error) = outcome {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "failed to listen for notifications, trying again"
                );
            }
            tokio::select! {
                () = tokio::time::sleep(RECONNECT_PAUSE) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    async fn listen_once(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen_all(Channel::ALL.map(Channel::name)).await?;
        for channel in Channel::ALL {
            self.notify(channel);
        }
        // `None` is a lost connection: come back through the outer loop.
        while let Some(notification) = listener.try_recv().await? {
            if let Some(channel) = Channel::ALL
                .into_iter()
                .find(|channel| channel.name() == notification.channel())
            {
                self.notify(channel);
            }
        }
        Ok(())
    }
}

/// Waits on some channels.
#[derive(Debug)]
pub struct Waiter {
    receivers: Vec<watch::Receiver<u64>>,
    shutdown: CancellationToken,
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    Notified,
    Elapsed,
    Shutdown,
}

impl Waiter {
    /// Waits for a wake-up, for `limit`, or for the end of the process.
    pub async fn wait(&mut self, limit: Duration) -> Woken {
        if self.shutdown.is_cancelled() {
            return Woken::Shutdown;
        }
        let shutdown = self.shutdown.clone();
        let changes = self
            .receivers
            .iter_mut()
            .map(|receiver| Box::pin(receiver.changed()));
        let woken = tokio::select! {
            _ = futures::future::select_all(changes) => Woken::Notified,
            () = tokio::time::sleep(limit) => Woken::Elapsed,
            () = shutdown.cancelled() => Woken::Shutdown,
        };
        // One pass of the loop serves every wake-up that arrived so far.
        for receiver in &mut self.receivers {
            receiver.mark_unchanged();
        }
        woken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wakeup_during_work_is_not_lost() {
        let wakeups = Wakeups::default();
        let mut waiter = wakeups.waiter(
            &[Channel::Effects, Channel::Clock],
            &CancellationToken::new(),
        );
        wakeups.notify(Channel::Clock);
        wakeups.notify(Channel::Clock);
        assert_eq!(waiter.wait(Duration::from_secs(60)).await, Woken::Notified);
        assert_eq!(waiter.wait(Duration::from_millis(1)).await, Woken::Elapsed);
    }

    #[tokio::test]
    async fn shutdown_ends_a_wait() {
        let shutdown = CancellationToken::new();
        let mut waiter = Wakeups::default().waiter(&[Channel::RunQueue], &shutdown);
        shutdown.cancel();
        assert_eq!(waiter.wait(Duration::from_secs(60)).await, Woken::Shutdown);
    }
}
