//! Preparation of a run's environment by the control plane: one task per run, polled until it ends.

use super::context::WorkerContext;
use super::control_plane::{CallError, EnvironmentRequest, EnvironmentState};
use super::launch::LaunchError;
use super::namespace::{services_yaml_path, text};
use crate::store::runs::{self, WorkerRun};
use crate::wakeups::{Channel, Woken};
use domain::runs::FinishReason;

/// The commit that was checked out.
pub type PreparedRef = Option<String>;

/// What the environment stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The commit that was checked out.
    pub commit: PreparedRef,
    /// Hash of the manifests that were applied.
    pub manifest_hash: String,
}

/// What a run needs in a namespace.
pub fn request(run: &WorkerRun, namespace: &str) -> EnvironmentRequest {
    EnvironmentRequest {
        runtime_mode: run.runtime_mode.clone().unwrap_or_default(),
        target_env: run.target_env.clone().unwrap_or_default(),
        namespace: namespace.to_owned(),
        build_ref: text(&run.run_payload, "/runtime/build_ref").unwrap_or_default(),
        repository_full_name: run.repository_full_name.clone(),
        services_yaml_path: services_yaml_path(run),
        slot_no: run.slot_no.unwrap_or_default(),
        deploy_only: run.deploy_only,
    }
}

/// Asks for the environment and waits for its end, at most for the time that a preparation may take in total.
pub async fn prepare(
    ctx: &WorkerContext,
    run: &WorkerRun,
    namespace: &str,
) -> Result<Prepared, LaunchError> {
    // Subscribed before the call, so that an end between call and wait is not missed.
    let mut waiter = ctx
        .app
        .wakeups
        .waiter(&[Channel::DeployTasks, Channel::Clock], &ctx.app.shutdown);
    let mut state = ctx
        .control_plane
        .prepare(run.id, &request(run, namespace))
        .await
        .map_err(failed)?;
    loop {
        if let Some(end) = ended(&state) {
            return end;
        }
        if waiter
            .wait(ctx.app.config.worker.runtime_prepare_retry_interval)
            .await
            == Woken::Shutdown
        {
            return Err(LaunchError::Interrupted);
        }
        state = ctx
            .control_plane
            .environment(run.id)
            .await
            .map_err(failed)?;
        if ended(&state).is_none() {
            in_time(ctx, run).await?;
        }
    }
}

/// The whole preparation counts, attempts of earlier workers included.
async fn in_time(ctx: &WorkerContext, run: &WorkerRun) -> Result<(), LaunchError> {
    let mut conn = ctx.app.pool.acquire().await?;
    let current = runs::get_owned(&mut conn, run.id, ctx.worker_id())
        .await?
        .ok_or(LaunchError::LeaseLost)?;
    let limit = ctx.app.config.worker.runtime_prepare_retry_timeout;
    let age = u64::try_from(current.age_seconds).unwrap_or_default();
    if age < limit.as_secs() {
        return Ok(());
    }
    Err(LaunchError::Ended {
        reason: FinishReason::RuntimeDeployFailed,
        error: format!(
            "the environment was not ready after {} minutes",
            limit.as_secs() / 60
        ),
    })
}

fn ended(state: &EnvironmentState) -> Option<Result<Prepared, LaunchError>> {
    let over = |reason, otherwise: &str| {
        let error = state
            .last_error
            .clone()
            .unwrap_or_else(|| otherwise.to_owned());
        Some(Err(LaunchError::Ended { reason, error }))
    };
    match state.status.as_str() {
        "succeeded" => Some(Ok(Prepared {
            commit: state.build_ref_sha.clone(),
            manifest_hash: state.manifest_hash.clone().unwrap_or_default(),
        })),
        "canceled" => over(
            FinishReason::RuntimeDeployCanceled,
            "the preparation was canceled",
        ),
        "failed" => over(FinishReason::RuntimeDeployFailed, "the preparation failed"),
        _ => None,
    }
}

fn failed(error: CallError) -> LaunchError {
    LaunchError::from_call(error, FinishReason::RuntimeDeployFailed)
}
