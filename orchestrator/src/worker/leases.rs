//! Ownership of runs between workers: stale leases, takeover, and the polite stop (R-11..R-15, D-6).

use super::context::{WorkerContext, WorkerError};
use super::journal::{self, Subject};
use crate::conduct::Acting;
use crate::store::runs::{self, LeaseSubject};
use crate::store::wakeups::notify;
use crate::store::worker_instances::{self, SuspectLease};
use crate::transition;
use crate::wakeups::Channel;
use chrono::{DateTime, Utc};
use domain::audit::{AuditEvent, WorkerLeasePayload};

/// Releases what dead or stopped workers hold.
pub async fn release_stale(ctx: &WorkerContext) -> Result<usize, WorkerError> {
    let limit = i64::from(ctx.app.config.worker.stale_lease_sweep_limit);
    let mut conn = ctx.app.pool.acquire().await?;
    let suspects = worker_instances::suspect_leases(&mut conn, ctx.worker_id(), limit).await?;
    drop(conn);
    let mut released = 0;
    for suspect in suspects {
        if ctx.app.conduct.acting(&suspect.repository_full_name) == Acting::NotAtAll {
            continue;
        }
        if is_stale(ctx, &suspect).await && release(ctx, &suspect).await? {
            released += 1;
        }
    }
    if released > 0 {
        metrics::counter!("codexk8s_stale_leases_total")
            .increment(u64::try_from(released).unwrap_or_default());
    }
    Ok(released)
}

/// An owner with a row is judged by the row; one without by its Pod, or by its lease when Pods cannot be read.
async fn is_stale(ctx: &WorkerContext, suspect: &SuspectLease) -> bool {
    if suspect.worker_status.is_some() {
        return true;
    }
    let namespace = &ctx.app.config.worker.namespace;
    // A worker id is the name of its Pod, or that name and a process number.
    let without_process = suspect.lease_owner.rsplit_once('-').map(|(pod, _)| pod);
    for pod in [Some(suspect.lease_owner.as_str()), without_process]
        .into_iter()
        .flatten()
    {
        match ctx.cluster.pod_is_live(namespace, pod).await {
            Ok(true) => return false,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "failed to look for the pod of a lease owner");
                return suspect.lease_expired;
            }
        }
    }
    true
}

async fn release(ctx: &WorkerContext, suspect: &SuspectLease) -> Result<bool, WorkerError> {
    let mut tx = ctx.begin().await?;
    let Some(run) = runs::release_lease(&mut tx, suspect.run_id, &suspect.lease_owner).await?
    else {
        return Ok(false);
    };
    let payload = WorkerLeasePayload {
        worker_id: Some(suspect.lease_owner.clone()),
        worker_status: Some(match suspect.worker_status.as_deref() {
            None => "missing".to_owned(),
            Some("active") => "expired".to_owned(),
            Some(other) => other.to_owned(),
        }),
        worker_heartbeat_at: suspect.worker_heartbeat_at,
        worker_expires_at: suspect.worker_expires_at,
        ..about(&run, Some(suspect.lease_owner.clone()), suspect.lease_until)
    };
    let subject = Subject::from(&run);
    journal::record(
        &mut tx,
        subject,
        AuditEvent::WorkerInstanceHeartbeatMissed(payload.clone()),
    )
    .await?;
    journal::record(
        &mut tx,
        subject,
        AuditEvent::RunLeaseDetectedStale(payload.clone()),
    )
    .await?;
    journal::record(&mut tx, subject, AuditEvent::RunLeaseReleased(payload)).await?;
    notify(&mut tx, Channel::RunQueue).await?;
    transition::commit(tx, "lease.release").await?;
    tracing::info!(run_id = %run.id, previous_owner = suspect.lease_owner, "released the lease of a dead worker");
    Ok(true)
}

/// Takes over released runs; the event is written with the takeover, so exactly once.
pub async fn reclaim(ctx: &WorkerContext) -> Result<usize, WorkerError> {
    let limit = i64::from(ctx.app.config.worker.running_check_limit);
    let mut tx = ctx.begin().await?;
    let taken = runs::reclaim(&mut tx, ctx.worker_id(), ctx.limits.run_lease_ttl, limit).await?;
    for run in &taken {
        let payload = WorkerLeasePayload {
            worker_id: Some(ctx.worker_id().to_owned()),
            ..about(run, None, None)
        };
        journal::record(
            &mut tx,
            Subject::from(run),
            AuditEvent::RunReclaimedAfterStaleLease(payload),
        )
        .await?;
    }
    transition::commit_if(!taken.is_empty(), tx, "lease.take_over").await?;
    for run in &taken {
        tracing::info!(run_id = %run.id, "took over a released run");
    }
    Ok(taken.len())
}

/// Gives everything back and leaves the registry.
pub async fn stop(ctx: &WorkerContext) -> Result<(), WorkerError> {
    let mut tx = ctx.begin().await?;
    let released = runs::release_all(&mut tx, ctx.worker_id()).await?;
    for run in &released {
        let payload = WorkerLeasePayload {
            worker_id: Some(ctx.worker_id().to_owned()),
            worker_status: Some("stopped".to_owned()),
            ..about(run, Some(ctx.worker_id().to_owned()), None)
        };
        journal::record(
            &mut tx,
            Subject::from(run),
            AuditEvent::RunLeaseReleased(payload),
        )
        .await?;
    }
    worker_instances::stop(&mut tx, ctx.worker_id()).await?;
    notify(&mut tx, Channel::RunQueue).await?;
    transition::commit(tx, "worker.stop").await?;
    tracing::info!(released = released.len(), "left the registry of workers");
    Ok(())
}

fn about(
    run: &LeaseSubject,
    previous_owner: Option<String>,
    until: Option<DateTime<Utc>>,
) -> WorkerLeasePayload {
    WorkerLeasePayload {
        previous_lease_owner: previous_owner,
        previous_lease_until: until,
        runtime_mode: run.runtime_mode.clone(),
        namespace: run.namespace.clone(),
        trigger_kind: Some(run.trigger_kind.clone()),
        discussion_mode: Some(run.discussion_mode),
        ..WorkerLeasePayload::default()
    }
}
