//! Decides stored deliveries (D-2): claims one, loads what `domain` asks for, asks it, commits the answer.
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use domain::audit::{Actor, AuditEvent, AuditRecord, EffectGivenUpPayload, SystemActor};
use domain::decide::{Undecided, decide};
use domain::events::{Event, parse};
use domain::ids::{CorrelationId, DeliveryId};
use serde_json::{Value, json};

use super::backoff::{self, DECISION_LIMIT, GIVE_UP_AFTER};
use super::commit::{self, CommitError, Committed};
use super::crew::Crew;
use super::outcomes::{Answer, AnswerStatus, Outcomes};
use super::parts::pause_until;
use super::pressure::Pressure;
use super::snapshot_loader;
use crate::app::{App, SharedApp};
use crate::store::deliveries::{self, ClaimedDelivery};
use crate::store::errors::{self, NewRuntimeError};
use crate::store::{clock, events};
use crate::transition;
use crate::wakeups::{Channel, Woken};

/// Decisions of one process at the same time; more would wait for the same threads and for GitHub.
const DECIDERS: usize = 6;
/// Between two decisions while there is pressure: a small part of what the machine could decide, so that storing comes first.
const PRESSED_PAUSE: Duration = Duration::from_millis(40);
/// Below the lease of a delivery, so that a decision never outlives it.
const DECISION_TIME_LIMIT: Duration = Duration::from_secs(25);
/// Each round loads facts that the one before asked for; the deepest chain of guards needs far fewer.
const ROUND_LIMIT: usize = 16;
/// How often a decision is taken anew because another of its thread was faster.
const STALE_LIMIT: usize = 8;

/// Why a delivery is not decided yet.
#[derive(Debug, thiserror::Error)]
enum DecisionError {
    #[error("failed to load what the decision needs")]
    Load(#[from] sqlx::Error),
    #[error(transparent)]
    Undecided(#[from] Undecided),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error("failed to decide: the same facts are asked for again and again")]
    NoProgress,
    #[error("failed to decide: the thread changes faster than decisions are taken")]
    Overtaken,
    #[error("failed to decide within {} s", DECISION_TIME_LIMIT.as_secs())]
    TimedOut,
}

/// Decides until the process ends; what is in hand is finished.
pub async fn run(app: SharedApp, outcomes: Arc<Outcomes>, pressure: Arc<Pressure>) {
    let owner = format!("{}-decider", app.config.worker.worker_id);
    let mut waiter = app
        .wakeups
        .waiter(&[Channel::Deliveries, Channel::Clock], &app.shutdown);
    let mut crew = Crew::new(DECIDERS);
    while crew.has_room(&app.shutdown).await {
        let room = if pressure.is_high() {
            tokio::time::sleep(PRESSED_PAUSE).await;
            1
        } else {
            crew.room()
        };
        match deliveries::claim(&app.pool, &owner, room).await {
            Ok(claimed) if !claimed.is_empty() => {
                transition::claimed("delivery.claim");
                for claimed in claimed {
                    let (app, outcomes, owner) = (app.clone(), outcomes.clone(), owner.clone());
                    crew.start(async move { decide_one(&app, &outcomes, &owner, claimed).await });
                }
                continue;
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to claim a delivery"
            ),
        }
        let due = deliveries::seconds_until_due(&app.pool)
            .await
            .ok()
            .flatten();
        if waiter
            .wait(pause_until(due, app.config.poll_interval))
            .await
            == Woken::Shutdown
        {
            break;
        }
    }
    crew.finish().await;
}

#[tracing::instrument(skip_all, fields(delivery.id = claimed.delivery_id, attempt = claimed.attempts))]
async fn decide_one(app: &App, outcomes: &Outcomes, owner: &str, claimed: ClaimedDelivery) {
    tracing::debug!(delivery_id = claimed.delivery_id, "picked a delivery up");
    let Some(event) = read(&claimed) else {
        give_up(
            app,
            outcomes,
            owner,
            &claimed,
            None,
            "the stored body cannot be read",
        )
        .await;
        return;
    };
    let outcome = tokio::time::timeout(DECISION_TIME_LIMIT, attempt(app, owner, &claimed, &event))
        .await
        .unwrap_or(Err(DecisionError::TimedOut));
    match outcome {
        Ok(Some(answer)) => outcomes.resolve(&claimed.delivery_id, &answer),
        Ok(None) => tracing::info!("another decider has the delivery"),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the delivery is not decided yet"
            );
            let too_old = clock::now(&app.pool)
                .await
                .is_ok_and(|now| now - claimed.created_at >= GIVE_UP_AFTER);
            if too_old {
                give_up(
                    app,
                    outcomes,
                    owner,
                    &claimed,
                    Some(&event),
                    &error.to_string(),
                )
                .await;
                return;
            }
            let pause = backoff::pause_seconds(claimed.attempts, DECISION_LIMIT);
            // Lost together with the database: the lease ends by itself then.
            if let Err(error) =
                deliveries::postpone(&app.pool, &claimed.delivery_id, owner, pause).await
            {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "failed to give the delivery back"
                );
            }
        }
    }
}

fn read(claimed: &ClaimedDelivery) -> Option<Event> {
    let payload: Value = serde_json::from_slice(claimed.raw_body.as_deref()?).ok()?;
    Some(parse(
        DeliveryId::new(claimed.delivery_id.as_str()),
        &claimed.event_type,
        payload,
        claimed.created_at,
    ))
}

async fn attempt(
    app: &App,
    owner: &str,
    claimed: &ClaimedDelivery,
    event: &Event,
) -> Result<Option<Answer>, DecisionError> {
    for _ in 0..STALE_LIMIT {
        let mut loaded = snapshot_loader::load(app, event).await?;
        let now = clock::now(&app.pool).await?;
        let mut decision = None;
        for _ in 0..ROUND_LIMIT {
            match decide(&loaded.snapshot, event, &app.policy, now) {
                Ok(made) => {
                    decision = Some(made);
                    break;
                }
                Err(Undecided::Missing(reads)) => {
                    snapshot_loader::load_facts(
                        app,
                        event.repository_full_name(),
                        &mut loaded.snapshot,
                        reads,
                    )
                    .await?
                }
                Err(unreadable) => return Err(unreadable.into()),
            }
        }
        let decision = decision.ok_or(DecisionError::NoProgress)?;
        let decision = app.conduct.decided(event, decision);
        match commit::commit(app, owner, claimed, event, &loaded, decision).await? {
            Committed::Done(answer) => return Ok(Some(answer)),
            Committed::LeaseLost => return Ok(None),
            Committed::Stale => {
                tracing::debug!("decided on facts that have changed, deciding again")
            }
        }
    }
    Err(DecisionError::Overtaken)
}

/// After a day the delivery is `failed`, said once and for all (D-2).
async fn give_up(
    app: &App,
    outcomes: &Outcomes,
    owner: &str,
    claimed: &ClaimedDelivery,
    event: Option<&Event>,
    cause: &str,
) {
    match write_given_up(app, owner, claimed, event, cause).await {
        Ok(()) => outcomes.resolve(
            &claimed.delivery_id,
            &Answer::new(&claimed.delivery_id, AnswerStatus::Accepted, None),
        ),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, at = %Utc::now(), "failed to give the delivery up")
        }
    }
}

async fn write_given_up(
    app: &App,
    owner: &str,
    claimed: &ClaimedDelivery,
    event: Option<&Event>,
    cause: &str,
) -> Result<(), sqlx::Error> {
    let mut transaction = app.pool.begin().await?;
    if !deliveries::hold_claim(
        &mut transaction,
        &claimed.delivery_id,
        owner,
        claimed.attempts,
    )
    .await?
    {
        return Ok(());
    }
    let thread = event.and_then(Event::thread);
    let payload = EffectGivenUpPayload {
        effect_kind: Some("decision".to_owned()),
        delivery_id: Some(claimed.delivery_id.clone()),
        repository_full_name: event.map(|event| event.repository_full_name().to_owned()),
        thread_kind: thread.as_ref().map(|thread| thread.kind.to_string()),
        thread_number: thread.as_ref().map(|thread| thread.number),
        attempts: Some(i64::from(claimed.attempts)),
        error_code: Some("decision_not_possible".to_owned()),
    };
    let record = AuditRecord::new(
        AuditEvent::EffectGivenUp(payload),
        Actor::System(SystemActor::ControlPlane),
        CorrelationId::new(claimed.delivery_id.as_str()),
    );
    events::insert(&mut transaction, &record).await?;
    let entry = NewRuntimeError {
        source: "webhook-decision",
        level: "error",
        message: "a delivery could not be decided within 24 hours",
        details: json!({"delivery_id": claimed.delivery_id, "cause": cause}),
        correlation_id: Some(&claimed.delivery_id),
        ..NewRuntimeError::default()
    };
    errors::journal(&mut transaction, &entry).await?;
    deliveries::finish(&mut transaction, &claimed.delivery_id, "failed", None, None).await?;
    transition::commit(transaction, "delivery.give_up").await?;
    app.wakeups.tell_others(Channel::Outcomes);
    Ok(())
}
