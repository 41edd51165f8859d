//! The one error type that leaves this crate: a sentence for people, and what to do about it.

use std::path::{Path, PathBuf};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a target could not be made, used or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Assets(#[from] crate::assets::AssetError),
    #[error(transparent)]
    Postgres(#[from] crate::postgres::PostgresError),
    #[error(transparent)]
    Process(#[from] crate::process::ProcessError),
    #[error(transparent)]
    Orchestrator(#[from] crate::orchestrator::OrchestratorError),
    #[error(transparent)]
    Requirement(#[from] crate::requirements::RequirementError),
    #[error(transparent)]
    Name(#[from] crate::runs::NameError),
    #[error("failed to {action} {}: the disk is full", path.display())]
    DiskFull { action: &'static str, path: PathBuf },
    #[error("failed to work in {}: {free_megabytes} MB are free, {needed_megabytes} MB are needed", path.display())]
    NoSpace {
        path: PathBuf,
        free_megabytes: u64,
        needed_megabytes: u64,
    },
    #[error("failed to {action} {}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "failed to find a folder for the cache: neither GONOGO_CACHE nor XDG_CACHE_HOME nor HOME is set"
    )]
    NoCacheFolder,
    #[error("failed to claim loopback addresses: all {tried} tries were refused")]
    NoAddresses {
        tried: usize,
        #[source]
        source: std::io::Error,
    },
    #[error("failed to make the certificates of the target")]
    Certificates(#[from] rcgen::Error),
    #[error("failed to write a configuration of the target")]
    Serialise(#[from] serde_json::Error),
    #[error("failed to {action} at the target's API server")]
    Kubernetes {
        action: String,
        #[source]
        source: Box<kube::Error>,
    },
    #[error("failed to set up the client of the target's API server")]
    KubernetesConfig(#[from] kube::config::KubeconfigError),
    #[error("failed to start the process node: {0}")]
    Node(String),
    #[error("failed to see {what} within {seconds} s; last seen: {last_seen}")]
    NotReady {
        what: String,
        seconds: u64,
        last_seen: String,
    },
    #[error("failed to listen on {address}")]
    Proxy {
        address: std::net::SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("failed to make another lane: this target has given out all its addresses")]
    TooManyLanes,
    #[error("failed to find the process {0} in the lane")]
    UnknownProcess(String),
}

impl Error {
    /// An input or output failure; a full disk is told apart because the cure differs.
    pub(crate) fn file(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        if is_disk_full(&source) {
            Self::DiskFull {
                action,
                path: path.to_owned(),
            }
        } else {
            Self::File {
                action,
                path: path.to_owned(),
                source,
            }
        }
    }

    pub(crate) fn kubernetes(action: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let action = action.into();
        move |source| Self::Kubernetes {
            action,
            source: Box::new(source),
        }
    }

    /// What a person can do about it, if anything can be said.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Assets(error) => error.hint(),
            Self::Postgres(error) => error.hint(),
            Self::Process(error) => error.hint(),
            Self::Orchestrator(error) => error.hint(),
            Self::Requirement(error) => Some(error.hint()),
            Self::Name(error) => error.hint(),
            Self::DiskFull { path, .. } | Self::NoSpace { path, .. } => Some(format!(
                "free space on the file system of {}, or set GONOGO_CACHE (or TMPDIR, if it lies there) to a folder on another one",
                path.display()
            )),
            Self::File { path, source, .. } => file_hint(path, source.kind()),
            Self::NoCacheFolder => Some("set GONOGO_CACHE to a folder with 4 GB free".to_owned()),
            Self::NoAddresses { .. } => Some(
                "the whole of 127.0.0.0/8 must be on the loopback interface, as Linux has it"
                    .to_owned(),
            ),
            Self::NotReady { .. } => Some(
                "read the log files of the run; on a loaded machine try again with fewer jobs"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    /// The sentence and its causes, for logs and terminals.
    #[must_use]
    pub fn with_causes(&self) -> String {
        with_causes(self)
    }
}

/// A sentence and its causes; a cause that the text before it ends with is not said twice.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

fn file_hint(path: &Path, kind: std::io::ErrorKind) -> Option<String> {
    use std::io::ErrorKind::{AlreadyExists, NotADirectory, PermissionDenied, ReadOnlyFilesystem};
    let path = path.display();
    match kind {
        PermissionDenied | ReadOnlyFilesystem => Some(format!(
            "make {path} writable for this user, or set GONOGO_CACHE (or TMPDIR, if it lies there) to a folder that is"
        )),
        AlreadyExists | NotADirectory => Some(format!(
            "a file lies where {path} needs a folder: move it away, or set GONOGO_CACHE to another folder"
        )),
        _ => None,
    }
}

pub(crate) fn is_disk_full(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("failed to read: {0}")]
        struct Reading(#[source] std::io::Error);
        let error = Reading(std::io::Error::other("it is Monday"));
        assert_eq!(with_causes(&error), "failed to read: it is Monday");
    }
}
