//! People on GitHub: each acts over the REST API with a token of their own, so that every delivery names the
//! right sender.

use anyhow::Context;
use fixtures::github::GithubClient;
use reqwest::Method;
use serde_json::{Value, json};

/// One GitHub account that acts.
#[derive(Clone, Debug)]
pub struct Person {
    pub login: String,
    client: GithubClient,
}

impl Person {
    #[must_use]
    pub fn new(login: &str, client: GithubClient) -> Self {
        Self {
            login: login.to_owned(),
            client,
        }
    }

    async fn done(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        self.client
            .call(method, path, body.as_ref())
            .await
            .with_context(|| format!("GitHub refused {}", self.login))
    }

    /// # Errors
    /// When GitHub refuses.
    pub async fn open_issue(
        &self,
        repository: &str,
        title: &str,
        body: &str,
    ) -> anyhow::Result<u64> {
        number_of(
            &self
                .done(
                    Method::POST,
                    &format!("/repos/{repository}/issues"),
                    Some(json!({"title": title, "body": body})),
                )
                .await?,
        )
    }

    /// # Errors
    /// When GitHub refuses.
    pub async fn edit_issue(
        &self,
        repository: &str,
        number: u64,
        change: Value,
    ) -> anyhow::Result<Value> {
        self.done(
            Method::PATCH,
            &format!("/repos/{repository}/issues/{number}"),
            Some(change),
        )
        .await
    }

    /// Adds labels to an Issue or pull request in one click.
    ///
    /// # Errors
    /// When GitHub refuses.
    pub async fn add_labels(
        &self,
        repository: &str,
        number: u64,
        labels: &[&str],
    ) -> anyhow::Result<()> {
        self.done(
            Method::POST,
            &format!("/repos/{repository}/issues/{number}/labels"),
            Some(json!({"labels": labels})),
        )
        .await?;
        Ok(())
    }

    /// # Errors
    /// When GitHub refuses.
    pub async fn remove_label(
        &self,
        repository: &str,
        number: u64,
        label: &str,
    ) -> anyhow::Result<()> {
        let label = percent_encode(label);
        self.done(
            Method::DELETE,
            &format!("/repos/{repository}/issues/{number}/labels/{label}"),
            None,
        )
        .await?;
        Ok(())
    }

    /// # Errors
    /// When GitHub refuses.
    pub async fn rename_label(
        &self,
        repository: &str,
        label: &str,
        new_name: &str,
    ) -> anyhow::Result<()> {
        let label = percent_encode(label);
        self.done(
            Method::PATCH,
            &format!("/repos/{repository}/labels/{label}"),
            Some(json!({"new_name": new_name})),
        )
        .await?;
        Ok(())
    }

    /// # Errors
    /// When GitHub refuses.
    pub async fn labels(&self, repository: &str, number: u64) -> anyhow::Result<Vec<String>> {
        let answer = self
            .done(
                Method::GET,
                &format!("/repos/{repository}/issues/{number}/labels?per_page=100"),
                None,
            )
            .await?;
        Ok(answer
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|label| label["name"].as_str().map(str::to_owned))
            .collect())
    }

    /// Comments on an Issue or pull request; returns the comment's id.
    ///
    /// # Errors
    /// When GitHub refuses.
    pub async fn comment(&self, repository: &str, number: u64, text: &str) -> anyhow::Result<u64> {
        let answer = self
            .done(
                Method::POST,
                &format!("/repos/{repository}/issues/{number}/comments"),
                Some(json!({"body": text})),
            )
            .await?;
        answer["id"].as_u64().context("the comment has no id")
    }

    /// # Errors
    /// When GitHub refuses.
    pub async fn comments(&self, repository: &str, number: u64) -> anyhow::Result<Vec<Value>> {
        let answer = self
            .done(
                Method::GET,
                &format!("/repos/{repository}/issues/{number}/comments?per_page=100"),
                None,
            )
            .await?;
        Ok(answer.as_array().cloned().unwrap_or_default())
    }

    /// Reactions to a comment.
    ///
    /// # Errors
    /// When GitHub refuses.
    pub async fn comment_reactions(
        &self,
        repository: &str,
        comment: u64,
    ) -> anyhow::Result<Vec<Value>> {
        let answer = self
            .done(
                Method::GET,
                &format!("/repos/{repository}/issues/comments/{comment}/reactions?per_page=100"),
                None,
            )
            .await?;
        Ok(answer.as_array().cloned().unwrap_or_default())
    }

    /// The commit that a branch is at, and who made it.
    ///
    /// # Errors
    /// When GitHub refuses.
    pub async fn head_of_branch(&self, repository: &str, branch: &str) -> anyhow::Result<Value> {
        self.done(
            Method::GET,
            &format!("/repos/{repository}/commits/{branch}"),
            None,
        )
        .await
    }

    /// # Errors
    /// When GitHub refuses.
    pub async fn delete_comment(&self, repository: &str, id: u64) -> anyhow::Result<()> {
        self.done(
            Method::DELETE,
            &format!("/repos/{repository}/issues/comments/{id}"),
            None,
        )
        .await?;
        Ok(())
    }

    /// # Errors
    /// When GitHub refuses.
    pub async fn reactions(&self, repository: &str, number: u64) -> anyhow::Result<Vec<Value>> {
        let answer = self
            .done(
                Method::GET,
                &format!("/repos/{repository}/issues/{number}/reactions?per_page=100"),
                None,
            )
            .await?;
        Ok(answer.as_array().cloned().unwrap_or_default())
    }

    /// Names of the branches of a repository.
    ///
    /// # Errors
    /// When GitHub refuses.
    pub async fn branches(&self, repository: &str) -> anyhow::Result<Vec<String>> {
        let answer = self
            .done(
                Method::GET,
                &format!("/repos/{repository}/branches?per_page=100"),
                None,
            )
            .await?;
        Ok(answer
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|branch| branch["name"].as_str().map(str::to_owned))
            .collect())
    }

    /// # Errors
    /// When GitHub refuses.
    pub async fn pull_requests(&self, repository: &str) -> anyhow::Result<Vec<Value>> {
        let answer = self
            .done(
                Method::GET,
                &format!("/repos/{repository}/pulls?state=all&per_page=100"),
                None,
            )
            .await?;
        Ok(answer.as_array().cloned().unwrap_or_default())
    }

    /// # Errors
    /// When GitHub refuses.
    pub async fn pull_request(&self, repository: &str, number: u64) -> anyhow::Result<Value> {
        self.done(
            Method::GET,
            &format!("/repos/{repository}/pulls/{number}"),
            None,
        )
        .await
    }

    /// # Errors
    /// When GitHub refuses.
    pub async fn commits(&self, repository: &str, pull_request: u64) -> anyhow::Result<Vec<Value>> {
        let answer = self
            .done(
                Method::GET,
                &format!("/repos/{repository}/pulls/{pull_request}/commits?per_page=100"),
                None,
            )
            .await?;
        Ok(answer.as_array().cloned().unwrap_or_default())
    }

    /// Whether the branch exists.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn branch_exists(&self, repository: &str, branch: &str) -> anyhow::Result<bool> {
        let found = self
            .client
            .branch(repository, branch)
            .await
            .context("failed to read a branch")?;
        Ok(found.is_some())
    }

    /// Makes a deployment environment.
    ///
    /// # Errors
    /// When GitHub refuses.
    pub async fn make_environment(&self, repository: &str, name: &str) -> anyhow::Result<()> {
        let path = format!("/repos/{repository}/environments/{name}");
        self.done(Method::PUT, &path, Some(json!({}))).await?;
        Ok(())
    }

    /// Adds a file to a branch in a commit; the content is base64.
    ///
    /// # Errors
    /// When GitHub refuses.
    pub async fn put_file(
        &self,
        repository: &str,
        branch: &str,
        path: &str,
        content: &str,
    ) -> anyhow::Result<()> {
        self.done(
            Method::PUT,
            &format!("/repos/{repository}/contents/{path}"),
            Some(json!({"message": format!("Add {path}"), "content": content, "branch": branch})),
        )
        .await?;
        Ok(())
    }

    /// A file as it is on a branch.
    ///
    /// # Errors
    /// When there is none.
    pub async fn file_on_branch(
        &self,
        repository: &str,
        branch: &str,
        path: &str,
    ) -> anyhow::Result<Value> {
        self.done(
            Method::GET,
            &format!("/repos/{repository}/contents/{path}?ref={branch}"),
            None,
        )
        .await
    }

    /// Puts other content, in base64, in the place of a file.
    ///
    /// # Errors
    /// When there is no such file, or GitHub refuses.
    pub async fn replace_file(
        &self,
        repository: &str,
        branch: &str,
        path: &str,
        content: &str,
    ) -> anyhow::Result<()> {
        let found = self.file_on_branch(repository, branch, path).await?;
        let message = format!("Change {path}");
        let body =
            json!({"message": message, "content": content, "branch": branch, "sha": found["sha"]});
        self.done(
            Method::PUT,
            &format!("/repos/{repository}/contents/{path}"),
            Some(body),
        )
        .await?;
        Ok(())
    }

    /// Commit that a branch points to.
    ///
    /// # Errors
    /// When there is no such branch.
    pub async fn branch_head(&self, repository: &str, branch: &str) -> anyhow::Result<String> {
        let answer = self
            .done(
                Method::GET,
                &format!("/repos/{repository}/git/ref/heads/{branch}"),
                None,
            )
            .await?;
        answer["object"]["sha"]
            .as_str()
            .map(str::to_owned)
            .context("the branch has no commit")
    }

    /// Opens a pull request from a new branch with one changed file.
    ///
    /// # Errors
    /// When GitHub refuses.
    pub async fn open_pull_request(
        &self,
        repository: &str,
        branch: &str,
        title: &str,
    ) -> anyhow::Result<u64> {
        if !self.branch_exists(repository, branch).await? {
            let main = self
                .done(
                    Method::GET,
                    &format!("/repos/{repository}/git/ref/heads/main"),
                    None,
                )
                .await?;
            let sha = main["object"]["sha"].clone();
            self.done(
                Method::POST,
                &format!("/repos/{repository}/git/refs"),
                Some(json!({"ref": format!("refs/heads/{branch}"), "sha": sha})),
            )
            .await?;
        }
        let file = format!("notes/{}.md", branch.replace('/', "-"));
        // "bm90ZQo=" is "note\n": the contents API takes base64.
        self.done(
            Method::PUT,
            &format!("/repos/{repository}/contents/{file}"),
            Some(json!({"message": "Add a note", "content": "bm90ZQo=", "branch": branch})),
        )
        .await?;
        number_of(
            &self
                .done(
                    Method::POST,
                    &format!("/repos/{repository}/pulls"),
                    Some(
                        json!({"title": title, "head": branch, "base": "main", "body": "By hand."}),
                    ),
                )
                .await?,
        )
    }

    /// # Errors
    /// When GitHub refuses.
    pub async fn merge(&self, repository: &str, pull_request: u64) -> anyhow::Result<()> {
        self.done(
            Method::PUT,
            &format!("/repos/{repository}/pulls/{pull_request}/merge"),
            Some(json!({})),
        )
        .await?;
        Ok(())
    }

    /// Submits a review (`REQUEST_CHANGES`, `COMMENT` or `APPROVE`); returns its id.
    ///
    /// # Errors
    /// When GitHub refuses.
    pub async fn review(
        &self,
        repository: &str,
        pull_request: u64,
        event: &str,
        body: &str,
    ) -> anyhow::Result<u64> {
        let answer = self
            .done(
                Method::POST,
                &format!("/repos/{repository}/pulls/{pull_request}/reviews"),
                Some(json!({"event": event, "body": body})),
            )
            .await?;
        answer["id"].as_u64().context("the review has no id")
    }

    /// # Errors
    /// When GitHub refuses.
    pub async fn reviews(&self, repository: &str, pull_request: u64) -> anyhow::Result<Vec<Value>> {
        let answer = self
            .done(
                Method::GET,
                &format!("/repos/{repository}/pulls/{pull_request}/reviews?per_page=100"),
                None,
            )
            .await?;
        Ok(answer.as_array().cloned().unwrap_or_default())
    }

    /// The labels that a repository has.
    ///
    /// # Errors
    /// When GitHub refuses.
    pub async fn repository_labels(&self, repository: &str) -> anyhow::Result<Vec<Value>> {
        let answer = self
            .done(
                Method::GET,
                &format!("/repos/{repository}/labels?per_page=100"),
                None,
            )
            .await?;
        Ok(answer.as_array().cloned().unwrap_or_default())
    }

    /// Deletes a label of the repository.
    ///
    /// # Errors
    /// When GitHub refuses.
    pub async fn delete_label(&self, repository: &str, label: &str) -> anyhow::Result<()> {
        let label = percent_encode(label);
        self.done(
            Method::DELETE,
            &format!("/repos/{repository}/labels/{label}"),
            None,
        )
        .await?;
        Ok(())
    }

    /// Gives a label of the repository another colour.
    ///
    /// # Errors
    /// When GitHub refuses.
    pub async fn recolour_label(
        &self,
        repository: &str,
        label: &str,
        colour: &str,
    ) -> anyhow::Result<()> {
        let label = percent_encode(label);
        self.done(
            Method::PATCH,
            &format!("/repos/{repository}/labels/{label}"),
            Some(json!({"color": colour})),
        )
        .await?;
        Ok(())
    }

    /// # Errors
    /// When GitHub refuses.
    pub async fn dismiss_review(
        &self,
        repository: &str,
        pull_request: u64,
        review: u64,
    ) -> anyhow::Result<()> {
        self.done(
            Method::PUT,
            &format!("/repos/{repository}/pulls/{pull_request}/reviews/{review}/dismissals"),
            Some(json!({"message": "no longer asked", "event": "DISMISS"})),
        )
        .await?;
        Ok(())
    }

    /// Adds a webhook with the usual events.
    ///
    /// # Errors
    /// When GitHub refuses.
    pub async fn add_webhook(
        &self,
        repository: &str,
        url: &str,
        secret: &str,
    ) -> anyhow::Result<()> {
        let events = [
            "push",
            "pull_request",
            "issues",
            "issue_comment",
            "pull_request_review",
            "pull_request_review_comment",
        ];
        self.done(
            Method::POST,
            &format!("/repos/{repository}/hooks"),
            Some(json!({
                "name": "web", "active": true, "events": events,
                "config": {"url": url, "content_type": "json", "secret": secret},
            })),
        )
        .await?;
        Ok(())
    }
}

fn number_of(answer: &Value) -> anyhow::Result<u64> {
    answer["number"]
        .as_u64()
        .with_context(|| format!("the answer has no number: {answer}"))
}

fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
