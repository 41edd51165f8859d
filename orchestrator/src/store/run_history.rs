//! Runs of a thread as decisions see them (L-56).
use chrono::{DateTime, Utc};
use domain::events::ThreadKind;
use domain::ids::{CorrelationId, ProjectId, RunId};
use domain::runs::{RunStatus, TriggerSource};
use domain::snapshot::{ProfileFacts, RunFacts};
use domain::stages::{AccessProfile, RuntimeMode, TargetEnv};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// How far back the resolver looks (L-56); runs that are not over are always there.
const HISTORY_LIMIT: i64 = 50;

/// Columns of a run with what its events add; the caller appends the condition.
const COLUMNS: &str = "SELECT r.id, r.correlation_id, r.project_id, r.repository_full_name, r.status, run_source(r) AS trigger_source, r.trigger_kind, r.trigger_label,
        r.agent_key, r.discussion_mode, r.deploy_only, r.issue_number::bigint AS issue_number,
        coalesce(r.pr_number::bigint, (pr.payload ->> 'pr_number')::bigint) AS pr_number,
        coalesce(r.runtime_mode, r.run_payload #>> '{runtime,mode}') AS runtime_mode,
        coalesce(r.target_env, r.run_payload #>> '{runtime,target_env}') AS target_env,
        r.run_payload #>> '{runtime,access_profile}' AS access_profile, r.namespace,
        coalesce(nullif(d.build_ref_sha, ''), r.run_payload #>> '{runtime,build_ref}') AS build_ref,
        coalesce(s.branch_name, r.run_payload ->> 'target_branch') AS branch,
        coalesce(pr.payload ->> 'head_sha', r.run_payload #>> '{pull_request,head,sha}') AS pr_head_sha,
        profile.payload AS profile, r.resumed_from_run_id,
        EXISTS (SELECT 1 FROM links l WHERE (l.source_type = 'run' AND l.source_id = r.id::text) OR (l.target_type = 'run' AND l.target_id = r.id::text)) AS has_link,
        r.created_at, r.finished_at
 FROM agent_runs r
 LEFT JOIN agent_sessions s ON s.run_id = r.id
 LEFT JOIN runtime_deploy_tasks d ON d.run_id = r.id
 LEFT JOIN LATERAL (SELECT payload FROM flow_events f WHERE f.run_id = r.id AND f.event_type IN ('run.pr.created', 'run.pr.updated') ORDER BY f.id DESC LIMIT 1) pr ON true
 LEFT JOIN LATERAL (SELECT payload FROM flow_events f WHERE f.run_id = r.id AND f.event_type = 'run.profile.resolved' ORDER BY f.id DESC LIMIT 1) profile ON true
";

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    correlation_id: String,
    project_id: Option<Uuid>,
    repository_full_name: String,
    status: String,
    trigger_source: String,
    trigger_kind: String,
    trigger_label: String,
    agent_key: Option<String>,
    discussion_mode: bool,
    deploy_only: bool,
    issue_number: Option<i64>,
    pr_number: Option<i64>,
    runtime_mode: Option<String>,
    target_env: Option<String>,
    access_profile: Option<String>,
    namespace: Option<String>,
    build_ref: Option<String>,
    branch: Option<String>,
    pr_head_sha: Option<String>,
    profile: Option<Value>,
    resumed_from_run_id: Option<Uuid>,
    has_link: bool,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

fn unreadable(column: &'static str, text: &str) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: format!("{text:?} is no known value").into(),
    }
}

impl TryFrom<Row> for RunFacts {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        Ok(Self {
            run_id: RunId(row.id),
            correlation_id: CorrelationId::new(row.correlation_id),
            project_id: ProjectId(row.project_id.unwrap_or_default()),
            repository_full_name: row.repository_full_name,
            status: RunStatus::from_text(&row.status)
                .ok_or_else(|| unreadable("status", &row.status))?,
            trigger_source: TriggerSource::from_text(&row.trigger_source)
                .ok_or_else(|| unreadable("trigger_source", &row.trigger_source))?,
            trigger_kind: row
                .trigger_kind
                .parse()
                .map_err(|_| unreadable("trigger_kind", &row.trigger_kind))?,
            trigger_label: row.trigger_label,
            agent_key: row.agent_key,
            discussion_mode: row.discussion_mode,
            deploy_only: row.deploy_only,
            issue_number: row.issue_number,
            pr_number: row.pr_number,
            runtime_mode: row
                .runtime_mode
                .as_deref()
                .and_then(RuntimeMode::from_text)
                .unwrap_or(RuntimeMode::FullEnv),
            target_env: row.target_env.as_deref().and_then(TargetEnv::from_text),
            access_profile: row
                .access_profile
                .as_deref()
                .and_then(AccessProfile::from_text)
                .unwrap_or(AccessProfile::None),
            namespace: row.namespace.and_then(|name| name.parse().ok()),
            build_ref: row.build_ref,
            branch: row.branch,
            pr_head_sha: row.pr_head_sha,
            profile: row.profile.as_ref().map(profile),
            resumed_from_run_id: row.resumed_from_run_id.map(RunId),
            has_link: row.has_link,
            created_at: row.created_at,
            finished_at: row.finished_at,
        })
    }
}

fn profile(payload: &Value) -> ProfileFacts {
    let text = |key: &str| {
        payload
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    ProfileFacts {
        model: text("model"),
        model_source: text("model_source"),
        reasoning_effort: text("reasoning_effort"),
        reasoning_source: text("reasoning_source"),
    }
}

/// Runs of an Issue or pull request, newest first: at most 50, and every one that is not over. Reviewer- and
/// review-started runs belong to both their Issue and their pull request.
pub async fn of_thread(
    connection: &mut PgConnection,
    full_name: &str,
    kind: ThreadKind,
    number: i64,
) -> Result<Vec<RunFacts>, sqlx::Error> {
    let column = match kind {
        ThreadKind::Issue => "r.issue_number = $2::bigint::int",
        ThreadKind::PullRequest => {
            "(r.pr_number = $2::bigint::int OR (r.pr_number IS NULL AND (pr.payload ->> 'pr_number')::bigint = $2))"
        }
    };
    let sql = format!(
        "SELECT * FROM ({COLUMNS} WHERE r.repository_full_name = $1 AND {column}) run
         WHERE run.status NOT IN ('succeeded', 'failed', 'canceled')
            OR run.id IN (SELECT r.id FROM agent_runs r
                LEFT JOIN LATERAL (SELECT payload FROM flow_events f WHERE f.run_id = r.id AND f.event_type IN ('run.pr.created', 'run.pr.updated') ORDER BY f.id DESC LIMIT 1) pr ON true
                WHERE r.repository_full_name = $1 AND {column} ORDER BY r.created_at DESC LIMIT $3)
         ORDER BY run.created_at DESC, run.id DESC"
    );
    // Only the two constant conditions above become part of the text.
    let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(full_name)
        .bind(number)
        .bind(HISTORY_LIMIT)
        .fetch_all(connection)
        .await?;
    rows.into_iter().map(RunFacts::try_from).collect()
}

/// One run.
pub async fn of_run(
    executor: impl PgExecutor<'_>,
    run_id: Uuid,
) -> Result<Option<RunFacts>, sqlx::Error> {
    let row: Option<Row> =
        sqlx::query_as(sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE r.id = $1")))
            .bind(run_id)
            .fetch_optional(executor)
            .await?;
    row.map(RunFacts::try_from).transpose()
}
