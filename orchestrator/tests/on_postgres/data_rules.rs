//! Rules that the database itself keeps: D-7, D-17, D-20, DF-1, DF-5.

use crate::store_support::TestDatabase;
use domain::audit::AuditEvent;
use orchestrator::store::clock;
use sqlx::PgPool;
use uuid::Uuid;

const STATUSES: [&str; 8] = [
    "pending",
    "running",
    "waiting_mcp",
    "waiting_owner_review",
    "waiting_backpressure",
    "succeeded",
    "failed",
    "canceled",
];

async fn insert_run(pool: &PgPool, status: &str) -> Uuid {
    let terminal = ["succeeded", "failed", "canceled"].contains(&status);
    sqlx::query_scalar(
        "INSERT INTO agent_runs (correlation_id, trigger_source, trigger_kind, repository_full_name, agent_key, status, finish_reason, finished_at, wait_reason)
         VALUES ($1, 'issue_label', 'dev', 'o/r', 'dev', $2,
             CASE $2 WHEN 'failed' THEN 'run_timeout' WHEN 'canceled' THEN 'canceled_by_staff' END, CASE WHEN $3 THEN now() END,
             CASE $2 WHEN 'waiting_mcp' THEN 'approval_pending' WHEN 'waiting_owner_review' THEN 'owner_review' WHEN 'waiting_backpressure' THEN 'github_rate_limit' END)
         RETURNING id",
    )
    .bind(Uuid::new_v4().to_string())
    .bind(status)
    .bind(terminal)
    .fetch_one(pool)
    .await
    .unwrap()
}

async fn move_run(pool: &PgPool, id: Uuid, status: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE agent_runs SET status = $2,
             finish_reason = CASE $2 WHEN 'failed' THEN 'run_timeout' WHEN 'canceled' THEN 'canceled_by_staff' END,
             finished_at = CASE WHEN $2 IN ('succeeded', 'failed', 'canceled') THEN now() END,
             wait_reason = CASE $2 WHEN 'waiting_mcp' THEN 'approval_pending' WHEN 'waiting_owner_review' THEN 'owner_review' WHEN 'waiting_backpressure' THEN 'github_rate_limit' END
         WHERE id = $1",
    )
    .bind(id)
    .bind(status)
    .execute(pool)
    .await
    .map(drop)
}

/// The table of runtime 1.1, written down here a second time on purpose.
fn is_legal(from: &str, to: &str) -> bool {
    match from {
        "pending" => ["running", "canceled"].contains(&to),
        "running" => [
            "waiting_mcp",
            "waiting_owner_review",
            "waiting_backpressure",
            "succeeded",
            "failed",
            "canceled",
        ]
        .contains(&to),
        "waiting_mcp" | "waiting_owner_review" | "waiting_backpressure" => {
            ["running", "failed", "canceled"].contains(&to)
        }
        _ => false,
    }
}

#[tokio::test]
async fn the_database_refuses_every_illegal_move_of_a_run() {
    let database = TestDatabase::migrated().await;
    for from in STATUSES {
        for to in STATUSES.into_iter().filter(|to| *to != from) {
            let id = insert_run(&database.pool, from).await;
            assert_eq!(
                move_run(&database.pool, id, to).await.is_ok(),
                is_legal(from, to),
                "{from} to {to}"
            );
        }
    }
}

#[tokio::test]
async fn the_state_version_rises_with_what_people_see_and_not_with_leases() {
    let database = TestDatabase::migrated().await;
    let id = insert_run(&database.pool, "pending").await;
    sqlx::query("UPDATE agent_runs SET lease_owner = 'w', lease_until = now() WHERE id = $1")
        .bind(id)
        .execute(&database.pool)
        .await
        .unwrap();
    move_run(&database.pool, id, "running").await.unwrap();
    let version: i64 = sqlx::query_scalar("SELECT state_version FROM agent_runs WHERE id = $1")
        .bind(id)
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert_eq!(version, 2);
}

#[tokio::test]
async fn the_journal_is_append_only() {
    let database = TestDatabase::migrated().await;
    sqlx::query("INSERT INTO flow_events (correlation_id, actor_type, actor_id, event_type) VALUES ('c', 'system', 'worker', 'run.started')").execute(&database.pool).await.unwrap();
    for statement in [
        "UPDATE flow_events SET actor_id = 'x'",
        "DELETE FROM flow_events",
        "TRUNCATE flow_events",
    ] {
        let refused = sqlx::query(statement).execute(&database.pool).await;
        assert!(refused.is_err(), "{statement}");
    }
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM flow_events")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert_eq!(count, 1);
}

#[tokio::test]
async fn the_journal_knows_exactly_the_types_of_the_catalogue() {
    let database = TestDatabase::migrated().await;
    for event_type in AuditEvent::TYPES.iter().copied() {
        let accepted = sqlx::query("INSERT INTO flow_events (correlation_id, actor_type, actor_id, event_type) VALUES ($1, 'system', 'worker', $1)").bind(event_type).execute(&database.pool).await;
        assert!(accepted.is_ok(), "{event_type}");
    }
    let refused = sqlx::query("INSERT INTO flow_events (correlation_id, actor_type, actor_id, event_type) VALUES ('c', 'system', 'worker', 'run.invented')").execute(&database.pool).await;
    assert!(refused.is_err());
    let allowed: i64 = sqlx::query_scalar("SELECT count(*) FROM regexp_matches(pg_get_constraintdef((SELECT oid FROM pg_constraint WHERE conname = 'flow_events_type_is_known')), '''[a-z_.]+''', 'g')").fetch_one(&database.pool).await.unwrap();
    assert_eq!(usize::try_from(allowed).unwrap(), AuditEvent::TYPES.len());
}

#[tokio::test]
async fn a_run_has_one_terminal_event() {
    let database = TestDatabase::migrated().await;
    let run = Uuid::new_v4();
    let insert = |event_type: &'static str| {
        sqlx::query("INSERT INTO flow_events (correlation_id, run_id, actor_type, actor_id, event_type) VALUES ('c', $1, 'system', 'worker', $2)").bind(run).bind(event_type).execute(&database.pool)
    };
    insert("run.failed").await.unwrap();
    assert!(insert("run.canceled").await.is_err());
}

#[tokio::test]
async fn the_clock_moves_in_two_phases_and_only_forward() {
    let database = TestDatabase::migrated().await;
    let mut connection = database.pool.acquire().await.unwrap();
    let epoch = clock::announce(&mut connection, 3600.0).await.unwrap();
    let announced = clock::read(&mut *connection).await.unwrap();
    assert_eq!(
        (announced.offset_seconds, announced.pending_offset_seconds),
        (0.0, Some(3600.0))
    );
    clock::apply(&mut connection, epoch).await.unwrap();
    clock::apply(&mut connection, epoch).await.unwrap();
    assert_eq!(
        clock::read(&mut *connection).await.unwrap().offset_seconds,
        3600.0
    );
    let back = sqlx::query("UPDATE platform_clock SET offset_interval = interval '1 second'")
        .execute(&mut *connection)
        .await;
    assert!(back.is_err());
}
