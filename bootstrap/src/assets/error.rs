//! Why the Kubernetes programs could not be had.

use std::path::PathBuf;

use super::locate::GIVEN_FOLDER;

/// Why there is no Kubernetes to start.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    #[error(
        "failed to get the Kubernetes programs: the cache holds none that can be used, and building them needs Go 1.24 or newer and internet access, but Go is not installed"
    )]
    NoGo,
    #[error(
        "failed to get the Kubernetes programs: the cache holds none that can be used, and Go {found} is too old to build them, 1.24 is needed"
    )]
    GoTooOld { found: String },
    #[error(
        "failed to get the Kubernetes programs: the cache holds none that can be used, and their Go modules could not be downloaded: {last_line}"
    )]
    Download { last_line: String, log: PathBuf },
    #[error("failed to build the Kubernetes programs: {last_line}")]
    Build { last_line: String, log: PathBuf },
    #[error("failed to build the Kubernetes programs: {} has {free_megabytes} MB free, {needed_megabytes} MB are needed", path.display())]
    NoSpace {
        path: PathBuf,
        free_megabytes: u64,
        needed_megabytes: u64,
    },
    #[error("failed to find {program} in {}, the folder that {GIVEN_FOLDER} names", folder.display())]
    Given {
        program: &'static str,
        folder: PathBuf,
    },
    #[error("failed to run {}", path.display())]
    Unusable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

impl AssetError {
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoGo | Self::GoTooOld { .. } => format!(
                "install Go 1.24 or newer and run again with internet access, or copy the folder `kubernetes` of another \
                 machine's cache here, or set {GIVEN_FOLDER} to a folder with etcd, kube-apiserver, \
                 kube-controller-manager and kube-scheduler"
            ),
            Self::Download { log, .. } => format!(
                "check the internet access and `go env GOPROXY`, or set {GIVEN_FOLDER} to a folder with the programs; \
                 the whole output is {}",
                log.display()
            ),
            Self::Build { log, .. } => format!("the whole output is {}", log.display()),
            Self::NoSpace { .. } => {
                "free space there, or set GONOGO_CACHE (and GOCACHE, GOMODCACHE) to folders on another file system".to_owned()
            }
            Self::Given { .. } => format!("put the program there, or unset {GIVEN_FOLDER}"),
            Self::Unusable { path, .. } => format!("{} must be an executable for this machine", path.display()),
        })
    }
}
