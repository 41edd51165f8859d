//! Which GitHub tokens serve a repository: repository, then project, then platform, separately for
//! management and bot (D-23, R-149).
use secrecy::SecretString;
use sqlx::PgPool;
use uuid::Uuid;

use crate::secrets::{Column, ColumnCipher, ColumnCipherError};
use crate::store::tokens;

/// Why tokens could not be resolved.
#[derive(Debug, thiserror::Error)]
pub enum GithubTokensError {
    #[error("failed to load the stored GitHub tokens")]
    Store(#[source] sqlx::Error),
    #[error("failed to decrypt a stored GitHub token")]
    Cipher(#[from] ColumnCipherError),
}

/// The level a token was found at; shown to people, unlike the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenScope {
    Repository,
    Project,
    Platform,
}

/// A token with the level it came from.
#[derive(Debug, Clone)]
pub struct ResolvedToken {
    pub token: SecretString,
    pub scope: TokenScope,
}

/// What the platform uses towards GitHub for one repository or project.
#[derive(Debug, Clone, Default)]
pub struct GithubTokens {
    pub management: Option<ResolvedToken>,
    pub bot: Option<ResolvedToken>,
    /// Set at the level the bot token came from; empty means the platform's bot identity.
    pub bot_username: String,
    pub bot_email: String,
}

/// The platform's tokens of the configuration, used where the platform row holds none.
#[derive(Debug, Clone, Default)]
pub struct TokenFallback {
    pub management: Option<SecretString>,
    pub bot: Option<SecretString>,
}

/// One stored token with the place it is bound to.
#[derive(Debug, Clone)]
pub struct StoredToken {
    pub scope: TokenScope,
    pub table: &'static str,
    pub column: &'static str,
    pub row: String,
    pub ciphertext: Vec<u8>,
}

impl StoredToken {
    fn open(&self, cipher: &ColumnCipher) -> Result<ResolvedToken, ColumnCipherError> {
        let place = Column {
            table: self.table,
            column: self.column,
            row: &self.row,
        };
        Ok(ResolvedToken {
            token: cipher.open(place, &self.ciphertext)?,
            scope: self.scope,
        })
    }
}

/// Tokens for a bound repository.
pub async fn resolve_for_repository(
    pool: &PgPool,
    cipher: &ColumnCipher,
    fallback: &TokenFallback,
    repository_id: Uuid,
) -> Result<GithubTokens, GithubTokensError> {
    let rows = tokens::github_token_rows(pool, Some(repository_id), None)
        .await
        .map_err(GithubTokensError::Store)?;
    choose(cipher, fallback, rows)
}

/// Tokens for a project, before a repository of it is bound.
pub async fn resolve_for_project(
    pool: &PgPool,
    cipher: &ColumnCipher,
    fallback: &TokenFallback,
    project_id: Uuid,
) -> Result<GithubTokens, GithubTokensError> {
    let rows = tokens::github_token_rows(pool, None, Some(project_id))
        .await
        .map_err(GithubTokensError::Store)?;
    choose(cipher, fallback, rows)
}

fn choose(
    cipher: &ColumnCipher,
    fallback: &TokenFallback,
    rows: tokens::GithubTokenRows,
) -> Result<GithubTokens, GithubTokensError> {
    let platform = |token: &Option<SecretString>| {
        token.clone().map(|token| ResolvedToken {
            token,
            scope: TokenScope::Platform,
        })
    };
    let management = match rows.management.first() {
        Some(stored) => Some(stored.open(cipher)?),
        None => platform(&fallback.management),
    };
    let bot = match rows.bot.first() {
        Some(stored) => Some(stored.open(cipher)?),
        None => platform(&fallback.bot),
    };
    Ok(GithubTokens {
        management,
        bot,
        bot_username: rows.bot_username,
        bot_email: rows.bot_email,
    })
}
