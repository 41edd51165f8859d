//! Waits for GitHub's rate limits that are due.
use super::context::{WorkerContext, WorkerError};
use crate::store::github_waits::{self, LimitWait};
use crate::transition;
use crate::waits;

/// Claims what is due and tries each; what fails stays claimed and is repeated after the time of a stale claim.
pub async fn try_due(ctx: &WorkerContext) -> Result<(), WorkerError> {
    let mut tx = ctx.begin().await?;
    let due = github_waits::claim_due(&mut tx).await?;
    transition::commit_if(!due.is_empty(), tx, "limit.claim").await?;
    for wait in due {
        let tried = attempt(ctx, &wait).await;
        if let Err(error) = tried {
            tracing::warn!(wait_id = %wait.id, run_id = %wait.run_id, error = &error as &dyn std::error::Error, "failed to go on after a limit");
        }
    }
    Ok(())
}

async fn attempt(ctx: &WorkerContext, wait: &LimitWait) -> sqlx::Result<()> {
    let mut tx = ctx.begin().await?;
    waits::attempt(&mut tx, wait).await?;
    transition::commit(tx, "limit.attempt").await?;
    tracing::info!(wait_id = %wait.id, run_id = %wait.run_id, contour = wait.contour_kind, "a limit is over");
    if wait.is_of_agent() {
        ctx.wake_queue();
    } else {
        ctx.wake_effects();
    }
    Ok(())
}
