//! Writing into the cluster: create first, converge when it exists already.
//!
//! Creating first costs one request for a fresh object, and a fresh namespace has only fresh objects, which is what
//! keeps the way from a label to its Job short.

use super::job::job_name;
use super::names::{InstanceNames, keys, managed_namespace_selector, run_selector};
use super::namespace::{NamespaceView, build_code_only_namespace};
use super::network::{NetworkPlan, build_network_policies};
use super::quota::build_resource_quota;
use super::rbac::{
    AgentAccount, RunAccounts, build_role, build_role_binding, build_service_account,
};
use super::volume::{REPO_CACHE_CLAIM, build_repo_cache_claim};
use futures::future::{BoxFuture, FutureExt as _, try_join_all};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{LimitRange, Namespace, PersistentVolumeClaim, Pod, Secret};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, PropagationPolicy};
use kube::core::PartialObjectMeta;
use kube::{Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Debug;
use uuid::Uuid;

/// Field manager of everything the worker converges.
const FIELD_MANAGER: &str = "codex-k8s-worker";

/// Why something could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Another instance owns the namespace.
    #[error("namespace {namespace} belongs to instance {owner}")]
    ForeignInstance {
        /// The namespace.
        namespace: String,
        /// Value of its instance label, or a word for having none.
        owner: String,
    },
    /// The namespace is on its way out: repeat later.
    #[error("namespace {0} is terminating")]
    Terminating(String),
    /// A namespace that the platform does not make itself is not there.
    #[error("namespace {0} does not exist")]
    Missing(String),
    /// The API server refused the object for good.
    #[error("failed to write {object}: {message}")]
    Refused {
        /// Kind and name.
        object: String,
        /// The server's words.
        message: String,
        /// Cause.
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server could not be asked: repeat later.
    #[error("failed to reach the Kubernetes API for {object}")]
    Unavailable {
        /// Kind and name.
        object: String,
        /// Cause.
        #[source]
        source: Box<kube::Error>,
    },
}

impl ApplyError {
    /// Whether repeating may help.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Terminating(_) | Self::Unavailable { .. })
    }
}

/// Result of preparing a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnsuredNamespace {
    /// It existed before.
    pub existed: bool,
    /// The run that prepared it last, when it existed: another run than this one means reuse.
    pub previous_run: Option<Uuid>,
}

/// Result of creating a Job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobCreated {
    /// Name.
    pub name: String,
    /// Identity, for the owner reference of the credentials Secret.
    pub uid: String,
    /// It existed already.
    pub existed: bool,
}

/// What every run namespace gets besides its labels.
#[derive(Debug, Clone)]
pub struct RunObjects {
    /// Accounts of the agents.
    pub accounts: RunAccounts,
    /// Name of the quota.
    pub quota_name: String,
    /// Pods it allows.
    pub quota_pods: u32,
    /// Name of the LimitRange that must be absent.
    pub limit_range_name: String,
    /// What the policies open.
    pub network: NetworkPlan,
    /// `K_NETWORK_POLICY_BASELINE`.
    pub network_baseline: bool,
}

/// Access to the cluster for one instance of the platform.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    names: InstanceNames,
    objects: RunObjects,
}

impl Cluster {
    /// Access through `client` for one instance.
    pub fn new(client: Client, names: InstanceNames, objects: RunObjects) -> Self {
        Self {
            client,
            names,
            objects,
        }
    }

    /// Names of the instance.
    pub fn names(&self) -> &InstanceNames {
        &self.names
    }

    /// The client, for watches.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Account names, for the Job.
    pub fn accounts(&self) -> &RunAccounts {
        &self.objects.accounts
    }

    /// The shared namespace of `code-only` runs with its policies.
    pub async fn ensure_code_only_namespace(&self, name: &str) -> Result<(), ApplyError> {
        let namespace = build_code_only_namespace(name, &self.names);
        let ensured = self.ensure_namespace(&namespace).await?;
        self.ensure_code_only_policies(name, ensured.existed).await
    }

    /// The policies of a namespace whose agents have no business with the Kubernetes API.
    pub async fn ensure_code_only_policies(
        &self,
        name: &str,
        existed: bool,
    ) -> Result<(), ApplyError> {
        if !self.objects.network_baseline {
            return Ok(());
        }
        let plan = NetworkPlan {
            api_server: None,
            ..self.objects.network.clone()
        };
        let policies = build_network_policies(&plan, name, self.names.instance());
        try_join_all(
            policies
                .iter()
                .map(|policy| self.ensure(name, policy, existed)),
        )
        .await?;
        Ok(())
    }

    /// Creates the namespace, or takes over one of the own instance. Writes nothing into a terminating one.
    pub async fn ensure_namespace(
        &self,
        namespace: &Namespace,
    ) -> Result<EnsuredNamespace, ApplyError> {
        let name = namespace.name_any();
        let object = format!("namespace {name}");
        let api: Api<Namespace> = Api::all(self.client.clone());
        match api.create(&PostParams::default(), namespace).await {
            Ok(_) => {
                return Ok(EnsuredNamespace {
                    existed: false,
                    previous_run: None,
                });
            }
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return Err(classify(object, error)),
        }
        let Some(found) = api
            .get_opt(&name)
            .await
            .map_err(|error| classify(object.clone(), error))?
        else {
            return Err(ApplyError::Terminating(name));
        };
        self.own(&found)?;
        if found.metadata.deletion_timestamp.is_some() {
            return Err(ApplyError::Terminating(name));
        }
        let patch = json!({"metadata": {
            "labels": namespace.metadata.labels,
            "annotations": namespace.metadata.annotations,
        }});
        api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .map_err(|error| classify(object, error))?;
        Ok(EnsuredNamespace {
            existed: true,
            previous_run: NamespaceView::from_namespace(&found).run_id(),
        })
    }

    /// Refuses a namespace of another instance, or of nobody.
    fn own(&self, namespace: &Namespace) -> Result<(), ApplyError> {
        match namespace.labels().get(keys::INSTANCE) {
            Some(owner) if owner == self.names.instance() => Ok(()),
            other => Err(ApplyError::ForeignInstance {
                namespace: namespace.name_any(),
                owner: other.cloned().unwrap_or_else(|| "nobody".to_owned()),
            }),
        }
    }

    /// All objects of a `full-env` run namespace, at once. `existed` says whether anything may be there already.
    pub async fn ensure_run_objects(
        &self,
        namespace: &str,
        existed: bool,
    ) -> Result<(), ApplyError> {
        let instance = self.names.instance();
        let mut writes: Vec<BoxFuture<'_, Result<(), ApplyError>>> = Vec::new();
        for account in AgentAccount::ALL {
            let name = self.objects.accounts.name(account);
            let service_account = build_service_account(name, namespace, instance);
            let role = build_role(name, account, namespace, instance);
            let binding = build_role_binding(name, namespace, instance);
            writes.push(
                async move { self.ensure(namespace, &service_account, existed).await }.boxed(),
            );
            // The server looks the Role up before it accepts a binding to it.
            let grant = async move {
                self.ensure(namespace, &role, existed).await?;
                self.ensure(namespace, &binding, existed).await
            };
            writes.push(grant.boxed());
        }
        let quota = build_resource_quota(
            &self.objects.quota_name,
            namespace,
            instance,
            self.objects.quota_pods,
        );
        writes.push(async move { self.ensure(namespace, &quota, existed).await }.boxed());
        writes.push(self.ensure_repo_cache(namespace).boxed());
        if self.objects.network_baseline {
            for policy in build_network_policies(&self.objects.network, namespace, instance) {
                writes.push(async move { self.ensure(namespace, &policy, existed).await }.boxed());
            }
        }
        if existed {
            writes.push(self.remove_limit_range(namespace).boxed());
        }
        try_join_all(writes).await?;
        Ok(())
    }

    /// An agent's account in an environment's own namespace: read-only for `run:postdeploy` and `run:ops`, that of a
    /// repair for `run:ai-repair`.
    pub async fn ensure_live_account(
        &self,
        namespace: &str,
        account: AgentAccount,
    ) -> Result<(), ApplyError> {
        let Some(found) = self.get_namespace(namespace).await? else {
            return Err(ApplyError::Missing(namespace.to_owned()));
        };
        let instance = self.names.instance();
        if found
            .labels
            .get(keys::INSTANCE)
            .is_none_or(|owner| owner != instance)
        {
            let owner = found
                .labels
                .get(keys::INSTANCE)
                .cloned()
                .unwrap_or_else(|| "nobody".to_owned());
            return Err(ApplyError::ForeignInstance {
                namespace: namespace.to_owned(),
                owner,
            });
        }
        let name = self.objects.accounts.name(account);
        let service_account = build_service_account(name, namespace, instance);
        let role = build_role(name, account, namespace, instance);
        let binding = build_role_binding(name, namespace, instance);
        tokio::try_join!(self.ensure(namespace, &service_account, false), async {
            self.ensure(namespace, &role, false).await?;
            self.ensure(namespace, &binding, false).await
        })?;
        Ok(())
    }

    /// A claim is immutable once bound, so an existing one is left as it is.
    async fn ensure_repo_cache(&self, namespace: &str) -> Result<(), ApplyError> {
        let claim = build_repo_cache_claim(namespace, self.names.instance());
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        match api.create(&PostParams::default(), &claim).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            Err(error) => Err(classify(describe(&claim), error)),
        }
    }

    async fn remove_limit_range(&self, namespace: &str) -> Result<(), ApplyError> {
        let api: Api<LimitRange> = Api::namespaced(self.client.clone(), namespace);
        let name = &self.objects.limit_range_name;
        match api.delete(name, &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(classify(format!("limitrange {name}"), error)),
        }
    }

    async fn ensure<K>(
        &self,
        namespace: &str,
        wanted: &K,
        may_exist: bool,
    ) -> Result<(), ApplyError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        if !may_exist {
            match api.create(&PostParams::default(), wanted).await {
                Ok(_) => return Ok(()),
                Err(kube::Error::Api(status)) if status.is_already_exists() => {}
                Err(error) => return Err(classify(describe(wanted), error)),
            }
        }
        api.patch(
            &wanted.name_any(),
            &PatchParams::apply(FIELD_MANAGER).force(),
            &Patch::Apply(wanted),
        )
        .await
        .map(drop)
        .map_err(|error| classify(describe(wanted), error))
    }

    /// Creates a run's Job; one of the same run that is there already counts as made.
    pub async fn create_job(&self, job: &Job) -> Result<JobCreated, ApplyError> {
        let name = job.name_any();
        let namespace = job.namespace().unwrap_or_default();
        let object = describe(job);
        let api: Api<Job> = Api::namespaced(self.client.clone(), &namespace);
        match api.create(&PostParams::default(), job).await {
            Ok(made) => Ok(JobCreated {
                name,
                uid: made.uid().unwrap_or_default(),
                existed: false,
            }),
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                let found = api
                    .get(&name)
                    .await
                    .map_err(|error| classify(object.clone(), error))?;
                let owner = found.labels().get(keys::INSTANCE).cloned();
                if owner.as_deref() != Some(self.names.instance()) {
                    let owner = owner.unwrap_or_else(|| "nobody".to_owned());
                    return Err(ApplyError::ForeignInstance { namespace, owner });
                }
                Ok(JobCreated {
                    name,
                    uid: found.uid().unwrap_or_default(),
                    existed: true,
                })
            }
            Err(error) => Err(classify(object, error)),
        }
    }

    /// The Job of a run in a known namespace.
    pub async fn get_job(&self, namespace: &str, run_id: Uuid) -> Result<Option<Job>, ApplyError> {
        let name = job_name(run_id);
        let api: Api<Job> = Api::namespaced(self.client.clone(), namespace);
        let job = api
            .get_opt(&name)
            .await
            .map_err(|error| classify(format!("job {name}"), error))?;
        Ok(job.filter(|job| {
            job.labels()
                .get(keys::INSTANCE)
                .is_some_and(|owner| owner == self.names.instance())
        }))
    }

    /// Every Job of a run, wherever it is.
    pub async fn find_jobs(&self, run_id: Uuid) -> Result<Vec<Job>, ApplyError> {
        let selector = format!(
            "{}={},{}={run_id}",
            keys::INSTANCE,
            self.names.instance(),
            keys::RUN_ID
        );
        let api: Api<Job> = Api::all(self.client.clone());
        let list = api.list(&ListParams::default().labels(&selector)).await;
        Ok(list
            .map_err(|error| classify(format!("jobs of run {run_id}"), error))?
            .items)
    }

    /// Every Job of the instance that belongs to a run.
    pub async fn list_jobs(&self) -> Result<Vec<Job>, ApplyError> {
        let api: Api<Job> = Api::all(self.client.clone());
        let list = api
            .list(&ListParams::default().labels(&run_selector(self.names.instance())))
            .await;
        Ok(list
            .map_err(|error| classify("jobs".to_owned(), error))?
            .items)
    }

    /// Every Pod of the instance that belongs to a run.
    pub async fn list_run_pods(&self) -> Result<Vec<Pod>, ApplyError> {
        let api: Api<Pod> = Api::all(self.client.clone());
        let list = api
            .list(&ListParams::default().labels(&run_selector(self.names.instance())))
            .await;
        Ok(list
            .map_err(|error| classify("pods".to_owned(), error))?
            .items)
    }

    /// Names and labels of the runs' Secrets, never their values; none when the identity may not list Secrets (G-113).
    pub async fn list_run_secret_metadata(
        &self,
    ) -> Result<Option<Vec<PartialObjectMeta<Secret>>>, ApplyError> {
        let api: Api<Secret> = Api::all(self.client.clone());
        match api
            .list_metadata(&ListParams::default().labels(&run_selector(self.names.instance())))
            .await
        {
            Ok(list) => Ok(Some(list.items)),
            Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(None),
            Err(error) => Err(classify("secrets".to_owned(), error)),
        }
    }

    /// The Pods of one run.
    pub async fn pods_of_run(&self, namespace: &str, run_id: Uuid) -> Result<Vec<Pod>, ApplyError> {
        let selector = format!(
            "{}={},{}={run_id}",
            keys::INSTANCE,
            self.names.instance(),
            keys::RUN_ID
        );
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let list = api.list(&ListParams::default().labels(&selector)).await;
        Ok(list
            .map_err(|error| classify(format!("pods of run {run_id}"), error))?
            .items)
    }

    /// Everything in a namespace that R-59 counts as work: Jobs that have not ended, and Pods without or outside of
    /// the deployed stack that have not ended.
    pub async fn jobs_in(&self, namespace: &str) -> Result<(Vec<Job>, Vec<Pod>), ApplyError> {
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), namespace);
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let everything = ListParams::default();
        let (jobs, pods) = tokio::try_join!(jobs.list(&everything), pods.list(&everything))
            .map_err(|error| classify(format!("workloads of {namespace}"), error))?;
        Ok((jobs.items, pods.items))
    }

    /// Deletes a Job and its Pods. `false` when there was none.
    pub async fn delete_job(&self, namespace: &str, name: &str) -> Result<bool, ApplyError> {
        let api: Api<Job> = Api::namespaced(self.client.clone(), namespace);
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        match api.delete(name, &params).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
            Err(error) => Err(classify(format!("job {name}"), error)),
        }
    }

    /// Live read of a namespace.
    pub async fn get_namespace(&self, name: &str) -> Result<Option<NamespaceView>, ApplyError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let found = api
            .get_opt(name)
            .await
            .map_err(|error| classify(format!("namespace {name}"), error))?;
        Ok(found.as_ref().map(NamespaceView::from_namespace))
    }

    /// All run namespaces of the instance, by a live list.
    pub async fn list_managed_namespaces(&self) -> Result<Vec<NamespaceView>, ApplyError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let params =
            ListParams::default().labels(&managed_namespace_selector(self.names.instance()));
        let list = api
            .list(&params)
            .await
            .map_err(|error| classify("namespaces".to_owned(), error))?;
        Ok(list
            .items
            .iter()
            .map(NamespaceView::from_namespace)
            .collect())
    }

    /// Sets or, with `null`, removes annotations of an own namespace.
    pub async fn annotate_namespace(
        &self,
        name: &str,
        annotations: serde_json::Value,
    ) -> Result<(), ApplyError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let patch = json!({"metadata": {"annotations": annotations}});
        api.patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .map(drop)
            .map_err(|error| classify(format!("namespace {name}"), error))
    }

    /// Deletes an own namespace after looking at its label once more. `false` when it is gone already.
    pub async fn delete_namespace(&self, name: &str) -> Result<bool, ApplyError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let object = format!("namespace {name}");
        let Some(found) = api
            .get_opt(name)
            .await
            .map_err(|error| classify(object.clone(), error))?
        else {
            return Ok(false);
        };
        self.own(&found)?;
        if found.metadata.deletion_timestamp.is_some() {
            return Ok(false);
        }
        match api.delete(name, &DeleteParams::default()).await {
            Ok(_) => {
                self.release_claim(name).await;
                Ok(true)
            }
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
            Err(error) => Err(classify(object, error)),
        }
    }

    /// Asks for the source tree's claim on its own: a claim is protected for a moment after its Pods are gone, and a
    /// namespace that still finds one when its grace period ends looks again only after another of the same length.
    async fn release_claim(&self, namespace: &str) {
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        match api.delete(REPO_CACHE_CLAIM, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                namespace,
                "failed to delete the claim of a namespace that is going; it goes with the namespace"
            ),
        }
    }

    /// Whether a Pod of this name lives in a namespace.
    pub async fn pod_is_live(&self, namespace: &str, name: &str) -> Result<bool, ApplyError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let found = api
            .get_opt(name)
            .await
            .map_err(|error| classify(format!("pod {name}"), error))?;
        Ok(found.is_some_and(|pod| {
            let phase = pod
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref());
            pod.metadata.deletion_timestamp.is_none()
                && !matches!(phase, Some("Failed" | "Succeeded"))
        }))
    }

    /// Whether the API server answers; used by readiness. Also opens the first connection.
    pub async fn ping(&self) -> Result<(), ApplyError> {
        let answer = self.client.apiserver_version().await;
        answer
            .map(drop)
            .map_err(|error| classify("version".to_owned(), error))
    }
}

pub(super) fn describe<K: Resource<DynamicType = ()>>(object: &K) -> String {
    format!("{} {}", K::kind(&()).to_lowercase(), object.name_any())
}

/// Statuses that say "not now" rather than "no".
const TRANSIENT_CODES: [u16; 5] = [408, 429, 500, 503, 504];

/// Sorts an error into what repeats and what ends the launch (R-26's list, R-172).
pub(super) fn classify(object: String, error: kube::Error) -> ApplyError {
    let kube::Error::Api(status) = &error else {
        return ApplyError::Unavailable {
            object,
            source: Box::new(error),
        };
    };
    let message = status.message.clone();
    let terminating = message.contains("being terminated")
        || status
            .details
            .iter()
            .flat_map(|details| &details.causes)
            .any(|cause| cause.reason == "NamespaceTerminating");
    if terminating {
        return ApplyError::Terminating(object);
    }
    if TRANSIENT_CODES.contains(&status.code) || (status.code == 409 && !status.is_already_exists())
    {
        return ApplyError::Unavailable {
            object,
            source: Box::new(error),
        };
    }
    ApplyError::Refused {
        object,
        message,
        source: Box::new(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api_error(code: u16, reason: &str, message: &str) -> kube::Error {
        kube::Error::Api(
            kube::core::Status::failure(message, reason)
                .with_code(code)
                .boxed(),
        )
    }

    #[test]
    fn passing_faults_repeat_and_refusals_do_not() {
        let repeats = |error| classify("x".to_owned(), error).is_retryable();
        assert!(repeats(api_error(503, "ServiceUnavailable", "later")));
        assert!(repeats(api_error(
            409,
            "Conflict",
            "the object has been modified"
        )));
        let leaving = "unable to create new content in namespace n because it is being terminated";
        assert!(repeats(api_error(403, "Forbidden", leaving)));
        assert!(!repeats(api_error(
            403,
            "Forbidden",
            "user cannot create namespaces"
        )));
        assert!(!repeats(api_error(
            422,
            "Invalid",
            "metadata.name: too long"
        )));
    }
}
