//! What is stored under the key before comes under the active one (G-122).
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sqlx::PgPool;

use super::{ColumnCipher, ColumnCipherError};
use crate::store::ciphertexts::{self, Stored};

/// Why not everything is under the active key.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    #[error("failed to read or write the stored ciphertexts")]
    Store(#[from] sqlx::Error),
    #[error("failed to open a stored ciphertext with either key")]
    Cipher(#[from] ColumnCipherError),
    #[error("failed to read the value that request {0} keeps: it is no base64")]
    Encoding(String),
}

/// Seals every value anew that another key than the active one holds; how many. What changes meanwhile is sealed by
/// whoever changes it, so that nothing is overwritten.
pub async fn reseal_stored(pool: &PgPool, cipher: &ColumnCipher) -> Result<u64, RotationError> {
    let mut resealed = 0;
    let key_id = cipher.active_key_id();
    for place in ciphertexts::PLACES {
        for stored in ciphertexts::of_other_keys(pool, place, key_id).await? {
            let sealed = cipher.reseal(stored.place(), &stored.ciphertext)?;
            resealed += ciphertexts::replace(pool, place, &stored, &sealed).await?;
        }
    }
    for (request, encoded) in ciphertexts::kept_by_requests(pool).await? {
        let ciphertext = STANDARD
            .decode(&encoded)
            .map_err(|_| RotationError::Encoding(request.clone()))?;
        let stored = Stored {
            table: ciphertexts::KEPT_BY_REQUESTS.0,
            column: ciphertexts::KEPT_BY_REQUESTS.1,
            row: request,
            ciphertext,
        };
        if stored.ciphertext.first() != Some(&key_id) {
            let sealed = cipher.reseal(stored.place(), &stored.ciphertext)?;
            let sealed = STANDARD.encode(sealed);
            resealed +=
                ciphertexts::replace_of_request(pool, &stored.row, &encoded, &sealed).await?;
        }
    }
    Ok(resealed)
}
