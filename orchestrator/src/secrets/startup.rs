//! A wrong encryption key fails at start, not at the first run that needs a token (D-22).
use sqlx::PgPool;

use super::{ColumnCipher, ColumnCipherError};
use crate::store::ciphertexts;

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

/// Opens the newest value of every encrypted column, which is enough: a wrong key opens none of them. Call it once the
/// schema is in place.
pub async fn check_stored_ciphertexts(
    pool: &PgPool,
    cipher: &ColumnCipher,
) -> Result<(), StartupCheckError> {
    for place in ciphertexts::PLACES {
        let newest = ciphertexts::newest(pool, place)
            .await
            .map_err(StartupCheckError::Read)?;
        if let Some(stored) = newest {
            cipher
                .open(stored.place(), &stored.ciphertext)
                .map_err(StartupCheckError::WrongKey)?;
        }
    }
    Ok(())
}
