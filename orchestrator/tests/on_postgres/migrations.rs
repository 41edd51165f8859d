//! DM-1 to DM-7 on a real PostgreSQL.

use crate::store_support::TestDatabase;
use orchestrator::store::migrations::{self, MIGRATIONS, Migration, MigrationError};

const FIRST: Migration = Migration {
    version: 20000101000001,
    name: "first",
    sql: "-- min-binary-version: 20000101000001\nCREATE TABLE first (id int)",
};
const SECOND: Migration = Migration {
    version: 20000101000002,
    name: "second",
    sql: "CREATE TABLE second (id int)",
};

#[tokio::test]
async fn starting_twice_applies_nothing_the_second_time() {
    let database = TestDatabase::empty().await;
    assert_eq!(
        migrations::migrate(&database.pool).await.unwrap(),
        MIGRATIONS.len()
    );
    assert_eq!(migrations::migrate(&database.pool).await.unwrap(), 0);
    let agents: i64 = sqlx::query_scalar("SELECT count(*) FROM agents WHERE role_kind = 'system'")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert_eq!(agents, 8);
}

#[tokio::test]
async fn replicas_that_start_together_apply_each_file_once() {
    let database = TestDatabase::empty().await;
    let runs = (0..4).map(|_| migrations::migrate(&database.pool));
    let applied: usize = futures::future::join_all(runs)
        .await
        .into_iter()
        .map(Result::unwrap)
        .sum();
    assert_eq!(applied, MIGRATIONS.len());
}

#[tokio::test]
async fn a_changed_file_stops_the_start_and_applies_nothing() {
    let database = TestDatabase::empty().await;
    migrations::migrate_with(&database.pool, &[FIRST])
        .await
        .unwrap();
    let changed = Migration {
        sql: "CREATE TABLE other (id int)",
        ..FIRST
    };
    let refused = migrations::migrate_with(&database.pool, &[changed, SECOND]).await;
    assert!(matches!(
        refused,
        Err(MigrationError::Checksum {
            version: 20000101000001
        })
    ));
    let made: Option<String> = sqlx::query_scalar("SELECT to_regclass('second')::text")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert_eq!(made, None);
}

#[tokio::test]
async fn a_newer_database_is_accepted_only_if_it_says_so() {
    let database = TestDatabase::empty().await;
    migrations::migrate_with(&database.pool, &[FIRST, SECOND])
        .await
        .unwrap();
    let refused = migrations::migrate_with(&database.pool, &[FIRST]).await;
    assert!(matches!(
        refused,
        Err(MigrationError::TooNew {
            version: 20000101000002,
            ..
        })
    ));
    let tolerant = Migration {
        sql: "-- min-binary-version: 20000101000001\nCREATE TABLE third (id int)",
        version: 20000101000003,
        name: "third",
    };
    sqlx::query("DELETE FROM schema_migrations WHERE version = 20000101000002")
        .execute(&database.pool)
        .await
        .unwrap();
    migrations::migrate_with(&database.pool, &[FIRST, tolerant])
        .await
        .unwrap();
    assert_eq!(
        migrations::migrate_with(&database.pool, &[FIRST])
            .await
            .unwrap(),
        0
    );
}

#[tokio::test]
async fn a_failing_file_leaves_nothing_of_itself() {
    let database = TestDatabase::empty().await;
    let broken = Migration {
        sql: "CREATE TABLE half (id int); SELECT 1 / 0",
        ..SECOND
    };
    let refused = migrations::migrate_with(&database.pool, &[FIRST, broken]).await;
    assert!(matches!(
        refused,
        Err(MigrationError::Apply {
            version: 20000101000002,
            ..
        })
    ));
    let made: Option<String> = sqlx::query_scalar("SELECT to_regclass('half')::text")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert_eq!(made, None);
    assert_eq!(
        migrations::migrate_with(&database.pool, &[FIRST, SECOND])
            .await
            .unwrap(),
        1
    );
}
