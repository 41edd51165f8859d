//! A repository's webhook as GitHub sees it: what it tried to hand over, and trying again.
use domain::recovery::Attempt;
use serde_json::{Value, json};

use super::objects::{AttemptObject, HookObject};
use super::{GithubError, Page, RepositoryApi};

impl RepositoryApi {
    /// The hook that calls this address.
    pub async fn hook_at(&self, address: &str) -> Result<Option<i64>, GithubError> {
        let hooks: Vec<HookObject> = self.client.get_all(&self.route("hooks")).await?;
        Ok(hooks
            .into_iter()
            .find(|hook| hook.config.url.trim_end_matches('/') == address.trim_end_matches('/'))
            .map(|hook| hook.id))
    }

    /// Attempts of a hook, newest first.
    pub async fn attempts(
        &self,
        hook: i64,
        cursor: Option<&str>,
    ) -> Result<Page<Attempt>, GithubError> {
        let page: Page<AttemptObject> = self
            .client
            .get_page(&self.route(format!("hooks/{hook}/deliveries")), cursor)
            .await?;
        Ok(Page {
            entries: page.entries.into_iter().map(Into::into).collect(),
            next: page.next,
            answered_at: page.answered_at,
        })
    }

    /// Has GitHub make an attempt once more, with the same GUID and body.
    pub async fn redeliver(&self, hook: i64, attempt: i64) -> Result<(), GithubError> {
        let _: Value = self
            .client
            .post(
                &self.route(format!("hooks/{hook}/deliveries/{attempt}/attempts")),
                &json!({}),
            )
            .await?;
        Ok(())
    }
}
