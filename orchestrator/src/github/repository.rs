//! Calls on one repository.
use chrono::{DateTime, SecondsFormat, Utc};
use domain::effects::Reaction;
use domain::events::{Comment, Issue, PullRequest, Review, Thread, issue_from, pull_request_from};
use domain::recovery::OpenThread;
use serde_json::{Value, json};

use super::objects::{CommentObject, LabelObject, ReviewObject, ThreadObject};
use super::{GithubClient, GithubError};
use crate::services_yaml::{self, ServicesYaml, ServicesYamlError};

/// A comment that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostedComment {
    pub id: i64,
    pub url: String,
    pub body: String,
}

impl From<CommentObject> for PostedComment {
    fn from(object: CommentObject) -> Self {
        Self {
            id: object.id,
            url: object.html_url,
            body: object.body,
        }
    }
}

/// One repository with one token.
#[derive(Clone)]
pub struct RepositoryApi {
    pub(super) client: GithubClient,
    full_name: String,
}

impl RepositoryApi {
    pub fn new(client: GithubClient, full_name: impl Into<String>) -> Self {
        Self {
            client,
            full_name: full_name.into(),
        }
    }

    pub(super) fn route(&self, rest: impl AsRef<str>) -> String {
        format!("/repos/{}/{}", self.full_name, rest.as_ref())
    }

    pub async fn issue(&self, number: i64) -> Result<Issue, GithubError> {
        Ok(issue_from(
            &self
                .client
                .get(&self.route(format!("issues/{number}")))
                .await?,
        ))
    }

    pub async fn pull_request(&self, number: i64) -> Result<PullRequest, GithubError> {
        Ok(pull_request_from(
            &self
                .client
                .get(&self.route(format!("pulls/{number}")))
                .await?,
        ))
    }

    pub async fn reviews(&self, number: i64) -> Result<Vec<Review>, GithubError> {
        let reviews = self
            .client
            .get_all::<ReviewObject>(&self.route(format!("pulls/{number}/reviews")))
            .await?;
        Ok(reviews.into_iter().map(Into::into).collect())
    }

    /// Open Issues and pull requests, or those that changed since a moment.
    pub async fn open_threads(
        &self,
        since: Option<DateTime<Utc>>,
    ) -> Result<Vec<OpenThread>, GithubError> {
        let since = since.map_or_else(String::new, |since| {
            format!(
                "&since={}",
                since.to_rfc3339_opts(SecondsFormat::Secs, true)
            )
        });
        let threads = self
            .client
            .get_all::<ThreadObject>(&self.route(format!("issues?state=open{since}")))
            .await?;
        Ok(threads.into_iter().map(Into::into).collect())
    }

    /// services.yaml at a commit or branch; none when there is no such file.
    pub async fn services_yaml(
        &self,
        path: &str,
        git_ref: &str,
    ) -> Result<Option<ServicesYaml>, ServicesYamlError> {
        services_yaml::read(&self.client, &self.full_name, path, git_ref).await
    }

    /// Labels of an Issue or pull request: GitHub numbers both in one row.
    pub async fn labels(&self, number: i64) -> Result<Vec<String>, GithubError> {
        let labels = self
            .client
            .get_all::<LabelObject>(&self.route(format!("issues/{number}/labels")))
            .await?;
        Ok(labels.into_iter().map(|label| label.name).collect())
    }

    /// Sets a label and answers all labels of the thread.
    pub async fn add_label(&self, number: i64, label: &str) -> Result<Vec<String>, GithubError> {
        let labels: Vec<LabelObject> = self
            .client
            .post(
                &self.route(format!("issues/{number}/labels")),
                &json!({"labels": [label]}),
            )
            .await?;
        Ok(labels.into_iter().map(|label| label.name).collect())
    }

    /// Removes a label that the thread bears.
    pub async fn remove_label(&self, number: i64, label: &str) -> Result<(), GithubError> {
        self.client
            .delete(&self.route(format!("issues/{number}/labels/{}", path_segment(label))))
            .await
    }

    /// Comments of a thread, oldest first.
    pub async fn comments(&self, number: i64) -> Result<Vec<PostedComment>, GithubError> {
        let comments = self
            .client
            .get_all::<CommentObject>(&self.route(format!("issues/{number}/comments")))
            .await?;
        Ok(comments.into_iter().map(Into::into).collect())
    }

    /// Comments of a thread since a moment.
    pub async fn comments_since(
        &self,
        number: i64,
        since: DateTime<Utc>,
    ) -> Result<Vec<Comment>, GithubError> {
        let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
        let comments = self
            .client
            .get_all::<CommentObject>(
                &self.route(format!("issues/{number}/comments?since={since}")),
            )
            .await?;
        Ok(comments.into_iter().map(Into::into).collect())
    }

    pub async fn create_comment(
        &self,
        number: i64,
        body: &str,
    ) -> Result<PostedComment, GithubError> {
        Ok(self
            .client
            .post::<CommentObject>(
                &self.route(format!("issues/{number}/comments")),
                &json!({"body": body}),
            )
            .await?
            .into())
    }

    pub async fn edit_comment(&self, id: i64, body: &str) -> Result<PostedComment, GithubError> {
        Ok(self
            .client
            .patch::<CommentObject>(
                &self.route(format!("issues/comments/{id}")),
                &json!({"body": body}),
            )
            .await?
            .into())
    }

    pub async fn delete_comment(&self, id: i64) -> Result<(), GithubError> {
        self.client
            .delete(&self.route(format!("issues/comments/{id}")))
            .await
    }

    /// Adds a reaction to a thread; GitHub keeps one per account.
    pub async fn react_to_thread(
        &self,
        thread: &Thread,
        reaction: Reaction,
    ) -> Result<(), GithubError> {
        let _: Value = self
            .client
            .post(
                &self.route(format!("issues/{}/reactions", thread.number)),
                &json!({"content": reaction.as_str()}),
            )
            .await?;
        Ok(())
    }

    /// Adds a reaction to a comment.
    pub async fn react_to_comment(&self, id: i64, reaction: Reaction) -> Result<(), GithubError> {
        let _: Value = self
            .client
            .post(
                &self.route(format!("issues/comments/{id}/reactions")),
                &json!({"content": reaction.as_str()}),
            )
            .await?;
        Ok(())
    }
}

/// A label may hold any character, also `/` and brackets.
pub(super) fn path_segment(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn label_names_survive_a_path() {
        assert_eq!(
            super::path_segment("[ai-model-gpt-5.4]"),
            "%5Bai-model-gpt-5.4%5D"
        );
        assert_eq!(super::path_segment("run:dev/x ü"), "run%3Adev%2Fx%20%C3%BC");
    }
}
