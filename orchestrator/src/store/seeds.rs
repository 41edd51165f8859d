//! The people a platform starts with (DM-8); operator edits are never overwritten.
use sqlx::PgPool;

const OWNER_LOCK: i64 = 0x6f77_6e65_725f_6f66;

/// Makes sure that exactly this person is the owner; another e-mail moves the flag in one transaction.
pub async fn ensure_owner(
    pool: &PgPool,
    email: &str,
    github_login: Option<&str>,
) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    // Replicas that start together take turns: two inserts of one login would collide.
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(OWNER_LOCK)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("UPDATE users SET is_platform_owner = false WHERE is_platform_owner AND email <> $1::citext").bind(email).execute(&mut *transaction).await?;
    // A login that somebody else bears already stays theirs.
    sqlx::query(
        "INSERT INTO users (email, github_login, is_platform_admin, is_platform_owner)
         VALUES ($1::citext, (SELECT $2::citext WHERE NOT EXISTS (SELECT 1 FROM users WHERE github_login = $2::citext)), true, true)
         ON CONFLICT (email) DO UPDATE SET is_platform_owner = true, is_platform_admin = true,
             github_login = coalesce(users.github_login, excluded.github_login)
         WHERE NOT users.is_platform_owner OR NOT users.is_platform_admin OR users.github_login IS NULL",
    )
    .bind(email)
    .bind(github_login)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
}

/// Further people, insert-or-nothing.
pub async fn ensure_users(
    pool: &PgPool,
    emails: &[String],
    admin: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO users (email, is_platform_admin) SELECT email::citext, $2 FROM unnest($1::text[]) AS email ON CONFLICT DO NOTHING")
        .bind(emails)
        .bind(admin)
        .execute(pool)
        .await?;
    Ok(())
}
