//! GitHub's REST API as the bot: one request, and how often it is worth repeating.

use std::time::Duration;

use backon::ExponentialBuilder;
use domain::waits::LimitAnswer;
use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};

use super::error::{AgentError, describe};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// GitHub that stays away longer fails the run.
const RETRY_FOR: Duration = Duration::from_secs(120);

/// One repository as the bot reaches it.
#[derive(Debug, Clone)]
pub(super) struct GitHub {
    pub(super) http: reqwest::Client,
    base: String,
    owner: String,
    token: SecretString,
}

/// Why one attempt failed.
#[derive(Debug)]
pub(super) struct Refusal {
    status: Option<StatusCode>,
    detail: String,
    /// What GitHub said of its limits, if it was they that refused.
    limit: Option<Box<LimitAnswer>>,
}

impl GitHub {
    pub(super) fn new(
        api_base_url: &str,
        repository: &str,
        token: SecretString,
    ) -> Result<Self, AgentError> {
        let http = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .user_agent(concat!("codex-k8s-agent/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| AgentError::GitHub {
                action: "make a client for requests".to_owned(),
                detail: describe(&error),
            })?;
        Ok(Self {
            http,
            base: format!("{api_base_url}/repos/{repository}"),
            owner: repository.split('/').next().unwrap_or_default().to_owned(),
            token,
        })
    }

    /// Owner of the repository.
    pub(super) fn owner(&self) -> &str {
        &self.owner
    }

    /// Address below the repository.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    pub(super) async fn send<T: serde::de::DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, Refusal> {
        let unreachable = |error: reqwest::Error| Refusal {
            status: None,
            detail: describe(&error),
            limit: None,
        };
        let response = request
            .bearer_auth(self.token.expose_secret())
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28")
            .send()
            .await
            .map_err(unreachable)?;
        let status = response.status();
        let headers = response.headers().clone();
        let bytes = response.bytes().await.map_err(unreachable)?;
        let refused = |detail: String| Refusal {
            status: Some(status),
            detail,
            limit: None,
        };
        if status.is_success() {
            return serde_json::from_slice(&bytes)
                .map_err(|error| refused(format!("unexpected answer: {error}")));
        }
        let answer: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let message = answer["message"].as_str().unwrap_or("no explanation");
        let first = answer["errors"][0]["message"]
            .as_str()
            .map(|text| format!(" ({text})"))
            .unwrap_or_default();
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let told = LimitAnswer::read(status.as_u16(), message, header);
        Err(Refusal {
            limit: told.is_limit().then(|| Box::new(told)),
            ..refused(format!("{status}: {message}{first}"))
        })
    }
}

impl Refusal {
    /// Whether asking again soon can help; a limit is waited out by the platform.
    pub(super) fn may_pass(&self) -> bool {
        self.status.is_none_or(|status| status.is_server_error())
    }

    pub(super) fn is_not_found(&self) -> bool {
        matches!(self.status, Some(StatusCode::NOT_FOUND | StatusCode::GONE))
    }

    pub(super) fn into_error(self, action: &str) -> AgentError {
        let action = action.to_owned();
        match self.limit {
            Some(answer) => AgentError::GitHubLimit { action, answer },
            None => AgentError::GitHub {
                action,
                detail: self.detail,
            },
        }
    }
}

/// Pauses between attempts.
pub(super) fn backoff() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .without_max_times()
        .with_total_delay(Some(RETRY_FOR))
}
