//! Why the gate stopped: one sentence, what to do, an exit code.

use crate::exit_code::ExitStatus;

/// The gate could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Flags, feature files or the selection are wrong.
    #[error("{0}")]
    Usage(String),
    /// The gate itself failed: a missing tool, a full disk, a target that does not come up.
    #[error("{message}")]
    Gate {
        message: String,
        /// What the person can do about it.
        hint: Option<String>,
    },
    /// The run was interrupted.
    #[error("interrupted; the target was taken down")]
    Interrupted,
}

impl Failure {
    /// The cause with its whole chain, in one sentence.
    #[must_use]
    pub fn gate(error: &dyn std::error::Error) -> Self {
        Self::Gate {
            message: bootstrap::error::with_causes(error),
            hint: None,
        }
    }

    #[must_use]
    pub fn with_hint(self, hint: Option<String>) -> Self {
        match self {
            Self::Gate { message, .. } => Self::Gate { message, hint },
            other => other,
        }
    }

    /// What is printed: the sentence, and on a second line what to do.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Gate {
                message,
                hint: Some(hint),
            } => format!("gonogo: {message}\n  {hint}"),
            other => format!("gonogo: {other}"),
        }
    }

    #[must_use]
    pub fn status(&self) -> ExitStatus {
        match self {
            Self::Usage(_) => ExitStatus::Usage,
            Self::Gate { .. } => ExitStatus::GateFailed,
            Self::Interrupted => ExitStatus::Inconclusive,
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let full = error
            .chain()
            .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
            .any(super::bundle_folder::is_full);
        Self::gate(error.as_ref()).with_hint(full.then(|| {
            "the disk is full: free space, or name a folder on another file system with --out"
                .to_owned()
        }))
    }
}
