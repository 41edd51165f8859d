//! Claims preparation tasks, does them, and stores how they ended (R-104..R-106).
use std::time::Duration;

use uuid::Uuid;

use super::apply::{apply, retried};
use super::fault::Fault;
use super::plan::{Plan, plan};
use super::task_log::TaskLog;
use crate::app::SharedApp;
use crate::store::deploy_tasks::{self, ClaimedDeployTask, DeployOutcome};
use crate::transition;
use crate::wakeups::{Channel, Woken};

/// As many tasks of one replica run beside each other.
const RECONCILERS: usize = 4;
/// A dead owner's task is free again after this.
const LEASE: chrono::Duration = chrono::Duration::minutes(10);
/// How often a living owner says so: the least of half the lease and thirty seconds.
const RENEW_INTERVAL: Duration = Duration::from_secs(30);
/// Silence after which a task is taken over although its lease runs: two renewals and five seconds.
const SILENCE: chrono::Duration = chrono::Duration::seconds(65);

/// Works until shutdown; then gives its tasks back.
pub async fn run(app: SharedApp) {
    let owner = format!("control-plane-{}", Uuid::now_v7());
    let reconcilers = (0..RECONCILERS).map(|_| reconcile(&app, &owner));
    futures::future::join_all(reconcilers).await;
    if let Err(error) = deploy_tasks::release(&app.pool, &owner).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "failed to give preparation tasks back; their lease will end"
        );
    }
}

async fn reconcile(app: &SharedApp, owner: &str) {
    let mut waiter = app
        .wakeups
        .waiter(&[Channel::DeployTasks, Channel::Clock], &app.shutdown);
    loop {
        match deploy_tasks::claim(&app.pool, owner, LEASE, SILENCE).await {
            Ok(Some(task)) => {
                transition::claimed("environment.claim");
                tokio::select! {
                    () = perform(app, owner, &task) => {}
                    () = app.shutdown.cancelled() => return,
                }
                continue;
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "failed to look for preparation tasks"
                );
            }
        }
        if waiter.wait(app.config.poll_interval).await == Woken::Shutdown {
            return;
        }
    }
}

async fn perform(app: &SharedApp, owner: &str, task: &ClaimedDeployTask) {
    let mut log = TaskLog::default();
    log.info("reconcile", format!("attempt {}", task.attempts));
    let outcome = tokio::select! {
        outcome = prepare(app, task, &mut log) => outcome,
        // Somebody else has the task or it is over: what is done here no longer counts.
        () = lost(app, owner, task) => return,
    };
    let outcome = match &outcome {
        Ok(plan) => DeployOutcome::Succeeded {
            build_ref_sha: &plan.commit,
            manifest_hash: &plan.manifest_hash,
        },
        Err(fault) => {
            log.error(fault);
            DeployOutcome::Failed {
                error: &fault.message,
            }
        }
    };
    let stored = async {
        let mut connection = app.pool.acquire().await?;
        let finish = deploy_tasks::finish(&mut connection, task, owner, &outcome, log.lines());
        transition::around("environment.finish", finish).await
    };
    match stored.await {
        Ok(_) => app.wakeups.notify(Channel::DeployTasks),
        Err(error) => tracing::warn!(
            error = &error as &dyn std::error::Error,
            run.id = %task.run_id,
            "failed to store how a preparation task ended; it will be taken again"
        ),
    }
}

/// Renews the lease until it cannot be renewed. It is looked at again with each change of a task, which may be its
/// cancel, and with each move of the clock, which may end it.
async fn lost(app: &SharedApp, owner: &str, task: &ClaimedDeployTask) {
    let mut waiter = app
        .wakeups
        .waiter(&[Channel::DeployTasks, Channel::Clock], &app.shutdown);
    loop {
        if waiter.wait(RENEW_INTERVAL).await == Woken::Shutdown {
            // The loop that claimed the task ends, and gives it back.
            std::future::pending::<()>().await;
        }
        match deploy_tasks::renew(&app.pool, task, owner, LEASE).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                run.id = %task.run_id,
                "failed to renew the lease of a preparation task"
            ),
        }
    }
}

/// Answers what the environment stands on, or why there is none.
async fn prepare(
    app: &SharedApp,
    task: &ClaimedDeployTask,
    log: &mut TaskLog,
) -> Result<Plan, Fault> {
    let plan = retried(app, log, || plan(app, &task.desired)).await?;
    log.info(
        "source",
        format!("{} is {}", task.desired.build_ref, plan.commit),
    );
    if !plan.parts.is_empty() {
        apply(app, task, &plan, log).await?;
    }
    Ok(plan)
}
