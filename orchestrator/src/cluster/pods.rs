//! Runs that are a Pod and no Job: discussions and repairs.

use super::apply::{ApplyError, Cluster, JobCreated, classify, describe};
use super::names::keys;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use uuid::Uuid;

impl Cluster {
    /// Creates the Pod of a run; one of the same run that is there already counts as made.
    pub async fn create_pod(&self, pod: &Pod) -> Result<JobCreated, ApplyError> {
        let name = pod.name_any();
        let namespace = pod.namespace().unwrap_or_default();
        let object = describe(pod);
        let api: Api<Pod> = Api::namespaced(self.client().clone(), &namespace);
        let (made, existed) = match api.create(&PostParams::default(), pod).await {
            Ok(made) => (made, false),
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                let found = api
                    .get(&name)
                    .await
                    .map_err(|error| classify(object.clone(), error))?;
                let owner = found.labels().get(keys::INSTANCE).cloned();
                if owner.as_deref() != Some(self.names().instance()) {
                    let owner = owner.unwrap_or_else(|| "nobody".to_owned());
                    return Err(ApplyError::ForeignInstance { namespace, owner });
                }
                (found, true)
            }
            Err(error) => return Err(classify(object, error)),
        };
        Ok(JobCreated {
            name,
            uid: made.uid().unwrap_or_default(),
            existed,
        })
    }

    /// The Pods of a run that belong to no Job, wherever they are.
    pub async fn find_bare_pods(&self, run_id: Uuid) -> Result<Vec<Pod>, ApplyError> {
        let selector = format!(
            "{}={},{}={run_id}",
            keys::INSTANCE,
            self.names().instance(),
            keys::RUN_ID
        );
        let api: Api<Pod> = Api::all(self.client().clone());
        let list = api.list(&ListParams::default().labels(&selector)).await;
        let mut pods = list
            .map_err(|error| classify(format!("pods of run {run_id}"), error))?
            .items;
        pods.retain(|pod| pod.owner_references().is_empty());
        Ok(pods)
    }

    /// Deletes a Pod. `false` when there was none.
    pub async fn delete_pod(&self, namespace: &str, name: &str) -> Result<bool, ApplyError> {
        let api: Api<Pod> = Api::namespaced(self.client().clone(), namespace);
        match api.delete(name, &DeleteParams::default()).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
            Err(error) => Err(classify(format!("pod {name}"), error)),
        }
    }
}
