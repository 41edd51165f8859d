//! The worker as a process: registry, heartbeat, the loop that makes passes, and the polite end.

use super::context::{self, WorkerContext, WorkerError};
use super::hygiene::{self, HygieneReport};
use super::leases;
use super::sweep::{self, Command, Swept};
use super::tick::{self, Cause};
use crate::app::SharedApp;
use crate::cluster::start_watches;
use crate::store::worker_instances::{self, WorkerIdentity};
use crate::wakeups::{Channel, Woken};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// R-15 allows five seconds in all; steps that are at work get most of it to reach a safe point.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// Pause after a pass that failed: the database or the cluster needs a moment.
const FAILURE_PAUSE: Duration = Duration::from_millis(500);
/// Connections opened ahead, about as many as the objects of a namespace are written with at once.
const WARM_CONNECTIONS: usize = 16;

/// Runs the worker until the process is told to end.
pub async fn run(app: SharedApp) -> Result<(), WorkerError> {
    let cluster = context::cluster(&app)?;
    let wake = Arc::new(Notify::new());
    let mut watches = JoinSet::new();
    let view = start_watches(cluster.client(), &app.config.instance, &wake, &mut watches);
    let ctx = Arc::new(WorkerContext::new(app, cluster, view, wake)?);
    let identity = WorkerIdentity {
        worker_id: ctx.worker_id().to_owned(),
        namespace: ctx.app.config.worker.namespace.clone(),
        pod_name: ctx.app.config.worker.pod_name.clone(),
    };
    if !register(&ctx, &identity).await {
        return Ok(());
    }
    let warming = ctx.cluster.clone();
    watches.spawn(async move {
        let pings = (0..WARM_CONNECTIONS).map(|_| warming.ping());
        for error in futures::future::join_all(pings)
            .await
            .into_iter()
            .filter_map(Result::err)
        {
            tracing::debug!(%error, "failed to open a connection ahead");
        }
    });
    let heart = Arc::clone(&ctx);
    watches.spawn(async move { beat(&heart, &identity).await });
    make_passes(&ctx).await;
    stop(&ctx).await;
    watches.shutdown().await;
    Ok(())
}

/// Repeats until the database takes the worker in. `false`: told to end meanwhile.
async fn register(ctx: &WorkerContext, identity: &WorkerIdentity) -> bool {
    loop {
        let registered = async {
            let mut conn = ctx.app.pool.acquire().await?;
            worker_instances::register(&mut conn, identity, ctx.app.config.worker.instance_ttl)
                .await
        };
        match registered.await {
            Ok(()) => return true,
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to register, trying again"
            ),
        }
        tokio::select! {
            () = tokio::time::sleep(FAILURE_PAUSE) => {}
            () = ctx.app.shutdown.cancelled() => return false,
        }
    }
}

/// Refreshes the registry row every interval, and at once when the clock is about to move (D-7).
async fn beat(ctx: &Arc<WorkerContext>, identity: &WorkerIdentity) {
    let settings = &ctx.app.config.worker;
    let mut waiter = ctx.app.wakeups.waiter(&[Channel::Clock], &ctx.app.shutdown);
    loop {
        if waiter.wait(settings.heartbeat_interval).await == Woken::Shutdown {
            return;
        }
        let refreshed = async {
            let mut conn = ctx.app.pool.acquire().await?;
            if worker_instances::heartbeat(&mut conn, &identity.worker_id, settings.instance_ttl)
                .await?
            {
                return Ok(());
            }
            // Somebody removed or closed the row of a living worker.
            worker_instances::register(&mut conn, identity, settings.instance_ttl).await
        };
        let refreshed: sqlx::Result<()> = refreshed.await;
        if let Err(error) = refreshed {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to refresh the registry"
            );
        }
        ctx.periodic.notify_one();
    }
}

async fn make_passes(ctx: &Arc<WorkerContext>) {
    let settings = &ctx.app.config.worker;
    let mut queue = ctx
        .app
        .wakeups
        .waiter(&[Channel::RunQueue], &ctx.app.shutdown);
    let mut clock = ctx.app.wakeups.waiter(&[Channel::Clock], &ctx.app.shutdown);
    let mut cause = Cause::Periodic;
    loop {
        if ctx.app.shutdown.is_cancelled() {
            return;
        }
        let again = match tokio::time::timeout(settings.tick_timeout, tick::tick(ctx, cause)).await
        {
            Ok(Ok(again)) => again,
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a pass failed");
                tokio::select! {
                    () = tokio::time::sleep(FAILURE_PAUSE) => {}
                    () = ctx.app.shutdown.cancelled() => return,
                }
                // What was skipped is looked at again from the top.
                cause = Cause::Periodic;
                continue;
            }
            Err(_) => {
                tracing::warn!("a pass took too long and was given up");
                false
            }
        };
        if again {
            cause = Cause::Woken;
            continue;
        }
        let poll = ctx.app.config.poll_interval;
        let retry = ctx
            .in_flight
            .next_due()
            .map_or(poll, |due| due.saturating_duration_since(Instant::now()));
        cause = tokio::select! {
            woken = queue.wait(poll) => match woken {
                Woken::Notified => Cause::Woken,
                Woken::Elapsed => Cause::Periodic,
                Woken::Shutdown => return,
            },
            woken = clock.wait(poll) => match woken {
                Woken::Shutdown => return,
                Woken::Notified | Woken::Elapsed => Cause::Periodic,
            },
            () = ctx.wake.notified() => Cause::Woken,
            () = ctx.periodic.notified() => Cause::Periodic,
            () = tokio::time::sleep(retry), if retry < poll => Cause::Woken,
        };
    }
}

async fn stop(ctx: &WorkerContext) {
    ctx.tasks.close();
    if tokio::time::timeout(STOP_GRACE, ctx.tasks.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            "some runs were left in the middle of a step; the next worker goes on with them"
        );
    }
    if let Err(error) = leases::stop(ctx).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "failed to leave the registry; others find out by time"
        );
    }
}

/// One sweep and no loop: mode `namespace_cleanup_once` of the CronJob (runtime 2.4).
pub async fn cleanup_once(app: SharedApp) -> Result<Swept, WorkerError> {
    let ctx = once(app)?;
    let namespaces = ctx.cluster.list_managed_namespaces().await?;
    sweep::sweep(&ctx, namespaces, Command::CronJob).await
}

/// One leak check with its events. Secrets are looked at only where the identity may list them: the worker's own may
/// not (G-113), and the report then says so.
pub async fn hygiene_once(app: SharedApp) -> Result<HygieneReport, WorkerError> {
    let ctx = once(app)?;
    let mut conn = ctx.app.pool.acquire().await?;
    let secrets = hygiene::orphaned_credentials(&ctx.cluster, &mut conn).await?;
    let looked = secrets.is_some();
    let mut report = hygiene::check(&ctx.cluster, &mut conn, secrets.unwrap_or_default()).await?;
    report.credential_secrets_inspected = looked;
    drop(conn);
    tick::record_leaks(&ctx, &report).await?;
    Ok(report)
}

fn once(app: SharedApp) -> Result<WorkerContext, WorkerError> {
    let cluster = context::cluster(&app)?;
    let view = crate::cluster::ClusterView::empty();
    WorkerContext::new(app, cluster, view, Arc::new(Notify::new()))
}
