//! The pull request of a branch: found, or created once. A branch never gets a second open one.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::error::{AgentError, describe};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// GitHub that stays away longer fails the run.
const RETRY_FOR: Duration = Duration::from_secs(120);

/// A pull request as far as the runner needs it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct PullRequest {
    pub(super) number: u64,
    #[serde(default)]
    pub(super) html_url: String,
}

/// What a new pull request says.
#[derive(Debug, Clone)]
pub(super) struct PullRequestText {
    pub(super) title: String,
    pub(super) body: String,
}

/// GitHub's REST API, as the bot.
#[derive(Debug, Clone)]
pub(super) struct PullRequests {
    http: reqwest::Client,
    api_base_url: String,
    repository: String,
    token: SecretString,
}

#[derive(Debug)]
struct Refusal {
    status: Option<StatusCode>,
    detail: String,
}

impl PullRequests {
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
            api_base_url: api_base_url.to_owned(),
            repository: repository.to_owned(),
            token,
        })
    }

    /// The open pull request of a branch of this repository.
    pub(super) async fn open_for(&self, branch: &str) -> Result<Option<PullRequest>, AgentError> {
        (|| self.lookup(branch))
            .retry(backoff())
            .when(Refusal::may_pass)
            .await
            .map_err(|refusal| refusal.into_error("look up the pull request"))
    }

    /// Finds the open pull request or creates it; the flag says that it is new.
    pub(super) async fn find_or_create(
        &self,
        branch: &str,
        base: &str,
        text: &PullRequestText,
    ) -> Result<(PullRequest, bool), AgentError> {
        // A lost answer may hide a success, so every attempt looks first.
        let attempt = || async {
            if let Some(found) = self.lookup(branch).await? {
                return Ok((found, false));
            }
            self.create(branch, base, text)
                .await
                .map(|created| (created, true))
        };
        attempt
            .retry(backoff())
            .when(Refusal::may_pass)
            .await
            .map_err(|refusal| refusal.into_error("open the pull request"))
    }

    async fn lookup(&self, branch: &str) -> Result<Option<PullRequest>, Refusal> {
        let owner = self.repository.split('/').next().unwrap_or_default();
        let request = self.http.get(self.url()).query(&[
            ("head", format!("{owner}:{branch}").as_str()),
            ("state", "open"),
            ("per_page", "1"),
        ]);
        let found: Vec<PullRequest> = self.send(request).await?;
        Ok(found.into_iter().next())
    }

    async fn create(
        &self,
        branch: &str,
        base: &str,
        text: &PullRequestText,
    ) -> Result<PullRequest, Refusal> {
        let body = json!({"title": text.title, "head": branch, "base": base, "body": text.body});
        self.send(self.http.post(self.url()).json(&body)).await
    }

    fn url(&self) -> String {
        format!("{}/repos/{}/pulls", self.api_base_url, self.repository)
    }

    async fn send<T: serde::de::DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, Refusal> {
        let unreachable = |error: reqwest::Error| Refusal {
            status: None,
            detail: describe(&error),
        };
        let response = request
            .bearer_auth(self.token.expose_secret())
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28")
            .send()
            .await
            .map_err(unreachable)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(unreachable)?;
        let refused = |detail: String| Refusal {
            status: Some(status),
            detail,
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
        Err(refused(format!("{status}: {message}{first}")))
    }
}

impl Refusal {
    fn may_pass(&self) -> bool {
        self.status.is_none_or(|status| {
            status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
        })
    }

    fn into_error(self, action: &str) -> AgentError {
        AgentError::GitHub {
            action: action.to_owned(),
            detail: self.detail,
        }
    }
}

fn backoff() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .without_max_times()
        .with_total_delay(Some(RETRY_FOR))
}
