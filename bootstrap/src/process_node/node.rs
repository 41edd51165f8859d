//! Starts the node, hands watched Pods to their workers, takes everything down.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::config::ProcessNodeConfig;
use super::environment::NodeFacts;
use super::error::ProcessNodeError;
use super::events::PodEvents;
use super::journal::{JOURNAL_FILE, Journal};
use super::log_server;
use super::logs::LogRegistry;
use super::pod_worker::{self, Desired, NodeContext};
use super::registration;

/// A running process node. Call [`shutdown`](Self::shutdown): dropping it ends the processes without grace.
pub struct ProcessNode {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    pods: JoinHandle<()>,
    heartbeat: JoinHandle<()>,
    server: JoinHandle<()>,
}

impl ProcessNode {
    /// Registers the Node and begins to serve the Pods bound to it.
    pub async fn start(config: ProcessNodeConfig) -> Result<Self, ProcessNodeError> {
        for folder in ["pods", "logs"] {
            let path = config.root_dir.join(folder);
            std::fs::create_dir_all(&path)
                .map_err(|source| ProcessNodeError::Folder { path, source })?;
        }
        let journal = Journal::create(&config.root_dir.join(JOURNAL_FILE))?;
        let started = Timestamp::now();
        let service_variables = service_variables(&config.kube);
        let client =
            kube::Client::try_from(config.kube).map_err(|source| ProcessNodeError::Api {
                action: "make a client",
                source,
            })?;
        let logs = Arc::new(LogRegistry::default());
        let (address, server) =
            log_server::start(config.listen, &config.serving, Arc::clone(&logs)).await?;
        if let Err(error) =
            registration::register(&client, &config.node_name, address, started).await
        {
            server.abort();
            return Err(error);
        }
        let heartbeat = tokio::spawn(registration::heartbeat(
            client.clone(),
            config.node_name.clone(),
            address,
            started,
        ));
        let context = Arc::new(NodeContext {
            events: PodEvents::new(client.clone(), &config.node_name),
            client,
            logs,
            journal,
            node: NodeFacts {
                node_name: config.node_name,
                node_ip: address.ip().to_string(),
            },
            root_dir: config.root_dir,
            path_prefix: config.path_prefix,
            run_marker: config.run_marker,
            service_variables,
        });
        let (stop, stopped) = oneshot::channel();
        let pods = tokio::spawn(serve_pods(context, stopped));
        Ok(Self {
            address,
            stop: Some(stop),
            pods,
            heartbeat,
            server,
        })
    }

    /// Address of the kubelet-style endpoint.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all processes of all Pods, then the node. Pod objects stay as they are.
    pub async fn shutdown(mut self) {
        self.heartbeat.abort();
        if let Some(stop) = self.stop.take() {
            // The other side is gone only if the task failed, which the join below shows.
            let _ = stop.send(());
        }
        if let Err(error) = (&mut self.pods).await {
            tracing::error!(%error, "the pods' task failed");
        }
        self.server.abort();
    }
}

impl Drop for ProcessNode {
    fn drop(&mut self) {
        self.heartbeat.abort();
        self.server.abort();
        self.pods.abort();
    }
}

/// How a Pod finds the API server, in the variables that in-cluster clients read.
fn service_variables(config: &kube::Config) -> BTreeMap<String, String> {
    /// Port of a URL that names none.
    const HTTPS_PORT: u16 = 443;
    let url = &config.cluster_url;
    let host = url
        .host()
        .unwrap_or_default()
        .trim_matches(['[', ']'])
        .to_owned();
    let port = url.port_u16().unwrap_or(HTTPS_PORT).to_string();
    BTreeMap::from([
        ("KUBERNETES_SERVICE_HOST".to_owned(), host),
        ("KUBERNETES_SERVICE_PORT".to_owned(), port.clone()),
        ("KUBERNETES_SERVICE_PORT_HTTPS".to_owned(), port),
    ])
}

#[derive(Default)]
struct Workers {
    desired: HashMap<String, watch::Sender<Desired>>,
    tasks: JoinSet<String>,
    // Uids seen since a relist began.
    listed: Option<HashSet<String>>,
}

impl Workers {
    fn present(&mut self, context: &Arc<NodeContext>, pod: Pod) {
        let Some(uid) = pod.metadata.uid.clone() else {
            return;
        };
        if let Some(listed) = &mut self.listed {
            listed.insert(uid.clone());
        }
        let pod = Arc::new(pod);
        if let Some(desired) = self.desired.get(&uid) {
            desired.send_replace(Desired::Present(pod));
            return;
        }
        let (sender, receiver) = watch::channel(Desired::Present(Arc::clone(&pod)));
        self.desired.insert(uid.clone(), sender);
        let context = Arc::clone(context);
        self.tasks.spawn(async move {
            pod_worker::run(context, pod, receiver).await;
            uid
        });
    }

    fn gone(&mut self, uid: &str) {
        if let Some(desired) = self.desired.get(uid) {
            desired.send_replace(Desired::Gone);
        }
    }

    fn apply(&mut self, context: &Arc<NodeContext>, event: Event<Pod>) {
        match event {
            Event::Init => self.listed = Some(HashSet::new()),
            Event::InitApply(pod) | Event::Apply(pod) => self.present(context, pod),
            Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                let vanished: Vec<String> = self
                    .desired
                    .keys()
                    .filter(|uid| !listed.contains(*uid))
                    .cloned()
                    .collect();
                for uid in vanished {
                    self.gone(&uid);
                }
            }
            Event::Delete(pod) => self.gone(pod.metadata.uid.as_deref().unwrap_or_default()),
        }
    }
}

async fn serve_pods(context: Arc<NodeContext>, mut stopped: oneshot::Receiver<()>) {
    let api = Api::<Pod>::all(context.client.clone());
    let selector = format!("spec.nodeName={}", context.node.node_name);
    let mut events =
        pin!(watcher(api, watcher::Config::default().fields(&selector)).default_backoff());
    let mut workers = Workers::default();
    loop {
        tokio::select! {
            event = events.try_next() => match event {
                Ok(Some(event)) => workers.apply(&context, event),
                Ok(None) => {}
                // The stream itself waits and watches again.
                Err(error) => tracing::debug!(%error, "the watch of pods was interrupted"),
            },
            Some(ended) = workers.tasks.join_next() => match ended {
                Ok(uid) => drop(workers.desired.remove(&uid)),
                Err(error) => tracing::error!(%error, "a pod's task failed"),
            },
            _ = &mut stopped => break,
        }
    }
    for desired in workers.desired.values() {
        desired.send_replace(Desired::Shutdown);
    }
    while workers.tasks.join_next().await.is_some() {}
}
