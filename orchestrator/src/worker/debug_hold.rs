//! `run:debug` at the end of a run: a record of every such end, and a hold on a managed namespace.

use super::context::WorkerContext;
use super::journal::{self, Subject};
use super::launch::LaunchError;
use crate::cluster::keys;
use crate::store::namespace_leases;
use crate::store::runs::WorkerRun;
use domain::audit::{AuditEvent, NamespaceCleanupPayload};
use domain::runs::RunStatus;
use serde_json::json;
use sqlx::PgConnection;
use std::time::Duration;

/// The end of a run does not wait longer for GitHub; the sweep reads the label again anyway.
const LABEL_LIMIT: Duration = Duration::from_secs(2);

/// Configuration key and default name of the label.
const LABEL_KEY: &str = "RUN_DEBUG_LABEL";
const LABEL_DEFAULT: &str = "run:debug";

/// Name of the label in this installation.
pub fn label(ctx: &WorkerContext) -> &str {
    ctx.app
        .config
        .label_names
        .get(LABEL_KEY)
        .map_or(LABEL_DEFAULT, String::as_str)
}

/// Whether a thread of the run bears the label now. Labels that cannot be read do not delay the end.
pub async fn wanted(ctx: &WorkerContext, run: &WorkerRun) -> bool {
    if run.runtime_mode.as_deref() != Some("full-env") || run.deploy_only {
        return false;
    }
    match tokio::time::timeout(LABEL_LIMIT, ctx.control_plane.threads(run.id)).await {
        Ok(Ok(threads)) => threads.bears(label(ctx)),
        Ok(Err(error)) => {
            tracing::warn!(run_id = %run.id, %error, "failed to read the labels at the end of a run");
            false
        }
        Err(_) => {
            tracing::warn!(run_id = %run.id, "labels were not read in time at the end of a run");
            false
        }
    }
}

/// The record, and the hold in the mirror.
pub async fn record(
    conn: &mut PgConnection,
    run: &WorkerRun,
    status: RunStatus,
) -> Result<(), LaunchError> {
    let event = AuditEvent::RunNamespaceCleanupSkipped(NamespaceCleanupPayload {
        runtime_mode: run.runtime_mode.clone(),
        namespace: run.namespace.clone(),
        reason: Some("debug_label_present".to_owned()),
        run_status: Some(status.to_string()),
        ..NamespaceCleanupPayload::default()
    });
    journal::record(conn, Subject::from(run), event).await?;
    if let Some(namespace) = &run.namespace {
        namespace_leases::set_debug_hold(conn, namespace, true).await?;
        namespace_leases::record_cleanup_reason(conn, namespace, "debug_label_present").await?;
    }
    Ok(())
}

/// The hold in the cluster, only on a namespace that the platform manages.
pub async fn annotate(ctx: &WorkerContext, run: &WorkerRun) {
    let Some(namespace) = &run.namespace else {
        return;
    };
    if ctx.view.namespace(namespace).is_none() {
        return;
    }
    let annotation = json!({ keys::NAMESPACE_KEEP: keys::KEEP_DEBUG });
    if let Err(error) = ctx.cluster.annotate_namespace(namespace, annotation).await {
        tracing::warn!(run_id = %run.id, namespace, %error, "failed to mark a namespace as kept");
    }
}
