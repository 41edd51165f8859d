//! Which token acts where: repository, then project, then platform (D-23).
use uuid::Uuid;

use super::{GithubError, RepositoryApi};
use crate::app::App;
use crate::credentials::{self, GithubTokensError};
use crate::store::snapshots;

/// Why no token could be found.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error(transparent)]
    Github(#[from] GithubError),
    #[error(transparent)]
    Tokens(#[from] GithubTokensError),
    #[error("failed to look up a repository")]
    Store(#[from] sqlx::Error),
    #[error("failed to use GitHub tokens: this process holds no key for them")]
    NoKey,
}

/// A repository as the platform reads it and as the bot writes it.
#[derive(Clone)]
pub struct RepositoryAccess {
    /// Management token: reads, hooks.
    pub reader: RepositoryApi,
    /// Bot token: labels, comments and reactions, so that people see who acted.
    pub writer: RepositoryApi,
}

/// Access to a repository by name. An unbound one is reached with the platform's own tokens, if they reach it.
pub async fn access_to(app: &App, full_name: &str) -> Result<RepositoryAccess, AccessError> {
    let repository_id = snapshots::live_repository_id(&app.pool, full_name).await?;
    let cipher = app.cipher.as_ref().ok_or(AccessError::NoKey)?;
    let tokens = credentials::resolve_for_repository(
        &app.pool,
        cipher,
        &app.token_fallback(),
        repository_id.unwrap_or(Uuid::nil()),
    )
    .await?;
    let reader = tokens
        .management
        .as_ref()
        .or(tokens.bot.as_ref())
        .ok_or(GithubError::NoToken)?;
    let writer = tokens
        .bot
        .as_ref()
        .or(tokens.management.as_ref())
        .ok_or(GithubError::NoToken)?;
    Ok(RepositoryAccess {
        reader: RepositoryApi::new(app.github.with_token(&reader.token)?, full_name),
        writer: RepositoryApi::new(app.github.with_token(&writer.token)?, full_name),
    })
}

/// A repository with the management token and no other: the bot may write no secrets (G-46, G-116).
pub async fn managed(app: &App, full_name: &str) -> Result<RepositoryApi, AccessError> {
    let repository_id = snapshots::live_repository_id(&app.pool, full_name).await?;
    let cipher = app.cipher.as_ref().ok_or(AccessError::NoKey)?;
    let tokens = credentials::resolve_for_repository(
        &app.pool,
        cipher,
        &app.token_fallback(),
        repository_id.unwrap_or(Uuid::nil()),
    )
    .await?;
    let management = tokens.management.ok_or(GithubError::NoToken)?;
    let client = app.github.with_token(&management.token)?;
    Ok(RepositoryApi::new(client, full_name))
}
