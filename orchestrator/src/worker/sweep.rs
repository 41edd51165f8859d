//! Deletes run namespaces whose lease is over (R-56..R-65), on one worker at a time (D-29).

use super::context::{WorkerContext, WorkerError};
use super::debug_hold;
use super::journal::{self, Subject};
use crate::cluster::{NamespaceView, keys};
use crate::conduct::Acting;
use crate::store::namespace_leases::{self, OpenLease};
use crate::store::runs::{self, RunSummary};
use crate::transition;
use chrono::{DateTime, TimeDelta, Utc};
use domain::audit::{AuditEvent, NamespaceCleanupPayload};
use domain::effects::{CommentPhase, Effect, PlannedEffect, status_comment_thread};
use domain::ids::RunId;
use domain::policy::DEFAULT_NAMESPACE_TTL_SECONDS;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use serde_json::{Value, json};
use sqlx::PgConnection;

/// Session lock of the sweep; another number than the claim's.
const SWEEP_LOCK: i64 = 0x636f_6465_785f_7377;
/// Name prefix of stacks in development slots, which the sweep covers as well.
const SLOT_PREFIX: &str = "codex-k8s-dev-";
/// Namespaces judged at once: each asks GitHub and Kubernetes and waits for their answers.
const SIDE_BY_SIDE: usize = 8;
/// Owners that make a Pod part of the deployed stack.
const STACK_OWNERS: [&str; 4] = [
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
    "ReplicationController",
];

/// Who sweeps; `cleanup_command` of its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// The worker's tick.
    WorkerTick,
    /// The CronJob, mode `namespace_cleanup_once`.
    CronJob,
}

impl Command {
    fn as_str(self) -> &'static str {
        match self {
            Self::WorkerTick => "worker_tick",
            Self::CronJob => "cronjob",
        }
    }
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Namespaces deleted.
    pub deleted: usize,
    /// Namespaces left, with a reason.
    pub kept: usize,
}

/// One sweep, unless another worker is at it.
pub async fn sweep(
    ctx: &WorkerContext,
    namespaces: Vec<NamespaceView>,
    command: Command,
) -> Result<Swept, WorkerError> {
    // The lock lives in the session, so a worker that dies lets go of it.
    let mut guard = ctx.app.pool.acquire().await?.detach();
    let locked: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
        .bind(SWEEP_LOCK)
        .fetch_one(&mut guard)
        .await?;
    if !locked {
        return Ok(Swept::default());
    }
    let swept = sweep_locked(ctx, &mut guard, namespaces, command).await;
    sqlx::Connection::close(guard).await?;
    swept
}

/// Whether any namespace is past its lease, from the watched view: the cheap test before the lock is asked for.
pub async fn is_due(ctx: &WorkerContext) -> Result<Option<Vec<NamespaceView>>, WorkerError> {
    let namespaces = ctx.view.namespaces();
    let mut conn = ctx.app.pool.acquire().await?;
    let now = crate::store::clock::now(&mut *conn).await?;
    let due = namespaces
        .iter()
        .any(|view| in_scope(ctx, view) && !view.terminating && expiry(view).0 <= now)
        || !namespace_leases::expired_open(&mut conn, 1)
            .await?
            .is_empty();
    Ok(due.then_some(namespaces))
}

async fn sweep_locked(
    ctx: &WorkerContext,
    conn: &mut PgConnection,
    namespaces: Vec<NamespaceView>,
    command: Command,
) -> Result<Swept, WorkerError> {
    let now = crate::store::clock::now(&mut *conn).await?;
    let limit =
        usize::try_from(ctx.app.config.worker.namespace_lease_sweep_limit).unwrap_or(usize::MAX);
    let mut expired: Vec<NamespaceView> = namespaces
        .into_iter()
        .filter(|view| in_scope(ctx, view) && !view.terminating && expiry(view).0 <= now)
        .collect();
    expired.sort_by_key(|view| expiry(view).0);
    expired.truncate(limit);
    let mut swept = Swept::default();
    if !ctx.app.config.worker.run_namespace_cleanup {
        if let Some(first) = expired.first() {
            record(
                ctx,
                first,
                None,
                Outcome::Skipped("cleanup_disabled"),
                command,
                Vec::new(),
            )
            .await?;
        }
        swept.kept = expired.len();
        return Ok(swept);
    }
    let each: Vec<BoxFuture<'_, _>> = expired
        .iter()
        .map(|view| sweep_beside_others(ctx, view, command))
        .collect();
    let mut judged = futures::stream::iter(each).buffer_unordered(SIDE_BY_SIDE);
    while let Some(deleted) = judged.next().await {
        match deleted? {
            true => swept.deleted += 1,
            false => swept.kept += 1,
        }
    }
    drop(judged);
    close_vanished(ctx, conn, command).await?;
    Ok(swept)
}

fn sweep_beside_others<'a>(
    ctx: &'a WorkerContext,
    view: &'a NamespaceView,
    command: Command,
) -> BoxFuture<'a, Result<bool, WorkerError>> {
    async move {
        let mut conn = ctx.app.pool.acquire().await?;
        sweep_one(ctx, &mut conn, view, command).await
    }
    .boxed()
}

/// labels are checked by the selector and once more here, the name only here.
fn in_scope(ctx: &WorkerContext, view: &NamespaceView) -> bool {
    let worker = &ctx.app.config.worker;
    view.is_managed_by(ctx.cluster.names().instance())
        && (view.name.starts_with(&worker.run_namespace_prefix)
            || view.name.starts_with(SLOT_PREFIX))
        && view.name != worker.production_namespace
        && view.name != worker.staging_namespace
        && view.name != worker.code_only_namespace
}

/// End of a lease and where it was read.
pub fn expiry(view: &NamespaceView) -> (DateTime<Utc>, &'static str) {
    match view.lease_expires_at() {
        Some(at) => (at, "annotation"),
        None => {
            let created = view
                .created_at
                .unwrap_or(DateTime::<Utc>::MAX_UTC - TimeDelta::days(365));
            (
                created + TimeDelta::seconds(DEFAULT_NAMESPACE_TTL_SECONDS),
                "created_at_fallback",
            )
        }
    }
}

enum Outcome {
    Cleaned,
    Skipped(&'static str),
    Failed(&'static str, String),
}

/// Judges one expired namespace and acts. `true`: deleted.
async fn sweep_one(
    ctx: &WorkerContext,
    conn: &mut PgConnection,
    view: &NamespaceView,
    command: Command,
) -> Result<bool, WorkerError> {
    let Some(run_id) = view.run_id() else {
        return keep(
            ctx,
            view,
            None,
            Outcome::Skipped("missing_run_id_label"),
            command,
            Vec::new(),
        )
        .await;
    };
    let run = match runs::summary(conn, run_id).await {
        Ok(run) => run,
        Err(error) => {
            let outcome = Outcome::Failed("run_lookup_failed", error.to_string());
            return keep(ctx, view, None, outcome, command, Vec::new()).await;
        }
    };
    let acting = run.as_ref().map_or(Acting::InTheWorld, |run| {
        ctx.app.conduct.acting(&run.repository_full_name)
    });
    if acting == Acting::NotAtAll {
        return Ok(false);
    }
    if let Some((active, status)) = namespace_leases::active_run_in(conn, &view.name).await? {
        let details = vec![json!({"run_id": active, "run_status": status})];
        return keep(
            ctx,
            view,
            run.as_ref(),
            Outcome::Skipped("active_run_in_db"),
            command,
            details,
        )
        .await;
    }
    if run.as_ref().is_some_and(|run| !is_terminal(&run.status)) {
        return keep(
            ctx,
            view,
            run.as_ref(),
            Outcome::Skipped("active_run_in_db"),
            command,
            Vec::new(),
        )
        .await;
    }
    // Before the workloads: what a person wants kept is no matter of what still runs in it.
    if let Some(run) = &run {
        match ctx.control_plane.threads(run.id).await {
            Ok(threads) if !is_of_discussion(view) && threads.bears(debug_hold::label(ctx)) => {
                namespace_leases::set_debug_hold(conn, &view.name, true).await?;
                if !view.kept() && acting == Acting::InTheWorld {
                    mark_kept(ctx, view, json!(keys::KEEP_DEBUG)).await;
                }
                return keep(
                    ctx,
                    view,
                    Some(run),
                    Outcome::Skipped("debug_label_present"),
                    command,
                    Vec::new(),
                )
                .await;
            }
            Ok(_) => {
                if view.kept() {
                    namespace_leases::set_debug_hold(conn, &view.name, false).await?;
                    if acting == Acting::InTheWorld {
                        mark_kept(ctx, view, Value::Null).await;
                    }
                }
            }
            Err(error) => {
                tracing::warn!(namespace = view.name, %error, "failed to read the labels before a namespace is deleted");
                return keep(
                    ctx,
                    view,
                    Some(run),
                    Outcome::Skipped("label_lookup_failed"),
                    command,
                    Vec::new(),
                )
                .await;
            }
        }
    }
    match active_workloads(ctx, view, run.as_ref()).await {
        Err(error) => {
            let outcome = Outcome::Failed("workload_inspection_failed", error.to_string());
            return keep(ctx, view, run.as_ref(), outcome, command, Vec::new()).await;
        }
        Ok(active) if !active.is_empty() => {
            return keep(
                ctx,
                view,
                run.as_ref(),
                Outcome::Skipped("active_workloads_present"),
                command,
                active,
            )
            .await;
        }
        Ok(_) => {}
    }
    if acting == Acting::OnPaper {
        record(
            ctx,
            view,
            run.as_ref(),
            Outcome::Cleaned,
            command,
            Vec::new(),
        )
        .await?;
        return Ok(true);
    }
    delete(ctx, conn, view, run.as_ref(), command).await
}

async fn delete(
    ctx: &WorkerContext,
    conn: &mut PgConnection,
    view: &NamespaceView,
    run: Option<&RunSummary>,
    command: Command,
) -> Result<bool, WorkerError> {
    namespace_leases::set_state(conn, &view.name, "cleaning").await?;
    match ctx.cluster.delete_namespace(&view.name).await {
        Ok(true) => {
            record(ctx, view, run, Outcome::Cleaned, command, Vec::new()).await?;
            metrics::counter!("codexk8s_namespace_cleanup_total", "result" => "cleaned", "reason" => "ttl_expired").increment(1);
            tracing::info!(namespace = view.name, "deleted an expired namespace");
            Ok(true)
        }
        Ok(false) => {
            keep(
                ctx,
                view,
                run,
                Outcome::Skipped("already_deleted"),
                command,
                Vec::new(),
            )
            .await
        }
        Err(error) => {
            namespace_leases::set_state(conn, &view.name, "active").await?;
            keep(
                ctx,
                view,
                run,
                Outcome::Failed("delete_failed", error.to_string()),
                command,
                Vec::new(),
            )
            .await
        }
    }
}

/// Leases whose namespace is gone without a record: a sweep died in between, or somebody else deleted it.
async fn close_vanished(
    ctx: &WorkerContext,
    conn: &mut PgConnection,
    command: Command,
) -> Result<(), WorkerError> {
    let limit = i64::from(ctx.app.config.worker.namespace_lease_sweep_limit);
    for OpenLease {
        namespace, run_id, ..
    } in namespace_leases::expired_open(conn, limit).await?
    {
        match ctx.cluster.get_namespace(&namespace).await {
            Ok(Some(view)) if !view.terminating => continue,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(namespace, %error, "failed to look for an expired namespace");
                continue;
            }
        }
        let run = runs::summary(conn, run_id).await?;
        if run.as_ref().is_some_and(|run| {
            !is_terminal(&run.status)
                || ctx.app.conduct.acting(&run.repository_full_name) == Acting::NotAtAll
        }) {
            continue;
        }
        let gone = NamespaceView {
            name: namespace,
            labels: [(keys::RUN_ID.to_owned(), run_id.to_string())].into(),
            annotations: Default::default(),
            created_at: None,
            terminating: true,
        };
        record(
            ctx,
            &gone,
            run.as_ref(),
            Outcome::Skipped("already_deleted"),
            command,
            Vec::new(),
        )
        .await?;
    }
    Ok(())
}

/// What still works in a namespace, the deployed stack left out.
async fn active_workloads(
    ctx: &WorkerContext,
    view: &NamespaceView,
    run: Option<&RunSummary>,
) -> Result<Vec<Value>, crate::cluster::ApplyError> {
    let (jobs, pods) = ctx.cluster.jobs_in(&view.name).await?;
    let mut active = Vec::new();
    for job in &jobs {
        let by_cron_job = job
            .metadata
            .owner_references
            .iter()
            .flatten()
            .any(|owner| owner.kind == "CronJob");
        let status = job.status.as_ref();
        let over = status.is_some_and(|status| {
            status.completion_time.is_some()
                || status.conditions.iter().flatten().any(|condition| {
                    matches!(condition.type_.as_str(), "Failed" | "Complete")
                        && condition.status == "True"
                })
        });
        if !by_cron_job && !over {
            active.push(json!({"kind": "Job", "name": job.metadata.name}));
        }
    }
    for pod in &pods {
        let phase = pod
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        let owners = || pod.metadata.owner_references.iter().flatten();
        let of_stack = owners().any(|owner| STACK_OWNERS.contains(&owner.kind.as_str()));
        // A Pod of a Job is judged by its Job; what is left works on its own.
        let of_job = owners().any(|owner| owner.kind == "Job");
        if !of_stack && !of_job && !matches!(phase, Some("Succeeded" | "Failed")) {
            active.push(json!({"kind": "Pod", "name": pod.metadata.name}));
        }
    }
    if run.is_some_and(|run| run.deploy_active) {
        active.push(json!({"kind": "DeployTask", "name": run.map(|run| run.id)}));
    }
    Ok(active)
}

/// Only a discussion has a managed namespace without a stack in it; `run:debug` does not hold it.
fn is_of_discussion(view: &NamespaceView) -> bool {
    view.labels
        .get(keys::RUNTIME_MODE)
        .is_some_and(|mode| mode == "code-only")
}

async fn mark_kept(ctx: &WorkerContext, view: &NamespaceView, value: Value) {
    let annotation = json!({ keys::NAMESPACE_KEEP: value });
    if let Err(error) = ctx.cluster.annotate_namespace(&view.name, annotation).await {
        tracing::warn!(namespace = view.name, %error, "failed to mark whether a namespace is kept");
    }
}

async fn keep(
    ctx: &WorkerContext,
    view: &NamespaceView,
    run: Option<&RunSummary>,
    outcome: Outcome,
    command: Command,
    details: Vec<Value>,
) -> Result<bool, WorkerError> {
    record(ctx, view, run, outcome, command, details).await?;
    Ok(false)
}

/// Writes lease state and event together. A reason that is the last one recorded is not written again.
async fn record(
    ctx: &WorkerContext,
    view: &NamespaceView,
    run: Option<&RunSummary>,
    outcome: Outcome,
    command: Command,
    details: Vec<Value>,
) -> Result<(), WorkerError> {
    let (expires_at, lease_source) = expiry(view);
    let (reason, error) = match &outcome {
        Outcome::Cleaned => ("ttl_expired", None),
        Outcome::Skipped(reason) => (*reason, None),
        Outcome::Failed(reason, error) => (*reason, Some(error.clone())),
    };
    let payload = NamespaceCleanupPayload {
        runtime_mode: view.labels.get(keys::RUNTIME_MODE).cloned(),
        namespace: Some(view.name.clone()),
        namespace_lease_ttl: view.lease_ttl(),
        namespace_lease_expires_at: (view.lease_expires_at().is_some()
            || view.created_at.is_some())
        .then_some(expires_at),
        namespace_reused: None,
        reason: Some(reason.to_owned()),
        run_status: run.map(|run| run.status.clone()),
        error,
        cleanup_command: Some(command.as_str().to_owned()),
        lease_source: Some(lease_source.to_owned()),
        guardrail_details: (!details.is_empty()).then_some(details),
    };
    let event = match &outcome {
        Outcome::Cleaned => AuditEvent::RunNamespaceCleaned(payload),
        Outcome::Skipped(_) => AuditEvent::RunNamespaceCleanupSkipped(payload),
        Outcome::Failed(..) => AuditEvent::RunNamespaceCleanupFailed(payload),
    };
    let mut tx = ctx.begin().await?;
    let news = namespace_leases::record_cleanup_reason(&mut tx, &view.name, reason).await?;
    if matches!(outcome, Outcome::Cleaned) || reason == "already_deleted" {
        namespace_leases::set_state(&mut tx, &view.name, "cleaned").await?;
    }
    if news || matches!(outcome, Outcome::Cleaned) {
        match run {
            Some(run) => {
                journal::record(&mut tx, Subject::from(run), event).await?;
                // Whoever deleted it, people read that it is gone.
                if matches!(outcome, Outcome::Cleaned) || reason == "already_deleted" {
                    cleaned_comment(&mut tx, run).await?;
                }
            }
            // A namespace without a run is told of under its own name.
            None => {
                let correlation_id = domain::ids::CorrelationId::new(view.name.clone());
                let actor = domain::audit::Actor::System(domain::audit::SystemActor::Worker);
                let record = domain::audit::AuditRecord::new(event, actor, correlation_id);
                if news || !known_without_run(&mut tx, &record).await? {
                    crate::store::events::record(&mut tx, &record).await?;
                }
            }
        }
    } else if run.is_none() {
        let correlation_id = domain::ids::CorrelationId::new(view.name.clone());
        let actor = domain::audit::Actor::System(domain::audit::SystemActor::Worker);
        let record = domain::audit::AuditRecord::new(event, actor, correlation_id);
        if !known_without_run(&mut tx, &record).await? {
            crate::store::events::record(&mut tx, &record).await?;
        }
    }
    transition::commit(tx, "sweep.record").await?;
    ctx.wake_effects();
    Ok(())
}

/// Without a mirror row the journal itself tells whether the reason is new.
async fn known_without_run(
    conn: &mut PgConnection,
    record: &domain::audit::AuditRecord,
) -> sqlx::Result<bool> {
    let last: Option<Option<String>> = sqlx::query_scalar(
        "SELECT payload ->> 'reason' FROM flow_events WHERE correlation_id = $1 AND event_type LIKE 'run.namespace.clean%' ORDER BY id DESC LIMIT 1",
    )
    .bind(record.correlation_id.as_str())
    .fetch_optional(conn)
    .await?;
    let reason = record
        .payload()
        .get("reason")
        .and_then(Value::as_str)
        .map(str::to_owned);
    Ok(last.flatten() == reason)
}

/// The comment's last phase. Its key differs from the one written at the run's end, which said "kept".
async fn cleaned_comment(conn: &mut PgConnection, run: &RunSummary) -> Result<(), WorkerError> {
    let thread = status_comment_thread(
        &run.repository_full_name,
        run.issue_number.map(i64::from),
        run.pr_number.map(i64::from),
        journal::starts_on_pull_request(&run.trigger_source),
    );
    let Some(thread) = thread else { return Ok(()) };
    let effect = Effect::UpsertStatusComment {
        thread,
        run_id: RunId(run.id),
        phase: CommentPhase::NamespaceDeleted,
    };
    let idempotency_key = format!("{}:cleaned", effect.idempotency_key(""));
    journal::plan(
        conn,
        Subject::from(run),
        &[PlannedEffect {
            effect,
            idempotency_key,
            after: None,
        }],
    )
    .await?;
    Ok(())
}

fn is_terminal(status: &str) -> bool {
    matches!(status, "succeeded" | "failed" | "canceled")
}
