//! Stops a discussion: Pod, run, namespace (L-106, L-107).
use domain::audit::{AuditEvent, RunCanceledPayload};
use domain::ids::RunId;
use domain::runs::{FinishReason, RunEnd};
use domain::snapshot::RunFacts;
use domain::transitions::after_run;

use super::{Attempt, EffectError, Performed, jobs, namespaces};
use crate::store::effects::{self, EffectOwner};
use crate::store::{events, run_cancel, run_history, wakeups};
use crate::transition;
use crate::wakeups::Channel;

pub(super) async fn cancel(attempt: &Attempt<'_>, run_id: RunId) -> Result<Performed, EffectError> {
    let run = run_history::of_run(&attempt.app.pool, run_id.as_uuid())
        .await?
        .ok_or(EffectError::NoRun)?;
    jobs::stop(attempt, run_id).await?;
    // The session says why it ends with its run token, which dies with the run.
    jobs::await_end_of_pods(attempt, run_id).await?;
    end_run(attempt, &run).await?;
    match &run.namespace {
        Some(namespace) => namespaces::delete_of_discussion(attempt, namespace, &run).await,
        None => Ok(Performed::nothing()),
    }
}

/// On its own transaction: the namespace is deleted only after the run is over.
async fn end_run(attempt: &Attempt<'_>, run: &RunFacts) -> Result<(), EffectError> {
    let mut transaction = attempt.app.pool.begin().await?;
    let reason = FinishReason::DiscussionStopped;
    let run_id = run.run_id.as_uuid();
    let Some(canceled) = run_cancel::cancel(&mut transaction, run_id, reason.as_str()).await?
    else {
        return Ok(());
    };
    let payload = RunCanceledPayload {
        previous_status: Some(canceled.previous_status),
        current_status: Some("canceled".to_owned()),
        already_terminal: Some(false),
        job_stopped: Some(true),
        reason: Some(reason.as_str().to_owned()),
        ..RunCanceledPayload::default()
    };
    events::insert(
        &mut transaction,
        &attempt.event(AuditEvent::RunCanceled(payload)),
    )
    .await?;
    let follows = after_run(run, RunEnd::Because(reason), &attempt.app.policy);
    let owner = EffectOwner {
        run_id: Some(run_id),
        project_id: canceled.project_id,
        ..EffectOwner::default()
    };
    effects::insert_plan(&mut transaction, &follows.effects, owner).await?;
    wakeups::notify(&mut transaction, Channel::Effects).await?;
    transition::commit(transaction, "discussion.cancel").await?;
    attempt.app.wakeups.notify(Channel::Effects);
    Ok(())
}
