//! Claims preparation tasks, does them, and stores how they ended (R-104..R-106).
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::source::{self, Stack};
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
    let mut log = vec![line(
        "reconcile",
        "info",
        &format!("attempt {}", task.attempts),
    )];
    let renewal = async {
        loop {
            tokio::time::sleep(RENEW_INTERVAL).await;
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
    };
    let outcome = tokio::select! {
        outcome = prepare(app, task) => outcome,
        // The lease went to somebody else: what is done here no longer counts.
        () = renewal => return,
    };
    let outcome = match &outcome {
        Ok(commit) => {
            log.push(line(
                "source",
                "info",
                &format!("{} is {commit}", task.build_ref),
            ));
            DeployOutcome::Succeeded {
                build_ref_sha: commit,
            }
        }
        Err(error) => {
            log.push(line("source", "error", error));
            DeployOutcome::Failed { error }
        }
    };
    let stored = async {
        let mut connection = app.pool.acquire().await?;
        let finish = deploy_tasks::finish(&mut connection, task, owner, &outcome, &log);
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

/// Answers the commit the environment stands on, or one sentence why there is none.
async fn prepare(app: &SharedApp, task: &ClaimedDeployTask) -> Result<String, String> {
    let client = source::client(app, &task.repository_full_name)
        .await
        .map_err(|error| chain(&error))?;
    let snapshot = source::snapshot(
        &client,
        &task.repository_full_name,
        &task.build_ref,
        &task.services_yaml_path,
    )
    .await
    .map_err(|error| chain(&error))?;
    match snapshot.stack {
        Stack::Empty => Ok(snapshot.commit),
        Stack::Services => Err("stack deploy is not built yet".to_owned()),
    }
}

/// Provider bodies are never echoed (G-124): our own errors only name what failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn line(stage: &str, level: &str, message: &str) -> Value {
    json!({
        "stage": stage,
        "level": level,
        "message": message,
        "created_at": chrono::Utc::now().to_rfc3339(),
    })
}
