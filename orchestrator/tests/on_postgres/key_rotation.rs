//! What becomes of the stored ciphertexts when the key changes (G-122).

use crate::store_support::TestDatabase;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use orchestrator::secrets::{Column, ColumnCipher, check_stored_ciphertexts, reseal_stored};
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;
use uuid::Uuid;

const KEPT: (&str, &str) = ("mcp_action_requests", "payload.secret_value_encrypted");

fn key(digit: char) -> SecretString {
    SecretString::from(digit.to_string().repeat(64))
}

fn place<'a>((table, column): (&'static str, &'static str), row: &'a str) -> Column<'a> {
    Column { table, column, row }
}

/// A value of every kind of place, each saying where it is.
async fn store(pool: &PgPool, cipher: &ColumnCipher) -> (Uuid, i64) {
    let project = Uuid::new_v4();
    let seal = |at: (&'static str, &'static str), row: &str| {
        cipher
            .seal(place(at, row), &SecretString::from(at.0))
            .expect("sealed")
    };
    sqlx::query("INSERT INTO projects (id, slug, name) VALUES ($1, 'p', 'p')")
        .bind(project)
        .execute(pool)
        .await
        .expect("project");
    sqlx::query(
        "INSERT INTO project_github_tokens (project_id, bot_token_encrypted) VALUES ($1, $2)",
    )
    .bind(project)
    .bind(seal(
        ("project_github_tokens", "bot_token_encrypted"),
        &project.to_string(),
    ))
    .execute(pool)
    .await
    .expect("project tokens");
    let repository = Uuid::new_v4();
    sqlx::query(
        "INSERT INTO repositories (id, project_id, alias, external_id, owner, name, token_encrypted)
         VALUES ($1, $2, 'app', 1, 'o', 'r', $3)",
    )
    .bind(repository)
    .bind(project)
    .bind(seal(
        ("repositories", "token_encrypted"),
        &repository.to_string(),
    ))
    .execute(pool)
    .await
    .expect("repository");
    let request: i64 = sqlx::query_scalar(
        "INSERT INTO mcp_action_requests (correlation_id, tool_name, action, signature, input_fingerprint, requested_by, expires_at)
         VALUES ('c', 't', 'a', 's', 'f', 'agent:dev', platform_now()) RETURNING id",
    )
    .fetch_one(pool)
    .await
    .expect("request");
    let kept = STANDARD.encode(seal(KEPT, &request.to_string()));
    sqlx::query("UPDATE mcp_action_requests SET payload = jsonb_build_object('other', 1, 'secret_value_encrypted', $1::text)")
        .bind(kept)
        .execute(pool)
        .await
        .expect("kept value");
    (repository, request)
}

async fn token_of(pool: &PgPool, repository: Uuid) -> Vec<u8> {
    sqlx::query_scalar("SELECT token_encrypted FROM repositories WHERE id = $1")
        .bind(repository)
        .fetch_one(pool)
        .await
        .expect("token")
}

#[tokio::test]
async fn a_new_key_leaves_nothing_to_the_old_one() {
    let database = TestDatabase::migrated().await;
    let pool = &database.pool;
    let before = ColumnCipher::new(&key('a'), None).expect("key");
    let (repository, request) = store(pool, &before).await;
    let after = ColumnCipher::new(&key('b'), None).expect("key");
    assert!(check_stored_ciphertexts(pool, &after).await.is_err());

    let rotating = ColumnCipher::new(&key('b'), Some(&key('a'))).expect("keys");
    check_stored_ciphertexts(pool, &rotating)
        .await
        .expect("the old key still opens");
    let resealed = |cipher| async move { reseal_stored(pool, cipher).await.expect("resealed") };
    assert_eq!(resealed(&rotating).await, 3);
    assert_eq!(resealed(&rotating).await, 0, "nothing is left to do");

    check_stored_ciphertexts(pool, &after)
        .await
        .expect("the new key opens everything");
    let at = repository.to_string();
    let token = token_of(pool, repository).await;
    let opened = after.open(place(("repositories", "token_encrypted"), &at), &token);
    assert_eq!(opened.expect("opens").expose_secret(), "repositories");
    let (kept, other): (String, i32) = sqlx::query_as(
        "SELECT payload ->> 'secret_value_encrypted', (payload -> 'other')::int FROM mcp_action_requests WHERE id = $1",
    )
    .bind(request)
    .fetch_one(pool)
    .await
    .expect("request");
    let kept = STANDARD.decode(kept).expect("base64");
    let opened = after.open(place(KEPT, &request.to_string()), &kept);
    assert_eq!(
        opened.expect("opens").expose_secret(),
        "mcp_action_requests"
    );
    assert_eq!(other, 1, "the rest of the payload stays");
}

#[tokio::test]
async fn what_neither_key_opens_stops_the_rotation() {
    let database = TestDatabase::migrated().await;
    let pool = &database.pool;
    let before = ColumnCipher::new(&key('a'), None).expect("key");
    let (repository, _) = store(pool, &before).await;
    let stored = token_of(pool, repository).await;
    let rotating = ColumnCipher::new(&key('b'), Some(&key('c'))).expect("keys");
    assert!(reseal_stored(pool, &rotating).await.is_err());
    assert_eq!(
        token_of(pool, repository).await,
        stored,
        "and is left as it is"
    );
}
