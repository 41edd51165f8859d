//! Requests that wait for the outcome of their delivery (L-22).
//!
//! A decider of this process answers them at once; one of another process wakes this one, and a single query then
//! serves everybody who waits.
use std::collections::HashMap;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::app::App;
use crate::store::deliveries::{self, StoredDelivery};
use crate::wakeups::{Channel, Woken};

/// `status` of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerStatus {
    Accepted,
    Duplicate,
    Ignored,
}

/// The body of L-22.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub correlation_id: String,
    pub status: AnswerStatus,
    pub duplicate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<Uuid>,
}

impl Answer {
    pub fn new(
        correlation_id: impl Into<String>,
        status: AnswerStatus,
        run_id: Option<Uuid>,
    ) -> Self {
        Self {
            correlation_id: correlation_id.into(),
            status,
            duplicate: status == AnswerStatus::Duplicate,
            run_id,
        }
    }

    /// The answer to a stored delivery, decided or not.
    pub fn of_stored(delivery: &StoredDelivery) -> Self {
        let status = if delivery.status == "ignored" {
            AnswerStatus::Ignored
        } else {
            AnswerStatus::Accepted
        };
        Self::new(&delivery.delivery_id, status, delivery.run_id)
    }
}

/// Who waits for which delivery.
#[derive(Debug, Default)]
pub struct Outcomes {
    waiting: Mutex<HashMap<String, Vec<oneshot::Sender<Answer>>>>,
}

impl Outcomes {
    /// Waits from now on; register before the delivery can be decided.
    pub fn register(&self, delivery_id: &str) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        self.lock()
            .entry(delivery_id.to_owned())
            .or_default()
            .push(sender);
        receiver
    }

    /// Deliveries that somebody waits for.
    pub fn under_way(&self) -> usize {
        self.lock().len()
    }

    /// Answers everybody who waits for the delivery.
    pub fn resolve(&self, delivery_id: &str, answer: &Answer) {
        for sender in self.lock().remove(delivery_id).unwrap_or_default() {
            // A request that gave up waiting has its 202 already.
            drop(sender.send(answer.clone()));
        }
    }

    /// Drops waits that were given up.
    pub fn forget_closed(&self, delivery_id: &str) {
        let mut waiting = self.lock();
        if let Some(senders) = waiting.get_mut(delivery_id) {
            senders.retain(|sender| !sender.is_closed());
            if senders.is_empty() {
                waiting.remove(delivery_id);
            }
        }
    }

    /// Looks for outcomes that other processes decided.
    pub async fn watch(&self, app: &App) {
        let mut waiter = app.wakeups.waiter(&[Channel::Outcomes], &app.shutdown);
        while waiter.wait(app.config.poll_interval).await != Woken::Shutdown {
            let ids: Vec<String> = self.lock().keys().cloned().collect();
            if ids.is_empty() {
                continue;
            }
            match deliveries::decided_among(&app.pool, &ids).await {
                Ok(decided) => decided.iter().for_each(|delivery| {
                    self.resolve(&delivery.delivery_id, &Answer::of_stored(delivery))
                }),
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "failed to look for decided deliveries"
                ),
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<oneshot::Sender<Answer>>>> {
        self.waiting
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
