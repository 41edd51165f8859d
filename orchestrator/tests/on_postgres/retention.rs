//! What the retention empties and what it leaves, on a real PostgreSQL (R-181, D-29).

use crate::store_support::TestDatabase;
use orchestrator::config::RetentionConfig;
use orchestrator::retention;
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

const CONFIG: RetentionConfig = RetentionConfig {
    run_logs_days: 7,
    heavy_fields_days: 7,
    deliveries_days: 90,
    runtime_errors_days: 90,
};

/// A run with a log, a session, a deploy task and a delivery.
async fn run(pool: &PgPool, correlation: &str, status: &str) -> Uuid {
    let is_over = status == "succeeded";
    let id: Uuid = sqlx::query_scalar(
        "INSERT INTO agent_runs (correlation_id, trigger_source, trigger_kind, repository_full_name, issue_number,
             agent_key, run_payload, status, finished_at)
         VALUES ($1, 'issue_label', 'dev', 'o/r', 7, 'dev', $2, $3, CASE WHEN $4 THEN platform_now() END) RETURNING id",
    )
    .bind(correlation)
    .bind(json!({"action": "labeled", "raw_payload": {"big": "text"}}))
    .bind(status)
    .bind(is_over)
    .fetch_one(pool)
    .await
    .expect("run");
    for statement in [
        "INSERT INTO run_log_chunks (run_id, stream, seq, line_count, text) VALUES ($1, 'agent', 1, 1, 'hello')",
        "INSERT INTO agent_sessions (run_id, correlation_id, repository_full_name, agent_key, session_json,
             agent_session_json, snapshot_checksum) VALUES ($1, 'c', 'o/r', 'dev', '{\"a\":1}', '{\"b\":2}', 'sum')",
        "INSERT INTO runtime_deploy_tasks (run_id, logs_json, finished_at) VALUES ($1, '[{\"text\":\"x\"}]', platform_now())",
        "INSERT INTO flow_events (correlation_id, actor_type, actor_id, event_type, run_id)
             VALUES ('c', 'system', 'worker', 'run.succeeded', $1)",
    ] {
        sqlx::query(sqlx::AssertSqlSafe(statement.to_owned()))
            .bind(id)
            .execute(pool)
            .await
            .expect(statement);
    }
    sqlx::query(
        "INSERT INTO webhook_deliveries (delivery_id, event_type, body_sha256, raw_body, status, processed_at)
         VALUES ($1, 'issues', '\\x00', '\\x01', 'accepted', platform_now())",
    )
    .bind(correlation)
    .execute(pool)
    .await
    .expect("delivery");
    id
}

async fn days_pass(pool: &PgPool, days: i32) {
    sqlx::query(
        "UPDATE platform_clock SET offset_interval = offset_interval + make_interval(days => $1)",
    )
    .bind(days)
    .execute(pool)
    .await
    .expect("clock");
}

/// Chunks, stored sessions, task logs, raw payloads, bodies, deliveries, events, in this order.
async fn kept(pool: &PgPool) -> Vec<i64> {
    let mut counts = Vec::new();
    for query in [
        "SELECT count(*) FROM run_log_chunks",
        "SELECT count(*) FROM agent_sessions WHERE agent_session_json IS NOT NULL AND session_json <> '{}'",
        "SELECT count(*) FROM runtime_deploy_tasks WHERE logs_json <> '[]'",
        "SELECT count(*) FROM agent_runs WHERE run_payload ? 'raw_payload' AND run_payload ? 'action'",
        "SELECT count(*) FROM webhook_deliveries WHERE raw_body IS NOT NULL",
        "SELECT count(*) FROM webhook_deliveries",
        "SELECT count(*) FROM flow_events",
    ] {
        counts.push(
            sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned()))
                .fetch_one(pool)
                .await
                .expect(query),
        );
    }
    counts
}

async fn pass(pool: &PgPool) {
    retention::pass(pool, &CONFIG).await.expect("a pass");
}

#[tokio::test]
async fn what_is_old_goes_and_what_goes_on_stays() {
    let database = TestDatabase::migrated().await;
    let pool = &database.pool;
    run(pool, "over", "succeeded").await;
    run(pool, "works", "running").await;

    days_pass(pool, 6).await;
    pass(pool).await;
    assert_eq!(kept(pool).await, [2, 2, 2, 2, 2, 2, 2]);

    days_pass(pool, 2).await;
    pass(pool).await;
    // The log of a deploy task and the body of a delivery are over with the task and the decision, not with the run.
    assert_eq!(kept(pool).await, [1, 1, 0, 1, 0, 2, 2]);

    days_pass(pool, 90).await;
    pass(pool).await;
    assert_eq!(kept(pool).await, [1, 1, 0, 1, 0, 0, 2]);
}

#[tokio::test]
async fn one_replica_works_at_a_time() {
    let database = TestDatabase::migrated().await;
    let pool = &database.pool;
    run(pool, "over", "succeeded").await;
    days_pass(pool, 8).await;
    let mut other = pool.acquire().await.expect("a connection");
    let lock = |verb: &str| format!("SELECT pg_advisory_{verb}(x'636f6465785f7274'::bigint)");
    sqlx::query(sqlx::AssertSqlSafe(lock("lock")))
        .execute(&mut *other)
        .await
        .expect("lock");
    pass(pool).await;
    assert_eq!(kept(pool).await[0], 1);
    sqlx::query(sqlx::AssertSqlSafe(lock("unlock")))
        .execute(&mut *other)
        .await
        .expect("unlock");
    pass(pool).await;
    assert_eq!(kept(pool).await[0], 0);
}
