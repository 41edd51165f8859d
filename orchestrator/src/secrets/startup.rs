//! A wrong encryption key fails at start, not at the first run that needs a token (D-22).
use sqlx::PgPool;

use super::{Column, ColumnCipher, ColumnCipherError};

/// Why the stored ciphertexts could not be accepted at start.
#[derive(Debug, thiserror::Error)]
pub enum StartupCheckError {
    #[error("failed to read the stored ciphertexts")]
    Read(#[source] sqlx::Error),
    #[error(
        "failed to open a stored ciphertext: is CODEXK8S_TOKEN_ENCRYPTION_KEY the key it was written with?"
    )]
    WrongKey(#[source] ColumnCipherError),
}

/// One value per encrypted column is enough: a wrong key opens none of them.
const SAMPLES: [(&str, &str, &str); 6] = [
    (
        "platform_github_tokens",
        "platform_token_encrypted",
        "SELECT id::text, platform_token_encrypted FROM platform_github_tokens WHERE platform_token_encrypted IS NOT NULL LIMIT 1",
    ),
    (
        "platform_github_tokens",
        "bot_token_encrypted",
        "SELECT id::text, bot_token_encrypted FROM platform_github_tokens WHERE bot_token_encrypted IS NOT NULL LIMIT 1",
    ),
    (
        "project_github_tokens",
        "platform_token_encrypted",
        "SELECT project_id::text, platform_token_encrypted FROM project_github_tokens WHERE platform_token_encrypted IS NOT NULL ORDER BY updated_at DESC LIMIT 1",
    ),
    (
        "project_github_tokens",
        "bot_token_encrypted",
        "SELECT project_id::text, bot_token_encrypted FROM project_github_tokens WHERE bot_token_encrypted IS NOT NULL ORDER BY updated_at DESC LIMIT 1",
    ),
    (
        "repositories",
        "token_encrypted",
        "SELECT id::text, token_encrypted FROM repositories WHERE octet_length(token_encrypted) > 0 ORDER BY updated_at DESC LIMIT 1",
    ),
    (
        "repositories",
        "bot_token_encrypted",
        "SELECT id::text, bot_token_encrypted FROM repositories WHERE bot_token_encrypted IS NOT NULL ORDER BY updated_at DESC LIMIT 1",
    ),
];

/// Opens a sample of every encrypted column; call it once the schema is in place.
pub async fn check_stored_ciphertexts(
    pool: &PgPool,
    cipher: &ColumnCipher,
) -> Result<(), StartupCheckError> {
    for (table, column, query) in SAMPLES {
        let sample: Option<(String, Vec<u8>)> = sqlx::query_as(query)
            .fetch_optional(pool)
            .await
            .map_err(StartupCheckError::Read)?;
        if let Some((row, stored)) = sample {
            let place = Column {
                table,
                column,
                row: &row,
            };
            cipher
                .open(place, &stored)
                .map_err(StartupCheckError::WrongKey)?;
        }
    }
    Ok(())
}
