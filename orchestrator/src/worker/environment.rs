//! Preparation of a run's environment by the control plane: one task per run, polled until it ends.

use super::context::WorkerContext;
use super::control_plane::{CallError, EnvironmentRequest, EnvironmentState};
use super::launch::LaunchError;
use super::namespace::{services_yaml_path, text};
use crate::store::runs::WorkerRun;
use crate::wakeups::{Channel, Woken};
use domain::runs::FinishReason;

/// The commit that was checked out.
pub type PreparedRef = Option<String>;

/// Asks for the environment and waits for its end.
pub async fn prepare(
    ctx: &WorkerContext,
    run: &WorkerRun,
    namespace: &str,
) -> Result<PreparedRef, LaunchError> {
    let request = EnvironmentRequest {
        runtime_mode: run.runtime_mode.clone().unwrap_or_default(),
        target_env: run.target_env.clone().unwrap_or_default(),
        namespace: namespace.to_owned(),
        build_ref: text(&run.run_payload, "/runtime/build_ref").unwrap_or_default(),
        repository_full_name: run.repository_full_name.clone(),
        services_yaml_path: services_yaml_path(run),
        slot_no: run.slot_no.unwrap_or_default(),
        deploy_only: run.deploy_only,
    };
    // Subscribed before the call, so that an end between call and wait is not missed.
    let mut waiter = ctx
        .app
        .wakeups
        .waiter(&[Channel::DeployTasks], &ctx.app.shutdown);
    let mut state = ctx
        .control_plane
        .prepare(run.id, &request)
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
    }
}

fn ended(state: &EnvironmentState) -> Option<Result<PreparedRef, LaunchError>> {
    match state.status.as_str() {
        "succeeded" => Some(Ok(state.build_ref_sha.clone())),
        "canceled" => Some(Err(LaunchError::Ended {
            reason: FinishReason::RuntimeDeployCanceled,
            error: state
                .last_error
                .clone()
                .unwrap_or_else(|| "the preparation was canceled".to_owned()),
        })),
        "failed" => Some(Err(LaunchError::Ended {
            reason: FinishReason::RuntimeDeployFailed,
            error: state
                .last_error
                .clone()
                .unwrap_or_else(|| "the preparation failed".to_owned()),
        })),
        _ => None,
    }
}

fn failed(error: CallError) -> LaunchError {
    LaunchError::from_call(error, FinishReason::RuntimeDeployFailed)
}
