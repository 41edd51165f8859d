//! The value of a request: derived from its target, or kept encrypted in its row until it ends (G-43 to G-45, G-120).
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::secret_sync::{SecretPolicy, SecretSync};
use secrecy::SecretString;
use sqlx::PgConnection;

use crate::app::App;
use crate::secrets::{Column, ColumnCipherError, derived_value};
use crate::store::approvals::{self, ApprovalRow};

/// Why there is no value.
#[derive(Debug, thiserror::Error)]
pub enum ValueError {
    #[error("failed to use the value of a secret: this process holds no key for it")]
    NoKey,
    #[error("failed to find the value of a secret: its request keeps none")]
    NoValue,
    #[error("failed to read the value of a secret: what is kept is no base64")]
    Encoding,
    #[error(transparent)]
    Cipher(#[from] ColumnCipherError),
    #[error("failed to keep the value of a secret")]
    Store(#[from] sqlx::Error),
}

fn place(row: &str) -> Column<'_> {
    Column {
        table: "mcp_action_requests",
        column: "payload.secret_value_encrypted",
        row,
    }
}

/// Keeps a value with its request.
pub async fn keep(
    app: &App,
    connection: &mut PgConnection,
    request_id: i64,
    value: &SecretString,
) -> Result<(), ValueError> {
    let cipher = app.cipher.as_ref().ok_or(ValueError::NoKey)?;
    let sealed = cipher.seal(place(&request_id.to_string()), value)?;
    approvals::keep_secret(connection, request_id, &STANDARD.encode(sealed)).await?;
    Ok(())
}

/// The value that a request writes; the same at every attempt.
pub fn value_of(
    app: &App,
    row: &ApprovalRow,
    sync: &SecretSync,
) -> Result<SecretString, ValueError> {
    if sync.policy == SecretPolicy::Deterministic {
        let keys = &app.config.keys;
        let key = keys.secret_derivation.as_ref().ok_or(ValueError::NoKey)?;
        let project = row.project_id.map(|id| id.to_string()).unwrap_or_default();
        return Ok(derived_value(key, &sync.derivation(&project)));
    }
    let cipher = app.cipher.as_ref().ok_or(ValueError::NoKey)?;
    let kept = row.kept_secret().ok_or(ValueError::NoValue)?;
    let sealed = STANDARD.decode(kept).map_err(|_| ValueError::Encoding)?;
    Ok(cipher.open(place(&row.id.to_string()), &sealed)?)
}
