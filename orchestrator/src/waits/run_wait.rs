//! The wait of a run, whatever its cause.
use chrono::{DateTime, Utc};
use domain::audit::{
    Actor, AuditEvent, AuditRecord, RunCanceledPayload, RunEnqueuedPayload, RunWaitPayload,
    SystemActor,
};
use domain::ids::{CorrelationId, ProjectId, RunId};
use domain::runs::{FinishReason, RunStatus};
use domain::waits::WaitCause;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::store::run_waits::{self, WaitingRun};
use crate::store::{events, wakeups};
use crate::wakeups::Channel;

/// How a wait ends.
#[derive(Debug, Clone, Copy)]
pub struct WaitEnd<'a> {
    /// Which; the end of another target changes nothing (D-11).
    pub target_ref: &'a str,
    /// `resolution_kind` of the event.
    pub resolution: &'a str,
    /// Of the run that goes on if the agent has ended.
    pub correlation_id: &'a str,
    /// What that run is told before its prompt.
    pub payload: &'a Value,
}

/// What the end of a wait did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitOutcome {
    /// The same run goes on.
    Live,
    /// This run goes on.
    NewRun(Uuid),
    /// The run does not wait for this target.
    NotWaiting,
}

/// Makes a running run wait. `false`: it does not run, and nothing was changed.
pub async fn open_wait(
    conn: &mut PgConnection,
    run_id: Uuid,
    cause: WaitCause,
    target_ref: &str,
    deadline_at: Option<DateTime<Utc>>,
    payload: RunWaitPayload,
) -> sqlx::Result<bool> {
    if !run_waits::open(conn, run_id, cause, target_ref, deadline_at).await? {
        return Ok(false);
    }
    let Some(run) = run_waits::lock(conn, run_id).await? else {
        return Ok(false);
    };
    record_paused(conn, &run, payload).await?;
    Ok(true)
}

/// `run.wait.paused` with the wait as the run shows it.
pub(super) async fn record_paused(
    conn: &mut PgConnection,
    run: &WaitingRun,
    payload: RunWaitPayload,
) -> sqlx::Result<()> {
    let payload = shown(run, payload);
    record(conn, run, AuditEvent::RunWaitPaused(payload)).await
}

/// `run.wait.resumed` of a wait that held no run.
pub(super) async fn record_resumed(
    conn: &mut PgConnection,
    run: &WaitingRun,
    payload: RunWaitPayload,
) -> sqlx::Result<()> {
    let payload = shown(run, payload);
    record(conn, run, AuditEvent::RunWaitResumed(payload)).await
}

/// Ends the wait for a target: the run goes on itself, or another one in its place if its agent has ended.
pub async fn end_wait(
    conn: &mut PgConnection,
    run_id: Uuid,
    end: WaitEnd<'_>,
    payload: RunWaitPayload,
) -> sqlx::Result<WaitOutcome> {
    let Some(run) = run_waits::lock(conn, run_id).await? else {
        return Ok(WaitOutcome::NotWaiting);
    };
    let waits = RunStatus::from_text(&run.status).is_some_and(RunStatus::is_waiting);
    if !waits || run.wait_target_ref.as_deref() != Some(end.target_ref) {
        return Ok(WaitOutcome::NotWaiting);
    }
    let told = RunWaitPayload {
        resolution_kind: Some(end.resolution.to_owned()),
        waited_seconds: Some(run.waited_seconds),
        ..shown(&run, payload)
    };
    if !run.is_parked {
        run_waits::resume_live(conn, run_id, end.payload).await?;
        let told = RunWaitPayload {
            resume_mode: Some("live".to_owned()),
            ..told
        };
        record(conn, &run, AuditEvent::RunWaitResumed(told)).await?;
        return Ok(WaitOutcome::Live);
    }
    let Some(new) =
        run_waits::continue_in_new_run(conn, run_id, end.correlation_id, end.payload).await?
    else {
        return Ok(WaitOutcome::NotWaiting);
    };
    let told = RunWaitPayload {
        resume_mode: Some("new_run".to_owned()),
        requeued_correlation_id: Some(end.correlation_id.to_owned()),
        ..told
    };
    record(conn, &run, AuditEvent::RunWaitResumed(told)).await?;
    record(conn, &run, canceled(&run)).await?;
    let enqueued = AuditRecord::new(
        enqueued(&run),
        Actor::System(SystemActor::Worker),
        CorrelationId::new(end.correlation_id),
    )
    .run(RunId(new))
    .project(run.project_id.map(ProjectId));
    events::record(conn, &enqueued).await?;
    wakeups::notify(conn, Channel::RunQueue).await?;
    Ok(WaitOutcome::NewRun(new))
}

fn shown(run: &WaitingRun, payload: RunWaitPayload) -> RunWaitPayload {
    RunWaitPayload {
        wait_state: Some(run.status.clone()),
        wait_reason: run.wait_reason.clone(),
        wait_target_kind: run.wait_target_kind.clone(),
        wait_target_ref: run.wait_target_ref.clone(),
        wait_deadline_at: run.wait_deadline_at,
        timeout_guard_disabled: Some(
            RunStatus::from_text(&run.status).is_some_and(RunStatus::is_waiting),
        ),
        timeout_remaining: run.timeout_remaining_seconds,
        ..payload
    }
}

fn canceled(run: &WaitingRun) -> AuditEvent {
    AuditEvent::RunCanceled(RunCanceledPayload {
        previous_status: Some(run.status.clone()),
        current_status: Some(RunStatus::Canceled.to_string()),
        already_terminal: Some(false),
        reason: Some(FinishReason::ContinuedInResumeRun.to_string()),
        requested_by_type: Some("system".to_owned()),
        requested_by_id: Some(SystemActor::Worker.to_string()),
        ..RunCanceledPayload::default()
    })
}

fn enqueued(run: &WaitingRun) -> AuditEvent {
    AuditEvent::RunEnqueued(RunEnqueuedPayload {
        trigger_source: Some("resume".to_owned()),
        trigger_kind: Some(run.trigger_kind.clone()),
        trigger_label: Some(run.trigger_label.clone()),
        repository_full_name: Some(run.repository_full_name.clone()),
        issue_number: run.issue_number,
        pr_number: run.pr_number,
        resumed_from_run_id: Some(run.id.to_string()),
    })
}

async fn record(conn: &mut PgConnection, run: &WaitingRun, event: AuditEvent) -> sqlx::Result<()> {
    let record = AuditRecord::new(
        event,
        Actor::System(SystemActor::Worker),
        CorrelationId::new(run.correlation_id.as_str()),
    )
    .run(RunId(run.id))
    .project(run.project_id.map(ProjectId));
    events::record(conn, &record).await.map(drop)
}
