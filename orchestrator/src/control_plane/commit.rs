//! Commits a decision: outcome, run, effects, events, thread state and wake-ups in one transaction (design invariant 2).
use std::collections::BTreeMap;

use domain::audit::{Actor, AuditEvent, AuditRecord, RunCanceledPayload, SystemActor};
use domain::decide::{Consequences, Decision, Outcome, RunCancellation, webhook_duplicate};
use domain::events::Event;
use domain::ids::{CorrelationId, ProjectId, RunId};
use domain::recovery::label_told;
use domain::snapshot::{Binding, Fact, Read, Snapshot};
use sqlx::PgConnection;

use super::outcomes::{Answer, AnswerStatus};
use super::snapshot_loader::{self, Loaded};
use crate::app::App;
use crate::store::deliveries::{self, ClaimedDelivery};
use crate::store::effects::{self, EffectInsertError, EffectOwner};
use crate::store::errors::{self, NewRuntimeError};
use crate::store::run_inserts::{self, Inserted};
use crate::store::{
    events, label_grants, links, run_cancel, snapshots, thread_states, told_labels, wakeups,
};
use crate::transition;
use crate::wakeups::Channel;

/// Why a decision was not committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    #[error("failed to commit a decision")]
    Store(#[from] sqlx::Error),
    #[error("failed to commit the effects of a decision")]
    Effects(#[from] EffectInsertError),
}

/// What became of a decision.
#[derive(Debug)]
pub enum Committed {
    Done(Answer),
    /// What the decision knew has changed meanwhile: decide again.
    Stale,
    /// Another decider has the delivery.
    LeaseLost,
}

/// Writes everything, or nothing.
pub async fn commit(
    app: &App,
    owner: &str,
    claimed: &ClaimedDelivery,
    event: &Event,
    loaded: &Loaded,
    decision: Decision,
) -> Result<Committed, CommitError> {
    let mut transaction = app.pool.begin().await?;
    if !deliveries::hold_claim(
        &mut transaction,
        &claimed.delivery_id,
        owner,
        claimed.attempts,
    )
    .await?
    {
        return Ok(Committed::LeaseLost);
    }
    if !still_true(
        &mut transaction,
        event.repository_full_name(),
        &loaded.snapshot,
    )
    .await?
    {
        return Ok(Committed::Stale);
    }
    let (answer, channels) =
        match write(app, &mut transaction, claimed, event, loaded, decision).await? {
            Some(written) => written,
            None => return Ok(Committed::Stale),
        };
    for channel in &channels {
        wakeups::notify(&mut transaction, *channel).await?;
    }
    transition::commit(transaction, "decision.commit").await?;
    // Somebody may wait for the outcome in another process.
    app.wakeups.tell_others(Channel::Outcomes);
    for channel in channels {
        app.wakeups.notify(channel);
    }
    Ok(Committed::Done(answer))
}

/// Decisions about one thread take turns here, and each sees what the one before has written: two triggers at once
/// cannot both find no active run (L-38).
pub(super) async fn still_true(
    connection: &mut PgConnection,
    full_name: &str,
    snapshot: &Snapshot,
) -> Result<bool, sqlx::Error> {
    for key in snapshot_loader::threads_read(full_name, snapshot) {
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
            .bind(key)
            .execute(&mut *connection)
            .await?;
    }
    let reads: Vec<Read> = snapshot
        .facts
        .keys()
        .filter(|read| !read.is_live())
        .cloned()
        .collect();
    let now =
        snapshot_loader::stored_facts(connection, full_name, snapshot.binding.as_ref(), &reads)
            .await?;
    let then: BTreeMap<Read, Fact> = snapshot
        .facts
        .iter()
        .filter(|(read, _)| !read.is_live())
        .map(|(read, fact)| (read.clone(), fact.clone()))
        .collect();
    Ok(now == then)
}

/// `None`: a grant was used up by a faster delivery.
async fn write(
    app: &App,
    connection: &mut PgConnection,
    claimed: &ClaimedDelivery,
    event: &Event,
    loaded: &Loaded,
    decision: Decision,
) -> Result<Option<(Answer, Vec<Channel>)>, CommitError> {
    let delivery_id = claimed.delivery_id.as_str();
    let binding = loaded.snapshot.binding.as_ref();
    if let Some(binding) = binding
        && let Some(told) = label_told(event, &app.policy.labels)
    {
        told_labels::remember(connection, binding.repository_id.as_uuid(), &told).await?;
    }
    let mut channels = Vec::new();
    let (answer, status, reason, run_id) = match &decision.outcome {
        Outcome::Accepted(run) => match run_inserts::insert(connection, run).await? {
            Inserted::New => {
                channels.push(Channel::RunQueue);
                (
                    Answer::new(
                        delivery_id,
                        AnswerStatus::Accepted,
                        Some(run.run_id.as_uuid()),
                    ),
                    "accepted",
                    None,
                    Some(run.run_id),
                )
            }
            Inserted::Existing(winner) => {
                return finish_as_duplicate(app, connection, claimed, event, winner)
                    .await
                    .map(|answer| Some((answer, channels)))
                    .map_err(Into::into);
            }
        },
        Outcome::Ignored(ignored) => (
            Answer::new(delivery_id, AnswerStatus::Ignored, None),
            "ignored",
            Some(ignored.reason.to_string()),
            None,
        ),
        Outcome::Received => (
            Answer::new(delivery_id, AnswerStatus::Accepted, None),
            "accepted",
            None,
            None,
        ),
    };
    let consequences = decision.consequences;
    if let Some(grant) = &consequences.consumed_grant
        && !label_grants::consume(
            &mut *connection,
            &grant.thread.repository_full_name,
            grant.thread.number,
            &grant.label,
            delivery_id,
        )
        .await?
    {
        return Ok(None);
    }
    if let Some(effect_id) = loaded.own_label_change
        && !snapshots::match_label_change(&mut *connection, effect_id, delivery_id).await?
    {
        return Ok(None);
    }
    let project_id = binding.map(|binding| binding.project_id.as_uuid());
    let owner = EffectOwner {
        delivery_id: Some(delivery_id),
        run_id: run_id.map(RunId::as_uuid),
        project_id,
        correlation_id: None,
    };
    write_consequences(connection, binding, &consequences, owner, &mut channels).await?;
    for entry in &consequences.journal {
        let error = NewRuntimeError {
            source: &entry.source,
            level: &entry.level,
            message: &entry.message,
            details: entry.details.clone(),
            correlation_id: Some(entry.correlation_id.as_str()),
            run_id: run_id.map(RunId::as_uuid),
            project_id,
        };
        errors::journal(connection, &error).await?;
    }
    deliveries::finish(
        connection,
        delivery_id,
        status,
        reason.as_deref(),
        run_id.map(RunId::as_uuid),
    )
    .await?;
    Ok(Some((answer, channels)))
}

/// What any decision writes down, whoever asked for it.
pub(crate) async fn write_consequences(
    connection: &mut PgConnection,
    binding: Option<&Binding>,
    consequences: &Consequences,
    owner: EffectOwner<'_>,
    channels: &mut Vec<Channel>,
) -> Result<(), CommitError> {
    for record in &consequences.audit {
        events::insert(connection, record).await?;
    }
    for cancellation in &consequences.cancellations {
        let told = consequences.audit.iter().any(|record| {
            record.run_id == Some(cancellation.run_id) && record.event_type() == "run.canceled"
        });
        cancel(connection, cancellation, told).await?;
    }
    for grant in &consequences.grants {
        label_grants::insert(connection, grant).await?;
    }
    if !consequences.effects.is_empty() {
        effects::insert_plan(connection, &consequences.effects, owner).await?;
        channels.push(Channel::Effects);
    }
    if let Some(binding) = binding {
        for change in &consequences.thread_states {
            thread_states::apply(connection, binding.repository_id.as_uuid(), change).await?;
        }
    }
    for link in &consequences.links {
        links::insert(connection, link).await?;
    }
    Ok(())
}

/// A run of this correlation id exists already (L-25, L-88): the delivery joins it and leads to nothing else.
async fn finish_as_duplicate(
    app: &App,
    connection: &mut PgConnection,
    claimed: &ClaimedDelivery,
    event: &Event,
    winner: RunId,
) -> Result<Answer, sqlx::Error> {
    events::insert(
        connection,
        &webhook_duplicate(event, &app.policy.labels, Some(winner)),
    )
    .await?;
    deliveries::finish(
        connection,
        &claimed.delivery_id,
        "accepted",
        None,
        Some(winner.as_uuid()),
    )
    .await?;
    Ok(Answer::new(
        &claimed.delivery_id,
        AnswerStatus::Duplicate,
        Some(winner.as_uuid()),
    ))
}

/// The transaction part of R-28; the Job is stopped by an effect of the same decision.
async fn cancel(
    connection: &mut PgConnection,
    cancellation: &RunCancellation,
    told: bool,
) -> Result<(), sqlx::Error> {
    let Some(canceled) = run_cancel::cancel(
        connection,
        cancellation.run_id.as_uuid(),
        cancellation.reason.as_str(),
    )
    .await?
    else {
        return Ok(());
    };
    if told {
        return Ok(());
    }
    let actor = cancellation
        .requested_by
        .map_or(Actor::System(SystemActor::ControlPlane), Actor::Human);
    let payload = RunCanceledPayload {
        previous_status: Some(canceled.previous_status),
        current_status: Some("canceled".to_owned()),
        already_terminal: Some(false),
        reason: Some(cancellation.reason.as_str().to_owned()),
        ..RunCanceledPayload::default()
    };
    let record = AuditRecord::new(
        AuditEvent::RunCanceled(payload),
        actor,
        CorrelationId::new(canceled.correlation_id),
    )
    .run(cancellation.run_id)
    .project(canceled.project_id.map(ProjectId));
    events::insert(connection, &record).await?;
    Ok(())
}
