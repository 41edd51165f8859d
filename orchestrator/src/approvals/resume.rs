//! The end of a request for the run that waits for it (G-89, G-92, G-93).
use domain::approvals::ResumePayload;
use domain::audit::RunWaitPayload;
use domain::waits::INTERACTION_RESUME_PREFIX;
use sqlx::PgConnection;

use crate::store::approvals::ApprovalRow;
use crate::store::clock;
use crate::waits::{self, WaitEnd, WaitOutcome};

/// Lets the run go on, in the transaction that ended the request. A detached request holds no run.
pub async fn resume(connection: &mut PgConnection, ended: &ApprovalRow) -> Result<(), sqlx::Error> {
    let (Some(run_id), false) = (ended.run_id, ended.detached) else {
        return Ok(());
    };
    let resolved_at = clock::now(&mut *connection).await?;
    let told = ResumePayload::of(
        &ended.facts()?,
        ended.state()?,
        ended.answer().as_ref(),
        ended.decision_reason.as_deref(),
        resolved_at,
    );
    let Some(told) = told else {
        return Ok(());
    };
    let payload = serde_json::to_value(&told).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let target = ended.id.to_string();
    let correlation_id = format!("{INTERACTION_RESUME_PREFIX}{target}");
    let end = WaitEnd {
        target_ref: &target,
        resolution: told.request_status.as_str(),
        correlation_id: &correlation_id,
        payload: &payload,
    };
    let outcome = waits::end_wait(connection, run_id, end, RunWaitPayload::default()).await?;
    if outcome == WaitOutcome::NotWaiting {
        tracing::info!(%run_id, request_id = ended.id, "the run does not wait for the request that ended");
    }
    Ok(())
}
