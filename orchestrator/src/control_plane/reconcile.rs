//! The periodic full pass (design invariant 4): looks at what is due and wakes whoever does it, so that correctness
//! never depends on a notification that arrived.
use crate::app::{App, SharedApp};
use crate::store::unfinished;
use crate::wakeups::{Channel, Woken};

/// Passes until the process ends.
pub async fn run(app: SharedApp) {
    let mut waiter = app.wakeups.waiter(&[Channel::Clock], &app.shutdown);
    loop {
        if let Err(error) = pass(&app).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to look for unfinished work"
            );
        }
        if waiter.wait(app.config.poll_interval).await == Woken::Shutdown {
            return;
        }
    }
}

async fn pass(app: &App) -> Result<(), sqlx::Error> {
    let orphaned = unfinished::orphaned_effects(&app.pool).await?;
    if !orphaned.is_empty() {
        tracing::warn!(
            ?orphaned,
            "effects are given up with the one they waited for"
        );
    }
    let found = unfinished::count(&app.pool).await?;
    for (count, channel) in [
        (found.deliveries, Channel::Deliveries),
        (found.effects, Channel::Effects),
        (found.pending_runs, Channel::RunQueue),
        (found.deploy_tasks, Channel::DeployTasks),
    ] {
        if count > 0 {
            app.wakeups.notify(channel);
        }
    }
    Ok(())
}
