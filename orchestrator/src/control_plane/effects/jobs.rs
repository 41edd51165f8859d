//! Stops what a cancelled run has in the cluster: its Job, or its Pod (R-28, L-83).
use domain::ids::RunId;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Api, DeleteParams, ListParams, PropagationPolicy};
use kube::runtime::wait::{await_condition, conditions::is_deleted};
use std::time::Duration;

use super::{Attempt, EffectError};
use crate::cluster::keys;

/// Below the 50 s of an attempt at an effect; a session needs milliseconds to say that it ends.
const END_OF_PODS_LIMIT: Duration = Duration::from_secs(30);

/// Deletes every Job and free Pod that bears the run's id, and the credentials that were made for it: a run that is
/// cancelled before its Job exists has nothing that would take them along. None is fine.
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
    let secrets: Api<Secret> = Api::all(client.clone());
    for secret in secrets.list_metadata(&parameters).await?.items {
        if let (Some(namespace), Some(name)) = (secret.metadata.namespace, secret.metadata.name) {
            absent_is_fine(
                Api::<Secret>::namespaced(client.clone(), &namespace)
                    .delete(&name, &DeleteParams::default())
                    .await,
            )?;
        }
    }
    Ok(())
}

/// Waits until the run's Pods have ended, as long as an attempt at an effect may take. One that does not end by then is
/// killed by the cluster at the end of its grace.
pub(super) async fn await_end_of_pods(
    attempt: &Attempt<'_>,
    run_id: RunId,
) -> Result<(), EffectError> {
    let client = attempt.app.kube.clone().ok_or(EffectError::NoCluster)?;
    let selector = format!(
        "{}={},{}={run_id}",
        keys::INSTANCE,
        attempt.app.config.instance,
        keys::RUN_ID
    );
    let everywhere: Api<Pod> = Api::all(client.clone());
    let pods = everywhere
        .list(&ListParams::default().labels(&selector))
        .await?
        .items;
    for pod in pods {
        let (Some(namespace), Some(name), Some(uid)) =
            (pod.metadata.namespace, pod.metadata.name, pod.metadata.uid)
        else {
            continue;
        };
        let api: Api<Pod> = Api::namespaced(client.clone(), &namespace);
        let gone = await_condition(api, &name, is_deleted(&uid));
        if tokio::time::timeout(END_OF_PODS_LIMIT, gone).await.is_err() {
            tracing::warn!(run.id = %run_id, pod = name, "a stopped Pod takes long to end");
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
