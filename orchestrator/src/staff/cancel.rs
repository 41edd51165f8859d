//! Staff cancel of a run (R-28, R-29, L-82): one transaction, and the same answer when repeated.
use axum::Json;
use axum::extract::{Path, State};
use domain::audit::{Actor, AuditEvent, AuditRecord, RunCanceledPayload};
use domain::effects::{Effect, EffectPlan, PlannedEffect};
use domain::ids::{CorrelationId, ProjectId, RunId, UserId};
use domain::policy::Policy;
use domain::runs::{FinishReason, RunEnd, RunStatus};
use domain::snapshot::RunFacts;
use domain::transitions::{EndedRun, after_ended_run};
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
use crate::store::{events, run_history, wakeups};
use crate::transition;
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
    // Read before the end is written: the facts are those of the run that is being cancelled.
    let facts = run_history::of_run(&mut *transaction, run_id).await?;
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
    let plan = facts
        .map(|facts| effects_of(&facts, request.abandon, &services.app.policy))
        .unwrap_or_default();
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
    transition::commit(transaction, "run.cancel").await?;
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
    let current = if closed.is_some() {
        "canceled"
    } else {
        run.status.as_str()
    };
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

/// What the end leads to (L-72, L-82), and the Job that must go.
fn effects_of(run: &RunFacts, abandon: bool, policy: &Policy) -> Vec<PlannedEffect> {
    let ended = EndedRun {
        run,
        end: RunEnd::Because(FinishReason::CanceledByStaff),
        abandon,
        other_open_pull_requests: &[],
    };
    let mut plan = EffectPlan::new(format!("{}:stop", run.run_id));
    plan.push(Effect::StopRun { run_id: run.run_id });
    let mut effects = plan.into_vec();
    let shift = effects.len();
    let follows = after_ended_run(&ended, policy).effects;
    // `after` counts within its own list.
    effects.extend(follows.into_iter().map(|planned| PlannedEffect {
        after: planned.after.map(|position| position + shift),
        ..planned
    }));
    effects
}
