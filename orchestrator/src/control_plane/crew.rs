//! Several tasks at once behind one claimer: a wake-up then costs one claim per piece of work and one that finds none.
use std::future::Future;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Tasks in hand.
pub struct Crew {
    tasks: JoinSet<()>,
    size: usize,
}

impl Crew {
    pub fn new(size: usize) -> Self {
        Self {
            tasks: JoinSet::new(),
            size,
        }
    }

    /// Waits until one more task may start; `false` when the process ends.
    pub async fn has_room(&mut self, shutdown: &CancellationToken) -> bool {
        while let Some(ended) = self.tasks.try_join_next() {
            report(ended);
        }
        while self.tasks.len() >= self.size {
            tokio::select! {
                Some(ended) = self.tasks.join_next() => report(ended),
                () = shutdown.cancelled() => return false,
            }
        }
        !shutdown.is_cancelled()
    }

    /// How many more may start.
    pub fn room(&self) -> usize {
        self.size.saturating_sub(self.tasks.len())
    }

    pub fn start(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Waits for what is in hand.
    pub async fn finish(mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            report(ended);
        }
    }
}

/// A task that panicked leaves its lease behind; the loop goes on.
pub(super) fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "a task of the control plane broke"
        );
    }
}
