//! Which runs a self-improvement is shown (G-65).

use crate::store_support::TestDatabase;
use domain::ids::ProjectId;
use domain::tools::{RunsQuery, run_lookup, runs_query};
use orchestrator::store::self_improve;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

async fn project(pool: &PgPool, slug: &str) -> Uuid {
    sqlx::query_scalar("INSERT INTO projects (slug, name) VALUES ($1, $1) RETURNING id")
        .bind(slug)
        .fetch_one(pool)
        .await
        .expect("project")
}

/// Runs of Issues 1 to `count`, each a second younger than the one before, with the pull request after the Issue.
async fn runs(pool: &PgPool, project: Uuid, repository: &str, count: i32) {
    sqlx::query(
        "INSERT INTO agent_runs (correlation_id, project_id, trigger_source, trigger_kind, trigger_label,
             repository_full_name, issue_number, pr_number, agent_key, created_at)
         SELECT $2 || n, $1, 'issue_label', 'dev', 'run:dev', $2, n, 1000 + n, 'dev',
                platform_now() + make_interval(secs => n)
         FROM generate_series(1, $3) n",
    )
    .bind(project)
    .bind(repository)
    .bind(count)
    .execute(pool)
    .await
    .expect("runs");
}

fn read(
    reader: fn(&serde_json::Map<String, Value>) -> Result<RunsQuery, domain::tools::ToolFailure>,
    arguments: Value,
) -> RunsQuery {
    reader(arguments.as_object().expect("an object")).expect("a query")
}

#[tokio::test]
async fn the_runs_of_the_project_come_in_pages_newest_first() {
    let database = TestDatabase::migrated().await;
    let pool = &database.pool;
    let (own, other) = (project(pool, "own").await, project(pool, "other").await);
    runs(pool, own, "shop/app", 60).await;
    runs(pool, own, "shop/docs", 1).await;
    runs(pool, other, "rival/app", 5).await;
    for (query, expected) in [
        // One more than the page, which says that there is another.
        (read(runs_query, json!({"limit": 500})), (60, 51)),
        (read(runs_query, json!({"page": 2})), (10, 11)),
        (
            read(runs_query, json!({"repository_full_name": "SHOP/Docs"})),
            (1, 1),
        ),
        (
            read(runs_query, json!({"repository_full_name": "rival/app"})),
            (0, 0),
        ),
        (
            read(run_lookup, json!({"pull_request_number": 1007})),
            (7, 1),
        ),
        (
            read(
                run_lookup,
                json!({"issue_number": 7, "pull_request_number": 1008}),
            ),
            (0, 0),
        ),
        (read(run_lookup, json!({"issue_number": 1})), (1, 2)),
    ] {
        let found = self_improve::runs(pool, ProjectId(own), &query)
            .await
            .expect("runs");
        let first = found.first().and_then(|run| run.issue_number).unwrap_or(0);
        assert_eq!((first, found.len()), expected, "{query:?}");
        assert!(found.iter().all(|run| run.project_id == own), "{query:?}");
        assert!(
            found.is_sorted_by_key(|run| std::cmp::Reverse(run.created_at)),
            "{query:?}"
        );
    }
}
