//! The webhook of a repository: one per address, with our secret and events (L-20).
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::OnboardingError;
use crate::config::GithubConfig;
use crate::github::{GithubClient, RepositoryApi};

#[derive(Debug, Deserialize)]
struct HookObject {
    id: i64,
}

/// Finds the hook by its address and sets it, or creates it. GitHub never shows a hook's secret, so an
/// existing one is always written: it may carry an older secret.
pub async fn ensure_webhook(
    client: &GithubClient,
    full_name: &str,
    config: &GithubConfig,
) -> Result<i64, OnboardingError> {
    let route = format!("/repos/{full_name}/hooks");
    let found = RepositoryApi::new(client.clone(), full_name)
        .hook_at(&config.webhook_url)
        .await
        .map_err(OnboardingError::at("list its webhooks"))?;
    let wanted = wanted(config);
    let hook: HookObject = match found {
        Some(id) => client.patch(&format!("{route}/{id}"), &wanted).await,
        None => client.post(&route, &wanted).await,
    }
    .map_err(OnboardingError::at("write its webhook"))?;
    Ok(hook.id)
}

fn wanted(config: &GithubConfig) -> Value {
    let secret = config
        .webhook_secret
        .as_ref()
        .map(SecretString::expose_secret)
        .unwrap_or_default();
    json!({
        "name": "web",
        "active": true,
        "events": config.webhook_events,
        "config": {
            "url": config.webhook_url,
            "content_type": "json",
            "insecure_ssl": "0",
            "secret": secret,
        },
    })
}
