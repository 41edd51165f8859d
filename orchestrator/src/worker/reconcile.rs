//! Brings owned runs in line with what the cluster shows.

use super::context::{WorkerContext, WorkerError};
use super::finish::{self, End};
use super::launch::{self, LaunchError, Launched};
use super::pod_run;
use crate::cluster::{ApplyError, PodFailure, RunObservation, job_name, lease_patch, observe};
use crate::conduct::Acting;
use crate::store::runs::{self, WorkerRun};
use crate::store::{namespace_leases, run_finish, slots};
use crate::transition;
use domain::namespaces::Lease;
use domain::runs::{FinishReason, RunEnd};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The runner ends with it when a precondition does not hold.
const EXIT_FAILED_PRECONDITION: i32 = 42;
/// Kubernetes' word for a Job that its backstop ended.
const JOB_DEADLINE_REASON: &str = "DeadlineExceeded";
/// How long a Job may be missing before its run fails.
const JOB_MISSING_SECONDS: i64 = 30 * 60 + 5;
/// A namespace lease is pushed once it lags by this much: pushing it on every wake-up would only load the API server.
const LEASE_RENEWAL_STEP: Duration = Duration::from_secs(60);

/// One pass over the runs this worker owns.
pub async fn active_runs(ctx: &Arc<WorkerContext>) -> Result<(), WorkerError> {
    let limit = i64::from(ctx.app.config.worker.running_check_limit);
    let mut conn = ctx.app.pool.acquire().await?;
    let owned = runs::owned(&mut conn, ctx.worker_id(), limit).await?;
    if owned.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = owned.iter().map(|run| run.id).collect();
    slots::renew(&mut conn, &ids, ctx.limits.slot_lease_ttl).await?;
    runs::renew_leases(&mut conn, ctx.worker_id(), ctx.limits.run_lease_ttl).await?;
    let renewed =
        namespace_leases::renew_for_active_runs(&mut conn, ctx.worker_id(), LEASE_RENEWAL_STEP)
            .await?;
    drop(conn);
    let nowhere = |namespace: &str| {
        owned.iter().any(|run| {
            run.namespace.as_deref() == Some(namespace)
                && !ctx.app.acts_on(&run.repository_full_name)
        })
    };
    for lease in renewed {
        if nowhere(&lease.namespace) {
            continue;
        }
        let annotations = lease_patch(
            &Lease {
                ttl_seconds: lease.ttl_seconds,
                expires_at: lease.expires_at,
            },
            lease.renewed_at,
        );
        if let Err(error) = ctx
            .cluster
            .annotate_namespace(&lease.namespace, annotations)
            .await
        {
            tracing::warn!(namespace = lease.namespace, %error, "failed to renew a namespace lease");
        }
    }
    let observations = ctx.view.observations();
    for run in owned {
        drive(ctx, run, &observations);
    }
    Ok(())
}

/// Starts a task for a run that has something to do. A run whose task is at work, or whose next attempt is not due, is
/// left alone: the loop comes back when either changes.
pub fn drive(
    ctx: &Arc<WorkerContext>,
    run: WorkerRun,
    observations: &HashMap<Uuid, RunObservation>,
) {
    if ctx.app.conduct.acting(&run.repository_full_name) == Acting::NotAtAll {
        return;
    }
    if run.is_parked && run_finish::is_waiting(&run.status) {
        // Only the end of its wait moves it.
        return;
    }
    let seen = observations.get(&run.id).cloned();
    if run.job_name.is_some()
        && !run.timed_out
        && matches!(seen, Some(RunObservation::Active { .. }))
    {
        return;
    }
    let Some(busy) = ctx.in_flight.take(run.id) else {
        return;
    };
    let ctx = Arc::clone(ctx);
    ctx.tasks.clone().spawn(async move {
        let run_id = run.id;
        let outcome = step(&ctx, run, seen).await;
        match outcome {
            Ok(()) => {
                drop(busy);
                ctx.wake.notify_one();
            }
            Err(error) => {
                tracing::warn!(%run_id, error = &error as &dyn std::error::Error, "a step of a run is repeated later");
                busy.retry_after(ctx.app.config.worker.runtime_prepare_retry_interval);
                ctx.wake.notify_one();
            }
        }
    });
}

async fn step(
    ctx: &WorkerContext,
    run: WorkerRun,
    seen: Option<RunObservation>,
) -> Result<(), LaunchError> {
    // The row may be older than the task: what another task of this worker did meanwhile counts.
    let mut conn = ctx.app.pool.acquire().await?;
    let Some(run) = runs::get_owned(&mut conn, run.id, ctx.worker_id()).await? else {
        return Ok(());
    };
    drop(conn);
    match ctx.app.conduct.acting(&run.repository_full_name) {
        Acting::InTheWorld => {}
        Acting::OnPaper => return ctx.app.conduct.step_on_paper(ctx, &run).await,
        Acting::NotAtAll => return Ok(()),
    }
    if run.discussion_mode && pod_run::is_stopping(ctx, &run).await? {
        // Whoever stops it ends it too (L-106, L-107); if that takes long, this looks again.
        return Err(LaunchError::Later {
            reason: FinishReason::DiscussionStopped,
            error: "the discussion is being stopped".to_owned(),
        });
    }
    if run.job_name.is_none() {
        return first_launch(ctx, &run).await;
    }
    let observation = match seen {
        Some(seen) => seen,
        None => live(ctx, &run).await?,
    };
    match observation {
        RunObservation::Succeeded if run_finish::is_waiting(&run.status) => park(ctx, &run).await,
        RunObservation::Succeeded if run.discussion_mode => pod_run::stop(ctx, &run).await,
        RunObservation::Succeeded => finish::finish(
            ctx,
            &run,
            End {
                end: RunEnd::Succeeded,
                error: None,
                extra: None,
            },
        )
        .await
        .map(drop),
        // A wait may outlast what Kubernetes lets a Job run.
        RunObservation::Failed(failure)
            if run_finish::is_waiting(&run.status) && failure.reason == JOB_DEADLINE_REASON =>
        {
            park(ctx, &run).await
        }
        RunObservation::Failed(failure) => finish_failed(ctx, &run, failure).await,
        RunObservation::Active { .. } | RunObservation::Absent if run.timed_out => {
            time_out(ctx, &run).await
        }
        RunObservation::Active { .. } => Ok(()),
        // Its Job has ended and was deleted before anybody saw that it had.
        RunObservation::Absent if run_finish::is_waiting(&run.status) => park(ctx, &run).await,
        RunObservation::Absent => missing_job(ctx, &run).await,
    }
}

/// Launches, and ends the run when launching cannot succeed any more.
async fn first_launch(ctx: &WorkerContext, run: &WorkerRun) -> Result<(), LaunchError> {
    if run.timed_out {
        return time_out(ctx, run).await;
    }
    let started = std::time::Instant::now();
    match launch::launch(ctx, run).await {
        Ok(outcome) => {
            if outcome == Launched::Job {
                metrics::histogram!("codexk8s_run_launch_seconds").record(started.elapsed());
            }
            Ok(())
        }
        Err(LaunchError::LeaseLost | LaunchError::Interrupted) => Ok(()),
        Err(LaunchError::Ended { reason, error }) => {
            finish::finish(ctx, run, End::because(reason, error))
                .await
                .map(drop)
        }
        Err(LaunchError::Later { reason, error }) => {
            let limit = i64::try_from(
                ctx.app
                    .config
                    .worker
                    .runtime_prepare_retry_timeout
                    .as_secs(),
            )
            .unwrap_or(i64::MAX);
            if run.age_seconds >= limit {
                finish::finish(ctx, run, End::because(reason, error))
                    .await
                    .map(drop)
            } else {
                Err(LaunchError::Later { reason, error })
            }
        }
        Err(error) => Err(error),
    }
}

/// Reads the cluster for a run that the view does not know.
async fn live(ctx: &WorkerContext, run: &WorkerRun) -> Result<RunObservation, LaunchError> {
    let namespace = run.job_namespace.as_deref().unwrap_or_default();
    let job = ctx.cluster.get_job(namespace, run.id).await?;
    let (job, namespace) = match job {
        Some(job) => (Some(job), namespace.to_owned()),
        None => match ctx.cluster.find_jobs(run.id).await?.into_iter().next() {
            Some(found) => {
                let namespace = found.namespace().unwrap_or_default();
                let mut conn = ctx.app.pool.acquire().await?;
                runs::move_job(&mut conn, run.id, &namespace).await?;
                (Some(found), namespace)
            }
            None => (None, namespace.to_owned()),
        },
    };
    let pods = ctx.cluster.pods_of_run(&namespace, run.id).await?;
    let pods: Vec<&Pod> = pods.iter().collect();
    Ok(match (&job, observe(job.as_ref(), &pods)) {
        // Pods on their way out after their Job was deleted prove nothing; a Pod that never had one does.
        (None, RunObservation::Active { .. })
            if pods.iter().all(|pod| !pod.owner_references().is_empty()) =>
        {
            RunObservation::Absent
        }
        (_, observation) => observation,
    })
}

async fn missing_job(ctx: &WorkerContext, run: &WorkerRun) -> Result<(), LaunchError> {
    if run.age_seconds >= JOB_MISSING_SECONDS {
        let end = End::because(
            FinishReason::KubernetesJobNotFound,
            format!("job {} was not found", job_name(run.id)),
        );
        return finish::finish(ctx, run, end).await.map(drop);
    }
    if run.runtime_mode.as_deref() == Some("full-env") {
        return first_launch(ctx, run).await;
    }
    Err(LaunchError::Later {
        reason: FinishReason::KubernetesJobNotFound,
        error: "the job of the run is missing".to_owned(),
    })
}

async fn finish_failed(
    ctx: &WorkerContext,
    run: &WorkerRun,
    failure: PodFailure,
) -> Result<(), LaunchError> {
    let mut conn = ctx.app.pool.acquire().await?;
    let end = match failure.exit_code {
        Some(EXIT_FAILED_PRECONDITION) => {
            let stored = run_finish::stored_error(&mut conn, run.id, "failed_precondition").await?;
            let error = stored.unwrap_or_else(|| {
                "the runner reported a failed precondition without a text".to_owned()
            });
            End::because(FinishReason::FailedPrecondition, error)
        }
        Some(code) => {
            let stored = run_finish::stored_error(&mut conn, run.id, "failed").await?;
            let error = stored.map_or_else(
                || format!("{}: exit code {code}", failure.reason),
                |text| format!("{text} (exit code {code})"),
            );
            End::because(FinishReason::KubernetesJobFailed, error)
        }
        None => End::because(FinishReason::KubernetesJobFailed, failure.reason),
    };
    drop(conn);
    let stuck = failure.exit_code.is_none();
    let ended = finish::finish(ctx, run, end).await?;
    if ended && stuck {
        // It can never start: without this its Pod would go on trying.
        delete_job(ctx, run).await;
    }
    Ok(())
}

/// The Job goes first: an agent that still works must not outlive its run.
async fn time_out(ctx: &WorkerContext, run: &WorkerRun) -> Result<(), LaunchError> {
    if run_finish::is_waiting(&run.status) {
        return Ok(());
    }
    if let Some(namespace) = &run.job_namespace {
        delete_workload(ctx, run, namespace).await?;
    }
    let seconds = ctx.limits.run_timeout.as_secs();
    let end = End::because(
        FinishReason::RunTimeout,
        format!("the run used up its {seconds} seconds"),
    );
    finish::finish(ctx, run, end).await.map(drop)
}

/// The agent accepted a wait and ended: the run keeps its status and gives its slot back.
async fn park(ctx: &WorkerContext, run: &WorkerRun) -> Result<(), LaunchError> {
    if run.is_parked {
        return Ok(());
    }
    let mut tx = ctx.begin().await?;
    run_finish::park_waiting_run(&mut tx, run.id, ctx.worker_id()).await?;
    crate::store::wakeups::notify(&mut tx, crate::wakeups::Channel::RunQueue).await?;
    transition::commit(tx, "run.park").await?;
    ctx.wake_queue();
    Ok(())
}

async fn delete_job(ctx: &WorkerContext, run: &WorkerRun) {
    let Some(namespace) = &run.job_namespace else {
        return;
    };
    if let Err(error) = delete_workload(ctx, run, namespace).await {
        tracing::warn!(run_id = %run.id, %error, "failed to delete the job of an ended run");
    }
}

/// Deletes the run's Job, or the Pod of a run that has none.
async fn delete_workload(
    ctx: &WorkerContext,
    run: &WorkerRun,
    namespace: &str,
) -> Result<(), ApplyError> {
    let name = job_name(run.id);
    if pod_run::has_no_job(run) {
        ctx.cluster.delete_pod(namespace, &name).await?;
    } else {
        ctx.cluster.delete_job(namespace, &name).await?;
    }
    Ok(())
}

/// Deletes the Jobs of runs that were canceled or timed out while their agents still work.
pub async fn stop_jobs_of_ended_runs(ctx: &WorkerContext) -> Result<(), WorkerError> {
    let working = ctx
        .view
        .observations()
        .into_iter()
        .filter(|(_, seen)| matches!(seen, RunObservation::Active { .. }));
    delete_jobs(
        ctx,
        working.map(|(run_id, _)| run_id).collect(),
        |status, _| status != "succeeded",
    )
    .await
}

/// Deletes Jobs that outlived their time by the platform's clock: the cluster's own TTL counts by another one (D-7).
pub async fn delete_outlived_jobs(ctx: &WorkerContext) -> Result<(), WorkerError> {
    let ttl = i64::from(ctx.app.config.worker.job_ttl_seconds);
    let known = ctx.view.observations().into_keys().collect();
    delete_jobs(ctx, known, |_, age_seconds| age_seconds > ttl).await
}

async fn delete_jobs(
    ctx: &WorkerContext,
    runs: Vec<Uuid>,
    wanted: impl Fn(&str, i64) -> bool,
) -> Result<(), WorkerError> {
    if runs.is_empty() {
        return Ok(());
    }
    let mut conn = ctx.app.pool.acquire().await?;
    let ended = runs::terminal_among(&mut conn, &runs).await?;
    drop(conn);
    for run in ended
        .into_iter()
        .filter(|run| wanted(&run.status, run.age_seconds))
        .filter(|run| ctx.app.acts_on(&run.repository_full_name))
    {
        let run_id = run.id;
        for job in ctx.cluster.find_jobs(run_id).await? {
            if job.metadata.deletion_timestamp.is_none() {
                ctx.cluster
                    .delete_job(&job.namespace().unwrap_or_default(), &job.name_any())
                    .await?;
                tracing::info!(%run_id, "deleted the job of an ended run");
            }
        }
        for pod in ctx.cluster.find_bare_pods(run_id).await? {
            if pod.metadata.deletion_timestamp.is_none() {
                ctx.cluster
                    .delete_pod(&pod.namespace().unwrap_or_default(), &pod.name_any())
                    .await?;
                tracing::info!(%run_id, "deleted the pod of an ended run");
            }
        }
    }
    Ok(())
}
