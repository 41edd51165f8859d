//! Watches on the Jobs, Pods and namespaces of the own instance. They keep a local view, so that a tick need not ask
//! the server about every run, and wake the worker on each change. Correctness never depends on them: what the view
//! lacks is read live before anything is decided.

use super::names::{keys, managed_namespace_selector, run_selector};
use super::namespace::NamespaceView;
use super::observation::{RunObservation, observe};
use futures::StreamExt as _;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::runtime::reflector::{self, Lookup, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use uuid::Uuid;

/// The watched part of the cluster.
#[derive(Clone)]
pub struct ClusterView {
    jobs: Store<Job>,
    pods: Store<Pod>,
    namespaces: Store<Namespace>,
}

impl ClusterView {
    /// A view that watches nothing, for commands that read live and end.
    pub fn empty() -> Self {
        Self {
            jobs: reflector::store().0,
            pods: reflector::store().0,
            namespaces: reflector::store().0,
        }
    }

    /// What the view says about every run it knows. A run that is missing here is not proven absent.
    pub fn observations(&self) -> HashMap<Uuid, RunObservation> {
        let mut runs: HashMap<Uuid, (Option<Arc<Job>>, Vec<Arc<Pod>>)> = HashMap::new();
        for job in self.jobs.state() {
            if let Some(run_id) = run_id_of(job.as_ref()) {
                runs.entry(run_id).or_default().0 = Some(job);
            }
        }
        for pod in self.pods.state() {
            if let Some(run_id) = run_id_of(pod.as_ref()) {
                runs.entry(run_id).or_default().1.push(pod);
            }
        }
        runs.into_iter()
            .map(|(run_id, (job, pods))| {
                let pods: Vec<&Pod> = pods.iter().map(AsRef::as_ref).collect();
                (run_id, observe(job.as_deref(), &pods))
            })
            .collect()
    }

    /// The run namespaces of the instance.
    pub fn namespaces(&self) -> Vec<NamespaceView> {
        self.namespaces
            .state()
            .iter()
            .map(|namespace| NamespaceView::from_namespace(namespace))
            .collect()
    }

    /// One run namespace.
    pub fn namespace(&self, name: &str) -> Option<NamespaceView> {
        let found = self
            .namespaces
            .find(|namespace| namespace.name_any() == name)?;
        Some(NamespaceView::from_namespace(&found))
    }
}

fn run_id_of(object: &impl kube::ResourceExt) -> Option<Uuid> {
    object.labels().get(keys::RUN_ID)?.parse().ok()
}

/// Starts the watches in `tasks`; each change notifies `wake`.
pub fn start_watches(
    client: &Client,
    instance: &str,
    wake: &Arc<Notify>,
    tasks: &mut JoinSet<()>,
) -> ClusterView {
    let of_runs = run_selector(instance);
    ClusterView {
        jobs: watch(Api::all(client.clone()), &of_runs, wake, tasks),
        pods: watch(Api::all(client.clone()), &of_runs, wake, tasks),
        namespaces: watch(
            Api::all(client.clone()),
            &managed_namespace_selector(instance),
            wake,
            tasks,
        ),
    }
}

fn watch<K>(api: Api<K>, selector: &str, wake: &Arc<Notify>, tasks: &mut JoinSet<()>) -> Store<K>
where
    K: kube::Resource + Lookup + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    <K as kube::Resource>::DynamicType: Default,
    <K as Lookup>::DynamicType: Default + Eq + Hash + Clone + Send + Sync,
{
    let (reader, writer) = reflector::store();
    let events = watcher(api, watcher::Config::default().labels(selector)).default_backoff();
    let wake = Arc::clone(wake);
    tasks.spawn(async move {
        let mut events = std::pin::pin!(reflector::reflector(writer, events));
        while let Some(event) = events.next().await {
            match event {
                Ok(_) => wake.notify_one(),
                // The watcher repeats with backoff; readers fall back to live reads meanwhile.
                Err(error) => tracing::warn!(%error, "failed to watch the cluster"),
            }
        }
    });
    reader
}
