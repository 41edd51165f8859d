//! Why a repository could not be made ready.
use crate::credentials::GithubTokensError;
use crate::github::{FaultClass, GithubError};

/// What went wrong, by the step people can act on.
#[derive(Debug, thiserror::Error)]
pub enum OnboardingError {
    #[error(
        "failed to bind the repository: no GitHub token is known at repository, project or platform level"
    )]
    NoToken,
    #[error("failed to bind the repository: GitHub does not show it to this token")]
    NotVisible(#[source] GithubError),
    #[error("failed to bind the repository: GitHub refuses this token to {step}")]
    Refused {
        step: &'static str,
        #[source]
        source: GithubError,
    },
    #[error("failed to bind the repository: GitHub did not answer when asked to {step}")]
    Unavailable {
        step: &'static str,
        #[source]
        source: GithubError,
    },
    #[error("failed to bind the repository: its stored tokens cannot be read")]
    Tokens(#[from] GithubTokensError),
}

impl OnboardingError {
    pub(super) fn at(step: &'static str) -> impl Fn(GithubError) -> Self {
        move |source| match source.class() {
            FaultClass::Transient => Self::Unavailable { step, source },
            FaultClass::Permanent | FaultClass::NotFound => Self::Refused { step, source },
        }
    }
}
