//! Why an effect did not happen, and whether another attempt can help (D-31).
use crate::github::{AccessError, FaultClass, GithubError};
use crate::store::effects::EffectInsertError;
use domain::waits::LimitAnswer;

/// A failed attempt.
#[derive(Debug, thiserror::Error)]
pub enum EffectError {
    #[error(transparent)]
    Github(#[from] GithubError),
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("failed to read or write the database")]
    Store(#[from] sqlx::Error),
    #[error(transparent)]
    Follow(#[from] EffectInsertError),
    #[error("failed to call Kubernetes")]
    Kubernetes(#[source] Box<kube::Error>),
    #[error("failed to call Kubernetes: no cluster is configured")]
    NoCluster,
    #[error("failed to read the stored effect")]
    Decode(#[source] serde_json::Error),
    #[error("failed to find the run of the effect")]
    NoRun,
    #[error(transparent)]
    SecretStep(#[from] super::StepError),
    #[error(transparent)]
    Databases(#[from] crate::databases::ServerError),
    #[error("failed to finish within the lease")]
    TimedOut,
}

impl From<kube::Error> for EffectError {
    fn from(error: kube::Error) -> Self {
        Self::Kubernetes(Box::new(error))
    }
}

impl EffectError {
    /// Whether no later attempt can help.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Github(error) | Self::Access(AccessError::Github(error)) => {
                error.class() != FaultClass::Transient
            }
            Self::SecretStep(error) => error.is_permanent,
            Self::Databases(error) => error.is_permanent(),
            Self::Access(AccessError::NoKey | AccessError::Tokens(_))
            | Self::Decode(_)
            | Self::NoRun => true,
            Self::Access(AccessError::Store(_))
            | Self::Store(_)
            | Self::Follow(_)
            | Self::Kubernetes(_)
            | Self::NoCluster
            | Self::TimedOut => false,
        }
    }

    /// What GitHub said of its rate limits, if it was they that refused.
    pub fn limit(&self) -> Option<&LimitAnswer> {
        match self {
            Self::Github(error) | Self::Access(AccessError::Github(error)) => error.limit(),
            _ => None,
        }
    }

    /// `error_code` of `effect.given_up`.
    pub fn code(&self) -> String {
        match self {
            Self::Github(error) | Self::Access(AccessError::Github(error)) => error.code(),
            Self::Access(_) => "github_tokens_unavailable".to_owned(),
            Self::Store(_) | Self::Follow(_) => "database".to_owned(),
            Self::Kubernetes(_) => "kubernetes".to_owned(),
            Self::NoCluster => "no_cluster".to_owned(),
            Self::Decode(_) => "unreadable_effect".to_owned(),
            Self::NoRun => "run_not_found".to_owned(),
            Self::SecretStep(error) => error.code.clone(),
            Self::Databases(_) => "project_databases".to_owned(),
            Self::TimedOut => "timed_out".to_owned(),
        }
    }

    /// The error with its causes, for the journal.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}
