//! Stops a discussion: Pod, run, namespace (L-106, L-107).
use domain::audit::{AuditEvent, RunCanceledPayload};
use domain::ids::RunId;
use domain::runs::FinishReason;

use super::{Attempt, EffectError, Performed, jobs, namespaces};
use crate::store::{events, run_cancel, run_history};

pub(super) async fn cancel(attempt: &Attempt<'_>, run_id: RunId) -> Result<Performed, EffectError> {
    let run = run_history::of_run(&attempt.app.pool, run_id.as_uuid())
        .await?
        .ok_or(EffectError::NoRun)?;
    jobs::stop(attempt, run_id).await?;
    end_run(attempt, run_id).await?;
    match &run.namespace {
        Some(namespace) => namespaces::delete_one(attempt, namespace.as_str(), run_id).await,
        None => Ok(Performed::nothing()),
    }
}

/// On its own transaction: the namespace is deleted only after the run is over.
async fn end_run(attempt: &Attempt<'_>, run_id: RunId) -> Result<(), EffectError> {
    let mut transaction = attempt.app.pool.begin().await?;
    let reason = FinishReason::DiscussionStopped.as_str();
    if let Some(canceled) = run_cancel::cancel(&mut transaction, run_id.as_uuid(), reason).await? {
        let payload = RunCanceledPayload {
            previous_status: Some(canceled.previous_status),
            current_status: Some("canceled".to_owned()),
            already_terminal: Some(false),
            job_stopped: Some(true),
            reason: Some(reason.to_owned()),
            ..RunCanceledPayload::default()
        };
        events::insert(
            &mut transaction,
            &attempt.event(AuditEvent::RunCanceled(payload)),
        )
        .await?;
    }
    transaction.commit().await?;
    Ok(())
}
