//! Waits of runs and of GitHub's limits on a real PostgreSQL (R-22 to, D-10 to D-12).

use crate::store_support::TestDatabase;
use domain::audit::RunWaitPayload;
use domain::waits::{Contour, LimitAnswer, OperationClass, WaitCause};
use orchestrator::store::effects::{self, ClaimedEffect};
use orchestrator::store::github_waits;
use orchestrator::store::run_finish;
use orchestrator::store::runs::{self, ClaimLimits};
use orchestrator::waits::{self, LimitMet, LimitSignal, WaitEnd, WaitOutcome};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::time::Duration;
use uuid::Uuid;

const WORKER: &str = "worker";
const LIMITS: ClaimLimits = ClaimLimits {
    slots_per_project: 2,
    run_lease_ttl: Duration::from_secs(45 * 60),
    slot_lease_ttl: Duration::from_secs(600),
    run_timeout: Duration::from_secs(18_000),
};

/// A database with a run that works.
async fn world() -> (TestDatabase, Uuid) {
    let database = TestDatabase::migrated().await;
    let pool = &database.pool;
    let project: Uuid =
        sqlx::query_scalar("INSERT INTO projects (slug, name) VALUES ('p', 'p') RETURNING id")
            .fetch_one(pool)
            .await
            .expect("project");
    sqlx::query(
        "INSERT INTO agent_runs (correlation_id, project_id, trigger_source, trigger_kind, trigger_label,
             repository_full_name, issue_number, agent_key, run_payload)
         VALUES ('delivery', $1, 'pull_request_review', 'dev_revise', 'run:dev:revise', 'o/r', 7, 'dev', $2)",
    )
    .bind(project)
    .bind(json!({"runtime": {"mode": "full-env", "target_env": "ai"}, "target_branch": "codex/issue-7"}))
    .execute(pool)
    .await
    .expect("run");
    let id = claim(pool).await.expect("a run to claim").id;
    (database, id)
}

async fn claim(pool: &PgPool) -> Option<runs::WorkerRun> {
    let mut tx = pool.begin().await.expect("begin");
    let claimed = runs::claim_next(&mut tx, WORKER, &LIMITS)
        .await
        .expect("claim");
    tx.commit().await.expect("commit");
    claimed
}

async fn park(pool: &PgPool, run: Uuid) {
    let mut tx = pool.begin().await.expect("begin");
    run_finish::park_waiting_run(&mut tx, run, WORKER)
        .await
        .expect("park");
    tx.commit().await.expect("commit");
}

async fn pass(pool: &PgPool, seconds: f64) {
    sqlx::query(
        "UPDATE platform_clock SET offset_interval = offset_interval + make_interval(secs => $1)",
    )
    .bind(seconds)
    .execute(pool)
    .await
    .expect("clock");
}

async fn row(pool: &PgPool, run: Uuid) -> Value {
    sqlx::query_scalar("SELECT to_jsonb(r) FROM agent_runs r WHERE id = $1")
        .bind(run)
        .fetch_one(pool)
        .await
        .expect("run")
}

/// Seconds of its budget that a run has left.
async fn left(pool: &PgPool, run: Uuid) -> i64 {
    sqlx::query_scalar("SELECT round(extract(epoch FROM coalesce(timeout_remaining, timeout_at - platform_now())))::bigint FROM agent_runs WHERE id = $1")
        .bind(run)
        .fetch_one(pool)
        .await
        .expect("budget")
}

async fn events(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("SELECT event_type || coalesce(' ' || (payload ->> 'resume_mode'), '') FROM flow_events ORDER BY id")
        .fetch_all(pool)
        .await
        .expect("events")
}

async fn open(pool: &PgPool, run: Uuid, target: &str) -> bool {
    let mut tx = pool.begin().await.expect("begin");
    let opened = waits::open_wait(
        &mut tx,
        run,
        WaitCause::Approval,
        target,
        None,
        RunWaitPayload::default(),
    )
    .await
    .expect("open");
    tx.commit().await.expect("commit");
    opened
}

async fn end(pool: &PgPool, run: Uuid, target: &str) -> WaitOutcome {
    let mut tx = pool.begin().await.expect("begin");
    let payload = json!({"kind": "approval"});
    let end = WaitEnd {
        target_ref: target,
        resolution: "approved",
        correlation_id: "interaction-resume:1",
        payload: &payload,
    };
    let outcome = waits::end_wait(&mut tx, run, end, RunWaitPayload::default())
        .await
        .expect("end");
    tx.commit().await.expect("commit");
    outcome
}

#[tokio::test]
async fn a_living_run_goes_on_with_the_time_that_was_left() {
    let (database, run) = world().await;
    let pool = &database.pool;
    pass(pool, 17_400.0).await;
    assert!(open(pool, run, "1").await);
    assert!(!open(pool, run, "2").await, "it waits already");
    let waiting = row(pool, run).await;
    assert_eq!(
        (&waiting["status"], &waiting["timeout_paused"]),
        (&json!("waiting_mcp"), &json!(true))
    );
    pass(pool, 40_000.0).await;
    let mut conn = pool.acquire().await.expect("connection");
    let owned = runs::get_owned(&mut conn, run, WORKER).await.expect("read");
    assert!(!owned.expect("owned").timed_out);
    assert_eq!(end(pool, run, "2").await, WaitOutcome::NotWaiting);
    assert_eq!(end(pool, run, "1").await, WaitOutcome::Live);
    let going = row(pool, run).await;
    assert_eq!(
        (&going["status"], &going["wait_target_ref"]),
        (&json!("running"), &Value::Null)
    );
    assert_eq!(left(pool, run).await, 600);
    assert_eq!(end(pool, run, "1").await, WaitOutcome::NotWaiting);
    assert_eq!(
        events(pool).await,
        ["run.wait.paused", "run.wait.resumed live"]
    );
}

#[tokio::test]
async fn a_run_whose_agent_has_ended_is_continued_once_by_another() {
    let (database, run) = world().await;
    let pool = &database.pool;
    pass(pool, 17_400.0).await;
    assert!(open(pool, run, "1").await);
    park(pool, run).await;
    let leased: i64 =
        sqlx::query_scalar("SELECT count(*) FROM slots WHERE lease_owner IS NOT NULL")
            .fetch_one(pool)
            .await
            .expect("slots");
    assert_eq!(leased, 0);
    let WaitOutcome::NewRun(new) = end(pool, run, "1").await else {
        panic!("no run goes on");
    };
    assert_eq!(end(pool, run, "1").await, WaitOutcome::NotWaiting);
    let source = row(pool, run).await;
    assert_eq!(source["finish_reason"], "continued_in_resume_run");
    let claimed = claim(pool).await.expect("the run that goes on");
    assert_eq!(claimed.id, new);
    // Threads and states are those of what started the work.
    assert_eq!(claimed.trigger_source, "pull_request_review");
    let going = row(pool, new).await;
    assert_eq!(
        (
            &going["trigger_source"],
            &going["resumed_from_run_id"],
            &going["scope_run_id"]
        ),
        (&json!("resume"), &json!(run), &json!(run))
    );
    assert_eq!(going["run_payload"]["resume"], json!({"kind": "approval"}));
    assert_eq!(left(pool, new).await, 600);
    assert_eq!(
        events(pool).await,
        [
            "run.wait.paused",
            "run.wait.resumed new_run",
            "run.canceled",
            "run.enqueued"
        ]
    );
}

fn secondary(seconds: i64) -> LimitAnswer {
    LimitAnswer {
        status: Some(403),
        message: "You have exceeded a secondary rate limit.".to_owned(),
        retry_after_seconds: Some(seconds),
        ..LimitAnswer::default()
    }
}

async fn meet(
    pool: &PgPool,
    run: Uuid,
    contour: Contour,
    id: &str,
    answer: &LimitAnswer,
) -> LimitMet {
    let operation = match contour {
        Contour::AgentBotToken => OperationClass::AgentGithubCall,
        Contour::PlatformPat => OperationClass::RunStatusComment,
    };
    let mut tx = pool.begin().await.expect("begin");
    let signal = LimitSignal {
        run_id: run,
        contour,
        operation,
        id,
        answer,
    };
    let met = waits::meet(&mut tx, signal).await.expect("signal");
    tx.commit().await.expect("commit");
    met
}

/// Claims and tries what is due; answers how many there were.
async fn try_due(pool: &PgPool) -> usize {
    let mut tx = pool.begin().await.expect("begin");
    let due = github_waits::claim_due(&mut tx).await.expect("claim");
    for wait in &due {
        waits::attempt(&mut tx, wait).await.expect("attempt");
    }
    tx.commit().await.expect("commit");
    due.len()
}

#[tokio::test]
async fn a_limit_of_the_agent_holds_its_run_until_it_is_due_and_the_agent_has_ended() {
    let (database, run) = world().await;
    let pool = &database.pool;
    let answer = secondary(60);
    let LimitMet::Waiting(wait) = meet(pool, run, Contour::AgentBotToken, "a", &answer).await
    else {
        panic!("no wait");
    };
    let again = meet(pool, run, Contour::AgentBotToken, "a", &answer).await;
    assert_eq!(again, LimitMet::Waiting(wait.clone()));
    let other = meet(pool, run, Contour::AgentBotToken, "b", &answer).await;
    assert_eq!(other, LimitMet::Waiting(wait), "one open wait of a contour");
    assert_eq!(row(pool, run).await["status"], "waiting_backpressure");
    park(pool, run).await;
    assert_eq!(try_due(pool).await, 0, "not before its time");
    pass(pool, 76.0).await;
    assert_eq!(try_due(pool).await, 1);
    assert_eq!(try_due(pool).await, 0);
    assert_eq!(
        row(pool, run).await["finish_reason"],
        "continued_in_resume_run"
    );

    // A run that goes on and meets the limit again has used an attempt.
    let second = claim(pool).await.expect("the run that goes on").id;
    let LimitMet::Waiting(wait) = meet(pool, second, Contour::AgentBotToken, "c", &answer).await
    else {
        panic!("no wait");
    };
    assert_eq!(
        (wait.attempts_used, wait.state.as_str()),
        (1, "auto_resume_scheduled")
    );
    pass(pool, 76.0).await;
    assert_eq!(try_due(pool).await, 0, "its agent has not ended");
    park(pool, second).await;
    assert_eq!(try_due(pool).await, 1);
    let third = claim(pool).await.expect("the run that goes on").id;
    let LimitMet::Waiting(wait) = meet(pool, third, Contour::AgentBotToken, "d", &answer).await
    else {
        panic!("no wait");
    };
    assert_eq!(
        (wait.attempts_used, wait.state.as_str()),
        (2, "manual_action_required")
    );
    park(pool, third).await;
    pass(pool, 100_000.0).await;
    assert_eq!(try_due(pool).await, 0, "only staff lets it go on");
    let mut tx = pool.begin().await.expect("begin");
    assert!(
        waits::let_go_on(&mut tx, &wait)
            .await
            .expect("step of staff")
    );
    tx.commit().await.expect("commit");
    assert_eq!(try_due(pool).await, 1);
}

#[tokio::test]
async fn waits_that_cannot_be_are_hard_failures() {
    let (database, run) = world().await;
    let pool = &database.pool;
    let credentials = LimitAnswer {
        message: "Bad credentials".to_owned(),
        ..secondary(60)
    };
    let met = meet(pool, run, Contour::AgentBotToken, "a", &credentials).await;
    assert_eq!(met, LimitMet::HardFailure);
    sqlx::query("UPDATE system_settings SET value_json = 'false' WHERE key = 'github_rate_limit_wait_enabled'")
        .execute(pool)
        .await
        .expect("setting");
    let met = meet(pool, run, Contour::AgentBotToken, "b", &secondary(60)).await;
    assert_eq!(met, LimitMet::HardFailure);
    assert_eq!(row(pool, run).await["status"], "running");
}

async fn claim_effects(pool: &PgPool) -> Vec<ClaimedEffect> {
    let mut tx = pool.begin().await.expect("begin");
    let claimed = effects::claim(&mut tx, "executor", 8).await.expect("claim");
    tx.commit().await.expect("commit");
    claimed
}

#[tokio::test]
async fn calls_of_the_platform_for_a_run_wait_together_and_the_run_goes_on() {
    let (database, run) = world().await;
    let pool = &database.pool;
    for kind in ["status_comment", "add_label", "stop_run"] {
        sqlx::query("INSERT INTO outbox_effects (idempotency_key, kind, run_id, payload) VALUES ($1, $1, $2, '{}')")
            .bind(kind)
            .bind(run)
            .execute(pool)
            .await
            .expect("effect");
    }
    let claimed = claim_effects(pool).await;
    let kinds = |claimed: &[ClaimedEffect]| -> Vec<String> {
        claimed.iter().map(|effect| effect.kind.clone()).collect()
    };
    assert_eq!(kinds(&claimed), ["status_comment", "add_label", "stop_run"]);
    let answer = secondary(60);
    for effect in &claimed {
        let LimitMet::Waiting(wait) =
            meet(pool, run, Contour::PlatformPat, &effect.kind, &answer).await
        else {
            panic!("no wait");
        };
        let mut conn = pool.acquire().await.expect("connection");
        let not_before = (effect.kind != "stop_run")
            .then_some(wait.resume_not_before)
            .flatten();
        effects::await_limit(&mut conn, effect, "limit", not_before)
            .await
            .expect("give back");
    }
    assert_eq!(row(pool, run).await["status"], "running");
    // What does not call GitHub does not wait.
    assert_eq!(kinds(&claim_effects(pool).await), ["stop_run"]);
    pass(pool, 76.0).await;
    assert!(
        claim_effects(pool)
            .await
            .iter()
            .all(|effect| effect.kind == "stop_run"),
        "nothing goes on before its wait does"
    );
    assert_eq!(
        effects::seconds_until_due(pool)
            .await
            .expect("due")
            .map(|due| due < 0.0),
        Some(false)
    );
    assert_eq!(try_due(pool).await, 1);
    let tried = claim_effects(pool).await;
    assert_eq!(kinds(&tried), ["status_comment", "add_label"]);
    let mut tx = pool.begin().await.expect("begin");
    waits::settle(&mut tx, run).await.expect("settle");
    tx.commit().await.expect("commit");
    let states: Vec<String> = sqlx::query_scalar("SELECT state FROM github_rate_limit_waits")
        .fetch_all(pool)
        .await
        .expect("waits");
    assert_eq!(states, ["resolved"]);
    assert_eq!(events(pool).await, ["run.wait.paused", "run.wait.resumed"]);
}

#[tokio::test]
async fn a_run_shows_its_dominant_wait_and_its_agent_waits_for_both() {
    let (database, run) = world().await;
    let pool = &database.pool;
    let LimitMet::Waiting(long) = meet(pool, run, Contour::PlatformPat, "p", &secondary(600)).await
    else {
        panic!("no wait");
    };
    let LimitMet::Waiting(short) =
        meet(pool, run, Contour::AgentBotToken, "a", &secondary(60)).await
    else {
        panic!("no wait");
    };
    assert_eq!(row(pool, run).await["wait_target_ref"], json!(long.id));
    park(pool, run).await;
    pass(pool, 100.0).await;
    assert_eq!(try_due(pool).await, 0);
    pass(pool, 600.0).await;
    assert_eq!(try_due(pool).await, 1, "the platform's call is tried");
    let mut tx = pool.begin().await.expect("begin");
    waits::settle(&mut tx, run).await.expect("settle");
    tx.commit().await.expect("commit");
    assert_eq!(row(pool, run).await["wait_target_ref"], json!(short.id));
    assert_eq!(try_due(pool).await, 1, "the agent goes on");
    assert_eq!(row(pool, run).await["status"], "canceled");
}
