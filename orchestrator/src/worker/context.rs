//! What every part of the worker shares.

use super::control_plane::ControlPlane;
use super::in_flight::InFlight;
use crate::app::SharedApp;
use crate::cluster::{Cluster, ClusterView, InstanceNames, NetworkPlan, RunAccounts, RunObjects};
use crate::store::runs::ClaimLimits;
use crate::wakeups::Channel;
use domain::policy::Policy;
use sqlx::{Postgres, Transaction};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

/// MCP port of the control plane; the internal HTTP port is the other one agents call.
const MCP_PORT: u16 = 8081;
const INTERNAL_PORT: u16 = 9090;
/// Opened to the API server when no range is configured: the policies still name its port only.
const ANY_ADDRESS: &str = "0.0.0.0/0";

/// Why the worker cannot run.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// No cluster is configured.
    #[error("failed to start the worker: no Kubernetes cluster is configured")]
    NoCluster,
    /// The database refused.
    #[error("failed to use the database")]
    Database(#[from] sqlx::Error),
    /// An effect cannot be stored.
    #[error("failed to plan an effect")]
    Effect(#[from] crate::store::effects::EffectInsertError),
    /// The configuration makes no policy.
    #[error(transparent)]
    Policy(#[from] crate::policy::PolicyError),
    /// The client for the control plane cannot be made.
    #[error("failed to make a client for the control plane")]
    Client(#[source] reqwest::Error),
    /// The configured limits do not fit their columns.
    #[error("failed to read the worker's limits: {0}")]
    Limits(&'static str),
    /// The cluster could not be asked.
    #[error("failed to use the cluster")]
    Cluster(#[from] crate::cluster::ApplyError),
}

/// Handles and settings of one worker.
pub struct WorkerContext {
    /// The process.
    pub app: SharedApp,
    /// Writes and live reads.
    pub cluster: Cluster,
    /// The watched part of the cluster.
    pub view: ClusterView,
    /// Internal HTTP.
    pub control_plane: ControlPlane,
    /// How the platform is configured.
    pub policy: Policy,
    /// Limits of a claim.
    pub limits: ClaimLimits,
    /// Wakes the loop of this worker.
    pub wake: Arc<Notify>,
    /// Wakes the loop for a pass over everything.
    pub periodic: Notify,
    /// Runs that a task of this worker is busy with.
    pub in_flight: InFlight,
    /// Those tasks.
    pub tasks: TaskTracker,
}

impl WorkerContext {
    /// Sets the parts up around a view that watches already.
    pub fn new(
        app: SharedApp,
        cluster: Cluster,
        view: ClusterView,
        wake: Arc<Notify>,
    ) -> Result<Self, WorkerError> {
        let worker = &app.config.worker;
        let limits = ClaimLimits {
            slots_per_project: i32::try_from(worker.slots_per_project).map_err(|_| {
                WorkerError::Limits("CODEXK8S_WORKER_SLOTS_PER_PROJECT is too large")
            })?,
            run_lease_ttl: worker.run_lease_ttl,
            slot_lease_ttl: worker.slot_lease_ttl,
            run_timeout: worker.run_timeout,
        };
        Ok(Self {
            control_plane: ControlPlane::new(&app)?,
            policy: crate::policy::from_config(&app.config)?,
            limits,
            cluster,
            view,
            wake,
            periodic: Notify::new(),
            in_flight: InFlight::default(),
            tasks: TaskTracker::new(),
            app,
        })
    }

    /// Id in every lease of this worker.
    pub fn worker_id(&self) -> &str {
        &self.app.config.worker.worker_id
    }

    /// Begins a transaction.
    pub async fn begin(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        self.app.pool.begin().await
    }

    /// Wakes the executor of this process at once; others hear NOTIFY.
    pub fn wake_effects(&self) {
        self.app.wakeups.notify(Channel::Effects);
    }

    /// Wakes the queue of this process at once, and its own loop.
    pub fn wake_queue(&self) {
        self.app.wakeups.notify(Channel::RunQueue);
        self.wake.notify_one();
    }
}

/// The cluster as the configuration describes it.
pub fn cluster(app: &SharedApp) -> Result<Cluster, WorkerError> {
    let client = app.kube.clone().ok_or(WorkerError::NoCluster)?;
    let worker = &app.config.worker;
    let cidr = worker
        .k8s_api_cidr
        .clone()
        .unwrap_or_else(|| ANY_ADDRESS.to_owned());
    let objects = RunObjects {
        accounts: RunAccounts::default(),
        quota_name: "codex-run-quota".to_owned(),
        quota_pods: worker.quota_pods,
        limit_range_name: "codex-run-limits".to_owned(),
        network: NetworkPlan {
            platform_namespace: worker.namespace.clone(),
            control_plane_ports: [MCP_PORT, INTERNAL_PORT],
            api_server: Some((cidr, worker.k8s_api_port)),
        },
        network_baseline: true,
    };
    Ok(Cluster::new(
        client,
        InstanceNames::new(app.config.instance.clone()),
        objects,
    ))
}
