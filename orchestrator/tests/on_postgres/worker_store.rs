//! Claim, ownership and end of runs on a real PostgreSQL (R-3..R-17, D-3..D-6, D-16, D-19).

use crate::store_support::TestDatabase;
use orchestrator::store::run_finish::{self, RunEndRow};
use orchestrator::store::runs::{self, ClaimLimits};
use orchestrator::store::sessions::{self, SnapshotOutcome, SnapshotWrite};
use orchestrator::store::worker_instances::{self, WorkerIdentity};
use orchestrator::store::{namespace_leases, slots};
use serde_json::json;
use sqlx::PgPool;
use std::collections::HashSet;
use std::time::Duration;
use uuid::Uuid;

const LIMITS: ClaimLimits = ClaimLimits {
    slots_per_project: 2,
    run_lease_ttl: Duration::from_secs(45 * 60),
    slot_lease_ttl: Duration::from_secs(600),
    run_timeout: Duration::from_secs(18_000),
};
const TTL: Duration = Duration::from_secs(60);
const SUCCEEDED: RunEndRow<'static> = RunEndRow {
    status: "succeeded",
    finish_reason: None,
    session_status: "succeeded",
};

async fn project(pool: &PgPool, slug: &str) -> Uuid {
    sqlx::query_scalar("INSERT INTO projects (slug, name) VALUES ($1, $1) RETURNING id")
        .bind(slug)
        .fetch_one(pool)
        .await
        .expect("project")
}

struct NewRun<'a> {
    project: Uuid,
    agent: &'a str,
    mode: &'a str,
    issue: i32,
    branch: &'a str,
}

async fn run(pool: &PgPool, new: NewRun<'_>) -> Uuid {
    let id = Uuid::new_v4();
    sqlx::query(
        "INSERT INTO agent_runs (id, correlation_id, project_id, trigger_source, trigger_kind, trigger_label,
             repository_full_name, issue_number, agent_key, run_payload)
         VALUES ($1, $1::text, $2, 'issue_label', 'dev', 'run:dev', 'o/r', $3, $4, $5)",
    )
    .bind(id)
    .bind(new.project)
    .bind(new.issue)
    .bind(new.agent)
    .bind(json!({"runtime": {"mode": new.mode, "target_env": "ai"}, "target_branch": new.branch}))
    .execute(pool)
    .await
    .expect("run");
    id
}

async fn claim(pool: &PgPool, worker: &str) -> Option<runs::WorkerRun> {
    let mut tx = pool.begin().await.expect("begin");
    let claimed = runs::claim_next(&mut tx, worker, &LIMITS)
        .await
        .expect("claim");
    tx.commit().await.expect("commit");
    claimed
}

async fn queue_reason(pool: &PgPool, id: Uuid) -> Option<String> {
    let mut conn = pool.acquire().await.expect("connection");
    runs::store_queue_reasons(&mut conn, &LIMITS)
        .await
        .expect("reasons");
    sqlx::query_scalar("SELECT queue_reason FROM agent_runs WHERE id = $1")
        .bind(id)
        .fetch_one(pool)
        .await
        .expect("run")
}

async fn end(pool: &PgPool, id: Uuid, worker: &str) -> bool {
    let mut tx = pool.begin().await.expect("begin");
    let ended = run_finish::end_owned_run(&mut tx, id, worker, &["running"], SUCCEEDED)
        .await
        .expect("end");
    tx.commit().await.expect("commit");
    ended
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_workers_claim_every_run_once() {
    let database = TestDatabase::migrated().await;
    let pool = &database.pool;
    let mut waiting = HashSet::new();
    for number in 0..12 {
        let project = project(pool, &format!("p{number}")).await;
        let branch = format!("codex/issue-{number}");
        waiting.insert(
            run(
                pool,
                NewRun {
                    project,
                    agent: "dev",
                    mode: "full-env",
                    issue: number,
                    branch: &branch,
                },
            )
            .await,
        );
    }
    let race = (0..3).map(|worker| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let mut mine = Vec::new();
            while let Some(run) = claim(&pool, &format!("worker-{worker}")).await {
                mine.push(run.id);
            }
            mine
        })
    });
    let claimed: Vec<Uuid> = futures::future::join_all(race)
        .await
        .into_iter()
        .flat_map(|mine| mine.expect("worker"))
        .collect();
    assert_eq!(claimed.len(), waiting.len());
    assert_eq!(claimed.into_iter().collect::<HashSet<_>>(), waiting);
}

#[tokio::test]
async fn blocked_runs_are_passed_over_with_their_reason() {
    let database = TestDatabase::migrated().await;
    let pool = &database.pool;
    let project = project(pool, "p").await;
    let dev = |issue: i32, branch: &'static str| NewRun {
        project,
        agent: "dev",
        mode: "full-env",
        issue,
        branch,
    };
    let first = run(pool, dev(1, "codex/issue-1")).await;
    let same_branch = run(
        pool,
        NewRun {
            agent: "qa",
            ..dev(1, "codex/issue-1")
        },
    )
    .await;
    let second = run(pool, dev(2, "codex/issue-2")).await;
    let third = run(pool, dev(3, "codex/issue-3")).await;
    let no_slot = run(
        pool,
        NewRun {
            agent: "sa",
            ..dev(4, "codex/issue-4")
        },
    )
    .await;
    let code_only = run(
        pool,
        NewRun {
            agent: "pm",
            mode: "code-only",
            ..dev(5, "codex/issue-5")
        },
    )
    .await;

    let claimed = claim(pool, "w").await.expect("first");
    assert_eq!(
        (claimed.id, claimed.slot_no, claimed.status.as_str()),
        (first, Some(1), "running")
    );
    let claimed = claim(pool, "w").await.expect("second");
    assert_eq!((claimed.id, claimed.slot_no), (second, Some(2)));
    let claimed = claim(pool, "w").await.expect("code-only needs no slot");
    assert_eq!((claimed.id, claimed.slot_no), (code_only, None));
    assert_eq!(claim(pool, "w").await, None);
    assert_eq!(
        queue_reason(pool, same_branch).await.as_deref(),
        Some("branch_busy")
    );
    assert_eq!(
        queue_reason(pool, third).await.as_deref(),
        Some("role_limit")
    );
    assert_eq!(
        queue_reason(pool, no_slot).await.as_deref(),
        Some("no_free_slot")
    );

    assert!(end(pool, first, "w").await);
    let claimed = claim(pool, "w").await.expect("the branch is free");
    assert_eq!((claimed.id, claimed.slot_no), (same_branch, Some(1)));
    let sessions: i64 = sqlx::query_scalar("SELECT count(*) FROM agent_sessions")
        .fetch_one(pool)
        .await
        .expect("count");
    assert_eq!(sessions, 4);
}

#[tokio::test]
async fn only_the_owner_ends_a_run_and_only_once() {
    let database = TestDatabase::migrated().await;
    let pool = &database.pool;
    let project = project(pool, "p").await;
    let id = run(
        pool,
        NewRun {
            project,
            agent: "dev",
            mode: "full-env",
            issue: 1,
            branch: "codex/issue-1",
        },
    )
    .await;
    claim(pool, "owner").await.expect("claimed");
    let mut conn = pool.acquire().await.expect("connection");
    assert!(!runs::fence(&mut conn, id, "other").await.expect("fence"));
    assert!(runs::fence(&mut conn, id, "owner").await.expect("fence"));
    assert!(!end(pool, id, "other").await);
    assert!(
        runs::set_job(&mut conn, id, "ns", "job")
            .await
            .expect("first")
    );
    assert!(
        !runs::set_job(&mut conn, id, "ns", "job")
            .await
            .expect("second")
    );
    assert!(end(pool, id, "owner").await);
    assert!(!end(pool, id, "owner").await);
    let refused = sqlx::query(
        "UPDATE agent_runs SET status = 'failed', finish_reason = 'run_timeout' WHERE id = $1",
    )
    .bind(id)
    .execute(pool)
    .await;
    assert!(refused.is_err());
    let state: (String, Option<String>) = sqlx::query_as(
        "SELECT state, lease_owner FROM slots WHERE project_id = $1 AND slot_no = 1",
    )
    .bind(project)
    .fetch_one(pool)
    .await
    .expect("slot");
    assert_eq!(state, ("free".to_owned(), None));
    let session: String = sqlx::query_scalar("SELECT status FROM agent_sessions WHERE run_id = $1")
        .bind(id)
        .fetch_one(pool)
        .await
        .expect("session");
    assert_eq!(session, "succeeded");
    assert!(slots::leaked(&mut conn).await.expect("leaks").is_empty());
}

#[tokio::test]
async fn leases_of_a_dead_worker_are_released_and_taken_over_once() {
    let database = TestDatabase::migrated().await;
    let pool = &database.pool;
    let project = project(pool, "p").await;
    let id = run(
        pool,
        NewRun {
            project,
            agent: "dev",
            mode: "full-env",
            issue: 1,
            branch: "codex/issue-1",
        },
    )
    .await;
    let mut conn = pool.acquire().await.expect("connection");
    for worker in ["dead", "alive"] {
        let identity = WorkerIdentity {
            worker_id: worker.to_owned(),
            namespace: String::new(),
            pod_name: String::new(),
        };
        worker_instances::register(&mut conn, &identity, TTL)
            .await
            .expect("registered");
    }
    claim(pool, "dead").await.expect("claimed");
    assert!(
        worker_instances::suspect_leases(&mut conn, "alive", 10)
            .await
            .expect("suspects")
            .is_empty()
    );
    // Time passes; the living worker refreshes its row.
    sqlx::query("UPDATE platform_clock SET offset_interval = interval '61 seconds'")
        .execute(pool)
        .await
        .expect("clock");
    assert!(
        worker_instances::heartbeat(&mut conn, "alive", TTL)
            .await
            .expect("heartbeat")
    );
    let suspects = worker_instances::suspect_leases(&mut conn, "alive", 10)
        .await
        .expect("suspects");
    assert_eq!(suspects.len(), 1);
    assert_eq!(suspects[0].worker_status.as_deref(), Some("active"));
    let released = runs::release_lease(&mut conn, id, "dead")
        .await
        .expect("release");
    assert_eq!(released.map(|run| run.id), Some(id));
    assert!(
        runs::release_lease(&mut conn, id, "dead")
            .await
            .expect("again")
            .is_none()
    );
    assert!(!end(pool, id, "dead").await);
    assert_eq!(
        runs::reclaim(&mut conn, "alive", LIMITS.run_lease_ttl, 10)
            .await
            .expect("reclaim")
            .len(),
        1
    );
    assert!(
        runs::reclaim(&mut conn, "alive", LIMITS.run_lease_ttl, 10)
            .await
            .expect("again")
            .is_empty()
    );
    assert_eq!(
        runs::owned(&mut conn, "alive", 10)
            .await
            .expect("owned")
            .len(),
        1
    );
    assert_eq!(
        runs::release_all(&mut conn, "alive")
            .await
            .expect("stop")
            .len(),
        1
    );
    worker_instances::stop(&mut conn, "alive")
        .await
        .expect("stopped");
    assert!(
        !worker_instances::heartbeat(&mut conn, "alive", TTL)
            .await
            .expect("no life after the end")
    );
}

#[tokio::test]
async fn a_heartbeat_reaches_over_an_announced_clock_move() {
    let database = TestDatabase::migrated().await;
    let pool = &database.pool;
    let mut conn = pool.acquire().await.expect("connection");
    let identity = WorkerIdentity {
        worker_id: "w".to_owned(),
        namespace: String::new(),
        pod_name: String::new(),
    };
    worker_instances::register(&mut conn, &identity, TTL)
        .await
        .expect("registered");
    let epoch = orchestrator::store::clock::announce(&mut conn, 172_800.0)
        .await
        .expect("announced");
    assert!(
        worker_instances::heartbeat(&mut conn, "w", TTL)
            .await
            .expect("heartbeat")
    );
    assert_eq!(
        orchestrator::store::clock::workers_behind(&mut *conn, epoch)
            .await
            .expect("behind"),
        0
    );
    orchestrator::store::clock::apply(&mut conn, epoch)
        .await
        .expect("moved");
    let alive: bool =
        sqlx::query_scalar("SELECT expires_at > platform_now() FROM worker_instances")
            .fetch_one(pool)
            .await
            .expect("row");
    assert!(alive);
}

#[tokio::test]
async fn a_namespace_lease_is_found_for_reuse_renewed_and_closed() {
    let database = TestDatabase::migrated().await;
    let pool = &database.pool;
    let project_id = project(pool, "p").await;
    let run_id = run(
        pool,
        NewRun {
            project: project_id,
            agent: "dev",
            mode: "full-env",
            issue: 7,
            branch: "codex/issue-7",
        },
    )
    .await;
    claim(pool, "w").await.expect("claimed");
    let mut conn = pool.acquire().await.expect("connection");
    let lease = namespace_leases::NewNamespaceLease {
        namespace: "codex-issue-x".to_owned(),
        run_id,
        project_id,
        repository_full_name: "o/r".to_owned(),
        issue_number: Some(7),
        agent_key: "dev".to_owned(),
        runtime_mode: "full-env".to_owned(),
        ttl: Duration::from_secs(86_400),
    };
    let (now, expires_at) = namespace_leases::upsert(&mut conn, &lease)
        .await
        .expect("lease");
    assert_eq!((expires_at - now).num_seconds(), 86_400);
    let key = namespace_leases::ReuseKey {
        project_id,
        repository_full_name: "o/r",
        issue_number: 7,
        agent_key: "dev",
    };
    assert_eq!(
        namespace_leases::reusable(&mut conn, key)
            .await
            .expect("found"),
        ["codex-issue-x"]
    );
    assert!(
        namespace_leases::renew_for_active_runs(&mut conn, "w", TTL)
            .await
            .expect("nothing due")
            .is_empty()
    );
    sqlx::query("UPDATE platform_clock SET offset_interval = interval '25 hours'")
        .execute(pool)
        .await
        .expect("clock");
    assert!(
        namespace_leases::reusable(&mut conn, key)
            .await
            .expect("over")
            .is_empty()
    );
    assert_eq!(
        namespace_leases::expired_open(&mut conn, 10)
            .await
            .expect("expired")
            .len(),
        1
    );
    let renewed = namespace_leases::renew_for_active_runs(&mut conn, "w", TTL)
        .await
        .expect("renewed");
    assert_eq!(renewed.len(), 1);
    assert_eq!(
        (renewed[0].expires_at - renewed[0].renewed_at).num_seconds(),
        renewed[0].ttl_seconds
    );
    assert!(
        namespace_leases::record_cleanup_reason(&mut conn, "codex-issue-x", "active_run_in_db")
            .await
            .expect("news")
    );
    assert!(
        !namespace_leases::record_cleanup_reason(&mut conn, "codex-issue-x", "active_run_in_db")
            .await
            .expect("known")
    );
    assert!(
        namespace_leases::last_preparation(&mut conn, "codex-issue-x", run_id)
            .await
            .expect("none")
            .is_none()
    );
    assert!(
        runs::summary(&mut conn, run_id)
            .await
            .expect("summary")
            .is_some_and(|run| !run.deploy_active)
    );
    namespace_leases::set_state(&mut conn, "codex-issue-x", "cleaned")
        .await
        .expect("closed");
    assert!(
        namespace_leases::expired_open(&mut conn, 10)
            .await
            .expect("none")
            .is_empty()
    );
}

#[tokio::test]
async fn a_slot_is_freed_early_only_for_a_run_that_is_over() {
    let database = TestDatabase::migrated().await;
    let pool = &database.pool;
    let project = project(pool, "p").await;
    run(
        pool,
        NewRun {
            project,
            agent: "dev",
            mode: "full-env",
            issue: 1,
            branch: "codex/issue-1",
        },
    )
    .await;
    claim(pool, "w").await.expect("claimed");
    let mut conn = pool.acquire().await.expect("connection");
    assert_eq!(
        slots::lease(&mut conn, project, Uuid::new_v4(), 2, LIMITS.slot_lease_ttl)
            .await
            .expect("absent run"),
        Some(2)
    );
    assert_eq!(slots::leaked(&mut conn).await.expect("leaks").len(), 1);
    assert_eq!(
        slots::free_orphans(&mut conn).await.expect("not expired"),
        0
    );
    sqlx::query("UPDATE platform_clock SET offset_interval = interval '11 minutes'")
        .execute(pool)
        .await
        .expect("clock");
    assert_eq!(slots::free_orphans(&mut conn).await.expect("expired"), 1);
    let held: i64 = sqlx::query_scalar("SELECT count(*) FROM slots WHERE state = 'leased'")
        .fetch_one(pool)
        .await
        .expect("count");
    assert_eq!(held, 1);
}

/// Whoever ends a run takes its row and then its session's; a snapshot that took them the other way round would be one
/// half of a deadlock.
#[tokio::test]
async fn a_snapshot_waits_for_the_end_of_its_run_and_does_not_hold_it_up() {
    const WAITS: &str = "SELECT count(*) FROM pg_stat_activity \
                         WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let database = TestDatabase::migrated().await;
    let pool = &database.pool;
    let id = run(
        pool,
        NewRun {
            project: project(pool, "p").await,
            agent: "dev",
            mode: "full-env",
            issue: 1,
            branch: "codex/issue-1",
        },
    )
    .await;
    claim(pool, "worker").await.expect("the run is claimed");
    let mut ending = pool.begin().await.expect("begin");
    sqlx::query("SELECT 1 FROM agent_runs WHERE id = $1 FOR UPDATE")
        .bind(id)
        .execute(&mut *ending)
        .await
        .expect("the run is locked");
    let saving = tokio::spawn({
        let pool = pool.clone();
        async move {
            let mut tx = pool.begin().await?;
            let content = json!({"log": []});
            let write = SnapshotWrite {
                expected_version: None,
                checksum: "first",
                status: "running",
                branch_name: None,
                pr_number: Some(7),
                pr_url: None,
                session_id: None,
                session_json: &content,
                agent_session_json: None,
                model: None,
                reasoning_effort: None,
            };
            let outcome = sessions::save(&mut tx, id, &write).await?;
            tx.commit().await?;
            Ok::<_, sqlx::Error>(outcome)
        }
    });
    let waiting = async {
        loop {
            let waits: i64 = sqlx::query_scalar(WAITS)
                .fetch_one(pool)
                .await
                .expect("activity");
            if waits > 0 {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting)
        .await
        .expect("the snapshot waits for the run");
    sqlx::query("UPDATE agent_sessions SET status = 'succeeded' WHERE run_id = $1")
        .bind(id)
        .execute(&mut *ending)
        .await
        .expect("the session is free");
    ending.commit().await.expect("commit");
    let outcome = saving.await.expect("the task ends").expect("it is saved");
    assert!(matches!(outcome, SnapshotOutcome::Saved { .. }));
}
