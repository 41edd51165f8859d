//! The end of a run: one transaction for status, slot, session, terminal event, and what follows on GitHub (D-5, D-16, D-21).

use super::context::WorkerContext;
use super::debug_hold;
use super::journal::{self, Subject};
use super::launch::LaunchError;
use crate::store::run_finish::{self, RunEndRow};
use crate::store::runs::WorkerRun;
use crate::store::wakeups::notify;
use crate::store::{deploy_tasks, links, run_history, snapshots, thread_states};
use crate::transition;
use crate::wakeups::Channel;
use domain::audit::{AuditEvent, RunCanceledPayload, RunFinishedPayload};
use domain::runs::{FinishReason, RunEnd, RunStatus};
use domain::transitions::{EndedRun, after_ended_run};

/// Statuses the worker may end by itself; a waiting run is parked instead.
const RUNNING: [&str; 1] = ["running"];
const RUNNING_OR_WAITING: [&str; 4] = [
    "running",
    "waiting_mcp",
    "waiting_owner_review",
    "waiting_backpressure",
];

/// How a run ends.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    /// Status and reason.
    pub end: RunEnd,
    /// `error` of the terminal event.
    pub error: Option<String>,
    /// An event that explains the end, written just before it (L-46 row 4).
    pub extra: Option<AuditEvent>,
}

impl End {
    /// An end without explanation.
    pub fn because(reason: FinishReason, error: impl Into<String>) -> Self {
        Self {
            end: RunEnd::Because(reason),
            error: Some(error.into()),
            extra: None,
        }
    }
}

/// Ends an owned run. `false`: the lease is lost or the run is over already, and nothing was changed.
pub async fn finish(ctx: &WorkerContext, run: &WorkerRun, end: End) -> Result<bool, LaunchError> {
    let debug = debug_hold::wanted(ctx, run).await;
    let superseded = superseded(ctx, run, &end).await?;
    let status = end.end.status();
    let reason = end.end.reason();
    let row = RunEndRow {
        status: status.as_str(),
        finish_reason: reason.map(FinishReason::as_str),
        session_status: match reason {
            Some(FinishReason::FailedPrecondition) => "failed_precondition",
            _ => status.as_str(),
        },
    };
    let from: &[&str] = if status == RunStatus::Succeeded {
        &RUNNING
    } else {
        &RUNNING_OR_WAITING
    };
    let mut tx = ctx.begin().await?;
    let facts = run_history::of_run(&mut *tx, run.id).await?;
    if !run_finish::end_owned_run(&mut tx, run.id, ctx.worker_id(), from, row).await? {
        return Ok(false);
    }
    if status != RunStatus::Succeeded {
        // Nobody waits for what is still being prepared.
        deploy_tasks::abandon(&mut tx, run.id, "the run has ended").await?;
    }
    let subject = Subject::from(run);
    if let Some(event) = end.extra.clone() {
        journal::record_once(&mut tx, subject, event).await?;
    }
    journal::record(&mut tx, subject, terminal_event(run, &end)).await?;
    if let Some(facts) = facts {
        let ended = EndedRun {
            run: &facts,
            end: end.end,
            abandon: true,
            other_open_pull_requests: &superseded,
        };
        let follows = after_ended_run(&ended, &ctx.policy);
        journal::plan(&mut tx, subject, &follows.effects).await?;
        for record in &follows.audit {
            crate::store::events::record(&mut tx, record).await?;
        }
        for link in &follows.links {
            links::insert(&mut tx, link).await?;
        }
        if let Some(repository_id) =
            snapshots::live_repository_id(&mut *tx, &run.repository_full_name).await?
        {
            for change in &follows.thread_states {
                thread_states::apply(&mut tx, repository_id, change).await?;
            }
        }
    }
    if debug {
        debug_hold::record(&mut tx, run, status).await?;
    }
    // A slot, a role or a branch became free.
    notify(&mut tx, Channel::RunQueue).await?;
    transition::commit(tx, "run.finish").await?;
    ctx.wake_effects();
    ctx.wake_queue();
    metrics::counter!("codexk8s_runs_finished_total", "status" => status.as_str()).increment(1);
    metrics::histogram!("codexk8s_run_duration_seconds", "trigger" => run.trigger_kind.clone(), "status" => status.as_str())
        .record(std::time::Duration::from_secs(u64::try_from(run.age_seconds).unwrap_or_default()));
    tracing::info!(run_id = %run.id, correlation_id = %run.correlation_id, status = status.as_str(), reason = reason.map(FinishReason::as_str), error = end.error, "run ended");
    if debug && ctx.app.acts_on(&run.repository_full_name) {
        debug_hold::annotate(ctx, run).await;
    }
    Ok(true)
}

/// Pull requests that a successful rethink replaces; the end waits until GitHub says which are open (L-81).
async fn superseded(
    ctx: &WorkerContext,
    run: &WorkerRun,
    end: &End,
) -> Result<Vec<i64>, LaunchError> {
    let replaces = run.trigger_kind == "rethink"
        && !run.discussion_mode
        && end.end == RunEnd::Succeeded
        && ctx.app.acts_on(&run.repository_full_name);
    if !replaces {
        return Ok(Vec::new());
    }
    let threads = ctx.control_plane.threads(run.id).await;
    threads
        .map(|threads| threads.other_open_pull_requests)
        .map_err(|error| LaunchError::Later {
            reason: FinishReason::KubernetesJobFailed,
            error: error.to_string(),
        })
}

fn terminal_event(run: &WorkerRun, end: &End) -> AuditEvent {
    let status = end.end.status();
    let reason = end.end.reason().map(|reason| reason.as_str().to_owned());
    if status == RunStatus::Canceled {
        return AuditEvent::RunCanceled(RunCanceledPayload {
            previous_status: Some(run.status.clone()),
            current_status: Some(status.to_string()),
            already_terminal: Some(false),
            reason,
            requested_by_type: Some("system".to_owned()),
            requested_by_id: Some("worker".to_owned()),
            ..RunCanceledPayload::default()
        });
    }
    let payload = RunFinishedPayload {
        status: Some(status.to_string()),
        job_name: run.job_name.clone(),
        job_namespace: run.job_namespace.clone(),
        runtime_mode: run.runtime_mode.clone(),
        namespace: run.namespace.clone(),
        error: end.error.clone(),
        reason,
    };
    domain::transitions::terminal_event(end.end, payload)
        .expect("every end but a cancel has its own terminal event")
}
