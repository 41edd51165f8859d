//! What stopped a preparation, with its kind: whether it is tried again is decided by the domain.
use domain::deploy::{FaultKind, of_answer};

use super::source::SourceError;
use crate::credentials::GithubTokensError;
use crate::github::{FaultClass, GithubError};
use crate::services_yaml::ServicesYamlError;

/// A fault as the task stores it. Provider bodies are never echoed (G-124): our own errors only name what failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    pub kind: FaultKind,
    /// Stage of R-109 it happened in.
    pub stage: String,
    pub message: String,
}

impl Fault {
    pub fn new(kind: FaultKind, stage: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind,
            stage: stage.into(),
            message: message.into(),
        }
    }

    /// A call of the Kubernetes API that gave nothing.
    pub fn of_kubernetes(stage: &str, what: &str, error: &kube::Error) -> Self {
        let (kind, words) = match error {
            kube::Error::Api(status) => (
                of_answer(status.code, &status.message),
                status.message.clone(),
            ),
            other => (FaultKind::ConnectionBroken, other.to_string()),
        };
        Self::new(kind, stage, format!("failed to {what}: {words}"))
    }
}

impl From<SourceError> for Fault {
    fn from(error: SourceError) -> Self {
        let kind = match &error {
            SourceError::UnknownRef(_) => FaultKind::NotFound,
            SourceError::ServicesYaml(ServicesYamlError::Github(error))
            | SourceError::Github(error) => of_github(error),
            SourceError::ServicesYaml(_)
            | SourceError::Template { .. }
            | SourceError::Manifest { .. }
            | SourceError::NoManifest { .. } => FaultKind::InvalidSource,
            SourceError::NotBound(_) => FaultKind::Refused,
            SourceError::Store(_) | SourceError::Tokens(GithubTokensError::Store(_)) => {
                FaultKind::Unavailable
            }
            SourceError::Tokens(GithubTokensError::Cipher(_)) => FaultKind::Refused,
        };
        Self::new(kind, "source", chain(&error))
    }
}

fn of_github(error: &GithubError) -> FaultKind {
    match (error, error.class()) {
        (_, FaultClass::NotFound) => FaultKind::NotFound,
        (GithubError::Unreachable(_), _) => FaultKind::ConnectionBroken,
        (GithubError::Refused { limit: Some(_), .. }, _) => FaultKind::ResourceExhausted,
        (_, FaultClass::Transient) => FaultKind::Unavailable,
        (_, FaultClass::Permanent) => FaultKind::Refused,
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
