//! Staff cancel of a run (R-28, R-29, L-82): one transaction, and the same answer when repeated.
use axum::Json;
use axum::extract::{Path, State};
use domain::audit::{Actor, AuditEvent, AuditRecord, RunCanceledPayload};
use domain::effects::{CommentPhase, Effect, EffectPlan, LabelOrigin, PlannedEffect, status_comment_thread};
use domain::events::Thread;
use domain::ids::{CorrelationId, ProjectId, RunId, UserId};
use domain::labels::{Catalogue, CatalogueLabel, StateLabel};
use domain::runs::{FinishReason, RunStatus};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::JsonBody;
use super::access::Need;
use super::audit::{Change, guard, record_change};
use super::principal::Principal;
use super::runs::require_run;
use super::state::Services;
use crate::http_api::ApiError;
use crate::store::effects::{self, EffectOwner};
use crate::store::run_cancel::{self, CancelSubject, Closed};
use crate::store::{events, wakeups};
use crate::wakeups::Channel;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CancelRequest {
    reason: Option<String>,
    /// `false` leaves the threads without `state:abandoned` (L-82).
    #[serde(default = "yes")]
    abandon: bool,
}

fn yes() -> bool {
    true
}

/// Cancels a run; one that is over already is answered, not changed.
pub(super) async fn cancel(
    State(services): State<Services>,
    principal: Principal,
    Path(run_id): Path<Uuid>,
    JsonBody(request): JsonBody<CancelRequest>,
) -> Result<Json<Value>, ApiError> {
    let change = Change::new("run", run_id, "cancel");
    let permitted = require_run(&services, &principal, run_id, Need::Write).await;
    guard(&services, &principal, &change, permitted).await?;
    let mut transaction = services.pool().begin().await?;
    let run = run_cancel::lock(&mut transaction, run_id)
        .await?
        .ok_or_else(|| ApiError::not_found("there is no such run"))?;
    let status = RunStatus::from_text(&run.status);
    if status.is_none_or(RunStatus::is_terminal) {
        transaction.rollback().await?;
        // A canceled run whose Job is still there is swept again.
        notify(&services, &[Channel::RunQueue]).await?;
        return Ok(Json(answer(&run, None)));
    }
    let closed = run_cancel::close(
        &mut transaction,
        run_id,
        FinishReason::CanceledByStaff.as_str(),
        &principal.user.id.to_string(),
        request.reason.as_deref(),
    )
    .await?;
    let record = canceled_record(&run, &closed, &principal);
    events::insert(&mut transaction, &record).await?;
    let change = Change {
        project_id: run.project_id,
        ..change
    };
    record_change(&mut transaction, &principal, &change.keys(["status"])).await?;
    let plan = effects_of(&run, request.abandon, &services.app.policy.labels);
    let owner = EffectOwner {
        run_id: Some(run_id),
        project_id: run.project_id,
        ..EffectOwner::default()
    };
    effects::insert_plan(&mut transaction, &plan, owner)
        .await
        .map_err(|error| ApiError::internal(&error))?;
    for channel in [Channel::RunQueue, Channel::Effects] {
        wakeups::notify(&mut transaction, channel).await?;
    }
    transaction.commit().await?;
    for channel in [Channel::RunQueue, Channel::Effects] {
        services.app.wakeups.notify(channel);
    }
    Ok(Json(answer(&run, Some(&closed))))
}

async fn notify(services: &Services, channels: &[Channel]) -> Result<(), ApiError> {
    let mut connection = services.pool().acquire().await?;
    for channel in channels {
        wakeups::notify(&mut connection, *channel).await?;
        services.app.wakeups.notify(*channel);
    }
    Ok(())
}

fn answer(run: &CancelSubject, closed: Option<&Closed>) -> Value {
    let current = if closed.is_some() { "canceled" } else { run.status.as_str() };
    json!({
        "run_id": run.id,
        "action": "cancel",
        "previous_status": run.status,
        "current_status": current,
        "already_terminal": closed.is_none(),
        "runtime_deploy_cancel_requested": closed.is_some_and(|closed| closed.deploy_task),
        "job_stopped": closed.is_some() && run.job_name.is_some(),
        "canceled_github_waits": closed.map_or(0, |closed| closed.github_waits),
        "expired_approvals": closed.map_or(0, |closed| closed.approvals),
    })
}

fn canceled_record(run: &CancelSubject, closed: &Closed, principal: &Principal) -> AuditRecord {
    let payload = RunCanceledPayload {
        previous_status: Some(run.status.clone()),
        current_status: Some("canceled".to_owned()),
        already_terminal: Some(false),
        runtime_deploy_cancel_requested: Some(closed.deploy_task),
        job_stopped: Some(run.job_name.is_some()),
        canceled_github_waits: Some(closed.github_waits),
        expired_approvals: Some(closed.approvals),
        reason: Some(FinishReason::CanceledByStaff.as_str().to_owned()),
        run_status_comment_id: run.status_comment_id,
        run_status_url: None,
        requested_by_type: Some("human".to_owned()),
        requested_by_id: Some(principal.user.id.to_string()),
        requested_by_email: Some(principal.user.email.clone()),
        requested_by_github_login: principal.user.github_login.clone(),
    };
    AuditRecord::new(
        AuditEvent::RunCanceled(payload),
        Actor::Human(UserId(principal.user.id)),
        CorrelationId::new(run.correlation_id.clone()),
    )
    .run(RunId(run.id))
    .project(run.project_id.map(ProjectId))
}

/// Labels, status comment and Job of a canceled run (L-72, L-82).
fn effects_of(run: &CancelSubject, abandon: bool, labels: &Catalogue) -> Vec<PlannedEffect> {
    let run_id = RunId(run.id);
    let mut plan = EffectPlan::new(format!("{run_id}:canceled"));
    let repository = run.repository_full_name.as_str();
    let threads: Vec<Thread> = [
        run.issue_number.map(|number| Thread::issue(repository, number.into())),
        run.pr_number.map(|number| Thread::pull_request(repository, number.into())),
    ]
    .into_iter()
    .flatten()
    .collect();
    let is_reviewer = run.trigger_source == "pull_request_label";
    let is_stage_run = !is_reviewer && !run.discussion_mode && !run.deploy_only;
    if is_stage_run {
        for thread in &threads {
            if !run.trigger_label.is_empty() {
                plan.push(Effect::RemoveLabel {
                    thread: thread.clone(),
                    label: run.trigger_label.clone(),
                    origin: LabelOrigin::system(),
                });
            }
            if abandon {
                abandon_thread(&mut plan, thread, labels);
            }
        }
    }
    plan.push(Effect::StopRun { run_id });
    let comment_thread = status_comment_thread(
        repository,
        run.issue_number.map(i64::from),
        run.pr_number.map(i64::from),
        is_reviewer,
    );
    if let Some(thread) = comment_thread.filter(|_| !run.deploy_only) {
        plan.push(Effect::UpsertStatusComment {
            thread,
            run_id,
            phase: CommentPhase::Finished,
        });
    }
    plan.into_vec()
}

/// `state:abandoned` replaces any other state of the thread.
fn abandon_thread(plan: &mut EffectPlan, thread: &Thread, labels: &Catalogue) {
    for state in StateLabel::ALL.iter().copied() {
        let label = labels.name(CatalogueLabel::State(state)).to_owned();
        let (thread, origin) = (thread.clone(), LabelOrigin::system());
        plan.push(if state == StateLabel::Abandoned {
            Effect::AddLabel { thread, label, origin }
        } else {
            Effect::RemoveLabel { thread, label, origin }
        });
    }
}
