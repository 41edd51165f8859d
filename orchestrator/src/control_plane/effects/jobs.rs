//! Stops what a cancelled run has in the cluster: its Job, or its Pod (R-28, L-83).
use domain::ids::RunId;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, PropagationPolicy};

use super::{Attempt, EffectError};
use crate::cluster::keys;

/// Deletes every Job and free Pod that bears the run's id; none is fine.
pub(super) async fn stop(attempt: &Attempt<'_>, run_id: RunId) -> Result<(), EffectError> {
    let client = attempt.app.kube.clone().ok_or(EffectError::NoCluster)?;
    let selector = format!(
        "{}={},{}={run_id}",
        keys::INSTANCE,
        attempt.app.config.instance,
        keys::RUN_ID
    );
    let parameters = ListParams::default().labels(&selector);
    let deletion = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        ..DeleteParams::default()
    };
    let jobs: Api<Job> = Api::all(client.clone());
    for job in jobs.list(&parameters).await?.items {
        if let (Some(namespace), Some(name)) = (job.metadata.namespace, job.metadata.name) {
            absent_is_fine(
                Api::<Job>::namespaced(client.clone(), &namespace)
                    .delete(&name, &deletion)
                    .await,
            )?;
        }
    }
    let pods: Api<Pod> = Api::all(client.clone());
    for pod in pods.list(&parameters).await?.items {
        // Pods of a Job go with it.
        if pod
            .metadata
            .owner_references
            .as_ref()
            .is_some_and(|owners| !owners.is_empty())
        {
            continue;
        }
        if let (Some(namespace), Some(name)) = (pod.metadata.namespace, pod.metadata.name) {
            absent_is_fine(
                Api::<Pod>::namespaced(client.clone(), &namespace)
                    .delete(&name, &deletion)
                    .await,
            )?;
        }
    }
    Ok(())
}

fn absent_is_fine<T>(outcome: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match outcome {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}
