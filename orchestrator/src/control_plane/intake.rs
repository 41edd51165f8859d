//! Durable intake (L-22): one committer gathers concurrent deliveries into few transactions.
//!
//! Nothing is answered before that transaction is committed; after it nothing is answered with 5xx (L-23).
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::decide::webhook_duplicate;
use domain::ids::RunId;
use serde_json::json;
use sqlx::PgConnection;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::crew;
use super::delivery_row::{describe, event_of};
use super::outcomes::{Answer, AnswerStatus, Outcomes};
use super::pressure::Pressure;
use crate::app::App;
use crate::store::deliveries::{self, NewDelivery, StoredDelivery};
use crate::store::errors::{self, NewRuntimeError};
use crate::store::{self, events};
use crate::transition;
use crate::wakeups::Channel;

/// L-22: how long a request waits for its outcome.
const OUTCOME_WAIT: Duration = Duration::from_secs(2);
/// One transaction holds at most so many deliveries, each at most 1 MiB.
const BATCH_LIMIT: usize = 64;
/// Transactions under way at once: while one waits for the disk, the next is written.
const COMMITS: usize = 2;
/// Requests beyond this wait in their own connections.
const QUEUE_LIMIT: usize = 1024;

/// A checked request.
#[derive(Debug, Clone)]
pub struct IntakeRequest {
    pub delivery_id: String,
    pub event_type: String,
    pub body: Bytes,
}

/// Why nothing was stored (L-23).
#[derive(Debug, Clone, thiserror::Error)]
pub enum IntakeError {
    #[error("failed to store the delivery: the database is not available")]
    Unavailable,
    #[error("failed to store the delivery")]
    Internal,
}

/// What the committer says about one delivery.
enum Stored {
    /// Its outcome may come in time.
    New,
    /// So many are under way that nobody waits for outcomes.
    Pressed,
    Duplicate(Answer),
}

struct Pending {
    delivery: NewDelivery,
    done: oneshot::Sender<Result<Stored, IntakeError>>,
}

/// The way in.
#[derive(Clone)]
pub struct Intake {
    queue: mpsc::Sender<Pending>,
    outcomes: Arc<Outcomes>,
}

/// The receiving end, for the one committer of the process.
pub struct Committer {
    queue: mpsc::Receiver<Pending>,
    outcomes: Arc<Outcomes>,
    pressure: Arc<Pressure>,
}

/// Both ends.
pub fn intake(outcomes: Arc<Outcomes>, pressure: Arc<Pressure>) -> (Intake, Committer) {
    let (sender, receiver) = mpsc::channel(QUEUE_LIMIT);
    (
        Intake {
            queue: sender,
            outcomes: outcomes.clone(),
        },
        Committer {
            queue: receiver,
            outcomes,
            pressure,
        },
    )
}

impl Intake {
    /// Stores a delivery and answers with its outcome, or with a plain acceptance: after two seconds, and at once while
    /// there is pressure.
    pub async fn accept(&self, request: IntakeRequest) -> Result<Answer, IntakeError> {
        let delivery_id = request.delivery_id.clone();
        let delivery = describe(request);
        let outcome = self.outcomes.register(&delivery_id);
        let (done, stored) = oneshot::channel();
        self.queue
            .send(Pending { delivery, done })
            .await
            .map_err(|_| IntakeError::Unavailable)?;
        let stored = stored.await.unwrap_or(Err(IntakeError::Internal));
        let answer = match stored {
            Ok(Stored::New) => match tokio::time::timeout(OUTCOME_WAIT, outcome).await {
                Ok(Ok(answer)) => Ok(answer),
                _ => Ok(Answer::new(&delivery_id, AnswerStatus::Accepted, None)),
            },
            Ok(Stored::Pressed) => {
                drop(outcome);
                Ok(Answer::new(&delivery_id, AnswerStatus::Accepted, None))
            }
            Ok(Stored::Duplicate(answer)) => {
                drop(outcome);
                Ok(answer)
            }
            Err(error) => {
                drop(outcome);
                Err(error)
            }
        };
        self.outcomes.forget_closed(&delivery_id);
        answer
    }
}

impl Committer {
    /// Commits until every sender is gone or the process ends; what is queued then is still committed.
    pub async fn run(mut self, app: Arc<App>) {
        let mut batch = Vec::with_capacity(BATCH_LIMIT);
        let mut commits = JoinSet::new();
        loop {
            // The next batch gathers meanwhile.
            while commits.len() >= COMMITS
                && let Some(ended) = commits.join_next().await
            {
                crew::report(ended);
            }
            let received = tokio::select! {
                biased;
                received = self.queue.recv_many(&mut batch, BATCH_LIMIT) => received,
                () = app.shutdown.cancelled() => {
                    self.queue.close();
                    self.queue.recv_many(&mut batch, BATCH_LIMIT).await
                }
            };
            if received == 0 {
                break;
            }
            let app = app.clone();
            let (outcomes, pressure) = (self.outcomes.clone(), self.pressure.clone());
            let batch = std::mem::take(&mut batch);
            commits.spawn(async move { commit(&app, &outcomes, &pressure, batch).await });
        }
        while let Some(ended) = commits.join_next().await {
            crew::report(ended);
        }
    }
}

async fn commit(app: &App, outcomes: &Outcomes, pressure: &Pressure, batch: Vec<Pending>) {
    // A database error of one delivery must not refuse its neighbours: then each gets its own transaction.
    match store_batch(app, &batch).await {
        Ok(stored) => {
            let is_pressed = pressure.note(outcomes.under_way());
            answer(batch, relieve(is_pressed, stored));
        }
        Err(error) if store::is_unavailable(&error) || batch.len() == 1 => {
            let fault = fault_of(&error);
            for pending in batch {
                drop(pending.done.send(Err(fault.clone())));
            }
        }
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to store deliveries together, storing them one by one"
            );
            for pending in batch {
                let single = [pending];
                let outcome = store_batch(app, &single).await;
                let [pending] = single;
                match outcome {
                    Ok(stored) => answer(vec![pending], stored),
                    Err(error) => drop(pending.done.send(Err(fault_of(&error)))),
                }
            }
        }
    }
    app.wakeups.notify(Channel::Deliveries);
    app.wakeups.tell_others(Channel::Deliveries);
}

/// Under pressure nobody waits for an outcome.
fn relieve(is_pressed: bool, mut stored: Vec<Stored>) -> Vec<Stored> {
    for stored in &mut stored {
        if is_pressed && matches!(stored, Stored::New) {
            *stored = Stored::Pressed;
        }
    }
    stored
}

fn answer(batch: Vec<Pending>, stored: Vec<Stored>) {
    for (pending, stored) in batch.into_iter().zip(stored) {
        // A request that is gone has still stored its delivery.
        drop(pending.done.send(Ok(stored)));
    }
}

fn fault_of(error: &sqlx::Error) -> IntakeError {
    if store::is_unavailable(error) {
        tracing::warn!(
            error = error as &dyn std::error::Error,
            "failed to store deliveries: the database is not available"
        );
        IntakeError::Unavailable
    } else {
        tracing::error!(
            error = error as &dyn std::error::Error,
            "failed to store a delivery"
        );
        IntakeError::Internal
    }
}

async fn store_batch(app: &App, batch: &[Pending]) -> Result<Vec<Stored>, sqlx::Error> {
    let mut transaction = app.pool.begin().await?;
    let mut seen = HashSet::new();
    let mut first: Vec<&NewDelivery> = batch
        .iter()
        .map(|pending| &pending.delivery)
        .filter(|delivery| seen.insert(delivery.delivery_id.as_str()))
        .collect();
    // One order for everybody, so that two committers cannot wait for each other's rows.
    first.sort_by(|left, right| left.delivery_id.cmp(&right.delivery_id));
    let inserted = deliveries::insert_new(&mut transaction, &first).await?;
    let mut fresh: HashSet<String> = inserted.into_iter().collect();
    let mut stored = Vec::with_capacity(batch.len());
    for pending in batch {
        // The second of two equal ids in one batch finds its twin gone from the set.
        if fresh.remove(&pending.delivery.delivery_id) {
            stored.push(Stored::New);
        } else {
            stored.push(Stored::Duplicate(
                note_duplicate(app, &mut transaction, pending).await?,
            ));
        }
    }
    transition::commit(transaction, "delivery.store").await?;
    for delivery in &first {
        tracing::debug!(delivery_id = delivery.delivery_id, "stored a delivery");
    }
    Ok(stored)
}

/// L-24: one `webhook.duplicate`, and a warning when the body is another (D-2).
async fn note_duplicate(
    app: &App,
    connection: &mut PgConnection,
    pending: &Pending,
) -> Result<Answer, sqlx::Error> {
    let delivery = &pending.delivery;
    let known = deliveries::find(&mut *connection, &delivery.delivery_id).await?;
    let run_id = known.as_ref().and_then(|known| known.run_id);
    let event = event_of(delivery);
    let record = webhook_duplicate(&event, &app.policy.labels, run_id.map(RunId));
    events::insert(connection, &record).await?;
    if let Some(known) = known.filter(|known| known.body_sha256 != delivery.body_sha256) {
        journal_other_body(connection, delivery, &known).await?;
    }
    Ok(Answer::new(
        &delivery.delivery_id,
        AnswerStatus::Duplicate,
        run_id,
    ))
}

async fn journal_other_body(
    connection: &mut PgConnection,
    delivery: &NewDelivery,
    known: &StoredDelivery,
) -> Result<(), sqlx::Error> {
    errors::journal(
        connection,
        &NewRuntimeError {
            source: "webhook-intake",
            level: "warning",
            message: "a delivery id arrived again with another body",
            details: json!({
                "delivery_id": delivery.delivery_id,
                "stored_body_sha256": hex::encode(&known.body_sha256),
                "repeated_body_sha256": hex::encode(&delivery.body_sha256),
            }),
            correlation_id: Some(&delivery.delivery_id),
            run_id: known.run_id,
            project_id: None,
        },
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn under_pressure_nobody_waits_and_a_repeat_is_told_all_the_same() {
        let stored = || {
            let repeat = Answer::new("id", AnswerStatus::Duplicate, None);
            vec![Stored::New, Stored::Duplicate(repeat), Stored::New]
        };
        assert!(matches!(
            relieve(true, stored())[..],
            [Stored::Pressed, Stored::Duplicate(_), Stored::Pressed]
        ));
        assert!(matches!(
            relieve(false, stored())[..],
            [Stored::New, Stored::Duplicate(_), Stored::New]
        ));
    }
}
