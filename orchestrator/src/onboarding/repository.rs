//! The order of steps when a repository is bound.
use domain::labels::Catalogue;
use serde::Deserialize;

use super::{LabelSyncReport, OnboardingError, ensure_webhook, sync_labels};
use crate::config::GithubConfig;
use crate::github::{GithubClient, GithubError};

/// The repository as GitHub knows it.
#[derive(Debug, Clone, Deserialize)]
pub struct GithubRepository {
    pub id: i64,
    /// As GitHub spells it.
    pub full_name: String,
    #[serde(default)]
    pub default_branch: String,
}

/// What was made ready.
#[derive(Debug)]
pub struct Onboarded {
    pub webhook_id: i64,
    pub labels: LabelSyncReport,
}

/// Asks GitHub for the repository; the token must reach it.
pub async fn find_repository(
    client: &GithubClient,
    owner: &str,
    name: &str,
) -> Result<GithubRepository, OnboardingError> {
    client
        .get(&format!("/repos/{owner}/{name}"))
        .await
        .map_err(|error| match &error {
            GithubError::Refused { status, .. } if matches!(status.as_u16(), 401 | 403 | 404) => {
                OnboardingError::NotVisible(error)
            }
            _ => OnboardingError::at("show it")(error),
        })
}

/// Webhook and labels, beside each other: neither needs the other.
pub async fn onboard(
    client: &GithubClient,
    repository: &GithubRepository,
    config: &GithubConfig,
    catalogue: &Catalogue,
) -> Result<Onboarded, OnboardingError> {
    let (webhook_id, labels) = tokio::try_join!(
        ensure_webhook(client, &repository.full_name, config),
        sync_labels(client, &repository.full_name, catalogue)
    )?;
    Ok(Onboarded { webhook_id, labels })
}
