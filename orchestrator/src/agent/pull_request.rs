//! The pull request of a branch: found, or created once. A branch never gets a second open one.

use backon::Retryable as _;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::error::AgentError;
use super::github::{GitHub, Refusal, backoff};

/// GitHub's largest page.
const PAGE_SIZE: usize = 100;

/// A pull request as far as the runner needs it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct PullRequest {
    pub(super) number: u64,
    #[serde(default)]
    pub(super) html_url: String,
}

#[derive(Debug, Deserialize)]
struct Review {
    #[serde(default)]
    body: Option<String>,
}

/// What a new pull request says.
#[derive(Debug, Clone)]
pub(super) struct PullRequestText {
    pub(super) title: String,
    pub(super) body: String,
}

/// Pull requests of the run's repository.
#[derive(Debug, Clone)]
pub(super) struct PullRequests {
    github: GitHub,
}

impl PullRequests {
    pub(super) fn new(github: GitHub) -> Self {
        Self { github }
    }

    /// The open pull request of a branch of this repository.
    pub(super) async fn open_for(&self, branch: &str) -> Result<Option<PullRequest>, AgentError> {
        (|| self.lookup(branch))
            .retry(backoff())
            .when(Refusal::may_pass)
            .await
            .map_err(|refusal| refusal.into_error("look up the pull request"))
    }

    /// The open pull request of this number, unless it comes from a fork: nobody but the agent says that it is its own.
    pub(super) async fn open_numbered(
        &self,
        number: u64,
    ) -> Result<Option<PullRequest>, AgentError> {
        (|| self.numbered(number))
            .retry(backoff())
            .when(Refusal::may_pass)
            .await
            .map_err(|refusal| refusal.into_error("look up the reported pull request"))
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

    /// Reviews a pull request without a verdict, unless a review with this hidden line is there already.
    pub(super) async fn review_once(
        &self,
        number: u64,
        text: &str,
        marker: &str,
    ) -> Result<(), AgentError> {
        let url = self.github.url(&format!("pulls/{number}/reviews"));
        let body = json!({"body": format!("{text}\n\n{marker}"), "event": "COMMENT"});
        // A lost answer may hide a success, so every attempt looks first.
        let attempt = || async {
            if self.is_reviewed(&url, marker).await? {
                return Ok(());
            }
            let request = self.github.http.post(&url).json(&body);
            self.github.send::<IgnoredAny>(request).await.map(drop)
        };
        attempt
            .retry(backoff())
            .when(Refusal::may_pass)
            .await
            .map_err(|refusal| refusal.into_error("review the pull request"))
    }

    async fn is_reviewed(&self, url: &str, marker: &str) -> Result<bool, Refusal> {
        for page in 1_usize.. {
            let request = self.github.http.get(url).query(&[
                ("per_page", PAGE_SIZE.to_string()),
                ("page", page.to_string()),
            ]);
            let reviews: Vec<Review> = self.github.send(request).await?;
            let is_last = reviews.len() < PAGE_SIZE;
            let mut bodies = reviews.into_iter().filter_map(|review| review.body);
            if bodies.any(|body| body.contains(marker)) {
                return Ok(true);
            }
            if is_last {
                break;
            }
        }
        Ok(false)
    }

    async fn lookup(&self, branch: &str) -> Result<Option<PullRequest>, Refusal> {
        let head = format!("{}:{branch}", self.github.owner());
        let request = self.github.http.get(self.github.url("pulls")).query(&[
            ("head", head.as_str()),
            ("state", "open"),
            ("per_page", "1"),
        ]);
        let found: Vec<PullRequest> = self.github.send(request).await?;
        Ok(found.into_iter().next())
    }

    async fn numbered(&self, number: u64) -> Result<Option<PullRequest>, Refusal> {
        let url = self.github.url(&format!("pulls/{number}"));
        let found: Value = match self.github.send(self.github.http.get(url)).await {
            Ok(found) => found,
            Err(refusal) if refusal.is_not_found() => return Ok(None),
            Err(refusal) => return Err(refusal),
        };
        let name = |side: &str| found.pointer(&format!("/{side}/repo/full_name")).cloned();
        let is_usable = found["state"] == "open" && name("head") == name("base");
        Ok(is_usable.then(|| PullRequest {
            number,
            html_url: found["html_url"].as_str().unwrap_or_default().to_owned(),
        }))
    }

    async fn create(
        &self,
        branch: &str,
        base: &str,
        text: &PullRequestText,
    ) -> Result<PullRequest, Refusal> {
        let body = json!({"title": text.title, "head": branch, "base": base, "body": text.body});
        let request = self.github.http.post(self.github.url("pulls")).json(&body);
        self.github.send(request).await
    }
}
