//! Encrypted values wherever they lie, for what concerns them all: a wrong key at start, a rotation.
use sqlx::{AssertSqlSafe, PgPool};

use crate::secrets::Column;

/// A column of ciphertexts, and the expression for what its values are bound to.
#[derive(Debug)]
pub struct Place {
    table: &'static str,
    column: &'static str,
    row: &'static str,
}

const fn place(table: &'static str, column: &'static str, row: &'static str) -> Place {
    Place { table, column, row }
}

/// Every column of ciphertexts.
pub const PLACES: &[Place] = &[
    place("platform_github_tokens", "platform_token_encrypted", "id"),
    place("platform_github_tokens", "bot_token_encrypted", "id"),
    place(
        "project_github_tokens",
        "platform_token_encrypted",
        "project_id",
    ),
    place("project_github_tokens", "bot_token_encrypted", "project_id"),
    place("repositories", "token_encrypted", "id"),
    place("repositories", "bot_token_encrypted", "id"),
    place("callback_adapters", "delivery_token_encrypted", "id"),
];

/// Table and column of the values that requests keep while they are under way, in base64 within their payload (G-120).
pub const KEPT_BY_REQUESTS: (&str, &str) =
    ("mcp_action_requests", "payload.secret_value_encrypted");

/// One ciphertext.
#[derive(Debug)]
pub struct Stored {
    pub table: &'static str,
    pub column: &'static str,
    /// Primary key of the row as text.
    pub row: String,
    pub ciphertext: Vec<u8>,
}

impl Stored {
    /// What it is bound to.
    pub fn place(&self) -> Column<'_> {
        Column {
            table: self.table,
            column: self.column,
            row: &self.row,
        }
    }
}

fn stored(place: &Place, (row, ciphertext): (String, Vec<u8>)) -> Stored {
    Stored {
        table: place.table,
        column: place.column,
        row,
        ciphertext,
    }
}

/// The value that was written last.
pub async fn newest(pool: &PgPool, place: &Place) -> Result<Option<Stored>, sqlx::Error> {
    let Place { table, column, row } = place;
    let found = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT {row}::text, {column} FROM {table} WHERE octet_length({column}) > 0 ORDER BY updated_at DESC LIMIT 1"
    )))
    .fetch_optional(pool)
    .await?;
    Ok(found.map(|found| stored(place, found)))
}

/// Values that begin with the id of another key.
pub async fn of_other_keys(
    pool: &PgPool,
    place: &Place,
    key_id: u8,
) -> Result<Vec<Stored>, sqlx::Error> {
    let Place { table, column, row } = place;
    let found: Vec<(String, Vec<u8>)> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT {row}::text, {column} FROM {table} WHERE octet_length({column}) > 0 AND get_byte({column}, 0) <> $1"
    )))
    .bind(i32::from(key_id))
    .fetch_all(pool)
    .await?;
    Ok(found
        .into_iter()
        .map(|found| stored(place, found))
        .collect())
}

/// Puts another ciphertext in the place of one, unless that has changed; 1 if it was done.
pub async fn replace(
    pool: &PgPool,
    place: &Place,
    before: &Stored,
    sealed: &[u8],
) -> Result<u64, sqlx::Error> {
    let Place { table, column, row } = place;
    let done = sqlx::query(AssertSqlSafe(format!(
        "UPDATE {table} SET {column} = $1 WHERE {row}::text = $2 AND {column} = $3"
    )))
    .bind(sealed)
    .bind(&before.row)
    .bind(&before.ciphertext)
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// Request and value of each that keeps one.
pub async fn kept_by_requests(pool: &PgPool) -> Result<Vec<(String, String)>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id::text, payload ->> 'secret_value_encrypted' FROM mcp_action_requests
         WHERE payload ->> 'secret_value_encrypted' IS NOT NULL",
    )
    .fetch_all(pool)
    .await
}

/// The same as [`replace`] for the value that a request keeps.
pub async fn replace_of_request(
    pool: &PgPool,
    request: &str,
    before: &str,
    sealed: &str,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE mcp_action_requests
         SET payload = payload || jsonb_build_object('secret_value_encrypted', $3::text)
         WHERE id = $1::bigint AND payload ->> 'secret_value_encrypted' = $2",
    )
    .bind(request)
    .bind(before)
    .bind(sealed)
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
