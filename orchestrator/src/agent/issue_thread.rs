//! The run's Issue as the bot writes under it: comments that are found again by a hidden line, and reactions.

use backon::Retryable as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::AgentError;
use super::github::{GitHub, Refusal, backoff};

/// GitHub's largest page.
const PAGE_SIZE: usize = 100;

#[derive(Debug, Deserialize)]
struct Comment {
    id: i64,
    #[serde(default)]
    body: Option<String>,
}

/// Comments and reactions under one Issue.
#[derive(Debug, Clone)]
pub(super) struct IssueThread {
    github: GitHub,
    number: u64,
}

impl IssueThread {
    pub(super) fn new(github: GitHub, number: u64) -> Self {
        Self { github, number }
    }

    /// Posts a comment unless one with this hidden line is there already; answers its id.
    pub(super) async fn comment_once(&self, text: &str, marker: &str) -> Result<i64, AgentError> {
        // A lost answer may hide a success, so every attempt looks first.
        let attempt = || async {
            match self.find(marker).await? {
                Some(id) => Ok(id),
                None => self.create(&format!("{text}\n\n{marker}")).await,
            }
        };
        attempt
            .retry(backoff())
            .when(Refusal::may_pass)
            .await
            .map_err(|refusal| refusal.into_error("comment on the Issue"))
    }

    /// Adds a reaction to a comment; GitHub keeps one per account. A comment that was deleted needs none.
    pub(super) async fn react(&self, comment: i64, content: &str) -> Result<(), AgentError> {
        let attempt = || async {
            let path = format!("issues/comments/{comment}/reactions");
            let request = self
                .github
                .http
                .post(self.github.url(&path))
                .json(&json!({"content": content}));
            self.github.send::<Value>(request).await
        };
        match attempt.retry(backoff()).when(Refusal::may_pass).await {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.is_not_found() => Ok(()),
            Err(refusal) => Err(refusal.into_error("react to a comment")),
        }
    }

    async fn find(&self, marker: &str) -> Result<Option<i64>, Refusal> {
        for page in 1_usize.. {
            let request = self.github.http.get(self.comments()).query(&[
                ("per_page", PAGE_SIZE.to_string()),
                ("page", page.to_string()),
            ]);
            let comments: Vec<Comment> = self.github.send(request).await?;
            let found = comments.iter().find(|comment| {
                comment
                    .body
                    .as_deref()
                    .is_some_and(|body| body.contains(marker))
            });
            if found.is_some() || comments.len() < PAGE_SIZE {
                return Ok(found.map(|comment| comment.id));
            }
        }
        Ok(None)
    }

    async fn create(&self, body: &str) -> Result<i64, Refusal> {
        let request = self
            .github
            .http
            .post(self.comments())
            .json(&json!({"body": body}));
        let made: Comment = self.github.send(request).await?;
        Ok(made.id)
    }

    fn comments(&self) -> String {
        self.github.url(&format!("issues/{}/comments", self.number))
    }
}
