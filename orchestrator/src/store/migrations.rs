//! Applies the embedded migrations (DM-1..DM-5).
//!
//! Our own few lines instead of a migrator library: the checksum, `min_binary_version` and the wait of the other
//! replicas are rules of the product and visible in its tables.
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection, PgPool};

/// One embedded file.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    pub version: i64,
    pub name: &'static str,
    pub sql: &'static str,
}

/// Every embedded file, oldest first.
pub const MIGRATIONS: &[Migration] = include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// Any fixed number does; no other advisory lock of the platform uses it.
const LOCK_KEY: i64 = 0x636f_6465_786b_3873;
/// DM-2: how long a replica waits for the one that migrates.
const WAIT_LIMIT: Duration = Duration::from_secs(60);
/// A worker cannot be woken by a schema that does not exist yet, so it looks.
const WAIT_STEP: Duration = Duration::from_millis(100);
const MIN_BINARY_MARK: &str = "-- min-binary-version:";
const NO_TRANSACTION_MARK: &str = "-- no-transaction";

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    #[error("failed to reach the database for migrations")]
    Database(#[from] sqlx::Error),
    #[error("failed to get the migration lock within 60 s")]
    Locked(#[source] sqlx::Error),
    #[error("failed to apply migration {version}")]
    Apply {
        version: i64,
        #[source]
        source: sqlx::Error,
    },
    #[error("failed to accept migration {version}: it was applied with another content (DM-4)")]
    Checksum { version: i64 },
    #[error(
        "failed to accept the database: migration {version} needs a binary with {needed}, this one has {latest} (DM-5)"
    )]
    TooNew {
        version: i64,
        needed: i64,
        latest: i64,
    },
    #[error(
        "failed to see the schema at version {latest} within 60 s: is a control-plane running?"
    )]
    NotReady { latest: i64 },
}

/// The newest version this binary knows.
pub fn latest() -> i64 {
    MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0)
}

/// Applies what is missing and returns how many files that was.
pub async fn migrate(pool: &PgPool) -> Result<usize, MigrationError> {
    migrate_with(pool, MIGRATIONS).await
}

/// The same with a given list of files.
pub async fn migrate_with(
    pool: &PgPool,
    migrations: &[Migration],
) -> Result<usize, MigrationError> {
    // Detached, so that a failure between lock and unlock frees the lock with the connection.
    let mut connection = pool.acquire().await?.detach();
    sqlx::query("SELECT set_config('lock_timeout', $1, false)")
        .bind(format!("{}s", WAIT_LIMIT.as_secs()))
        .execute(&mut connection)
        .await?;
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(LOCK_KEY)
        .execute(&mut connection)
        .await
        .map_err(MigrationError::Locked)?;
    let outcome = apply_missing(&mut connection, migrations).await;
    connection.close().await?;
    outcome
}

/// Waits until another process has brought the schema to this binary's version (DM-2).
pub async fn wait_until_migrated(pool: &PgPool) -> Result<(), MigrationError> {
    let deadline = Instant::now() + WAIT_LIMIT;
    loop {
        if let Ok(mut connection) = pool.acquire().await
            && let Ok(applied) = load_applied(&mut connection).await
        {
            verify(&applied, MIGRATIONS)?;
            if MIGRATIONS
                .iter()
                .all(|migration| applied.iter().any(|row| row.version == migration.version))
            {
                return Ok(());
            }
        }
        if Instant::now() >= deadline {
            return Err(MigrationError::NotReady { latest: latest() });
        }
        tokio::time::sleep(WAIT_STEP).await;
    }
}

#[derive(sqlx::FromRow)]
struct Applied {
    version: i64,
    checksum: Vec<u8>,
    min_binary_version: i64,
}

async fn load_applied(connection: &mut PgConnection) -> Result<Vec<Applied>, sqlx::Error> {
    sqlx::query_as(
        "SELECT version, checksum, min_binary_version FROM schema_migrations ORDER BY version",
    )
    .fetch_all(connection)
    .await
}

async fn apply_missing(
    connection: &mut PgConnection,
    migrations: &[Migration],
) -> Result<usize, MigrationError> {
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS schema_migrations (
            version            bigint PRIMARY KEY,
            name               text NOT NULL,
            checksum           bytea NOT NULL,
            applied_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
            execution_ms       integer NOT NULL,
            min_binary_version bigint NOT NULL,
            created_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
            updated_at         timestamptz NOT NULL DEFAULT clock_timestamp()
        )",
    )
    .execute(&mut *connection)
    .await?;
    let applied = load_applied(connection).await?;
    verify(&applied, migrations)?;
    let mut count = 0;
    for migration in migrations
        .iter()
        .filter(|migration| applied.iter().all(|row| row.version != migration.version))
    {
        apply_one(connection, migration)
            .await
            .map_err(|source| MigrationError::Apply {
                version: migration.version,
                source,
            })?;
        tracing::info!(
            version = migration.version,
            name = migration.name,
            "applied migration"
        );
        count += 1;
    }
    Ok(count)
}

/// DM-4 and DM-5, before anything is applied.
fn verify(applied: &[Applied], migrations: &[Migration]) -> Result<(), MigrationError> {
    let latest = migrations
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0);
    for row in applied {
        match migrations
            .iter()
            .find(|migration| migration.version == row.version)
        {
            Some(migration) if checksum(migration.sql) != row.checksum => {
                return Err(MigrationError::Checksum {
                    version: row.version,
                });
            }
            Some(_) => {}
            None if row.min_binary_version > latest => {
                return Err(MigrationError::TooNew {
                    version: row.version,
                    needed: row.min_binary_version,
                    latest,
                });
            }
            None => {}
        }
    }
    Ok(())
}

async fn apply_one(
    connection: &mut PgConnection,
    migration: &Migration,
) -> Result<(), sqlx::Error> {
    let started = Instant::now();
    if migration
        .sql
        .lines()
        .any(|line| line.trim() == NO_TRANSACTION_MARK)
    {
        sqlx::raw_sql(migration.sql)
            .execute(&mut *connection)
            .await?;
        return record(connection, migration, started).await;
    }
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(migration.sql)
        .execute(&mut *transaction)
        .await?;
    record(&mut transaction, migration, started).await?;
    transaction.commit().await
}

async fn record(
    connection: &mut PgConnection,
    migration: &Migration,
    started: Instant,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO schema_migrations (version, name, checksum, execution_ms, min_binary_version) VALUES ($1, $2, $3, $4, $5)")
        .bind(migration.version)
        .bind(migration.name)
        .bind(checksum(migration.sql))
        .bind(i32::try_from(started.elapsed().as_millis()).unwrap_or(i32::MAX))
        .bind(min_binary_version(migration))
        .execute(connection)
        .await?;
    Ok(())
}

fn checksum(sql: &str) -> Vec<u8> {
    Sha256::digest(sql.as_bytes()).to_vec()
}

/// A file without the mark needs a binary that knows it.
fn min_binary_version(migration: &Migration) -> i64 {
    migration
        .sql
        .lines()
        .find_map(|line| line.strip_prefix(MIN_BINARY_MARK)?.trim().parse().ok())
        .unwrap_or(migration.version)
}
