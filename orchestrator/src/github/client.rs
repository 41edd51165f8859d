//! Typed calls without retries: a repeated POST would be a second comment.
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, Utc};
use octocrab::Octocrab;
use octocrab::service::middleware::retry::RetryConfig;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::GithubError;
use super::write_name::WriteName;
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

/// Turns a refusal into an error that knows the headers of the answer: GitHub tells of its limits there.
macro_rules! checked {
    ($response:expr) => {{
        let response = $response;
        let headers = match response.status().is_success() {
            true => http::HeaderMap::new(),
            false => response.headers().clone(),
        };
        octocrab::map_github_error(response)
            .await
            .map_err(|error| GithubError::refused(error, &headers))?
    }};
}

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
                limit: None,
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
        let response = checked!(self.0._get(route).await?);
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

    /// One page of a list that is read by cursor; the first without one.
    pub async fn get_page<T: DeserializeOwned>(
        &self,
        route: &str,
        cursor: Option<&str>,
    ) -> Result<Page<T>, GithubError> {
        let mut route = format!("{route}?per_page={PAGE_SIZE}");
        if let Some(cursor) = cursor {
            route.push_str("&cursor=");
            route.extend(url::form_urlencoded::byte_serialize(cursor.as_bytes()));
        }
        let response = checked!(self.0._get(route).await?);
        let header = |name| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let next = header(http::header::LINK).and_then(next_cursor);
        let answered_at = header(http::header::DATE)
            .and_then(|date| DateTime::parse_from_rfc2822(date).ok())
            .map(|date| date.with_timezone(&Utc));
        let entries = parse(&self.0.body_to_string(response).await?)?;
        Ok(Page {
            entries,
            next,
            answered_at,
        })
    }

    /// Creates something.
    pub async fn post<T: DeserializeOwned>(
        &self,
        route: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, GithubError> {
        let write =
            async { Ok::<_, GithubError>(checked!(self.0._post(route, Some(body)).await?)) };
        let response = around(WriteName("create", route), write).await?;
        parse(&self.0.body_to_string(response).await?)
    }

    /// Changes something.
    pub async fn patch<T: DeserializeOwned>(
        &self,
        route: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, GithubError> {
        let write =
            async { Ok::<_, GithubError>(checked!(self.0._patch(route, Some(body)).await?)) };
        let response = around(WriteName("update", route), write).await?;
        parse(&self.0.body_to_string(response).await?)
    }

    /// Writes something whole; what the answer holds does not matter.
    pub async fn put(
        &self,
        route: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<(), GithubError> {
        let write = async { Ok::<_, GithubError>(checked!(self.0._put(route, Some(body)).await?)) };
        around(WriteName("update", route), write).await?;
        Ok(())
    }

    /// Deletes something; what the answer holds does not matter.
    pub async fn delete(&self, route: &str) -> Result<(), GithubError> {
        let write =
            async { Ok::<_, GithubError>(checked!(self.0._delete(route, None::<&()>).await?)) };
        around(WriteName("delete", route), write).await?;
        Ok(())
    }
}

/// A part of a list.
#[derive(Debug)]
pub struct Page<T> {
    pub entries: Vec<T>,
    /// Leads to the next page; none after the last.
    pub next: Option<String>,
    /// GitHub's clock.
    pub answered_at: Option<DateTime<Utc>>,
}

/// The cursor in the `next` link of a `Link` header.
fn next_cursor(links: &str) -> Option<String> {
    let address = links
        .split(',')
        .filter_map(|link| link.split_once(';'))
        .find(|(_, relation)| relation.trim() == "rel=\"next\"")
        .map(|(address, _)| address.trim().trim_matches(['<', '>']))?;
    url::Url::parse(address)
        .ok()?
        .query_pairs()
        .find(|(name, _)| name == "cursor")
        .map(|(_, cursor)| cursor.into_owned())
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, GithubError> {
    serde_json::from_str(text).map_err(GithubError::Shape)
}

#[cfg(test)]
mod tests {
    use super::next_cursor;

    #[test]
    fn the_next_page_is_named_by_the_link_header() {
        let next = r#"<https://api.github.com/repositories/1/hooks/2/deliveries?per_page=1&cursor=v1_12077215967>; rel="next""#;
        assert_eq!(next_cursor(next).as_deref(), Some("v1_12077215967"));
        let both = format!(r#"<https://api.github.com/x?cursor=v1_1>; rel="prev", {next}"#);
        assert_eq!(next_cursor(&both).as_deref(), Some("v1_12077215967"));
        for links in [
            "",
            "<https://api.github.com/x?cursor=v1_1>; rel=\"prev\"",
            "<https://api.github.com/x>; rel=\"next\"",
        ] {
            assert_eq!(next_cursor(links), None, "{links}");
        }
    }
}
