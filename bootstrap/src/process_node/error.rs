//! What can go wrong while a process node starts or serves a Pod.

use std::path::PathBuf;

/// Failure of the node itself, not of a Pod.
#[derive(Debug, thiserror::Error)]
pub enum ProcessNodeError {
    /// The API server could not be reached or refused a request.
    #[error("failed to {action}")]
    Api {
        /// What was attempted.
        action: &'static str,
        /// The client's error.
        #[source]
        source: kube::Error,
    },
    /// A folder or file of the node could not be made.
    #[error("failed to prepare {}", path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The endpoint could not be bound.
    #[error("failed to listen on {address}")]
    Listen {
        /// The wanted address.
        address: std::net::SocketAddr,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The serving identity is unusable.
    #[error("failed to set up the serving identity: {reason}")]
    ServingIdentity {
        /// Which part, and why.
        reason: String,
    },
}

/// Why a Pod cannot be prepared yet, or at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum PodError {
    /// A Secret, ConfigMap, key or claim is not there; asking again may help.
    #[error("{kind} \"{name}\" not found")]
    Missing { kind: &'static str, name: String },
    /// A key of a present object is not there; asking again may help.
    #[error("couldn't find key {key} in {kind} {name}")]
    MissingKey {
        kind: &'static str,
        name: String,
        key: String,
    },
    /// The API server failed; asking again may help.
    #[error("failed to read {what}")]
    Api {
        what: String,
        #[source]
        source: kube::Error,
    },
    /// The local file system failed.
    #[error("failed to write {}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The image has a name that no registry could have.
    #[error(
        "Failed to apply default image tag \"{0}\": couldn't parse image name \"{0}\": invalid reference format"
    )]
    InvalidImageName(String),
    /// The Pod asks for something this node does not do.
    #[error("not supported by the process node: {0}")]
    Unsupported(String),
}

impl PodError {
    /// Why its container waits, in the kubelet's words.
    pub(super) fn waiting_reason(&self) -> &'static str {
        match self {
            Self::InvalidImageName(_) => "InvalidImageName",
            _ => "CreateContainerConfigError",
        }
    }

    /// Whether the same attempt can never succeed.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Unsupported(_))
    }
}

/// One line with all causes, for status messages and events.
pub(super) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
