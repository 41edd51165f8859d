//! Audit events of the worker, and the outbox rows it wants: always inside the transaction of the change (D-21).

use crate::store::effects::{self, EffectInsertError, EffectOwner};
use crate::store::runs::{self, LeaseSubject, RunSummary, WorkerRun};
use crate::store::{events, wakeups};
use crate::wakeups::Channel;
use domain::audit::{Actor, AuditEvent, AuditRecord, SystemActor};
use domain::effects::{CommentPhase, Effect, PlannedEffect, status_comment_thread};
use domain::events::Thread;
use domain::ids::{CorrelationId, ProjectId, RunId};
use sqlx::PgConnection;
use uuid::Uuid;

/// What an event of the worker belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Correlation id of the run.
    pub correlation_id: &'a str,
    /// The run.
    pub run_id: Uuid,
    /// Its project.
    pub project_id: Option<Uuid>,
}

impl<'a> From<&'a WorkerRun> for Subject<'a> {
    fn from(run: &'a WorkerRun) -> Self {
        Self {
            correlation_id: &run.correlation_id,
            run_id: run.id,
            project_id: run.project_id,
        }
    }
}

impl<'a> From<&'a LeaseSubject> for Subject<'a> {
    fn from(run: &'a LeaseSubject) -> Self {
        Self {
            correlation_id: &run.correlation_id,
            run_id: run.id,
            project_id: run.project_id,
        }
    }
}

impl<'a> From<&'a RunSummary> for Subject<'a> {
    fn from(run: &'a RunSummary) -> Self {
        Self {
            correlation_id: &run.correlation_id,
            run_id: run.id,
            project_id: run.project_id,
        }
    }
}

/// Inserts an event.
pub async fn record(
    conn: &mut PgConnection,
    subject: Subject<'_>,
    event: AuditEvent,
) -> sqlx::Result<()> {
    events::record(conn, &audit_record(subject, event))
        .await
        .map(drop)
}

/// Inserts an event unless the run has one of its type: a repeated launch step adds nothing.
/// The caller holds the run's row lock, so nobody else can be between look and insert.
pub async fn record_once(
    conn: &mut PgConnection,
    subject: Subject<'_>,
    event: AuditEvent,
) -> sqlx::Result<bool> {
    if runs::event_payload(conn, subject.run_id, event.event_type())
        .await?
        .is_some()
    {
        return Ok(false);
    }
    record(conn, subject, event).await?;
    Ok(true)
}

/// An event as a row.
pub fn audit_record(subject: Subject<'_>, event: AuditEvent) -> AuditRecord {
    let correlation_id = CorrelationId::new(subject.correlation_id);
    AuditRecord::new(event, Actor::System(SystemActor::Worker), correlation_id)
        .run(RunId(subject.run_id))
        .project(subject.project_id.map(ProjectId))
}

/// Asks for the status comment in a phase (L-102); nothing for a run without a thread.
pub async fn status_comment(
    conn: &mut PgConnection,
    run: &WorkerRun,
    phase: CommentPhase,
) -> Result<(), EffectInsertError> {
    let Some(thread) = comment_thread(run).filter(|_| !run.deploy_only) else {
        return Ok(());
    };
    let effect = Effect::UpsertStatusComment {
        thread,
        run_id: RunId(run.id),
        phase,
    };
    let idempotency_key = effect.idempotency_key("");
    plan(
        conn,
        Subject::from(run),
        &[PlannedEffect {
            effect,
            idempotency_key,
            after: None,
        }],
    )
    .await
}

fn comment_thread(run: &WorkerRun) -> Option<Thread> {
    status_comment_thread(
        &run.repository_full_name,
        run.issue_number.map(i64::from),
        run.pr_number.map(i64::from),
        starts_on_pull_request(&run.trigger_source),
    )
}

/// Review-started and reviewer runs speak on the pull request (L-102).
pub fn starts_on_pull_request(trigger_source: &str) -> bool {
    matches!(trigger_source, "pull_request_review" | "pull_request_label")
}

/// Writes planned effects and wakes the executors; a key that is there already is left alone.
pub async fn plan(
    conn: &mut PgConnection,
    subject: Subject<'_>,
    planned: &[PlannedEffect],
) -> Result<(), EffectInsertError> {
    if planned.is_empty() {
        return Ok(());
    }
    let owner = EffectOwner {
        delivery_id: None,
        run_id: Some(subject.run_id),
        project_id: subject.project_id,
        correlation_id: None,
    };
    effects::insert_plan(conn, planned, owner).await?;
    wakeups::notify(conn, Channel::Effects).await?;
    Ok(())
}
