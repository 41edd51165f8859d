//! Runs that are a Pod and no Job: a discussion in a light namespace of its own, a repair in LIVE_NS.

use super::context::WorkerContext;
use super::launch::{
    LaunchError, Launched, Ready, fenced, issue_token, record_prepared, store_profile, ttl_seconds,
};
use super::namespace::{Choice, Origin, text};
use super::profile::ResolvedProfile;
use super::start::{Place, start};
use crate::cluster::{AgentAccount, build_namespace};
use crate::store::namespace_leases::{self, NewNamespaceLease};
use crate::store::runs::{self, WorkerRun};
use crate::transition;
use chrono::{DateTime, Utc};
use domain::ids::{CorrelationId, NamespaceName, ProjectId, RunId};
use domain::namespaces::{Lease, NamespaceMetadata, run_namespace};
use domain::stages::RuntimeMode;
use std::time::Duration;
use uuid::Uuid;

/// A discussion: namespace with lease and policies, without accounts and quota.
pub(super) async fn discussion(
    ctx: &WorkerContext,
    run: &WorkerRun,
    profile: &ResolvedProfile,
) -> Result<Launched, LaunchError> {
    let project_id = run
        .project_id
        .ok_or_else(|| LaunchError::namespace("the run belongs to no project"))?;
    let name = run_namespace(
        ProjectId(project_id),
        run.issue_number.map(i64::from),
        RunId(run.id),
    );
    let (lease, now) = settle(ctx, run, profile, project_id, &name).await?;
    let correlation_id = CorrelationId::new(run.correlation_id.clone());
    let metadata = NamespaceMetadata {
        instance: ctx.cluster.names().instance(),
        runtime_mode: RuntimeMode::CodeOnly,
        project_id: ProjectId(project_id),
        run_id: RunId(run.id),
        issue_number: run.issue_number.map(i64::from),
        agent_key: run.agent_key.as_deref(),
        correlation_id: &correlation_id,
    };
    let ensured = ctx
        .cluster
        .ensure_namespace(&build_namespace(&metadata, &name, &lease, now))
        .await?;
    let choice = Choice {
        name: name.clone(),
        origin: Origin::New,
    };
    let recorded = record_prepared(ctx, run, name.as_str(), &lease, false, &choice, None).await;
    if matches!(recorded, Err(LaunchError::LeaseLost)) {
        remove_if_over(ctx, run, name.as_str()).await?;
    }
    recorded?;
    ctx.cluster
        .ensure_code_only_policies(name.as_str(), ensured.existed)
        .await?;
    let ready = Ready {
        prepared: None,
        issued: issue_token(ctx, run, name.as_str()).await?,
    };
    start(ctx, run, profile, Place::pod(name.as_str(), None), ready).await
}

/// Stores profile, namespace and lease before anything is made in the cluster.
async fn settle(
    ctx: &WorkerContext,
    run: &WorkerRun,
    profile: &ResolvedProfile,
    project_id: Uuid,
    name: &NamespaceName,
) -> Result<(Lease, DateTime<Utc>), LaunchError> {
    let ttl_seconds = ttl_seconds(ctx, run);
    let mut tx = fenced(ctx, run).await?;
    store_profile(ctx, &mut tx, run, profile).await?;
    runs::set_namespace(&mut tx, run.id, name.as_str()).await?;
    let lease = NewNamespaceLease {
        namespace: name.to_string(),
        run_id: run.id,
        project_id,
        repository_full_name: run.repository_full_name.clone(),
        issue_number: run.issue_number,
        agent_key: run.agent_key.clone().unwrap_or_default(),
        runtime_mode: RuntimeMode::CodeOnly.to_string(),
        ttl: Duration::from_secs(u64::try_from(ttl_seconds).unwrap_or_default()),
    };
    let (now, expires_at) = namespace_leases::upsert(&mut tx, &lease).await?;
    transition::commit(tx, "namespace.lease").await?;
    ctx.wake_effects();
    let lease = Lease {
        ttl_seconds,
        expires_at,
    };
    Ok((lease, now))
}

/// A discussion stopped while its namespace was on its way: whoever stopped it found none to delete (L-107).
async fn remove_if_over(
    ctx: &WorkerContext,
    run: &WorkerRun,
    namespace: &str,
) -> Result<(), LaunchError> {
    let mut conn = ctx.app.pool.acquire().await?;
    let over = runs::terminal_among(&mut conn, &[run.id]).await?;
    if !over.is_empty() {
        ctx.cluster.delete_namespace(namespace).await?;
    }
    Ok(())
}

/// A repair: nothing is made in LIVE_NS but its account and its Pod, and nothing is leased (L-113).
pub(super) async fn repair(
    ctx: &WorkerContext,
    run: &WorkerRun,
    profile: &ResolvedProfile,
) -> Result<Launched, LaunchError> {
    let namespace = text(&run.run_payload, "/runtime/namespace").ok_or_else(|| {
        LaunchError::namespace("the live environment of the repository has no namespace")
    })?;
    let mut tx = fenced(ctx, run).await?;
    store_profile(ctx, &mut tx, run, profile).await?;
    runs::set_namespace(&mut tx, run.id, &namespace).await?;
    transition::commit(tx, "namespace.settle").await?;
    ctx.wake_effects();
    let account = AgentAccount::Repair;
    ctx.cluster.ensure_live_account(&namespace, account).await?;
    let ready = Ready {
        prepared: None,
        issued: issue_token(ctx, run, &namespace).await?,
    };
    let place = Place::pod(&namespace, Some(account));
    start(ctx, run, profile, place, ready).await
}
