//! Making a lane and taking it away.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::cluster::{self, CONTROL_PLANE, WORKER};
use super::environment::{Listeners, Setting};
use super::process::LaneProcess;
use super::spec::{LaneSecrets, LaneSpec, ProcessKind};
use super::template;
use crate::cache::{create_folder, write_private};
use crate::embedded::EmbeddedTarget;
use crate::embedded::kubeconfig;
use crate::error::{Error, Result};
use crate::postgres::Database;
use crate::process::Launch;
use crate::proxy::{FaultProxy, Upstream};

/// Longer than the orchestrator's own limit for its shutdown.
const TERMINATION_GRACE: Duration = Duration::from_secs(10);
/// The organisation in the certificates of the platform's processes.
const ORGANISATION: &str = "codex-k8s";

/// An orchestrator of its own on the shared target.
pub struct Lane {
    pub instance: String,
    /// What GitHub and people reach.
    pub public_url: String,
    /// Internal HTTP of the control-plane.
    pub internal_url: String,
    pub platform_namespace: String,
    pub code_runs_namespace: String,
    pub database: Database,
    /// What the processes connect to: leads through the fault proxy.
    pub database_url: String,
    pub secrets: LaneSecrets,
    pub processes: Vec<LaneProcess>,
    /// Between the processes and the database.
    pub postgres_proxy: FaultProxy,
    /// Between the processes and the API server.
    pub kube_proxy: FaultProxy,
    /// In front of the gateways.
    pub public_proxy: FaultProxy,
    /// In front of the control-planes.
    pub internal_proxy: FaultProxy,
    /// How long it took until all processes were ready.
    pub took: Duration,
    /// `/mcp` of each control-plane, without the proxy in front of them.
    pub mcp_replica_urls: Vec<String>,
    /// `/mcp` as agents reach it.
    pub mcp_url: String,
    _mcp_proxy: FaultProxy,
}

impl EmbeddedTarget {
    /// Starts a lane and waits until each of its processes is ready.
    pub async fn lane(&self, spec: LaneSpec) -> Result<Lane> {
        let lane = self.prepare_lane(spec).await?;
        lane.start_all().await?;
        Ok(lane)
    }

    /// Makes everything of a lane but starts no process.
    pub async fn prepare_lane(&self, spec: LaneSpec) -> Result<Lane> {
        let started = Instant::now();
        let addresses = self
            .network
            .lane(self.next_lane())
            .ok_or(Error::TooManyLanes)?;
        let secrets = LaneSecrets::generate(&spec);
        let logs = self.logs_dir.join("lanes").join(&spec.instance);
        let keys = self.run_dir.join("lanes").join(&spec.instance);
        create_folder(&logs)?;
        create_folder(&keys)?;

        let database = async {
            let template = template::migrated(self, &spec.orchestrator).await?;
            self.postgres
                .create_database(&format!("lane_{}", spec.instance), Some(template))
                .await
        };
        let (database, namespaces) =
            tokio::try_join!(database, cluster::prepare(&self.kube, &spec))?;
        let postgres_proxy = proxy(addresses.postgres(), vec![self.postgres.upstream()]).await?;
        let kube_proxy = proxy(
            addresses.api_server(),
            vec![Upstream::Tcp(self.network.api_server())],
        )
        .await?;
        let database_url = database.url(postgres_proxy.address());

        let mut kubeconfigs = Vec::new();
        for name in [CONTROL_PLANE, WORKER] {
            let user = spec.suffixed(name);
            let identity = self.authority().client(&user, ORGANISATION)?;
            let config = kubeconfig(
                kube_proxy.address(),
                &self.authority().certificate(),
                &identity,
                &user,
            );
            let path = keys.join(format!("{name}.kubeconfig"));
            write_private(&path, serde_json::to_vec_pretty(&config)?)?;
            kubeconfigs.push(path);
        }
        let (project_user, project_password) = self.postgres.project_admin();
        let setting = Setting {
            spec: &spec,
            secrets: &secrets,
            addresses,
            database_url: &database_url,
            project_databases: (postgres_proxy.address(), project_user, project_password),
            kubeconfig_control_plane: &kubeconfigs[0],
            kubeconfig_worker: &kubeconfigs[1],
        };
        let http = reqwest::Client::new();
        let mut processes = Vec::new();
        let (mut public, mut internal, mut mcp) = (Vec::new(), Vec::new(), Vec::new());
        let mut mcp_replica_urls = Vec::new();
        for (kind, count) in spec.kinds() {
            for replica in 0..count {
                let name = format!("{}-{replica}", kind.name());
                let number = u16::try_from(processes.len()).map_err(|_| Error::TooManyLanes)?;
                let listeners = Listeners::of(addresses, number);
                let mut launch = Launch::new(
                    &name,
                    &spec.orchestrator,
                    &self.run_id,
                    &logs.join(format!("{name}.log")),
                )
                .args([kind.name()]);
                launch.env = setting.of(kind, &name, listeners);
                if matches!(kind, ProcessKind::Gateway | ProcessKind::All) {
                    public.push(Upstream::Tcp(listeners.http));
                }
                if matches!(kind, ProcessKind::ControlPlane | ProcessKind::All) {
                    internal.push(Upstream::Tcp(listeners.internal));
                    mcp.push(Upstream::Tcp(listeners.mcp));
                    mcp_replica_urls.push(format!("http://{}/mcp", listeners.mcp));
                }
                processes.push(LaneProcess::new(
                    kind,
                    launch,
                    listeners.readiness(kind),
                    http.clone(),
                ));
            }
        }
        Ok(Lane {
            public_url: format!("http://{}", addresses.public()),
            internal_url: format!("http://{}", addresses.internal()),
            mcp_url: format!("http://{}/mcp", addresses.mcp()),
            mcp_replica_urls,
            public_proxy: proxy(addresses.public(), public).await?,
            internal_proxy: proxy(addresses.internal(), internal).await?,
            _mcp_proxy: proxy(addresses.mcp(), mcp).await?,
            instance: spec.instance,
            platform_namespace: namespaces.platform,
            code_runs_namespace: namespaces.code_runs,
            database,
            database_url,
            secrets,
            processes,
            postgres_proxy,
            kube_proxy,
            took: started.elapsed(),
        })
    }
}

impl Lane {
    /// Starts every process that does not run and waits until all are ready.
    pub async fn start_all(&self) -> Result<()> {
        for process in &self.processes {
            process.start()?;
        }
        futures::future::try_join_all(self.processes.iter().map(LaneProcess::ready)).await?;
        Ok(())
    }

    /// The process with this name, such as `worker-0`.
    pub fn process(&self, name: &str) -> Result<&LaneProcess> {
        self.processes
            .iter()
            .find(|process| process.name == name)
            .ok_or_else(|| Error::UnknownProcess(format!("{name} of lane {}", self.instance)))
    }

    /// Processes of one kind.
    pub fn of_kind(&self, kind: ProcessKind) -> impl Iterator<Item = &LaneProcess> {
        self.processes
            .iter()
            .filter(move |process| process.kind == kind)
    }

    /// Errors of processes that ended though nobody ended them.
    #[must_use]
    pub fn unexpected_exits(&self) -> Vec<crate::process::ProcessError> {
        self.processes
            .iter()
            .filter_map(LaneProcess::unexpected_exit)
            .collect()
    }

    /// Ends all processes as Kubernetes would; names those that had to be killed.
    pub async fn close(&self) -> Vec<String> {
        let ended = futures::future::join_all(self.processes.iter().map(async |process| {
            (
                process.name.clone(),
                process.terminate(TERMINATION_GRACE).await,
            )
        }))
        .await;
        ended
            .into_iter()
            .filter(|(_, went)| !went)
            .map(|(name, _)| name)
            .collect()
    }
}

async fn proxy(address: SocketAddr, upstreams: Vec<Upstream>) -> Result<FaultProxy> {
    FaultProxy::start(address, upstreams)
        .await
        .map_err(|source| Error::Proxy { address, source })
}
