//! What a failed call means for whoever wants it done.
use domain::waits::{Judgement, LimitAnswer, judge};
use http::StatusCode;

/// Whether doing it again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultClass {
    /// The world may be better later.
    Transient,
    /// The answer will stay what it is.
    Permanent,
    /// The object is not there.
    NotFound,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum GithubError {
    #[error("failed to call GitHub: {status} {message}")]
    Refused {
        status: StatusCode,
        message: String,
        /// What GitHub said of its rate limits, if it was they that refused.
        limit: Option<Box<LimitAnswer>>,
    },
    #[error("failed to reach GitHub")]
    Unreachable(#[source] Box<octocrab::Error>),
    #[error("failed to read an answer of GitHub")]
    Shape(#[source] serde_json::Error),
    #[error("failed to use the key that GitHub gave for secrets")]
    UnusableKey,
    #[error("failed to call GitHub: no token is known for it")]
    NoToken,
}

impl GithubError {
    /// Whether doing it again can help.
    pub fn class(&self) -> FaultClass {
        match self {
            Self::Refused { limit: Some(_), .. } => FaultClass::Transient,
            Self::Refused { status, .. }
                if *status == StatusCode::NOT_FOUND || *status == StatusCode::GONE =>
            {
                FaultClass::NotFound
            }
            Self::Refused { status, .. }
                if status.is_server_error()
                    || *status == StatusCode::REQUEST_TIMEOUT
                    || *status == StatusCode::TOO_MANY_REQUESTS =>
            {
                FaultClass::Transient
            }
            Self::Unreachable(_) => FaultClass::Transient,
            Self::Refused { .. } | Self::Shape(_) | Self::UnusableKey | Self::NoToken => {
                FaultClass::Permanent
            }
        }
    }

    /// Whether the object is not there.
    pub fn is_not_found(&self) -> bool {
        self.class() == FaultClass::NotFound
    }

    /// `error_code` of `effect.given_up`.
    pub fn code(&self) -> String {
        match self {
            Self::Refused { limit: Some(_), .. } => "github_rate_limited".to_owned(),
            Self::Refused { status, .. } => format!("github_{}", status.as_u16()),
            Self::Unreachable(_) => "github_unreachable".to_owned(),
            Self::Shape(_) => "github_unexpected_answer".to_owned(),
            Self::UnusableKey => "github_unusable_key".to_owned(),
            Self::NoToken => "github_no_token".to_owned(),
        }
    }
}

impl GithubError {
    /// What GitHub said of its rate limits, if it was they that refused.
    pub fn limit(&self) -> Option<&LimitAnswer> {
        match self {
            Self::Refused { limit, .. } => limit.as_deref(),
            _ => None,
        }
    }

    /// A refusal with the headers of its answer.
    pub(super) fn refused(error: octocrab::Error, headers: &http::HeaderMap) -> Self {
        let octocrab::Error::GitHub { source, .. } = &error else {
            return error.into();
        };
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let answer = LimitAnswer::read(source.status_code.as_u16(), &source.message, header);
        Self::Refused {
            status: source.status_code,
            message: source.message.clone(),
            limit: matches!(judge(&answer), Judgement::Limited(_)).then(|| Box::new(answer)),
        }
    }
}

impl From<octocrab::Error> for GithubError {
    fn from(error: octocrab::Error) -> Self {
        match error {
            octocrab::Error::GitHub { .. } => Self::refused(error, &http::HeaderMap::new()),
            other => Self::Unreachable(Box::new(other)),
        }
    }
}
