//! How runs that are a Pod and no Job end: a repair like any other run, a discussion by being stopped (L-107).

use super::context::WorkerContext;
use super::journal::{self, Subject};
use super::launch::{LaunchError, fenced};
use crate::store::discussions;
use crate::store::runs::{self, WorkerRun};
use crate::transition;
use domain::effects::{DiscussionStop, Effect, PlannedEffect};
use domain::ids::RunId;

/// Whether the run's agent has a Pod of its own.
pub(super) fn has_no_job(run: &WorkerRun) -> bool {
    run.discussion_mode || run.trigger_kind == "ai_repair"
}

/// Whether somebody has written down that the discussion shall stop.
pub(super) async fn is_stopping(ctx: &WorkerContext, run: &WorkerRun) -> Result<bool, LaunchError> {
    let ordered = discussions::ordered_stop(&ctx.app.pool, run.id).await?;
    Ok(ordered.is_some())
}

/// The session saw for itself that it is over, before or without a delivery that tells so, and ended.
pub(super) async fn stop(ctx: &WorkerContext, run: &WorkerRun) -> Result<(), LaunchError> {
    let mut tx = fenced(ctx, run).await?;
    let reported = runs::event_payload(&mut tx, run.id, "run.agent.status_reported").await?;
    let stop = reported
        .as_ref()
        .and_then(|payload| payload["stop_reason"].as_str())
        .and_then(DiscussionStop::from_text)
        .unwrap_or(DiscussionStop::LabelRemoved);
    let effect = Effect::CancelDiscussion {
        run_id: RunId(run.id),
        stop,
    };
    let planned = PlannedEffect {
        idempotency_key: effect.idempotency_key(""),
        effect,
        after: None,
    };
    journal::plan(&mut tx, Subject::from(run), &[planned]).await?;
    transition::commit(tx, "discussion.stop").await?;
    ctx.wake_effects();
    Ok(())
}
