//! The preparation task of a run: desired by the worker, done by a reconciler.
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use domain::deploy::FaultKind;
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

use super::ServiceCaller;
use crate::credentials::Service;
use crate::deploy;
use crate::http_api::ApiError;
use crate::staff::{JsonBody, Services};
use crate::store::deploy_tasks::{self, DeployTaskState, DesiredEnvironment};
use crate::transition;
use crate::wakeups::{Channel, Woken};

/// A short preparation is answered at once; a longer one is polled for.
const WAIT_LIMIT: Duration = Duration::from_secs(2);

/// Writes the desired state and waits a moment for its end.
pub(super) async fn desire(
    State(services): State<Services>,
    caller: ServiceCaller,
    Path(run_id): Path<Uuid>,
    JsonBody(desired): JsonBody<DesiredEnvironment>,
) -> Result<Json<DeployTaskState>, ApiError> {
    caller.require(&[Service::Worker])?;
    // Subscribed before the write, so that no end of the task is missed.
    let mut waiter = services
        .app
        .wakeups
        .waiter(&[Channel::DeployTasks], &services.app.shutdown);
    let mut transaction = services.pool().begin().await?;
    let mut state = match deploy_tasks::desire(&mut transaction, run_id, &desired).await {
        Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
            return Err(ApiError::not_found("there is no such run"));
        }
        other => other?,
    };
    transition::commit(transaction, "environment.desire").await?;
    services.app.wakeups.notify(Channel::DeployTasks);
    let deadline = Instant::now() + WAIT_LIMIT;
    while !state.is_terminal() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || waiter.wait(left).await == Woken::Shutdown {
            break;
        }
        state = read(&services, run_id).await?;
    }
    Ok(Json(state))
}

/// How far the task is.
pub(super) async fn show(
    State(services): State<Services>,
    caller: ServiceCaller,
    Path(run_id): Path<Uuid>,
) -> Result<Json<DeployTaskState>, ApiError> {
    caller.require(&[Service::Worker])?;
    read(&services, run_id).await.map(Json)
}

/// What a preparation would apply, as far as a reuse needs it.
#[derive(Debug, Serialize)]
pub(super) struct PlannedEnvironment {
    /// Whether services.yaml can be used; the repository may also rightly have none.
    services_config: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest_hash: Option<String>,
}

/// Renders what is wanted without applying it.
pub(super) async fn plan(
    State(services): State<Services>,
    caller: ServiceCaller,
    Path(_run_id): Path<Uuid>,
    JsonBody(desired): JsonBody<DesiredEnvironment>,
) -> Result<Json<PlannedEnvironment>, ApiError> {
    caller.require(&[Service::Worker])?;
    match deploy::plan(&services.app, &desired).await {
        Ok(plan) => Ok(Json(PlannedEnvironment {
            services_config: true,
            namespace: Some(plan.namespace),
            manifest_hash: Some(plan.manifest_hash),
        })),
        Err(fault) if fault.kind == FaultKind::InvalidSource => Ok(Json(PlannedEnvironment {
            services_config: false,
            namespace: None,
            manifest_hash: None,
        })),
        Err(fault) if fault.kind.is_retried() => Err(ApiError::unavailable(fault.message)),
        Err(fault) => Err(ApiError::failed_precondition(fault.message)),
    }
}

async fn read(services: &Services, run_id: Uuid) -> Result<DeployTaskState, ApiError> {
    deploy_tasks::state(services.pool(), run_id)
        .await?
        .ok_or_else(|| ApiError::not_found("there is no preparation task of this run"))
}
