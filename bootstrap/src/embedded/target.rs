//! The embedded target as a whole: brought up in parallel where pieces do not need each other.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::addresses::Network;
use super::certificates::Authority;
use super::control_plane::{ClusterFiles, ControlPlane, Start};
use super::down::{DownReport, END_DEADLINE};
use super::volumes::Volumes;
use crate::assets::{self, KubernetesAssets};
use crate::cache::{CacheFolder, create_folder, write_private};
use crate::error::{Error, Result, with_causes};
use crate::postgres::PostgresServer;
use crate::process::{ProcessError, Supervised, end_processes};
use crate::process_node::{ProcessNode, ProcessNodeConfig, ServingIdentity};
use crate::progress::{Piece, Progress};
use crate::runs::{Access, RunFolder, new_run_id, remove_folder};

/// Name of the one node.
const NODE: &str = "gonogo";

/// Space a run takes at most, in megabytes: etcd reserves 128, PostgreSQL starts with 60, the rest is logs.
const NEEDED_MEGABYTES: u64 = 500;

/// Space that must be left while a run goes on, in megabytes: one more segment of PostgreSQL's log.
const LEFT_MEGABYTES: u64 = 16;

/// What a person or the gate may choose.
pub struct UpOptions<'a> {
    pub run_id: String,
    pub cache: CacheFolder,
    /// Where logs and the audit log go, to outlive the run; in the run's folder when absent.
    pub out_dir: Option<PathBuf>,
    /// Folders in which the node finds the programs that containers name.
    pub program_folders: Vec<PathBuf>,
    pub progress: &'a dyn Progress,
}

impl<'a> UpOptions<'a> {
    /// A new run in the user's cache.
    pub fn new(progress: &'a dyn Progress) -> Result<Self> {
        Ok(Self {
            run_id: new_run_id(),
            cache: CacheFolder::from_environment()?,
            out_dir: None,
            program_folders: Vec::new(),
            progress,
        })
    }
}

/// How long a piece took to be usable, counted from its own start.
#[derive(Debug, Clone, Serialize)]
pub struct PieceTiming {
    pub piece: String,
    pub origin: String,
    pub milliseconds: u128,
}

/// A running target. `down` takes it down; dropping it kills its processes without any proof.
pub struct EmbeddedTarget {
    pub run_id: String,
    pub run_dir: PathBuf,
    pub logs_dir: PathBuf,
    /// Kubeconfig of the administrator.
    pub kubeconfig_admin: PathBuf,
    /// Client of the administrator, straight to the API server.
    pub kube: kube::Client,
    pub kube_config: kube::Config,
    pub audit_log: PathBuf,
    pub postgres: PostgresServer,
    pub network: Network,
    pub assets: KubernetesAssets,
    pub timings: Vec<PieceTiming>,
    pub(crate) lanes: AtomicUsize,
    pub(crate) template: tokio::sync::OnceCell<crate::postgres::Database>,
    files: ClusterFiles,
    volumes: Volumes,
    node: ProcessNode,
    control_plane: ControlPlane,
    folder: RunFolder,
}

impl EmbeddedTarget {
    /// Writes down how a person reaches the target; the owner's token goes to a file that only this user may read.
    ///
    /// # Errors
    /// When the run's folder cannot be written.
    pub fn open_to_people(
        &self,
        owner_token: &str,
        access: impl FnOnce(PathBuf) -> Access,
    ) -> Result<Access> {
        let token_file = self.run_dir.join("owner.token");
        write_private(&token_file, owner_token)?;
        let access = access(token_file);
        self.folder
            .update(|state| state.access = Some(access.clone()))?;
        Ok(access)
    }

    /// Brings everything up.
    pub async fn up(options: UpOptions<'_>) -> Result<Self> {
        // Somebody else in this program may have chosen the provider already, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let progress = options.progress;
        let folder = RunFolder::create(&options.cache, &options.run_id)?;
        let mut undo = Undo {
            folders: vec![folder.path().to_owned()],
            armed: true,
        };
        let result = Self::up_in(&options, folder, &mut undo, progress).await;
        if result.is_ok() {
            undo.armed = false;
        }
        result
    }

    async fn up_in(
        options: &UpOptions<'_>,
        folder: RunFolder,
        undo: &mut Undo,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let run_dir = folder.path().to_owned();
        let logs_dir = options
            .out_dir
            .as_ref()
            .map_or_else(|| run_dir.join("logs"), |out| out.join("logs"));
        create_folder(&logs_dir)?;
        for folder in [&run_dir, &logs_dir, &std::env::temp_dir()] {
            crate::cache::check_space(folder, NEEDED_MEGABYTES)?;
        }
        let network = Network::claim()?;
        let database_home = short_folder()?;
        undo.folders.push(database_home.clone());
        folder.update(|state| {
            state.folders.push(database_home.clone());
            state.network = Some(network.cidr());
        })?;
        let audit_log = logs_dir.join("audit.ndjson");
        let files = ClusterFiles::write(&run_dir.join("cluster"), &network)?;

        let started = Instant::now();
        let database_log = logs_dir.join("postgres.log");
        let database = PostgresServer::start(
            &database_home,
            &database_log,
            &options.run_id,
            &options.cache,
            progress,
        );
        let cluster = async {
            let assets = assets::kubernetes(&options.cache, progress).await?;
            let piece = Piece::start(progress, "kubernetes");
            let start = Start {
                assets: &assets,
                files: &files,
                network: &network,
                run_id: &options.run_id,
                data: &run_dir,
                logs: &logs_dir,
                audit_log: &audit_log,
            };
            let control_plane = start.run().await?;
            let took = piece.ready(format!(
                "{} ({})",
                assets::KUBERNETES_VERSION,
                assets.origin
            ));
            Ok::<_, Error>((assets, control_plane, took))
        };
        let (postgres, (assets, control_plane, cluster_took)) = tokio::try_join!(
            async { Ok::<_, Error>((database.await?, started.elapsed())) },
            cluster
        )?;
        let (postgres, postgres_took) = postgres;

        let kube_config = files.admin_config(&network).await?;
        let kube = kube::Client::try_from(kube_config.clone())
            .map_err(Error::kubernetes("set up the client"))?;
        let piece = Piece::start(progress, "process node");
        let node = ProcessNodeConfig {
            kube: files.node_config(&network, NODE).await?,
            node_name: NODE.to_owned(),
            root_dir: run_dir.join("node"),
            path_prefix: options.program_folders.clone(),
            listen: network.node(),
            serving: ServingIdentity {
                certificate_pem: files.node_serving.certificate.clone(),
                private_key_pem: files.node_serving.key.clone(),
                client_authority_pem: files.authority.certificate(),
            },
            run_marker: options.run_id.clone(),
        };
        let (node, volumes) = tokio::try_join!(
            async {
                ProcessNode::start(node)
                    .await
                    .map_err(|error| Error::Node(with_causes(&error)))
            },
            Volumes::start(kube.clone(), run_dir.join("volumes")),
        )?;
        let node_took = piece.ready("built in");

        let mut timings = vec![
            timing("postgres", postgres.origin(), postgres_took),
            timing("kubernetes", &assets.origin.to_string(), cluster_took),
            timing("process node", "built in", node_took),
        ];
        timings.extend(
            control_plane
                .ready
                .iter()
                .map(|(piece, took)| timing(piece, "part of kubernetes", *took)),
        );
        folder.update(|state| state.kubeconfig = Some(files.admin.clone()))?;
        Ok(Self {
            run_id: options.run_id.clone(),
            kubeconfig_admin: files.admin.clone(),
            run_dir,
            logs_dir,
            kube,
            kube_config,
            audit_log,
            postgres,
            network,
            assets,
            timings,
            lanes: AtomicUsize::new(0),
            template: tokio::sync::OnceCell::new(),
            files,
            volumes,
            node,
            control_plane,
            folder,
        })
    }

    /// Signs certificates of the target's users.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.files.authority
    }

    /// A client that is `user` of `group`, straight to the API server.
    pub async fn client_of(&self, user: &str, group: &str) -> Result<kube::Client> {
        let config = self.files.client_config(&self.network, user, group).await?;
        kube::Client::try_from(config).map_err(Error::kubernetes("set up a client"))
    }

    /// A client that is whoever the API server gave `token` to, straight to it.
    pub fn client_by_token(&self, token: &str) -> Result<kube::Client> {
        let mut config = self.kube_config.clone();
        config.auth_info = kube::config::AuthInfo {
            token: Some(token.to_owned().into()),
            ..kube::config::AuthInfo::default()
        };
        kube::Client::try_from(config).map_err(Error::kubernetes("set up a client"))
    }

    /// Folders that belong to the run.
    #[must_use]
    pub fn folders(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.run_dir.clone()];
        folders.extend(self.folder.outside_folders());
        folders
    }

    pub(crate) fn next_lane(&self) -> usize {
        self.lanes.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns when a part has died: the target is then of no more use.
    pub async fn ended(&self) -> ProcessError {
        let plane = &self.control_plane;
        let died = async |process: &Supervised| match process.exited().await {
            Some(status) => process.unexpected_exit(status),
            // The runtime ends, and whoever waits here with it.
            None => std::future::pending().await,
        };
        tokio::select! {
            error = died(&plane.etcd) => error,
            error = died(&plane.api_server) => error,
            error = died(&plane.controller_manager) => error,
            error = died(&plane.scheduler) => error,
        }
    }

    /// Whether all folders of the run can still be written to.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn check_space(&self) -> Result<()> {
        self.folders()
            .iter()
            .try_for_each(|folder| crate::cache::check_space(folder, LEFT_MEGABYTES))
    }

    /// Ends everything, removes every folder, and looks whether anything is left. Lanes must have
    /// been closed, or their processes are reported as killed.
    pub async fn down(self) -> Result<DownReport> {
        let started = Instant::now();
        let Self {
            run_id,
            run_dir,
            node,
            volumes,
            control_plane,
            postgres,
            network,
            folder,
            ..
        } = self;
        node.shutdown().await;
        drop(volumes);
        let mut ended = vec!["process node".to_owned()];
        let ControlPlane {
            etcd,
            api_server,
            controller_manager,
            scheduler,
            ..
        } = control_plane;
        // Nothing they would do while ending is of use to anybody.
        for process in [&scheduler, &controller_manager, &api_server, &etcd] {
            process.kill().await;
            ended.push(process.name().to_owned());
        }
        postgres.stop().await?;
        ended.push("postgres".to_owned());
        let mut folders = vec![run_dir];
        folders.extend(folder.outside_folders());
        let (killed, _) = end_processes(&run_id, &folders, END_DEADLINE).await;
        for path in folders.iter().rev() {
            remove_folder(path)?;
        }
        let cidr = network.cidr();
        drop(network);
        Ok(DownReport::look(
            &run_id, ended, killed, folders, &cidr, started,
        ))
    }
}

fn timing(piece: &str, origin: &str, took: Duration) -> PieceTiming {
    PieceTiming {
        piece: piece.to_owned(),
        origin: origin.to_owned(),
        milliseconds: took.as_millis(),
    }
}

/// A folder whose path is short enough for a socket (107 bytes) and that another user may reach:
/// root's cache lies where PostgreSQL, which refuses to be root, cannot go.
fn short_folder() -> Result<PathBuf> {
    let base = std::env::temp_dir();
    let folder = tempfile::Builder::new()
        .prefix("gonogo-")
        .tempdir_in(&base)
        .map_err(|source| Error::file("create a folder in", &base, source))?;
    Ok(folder.keep())
}

/// Removes what a failed start has made.
struct Undo {
    folders: Vec<PathBuf>,
    armed: bool,
}

impl Drop for Undo {
    fn drop(&mut self) {
        /// Components that were just killed may still write for a moment.
        const TRIES: usize = 100;
        const LOOK_AGAIN: Duration = Duration::from_millis(20);
        if !self.armed {
            return;
        }
        for folder in self.folders.iter().rev() {
            // What stays is found by `cleanup`; the error that led here is what the person should see.
            let _ = (0..TRIES).any(|_| {
                remove_folder(folder).is_ok() || {
                    std::thread::sleep(LOOK_AGAIN);
                    false
                }
            });
        }
    }
}
