//! Starting the Kubernetes control plane: four processes, each begun as soon as what it needs can
//! answer, each waited for on its own readiness.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};

use super::addresses::Network;
use super::certificates::{self, Authority, Identity};
use super::configuration::{self, SERVER_NAME, kubeconfig};
use crate::assets::KubernetesAssets;
use crate::cache::{create_folder, write_private};
use crate::error::{Error, Result};
use crate::process::{Launch, Supervised};

/// Addresses of Services: numbers only, nothing routes to them here.
const SERVICE_NETWORK: &str = "10.96.0.0/16";
/// The address the API server gives its own Service: the first of the network.
const SERVICE_ADDRESS: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 96, 0, 1);
/// Issuer of service account tokens.
const TOKEN_ISSUER: &str = "https://kubernetes.default.svc";
/// Requests a second of the controllers, and how many at once: their defaults of 20 to 30 make Pods late.
const CONTROLLER_RATE: (u32, u32) = (1_000, 2_000);
/// Longest wait for a component; usual is 4 s for all on two cores.
const READY_DEADLINE: Duration = Duration::from_secs(90);
/// Between two looks whether a component is ready.
const LOOK_AGAIN: Duration = Duration::from_millis(25);
/// Go collects garbage when the heap has grown by so much: the heaps are small here and the cores few.
const GARBAGE_COLLECTION_PERCENT: &str = "400";
/// Size at which the audit log would be rotated, in megabytes: never within a run.
const AUDIT_LOG_MEGABYTES: u32 = 100_000;
/// The group that Kubernetes lets do everything.
const ADMINISTRATORS: &str = "system:masters";

/// Keys and kubeconfigs of one cluster.
pub(super) struct ClusterFiles {
    folder: PathBuf,
    pub(super) authority: Authority,
    pub(super) admin: PathBuf,
    admin_identity: Identity,
    pub(super) node_serving: Identity,
}

impl ClusterFiles {
    pub(super) fn write(folder: &Path, network: &Network) -> Result<Self> {
        create_folder(folder)?;
        let authority = Authority::new("gonogo")?;
        let files = Self {
            admin: folder.join("admin.kubeconfig"),
            admin_identity: authority.client("gonogo-admin", ADMINISTRATORS)?,
            node_serving: authority.server(
                "system:node:gonogo",
                &[network.node().ip()],
                &["localhost"],
            )?,
            authority,
            folder: folder.to_owned(),
        };
        write_private(&files.path("ca.crt"), files.authority.certificate())?;
        files
            .authority
            .server(
                "kube-apiserver",
                &[network.api_server().ip(), SERVICE_ADDRESS.into()],
                &[
                    "kubernetes",
                    "kubernetes.default",
                    SERVER_NAME,
                    "kubernetes.default.svc.cluster.local",
                    "localhost",
                ],
            )?
            .write(folder, "apiserver")?;
        files
            .authority
            .client("kube-apiserver-kubelet-client", ADMINISTRATORS)?
            .write(folder, "kubelet-client")?;
        let (private, public) = certificates::token_key_pair()?;
        write_private(&files.path("tokens.key"), private)?;
        write_private(&files.path("tokens.pub"), public)?;
        // An authority of its own: etcd asks no more than a valid certificate.
        let etcd = Authority::new("gonogo-etcd")?;
        write_private(&files.path("etcd-ca.crt"), etcd.certificate())?;
        etcd.server("etcd", &[network.etcd_client().ip()], &["localhost"])?
            .write(folder, "etcd")?;
        etcd.client("kube-apiserver", "etcd-clients")?
            .write(folder, "etcd-client")?;
        write_private(
            &files.path("audit-policy.json"),
            serde_json::to_vec_pretty(&configuration::audit_policy())?,
        )?;
        let server = network.api_server();
        files.write_kubeconfig(
            &files.admin.clone(),
            server,
            &files.admin_identity,
            "gonogo-admin",
        )?;
        for user in ["system:kube-controller-manager", "system:kube-scheduler"] {
            let identity = files.authority.client(user, user)?;
            let name = user.trim_start_matches("system:");
            files.write_kubeconfig(
                &files.path(&format!("{name}.kubeconfig")),
                server,
                &identity,
                user,
            )?;
        }
        Ok(files)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write_kubeconfig(
        &self,
        path: &Path,
        server: SocketAddr,
        identity: &Identity,
        user: &str,
    ) -> Result<()> {
        let config = kubeconfig(server, &self.authority.certificate(), identity, user);
        write_private(path, serde_json::to_vec_pretty(&config)?)
    }

    /// Client settings of the administrator, straight to the API server.
    pub(super) async fn admin_config(&self, network: &Network) -> Result<kube::Config> {
        client_config(
            network.api_server(),
            &self.authority,
            &self.admin_identity,
            "gonogo-admin",
        )
        .await
    }

    /// Client settings of the node.
    pub(super) async fn node_config(&self, network: &Network, node: &str) -> Result<kube::Config> {
        self.client_config(network, &format!("system:node:{node}"), "system:nodes")
            .await
    }

    /// Client settings of any user, straight to the API server.
    pub(super) async fn client_config(
        &self,
        network: &Network,
        user: &str,
        group: &str,
    ) -> Result<kube::Config> {
        let identity = self.authority.client(user, group)?;
        client_config(network.api_server(), &self.authority, &identity, user).await
    }
}

async fn client_config(
    server: SocketAddr,
    authority: &Authority,
    identity: &Identity,
    user: &str,
) -> Result<kube::Config> {
    let config: Kubeconfig =
        serde_json::from_value(kubeconfig(server, &authority.certificate(), identity, user))?;
    Ok(kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?)
}

/// The processes of the control plane.
pub(super) struct ControlPlane {
    pub(super) etcd: Supervised,
    pub(super) api_server: Supervised,
    pub(super) controller_manager: Supervised,
    pub(super) scheduler: Supervised,
    /// How long each took to be ready, from the start of the first.
    pub(super) ready: Vec<(&'static str, Duration)>,
}

/// What starting needs to know.
pub(super) struct Start<'a> {
    pub(super) assets: &'a KubernetesAssets,
    pub(super) files: &'a ClusterFiles,
    pub(super) network: &'a Network,
    pub(super) run_id: &'a str,
    pub(super) data: &'a Path,
    pub(super) logs: &'a Path,
    pub(super) audit_log: &'a Path,
}

impl Start<'_> {
    /// Starts all and waits until they are ready.
    pub(super) async fn run(&self) -> Result<ControlPlane> {
        let started = Instant::now();
        let etcd = self.etcd()?;
        let api_server = self.api_server()?;
        let kube = kube::Client::try_from(self.files.admin_config(self.network).await?)
            .map_err(Error::kubernetes("set up the administrator's client"))?;
        let mut ready = Vec::new();
        etcd.while_running(api_server.while_running(api_server_ready(&kube)))
            .await???;
        ready.push(("kube-apiserver", started.elapsed()));
        let controller_manager = self.controller_manager()?;
        let scheduler = self.scheduler()?;
        let http = reqwest::Client::builder()
            .tls_danger_accept_invalid_certs(true) // it makes itself a certificate; only its health is read
            .build()
            .expect("a client with these settings can be built");
        let (first, second) = tokio::join!(
            component_ready(
                &http,
                &controller_manager,
                self.network.controller_manager()
            ),
            component_ready(&http, &scheduler, self.network.scheduler()),
        );
        first?;
        second?;
        ready.push((
            "kube-controller-manager and kube-scheduler",
            started.elapsed(),
        ));
        Ok(ControlPlane {
            etcd,
            api_server,
            controller_manager,
            scheduler,
            ready,
        })
    }

    fn launch(&self, component: &str, flags: &[(&str, String)]) -> Result<Supervised> {
        let (program, first) = self.assets.component(component);
        let log = self.logs.join(format!("{component}.log"));
        let launch = Launch::new(component, &program, self.run_id, &log)
            .env("GOGC", GARBAGE_COLLECTION_PERCENT)
            .args(first)
            .args(
                flags
                    .iter()
                    .map(|(name, value)| format!("--{name}={value}")),
            );
        Ok(Supervised::start(&launch)?)
    }

    fn file(&self, name: &str) -> String {
        self.files.path(name).display().to_string()
    }

    fn etcd(&self) -> Result<Supervised> {
        let client = format!("https://{}", self.network.etcd_client());
        let peer = format!("https://{}", self.network.etcd_peer());
        self.launch(
            "etcd",
            &[
                ("name", "gonogo".to_owned()),
                ("data-dir", self.data.join("etcd").display().to_string()),
                ("listen-client-urls", client.clone()),
                ("advertise-client-urls", client),
                ("listen-peer-urls", peer.clone()),
                ("initial-advertise-peer-urls", peer.clone()),
                ("initial-cluster", format!("gonogo={peer}")),
                ("cert-file", self.file("etcd.crt")),
                ("key-file", self.file("etcd.key")),
                ("client-cert-auth", "true".to_owned()),
                ("trusted-ca-file", self.file("etcd-ca.crt")),
                ("peer-cert-file", self.file("etcd.crt")),
                ("peer-key-file", self.file("etcd.key")),
                ("peer-client-cert-auth", "true".to_owned()),
                ("peer-trusted-ca-file", self.file("etcd-ca.crt")),
                // The data dies with the run.
                ("unsafe-no-fsync", "true".to_owned()),
                // A single member elects itself after this time; the default costs a second of every start.
                ("heartbeat-interval", "20".to_owned()),
                ("election-timeout", "200".to_owned()),
                ("log-level", "warn".to_owned()),
            ],
        )
    }

    fn api_server(&self) -> Result<Supervised> {
        let address = self.network.api_server();
        self.launch(
            "kube-apiserver",
            &[
                ("bind-address", address.ip().to_string()),
                ("advertise-address", address.ip().to_string()),
                ("secure-port", address.port().to_string()),
                // A loopback address may not become an endpoint.
                ("endpoint-reconciler-type", "none".to_owned()),
                ("service-cluster-ip-range", SERVICE_NETWORK.to_owned()),
                (
                    "etcd-servers",
                    format!("https://{}", self.network.etcd_client()),
                ),
                ("etcd-cafile", self.file("etcd-ca.crt")),
                ("etcd-certfile", self.file("etcd-client.crt")),
                ("etcd-keyfile", self.file("etcd-client.key")),
                ("client-ca-file", self.file("ca.crt")),
                ("tls-cert-file", self.file("apiserver.crt")),
                ("tls-private-key-file", self.file("apiserver.key")),
                ("service-account-issuer", TOKEN_ISSUER.to_owned()),
                ("service-account-key-file", self.file("tokens.pub")),
                ("service-account-signing-key-file", self.file("tokens.key")),
                (
                    "kubelet-client-certificate",
                    self.file("kubelet-client.crt"),
                ),
                ("kubelet-client-key", self.file("kubelet-client.key")),
                ("kubelet-certificate-authority", self.file("ca.crt")),
                (
                    "kubelet-preferred-address-types",
                    "InternalIP,Hostname".to_owned(),
                ),
                ("authorization-mode", "Node,RBAC".to_owned()),
                ("enable-admission-plugins", "NodeRestriction".to_owned()),
                ("anonymous-auth", "false".to_owned()),
                ("audit-policy-file", self.file("audit-policy.json")),
                ("audit-log-path", self.audit_log.display().to_string()),
                ("audit-log-maxsize", AUDIT_LOG_MEGABYTES.to_string()),
                ("profiling", "false".to_owned()),
            ],
        )
    }

    fn controller_manager(&self) -> Result<Supervised> {
        let address = self.network.controller_manager();
        let mut flags = self.controller_flags("kube-controller-manager", address);
        flags.extend([
            ("use-service-account-credentials", "true".to_owned()),
            ("service-account-private-key-file", self.file("tokens.key")),
            ("root-ca-file", self.file("ca.crt")),
            ("concurrent-namespace-syncs", "20".to_owned()),
            ("concurrent-job-syncs", "20".to_owned()),
            ("concurrent-resource-quota-syncs", "10".to_owned()),
            ("concurrent-serviceaccount-token-syncs", "10".to_owned()),
        ]);
        self.launch("kube-controller-manager", &flags)
    }

    fn scheduler(&self) -> Result<Supervised> {
        let flags = self.controller_flags("kube-scheduler", self.network.scheduler());
        self.launch("kube-scheduler", &flags)
    }

    fn controller_flags(
        &self,
        component: &str,
        address: SocketAddr,
    ) -> Vec<(&'static str, String)> {
        let kubeconfig = self.file(&format!("{component}.kubeconfig"));
        let (rate, burst) = CONTROLLER_RATE;
        vec![
            ("bind-address", address.ip().to_string()),
            ("secure-port", address.port().to_string()),
            ("kubeconfig", kubeconfig.clone()),
            ("authentication-kubeconfig", kubeconfig.clone()),
            ("authorization-kubeconfig", kubeconfig),
            ("leader-elect", "false".to_owned()),
            ("kube-api-qps", rate.to_string()),
            ("kube-api-burst", burst.to_string()),
            ("profiling", "false".to_owned()),
        ]
    }
}

async fn api_server_ready(kube: &kube::Client) -> Result<()> {
    until_ready("a ready API server", || async {
        let request = http_get("/readyz");
        kube.request_text(request)
            .await
            .map(|_| ())
            .map_err(|error| error.to_string())
    })
    .await
}

async fn component_ready(
    http: &reqwest::Client,
    process: &Supervised,
    address: SocketAddr,
) -> Result<()> {
    let url = format!("https://{address}/healthz");
    process
        .while_running(until_ready(process.name(), || async {
            let answer = http
                .get(&url)
                .send()
                .await
                .map_err(|error| error.to_string())?;
            if answer.status().is_success() {
                Ok(())
            } else {
                Err(answer.status().to_string())
            }
        }))
        .await?
}

/// Asks until the answer is good; the deadline's error carries the last bad one.
pub(crate) async fn until_ready<F: Future<Output = Result<(), String>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> Result<()> {
    let started = Instant::now();
    loop {
        let Err(last_seen) = ask().await else {
            return Ok(());
        };
        if started.elapsed() > READY_DEADLINE {
            return Err(Error::NotReady {
                what: what.to_owned(),
                seconds: READY_DEADLINE.as_secs(),
                last_seen,
            });
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn http_get(path: &str) -> axum::http::Request<Vec<u8>> {
    axum::http::Request::get(path)
        .body(Vec::new())
        .expect("a constant path makes a valid request")
}
