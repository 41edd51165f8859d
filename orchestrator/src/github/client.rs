//! Typed calls without retries: a repeated POST would be a second comment.
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use octocrab::Octocrab;
use octocrab::service::middleware::retry::RetryConfig;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::GithubError;
use crate::config::GithubConfig;
use crate::transition::around;

/// Longer than GitHub's own limit of ten seconds, shorter than the lease of an effect.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// GitHub's largest page.
const PAGE_SIZE: usize = 100;
/// A thread with more than ten thousand entries is cut, so that one call ends.
const PAGE_LIMIT: usize = 100;
/// Tokens rotate seldom; a full cache is dropped rather than managed.
const CACHED_CLIENTS: usize = 256;

/// Makes a client per token and keeps it, with its connections.
pub struct GithubClients {
    base_uri: http::Uri,
    clients: Mutex<HashMap<[u8; 32], GithubClient>>,
}

impl GithubClients {
    /// Reads the address; nothing is connected.
    pub fn new(config: &GithubConfig) -> Result<Self, GithubError> {
        let base_uri = config
            .api_base_url
            .parse()
            .map_err(|error: http::uri::InvalidUri| GithubError::Refused {
                status: http::StatusCode::BAD_REQUEST,
                message: format!("CODEXK8S_GITHUB_API_BASE_URL: {error}"),
                rate_limited: false,
            })?;
        Ok(Self {
            base_uri,
            clients: Mutex::default(),
        })
    }

    /// The client that acts with this token.
    pub fn with_token(&self, token: &SecretString) -> Result<GithubClient, GithubError> {
        let key: [u8; 32] = Sha256::digest(token.expose_secret().as_bytes()).into();
        let mut clients = self
            .clients
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        if clients.len() >= CACHED_CLIENTS {
            clients.clear();
        }
        let client = GithubClient(
            Octocrab::builder()
                .base_uri(self.base_uri.clone())?
                .personal_token(token.expose_secret().to_owned())
                .add_retry_config(RetryConfig::None)
                .set_connect_timeout(Some(CONNECT_TIMEOUT))
                .set_read_timeout(Some(CALL_TIMEOUT))
                .set_write_timeout(Some(CALL_TIMEOUT))
                .build()?,
        );
        clients.insert(key, client.clone());
        Ok(client)
    }
}

/// Calls with one token.
#[derive(Clone)]
pub struct GithubClient(Octocrab);

impl GithubClient {
    /// One object.
    pub async fn get<T: DeserializeOwned>(&self, route: &str) -> Result<T, GithubError> {
        let response = octocrab::map_github_error(self.0._get(route).await?).await?;
        parse(&self.0.body_to_string(response).await?)
    }

    /// Every entry of a list, page by page.
    pub async fn get_all<T: DeserializeOwned>(&self, route: &str) -> Result<Vec<T>, GithubError> {
        let separator = if route.contains('?') { '&' } else { '?' };
        let mut all = Vec::new();
        for page in 1..=PAGE_LIMIT {
            let mut entries: Vec<T> = self
                .get(&format!(
                    "{route}{separator}per_page={PAGE_SIZE}&page={page}"
                ))
                .await?;
            let last = entries.len() < PAGE_SIZE;
            all.append(&mut entries);
            if last {
                break;
            }
        }
        Ok(all)
    }

    /// Creates something.
    pub async fn post<T: DeserializeOwned>(
        &self,
        route: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, GithubError> {
        let response = octocrab::map_github_error(
            around(WriteName("create", route), self.0._post(route, Some(body))).await?,
        )
        .await?;
        parse(&self.0.body_to_string(response).await?)
    }

    /// Changes something.
    pub async fn patch<T: DeserializeOwned>(
        &self,
        route: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, GithubError> {
        let response = octocrab::map_github_error(
            around(WriteName("update", route), self.0._patch(route, Some(body))).await?,
        )
        .await?;
        parse(&self.0.body_to_string(response).await?)
    }

    /// Deletes something; what the answer holds does not matter.
    pub async fn delete(&self, route: &str) -> Result<(), GithubError> {
        let response = around(
            WriteName("delete", route),
            self.0._delete(route, None::<&()>),
        )
        .await?;
        octocrab::map_github_error(response).await?;
        Ok(())
    }
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, GithubError> {
    serde_json::from_str(text).map_err(GithubError::Shape)
}

/// A write by its verb and the words of its route: `github.create.issues.labels`.
struct WriteName<'a>(&'static str, &'a str);

impl std::fmt::Display for WriteName<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(verb, route) = self;
        write!(formatter, "github.{verb}")?;
        let path = route.split('?').next().unwrap_or_default();
        let mut words = path.trim_matches('/').split('/').peekable();
        // What a repository is called says nothing about the write, and neither does the name of a label.
        if words.next_if_eq(&"repos").is_some() {
            words.next();
            words.next();
        }
        let kinds = [
            "issues",
            "comments",
            "labels",
            "hooks",
            "reactions",
            "pulls",
            "deliveries",
            "attempts",
        ];
        for word in words.filter(|word| kinds.contains(word)) {
            write!(formatter, ".{word}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_named_by_its_verb_and_the_kinds_in_its_route() {
        let cases = [
            (
                "create",
                "/repos/shop/app/issues/7/labels",
                "github.create.issues.labels",
            ),
            (
                "delete",
                "/repos/shop/app/issues/7/labels/run%3Adev",
                "github.delete.issues.labels",
            ),
            (
                "update",
                "/repos/shop/app/issues/comments/12",
                "github.update.issues.comments",
            ),
            (
                "create",
                "/repos/issues/labels/hooks",
                "github.create.hooks",
            ),
        ];
        for (verb, route, expected) in cases {
            assert_eq!(WriteName(verb, route).to_string(), expected);
        }
    }
}
