//! The end of a question: the run that waits for it goes on (G-89, G-92, G-93).
use domain::audit::RunWaitPayload;
use domain::decide::Consequences;
use domain::notifications::{Continuation, Given};
use domain::notifications::{
    DeliveryRole, InteractionEnd, InteractionKind, InteractionResume, InteractionState,
    continuation, wait_resumed,
};
use domain::waits::INTERACTION_RESUME_PREFIX;
use sqlx::PgConnection;

use crate::app::App;
use crate::store::notifications::{self, InteractionRow};
use crate::store::{clock, events};
use crate::waits::{self, WaitEnd, WaitOutcome};

/// Lets the run go on, in the transaction that ended the question, and tells of it where one did wait.
pub async fn resume(
    connection: &mut PgConnection,
    row: &InteractionRow,
    end: InteractionEnd,
    given: Option<&Given>,
) -> Result<(), sqlx::Error> {
    if row.kind()? != InteractionKind::DecisionRequest {
        return Ok(());
    }
    let target = row.id.to_string();
    let resolved_at = clock::now(&mut *connection).await?;
    let told = InteractionResume::of(&target, &row.tool_name, end, given, resolved_at);
    let payload = serde_json::to_value(&told).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let correlation_id = format!("{INTERACTION_RESUME_PREFIX}{target}");
    let ended = WaitEnd {
        target_ref: &target,
        resolution: end.as_str(),
        correlation_id: &correlation_id,
        payload: &payload,
    };
    let payload = RunWaitPayload::default();
    let outcome = waits::end_wait(&mut *connection, row.run_id, ended, payload).await?;
    if outcome == WaitOutcome::NotWaiting {
        tracing::info!(run_id = %row.run_id, interaction_id = %row.id, "the run does not wait for the question that ended");
        return Ok(());
    }
    events::insert(connection, &wait_resumed(&row.facts()?, end)).await?;
    Ok(())
}

/// Ends a locked question without an answer; `false` when it has ended before, or this process does not go so far.
pub async fn end_unanswered(
    app: &App,
    connection: &mut PgConnection,
    row: &InteractionRow,
    end: InteractionEnd,
) -> Result<bool, sqlx::Error> {
    let state = match end {
        InteractionEnd::Expired => InteractionState::Expired,
        InteractionEnd::DeliveryExhausted => InteractionState::DeliveryExhausted,
        InteractionEnd::Answered | InteractionEnd::Cancelled => InteractionState::Cancelled,
    };
    let consequences = Consequences {
        audit: vec![wait_resumed(&row.facts()?, end)],
        ..Consequences::default()
    };
    let goes_so_far = !app
        .conduct
        .asked(&row.repository_full_name, consequences)
        .audit
        .is_empty();
    if !goes_so_far || !notifications::end(&mut *connection, row.id, state).await? {
        return Ok(false);
    }
    resume(connection, row, end, None).await?;
    Ok(true)
}

/// Plans what becomes of the message now that it is answered (G-141).
pub async fn continue_message(
    connection: &mut PgConnection,
    row: &InteractionRow,
) -> Result<Continuation, sqlx::Error> {
    let next = continuation(
        row.kind()?,
        row.provider_message_ref.as_deref(),
        row.edit_capability(),
    );
    let role = match next {
        Continuation::EditMessage => DeliveryRole::Edit,
        Continuation::SendFollowUp => DeliveryRole::FollowUp,
        Continuation::None | Continuation::ManualFallback => return Ok(next),
    };
    notifications::set_continuation(&mut *connection, row.id, next).await?;
    notifications::plan_attempt(connection, row.id, role, None).await?;
    Ok(next)
}
