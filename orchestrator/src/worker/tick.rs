//! One pass in the fixed order of R-2: release stale leases, reconcile, due waits for GitHub, sweep, launch. Interaction
//! deliveries come before the waits as soon as they exist. A failing stage ends the pass.

use super::context::{WorkerContext, WorkerError};
use super::journal::{self, Subject};
use super::sweep::Command;
use super::{github_waits, hygiene, leases, reconcile, sweep};
use crate::store::{runs, slots};
use crate::transition;
use domain::audit::{AuditEvent, HygieneLeakPayload};
use std::collections::HashMap;
use std::sync::Arc;

/// Why a pass is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A notification or a watched change: only what may have changed is looked at.
    Woken,
    /// Heartbeat, clock move or fallback poll: everything is looked at.
    Periodic,
}

/// One pass. `true`: work was left, repeat at once.
pub async fn tick(ctx: &Arc<WorkerContext>, cause: Cause) -> Result<bool, WorkerError> {
    if cause == Cause::Periodic {
        ctx.in_flight.forget_pauses();
    }
    leases::release_stale(ctx).await?;
    leases::reclaim(ctx).await?;
    reconcile::active_runs(ctx).await?;
    reconcile::stop_jobs_of_ended_runs(ctx).await?;
    if cause == Cause::Periodic {
        reconcile::delete_outlived_jobs(ctx).await?;
    }
    github_waits::try_due(ctx).await?;
    sweep_namespaces(ctx, cause).await?;
    launch_pending(ctx).await
}

async fn sweep_namespaces(ctx: &Arc<WorkerContext>, cause: Cause) -> Result<(), WorkerError> {
    if cause != Cause::Periodic {
        return Ok(());
    }
    let mut conn = ctx.app.pool.acquire().await?;
    slots::free_orphans(&mut conn).await?;
    drop(conn);
    if let Some(namespaces) = sweep::is_due(ctx).await? {
        sweep::sweep(ctx, namespaces, Command::WorkerTick).await?;
    }
    report_leaks(ctx).await
}

/// Writes an event per leak, once per leak and not once per sweep.
async fn report_leaks(ctx: &WorkerContext) -> Result<(), WorkerError> {
    let mut conn = ctx.app.pool.acquire().await?;
    let report = hygiene::check(&ctx.cluster, &mut conn, Vec::new()).await?;
    drop(conn);
    record_leaks(ctx, &report).await
}

/// The events of a report.
pub async fn record_leaks(
    ctx: &WorkerContext,
    report: &hygiene::HygieneReport,
) -> Result<(), WorkerError> {
    for kind in hygiene::KINDS {
        let found = report
            .findings
            .iter()
            .filter(|finding| finding.kind == kind);
        let count = u32::try_from(found.count()).unwrap_or(u32::MAX);
        metrics::gauge!("codexk8s_leaks", "kind" => kind).set(count);
    }
    for finding in &report.findings {
        let mut tx = ctx.begin().await?;
        let run = match finding.run_id {
            Some(run_id) => runs::summary(&mut tx, run_id).await?,
            None => None,
        };
        let event = AuditEvent::RunHygieneLeakDetected(HygieneLeakPayload {
            kind: Some(finding.kind.to_owned()),
            namespace: Some(finding.namespace.clone()),
            object: Some(finding.object.clone()),
            age_seconds: Some(finding.age_seconds),
            details: None,
        });
        let record = match &run {
            Some(run) => journal::audit_record(Subject::from(run), event),
            None => {
                let correlation_id = domain::ids::CorrelationId::new(finding.object.clone());
                let actor = domain::audit::Actor::System(domain::audit::SystemActor::Worker);
                domain::audit::AuditRecord::new(event, actor, correlation_id)
            }
        };
        if !runs::leak_is_recorded(
            &mut tx,
            record.correlation_id.as_str(),
            finding.kind,
            &finding.object,
        )
        .await?
        {
            crate::store::events::record(&mut tx, &record).await?;
            tracing::warn!(
                kind = finding.kind,
                namespace = finding.namespace,
                object = finding.object,
                "leak found"
            );
        }
        transition::commit(tx, "leak.record").await?;
    }
    Ok(())
}

/// Claims up to the limit; each claim is a transaction of its own.
async fn launch_pending(ctx: &Arc<WorkerContext>) -> Result<bool, WorkerError> {
    let limit = ctx.app.config.worker.claim_limit;
    let nothing_seen = HashMap::new();
    for _ in 0..limit {
        let mut tx = ctx.begin().await?;
        let claimed = runs::claim_next(&mut tx, ctx.worker_id(), &ctx.limits).await?;
        transition::commit_if(claimed.is_some(), tx, "run.claim").await?;
        let Some(run) = claimed else {
            let mut conn = ctx.app.pool.acquire().await?;
            runs::store_queue_reasons(&mut conn, &ctx.limits).await?;
            return Ok(false);
        };
        tracing::info!(run_id = %run.id, correlation_id = %run.correlation_id, "claimed a run");
        metrics::histogram!("codexk8s_run_queue_wait_seconds").record(run.queued_seconds);
        reconcile::drive(ctx, run, &nothing_seen);
    }
    Ok(true)
}
