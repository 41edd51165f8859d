//! What a process node must be told before it can start.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Name of the environment variable that marks every process of a run, so that cleanup finds them.
pub(super) const RUN_MARKER_VARIABLE: &str = "GONOGO_RUN_ID";

/// Certificate and key of the log endpoint, and the authority whose clients may read it.
#[derive(Clone)]
pub struct ServingIdentity {
    /// PEM certificate chain that is valid for the listen address.
    pub certificate_pem: String,
    /// PEM private key of the first certificate.
    pub private_key_pem: String,
    /// PEM authority that signed the API server's kubelet client certificate.
    pub client_authority_pem: String,
}

/// Settings of one process node.
#[derive(Clone)]
pub struct ProcessNodeConfig {
    /// Access to the API server, with rights of a node and to read Secrets and ConfigMaps.
    pub kube: kube::Config,
    /// Name under which the Node is registered.
    pub node_name: String,
    /// Folder for pod folders (`pods/`) and logs (`logs/`); logs outlive their Pods.
    pub root_dir: PathBuf,
    /// Folders put before `PATH`, so that a container command resolves to a local program.
    pub path_prefix: Vec<PathBuf>,
    /// Address of the kubelet-style HTTPS endpoint; port 0 takes a free port.
    pub listen: SocketAddr,
    /// TLS identity of that endpoint.
    pub serving: ServingIdentity,
    /// Value of `GONOGO_RUN_ID` in every process.
    pub run_marker: String,
}
