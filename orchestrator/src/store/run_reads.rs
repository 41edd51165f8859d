//! Runs as routes read them: for the token, the agent's context, and the staff lists.
use chrono::{DateTime, Utc};
use domain::audit::AuditRecord;
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor, Postgres, QueryBuilder};
use uuid::Uuid;

/// What a run token is made of.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct TokenSubject {
    pub status: String,
    pub correlation_id: String,
    pub project_id: Option<Uuid>,
    pub repository_full_name: String,
}

/// The facts a run token is bound to.
pub async fn token_subject(
    executor: impl PgExecutor<'_>,
    run_id: Uuid,
) -> Result<Option<TokenSubject>, sqlx::Error> {
    sqlx::query_as(
        "SELECT status, correlation_id, project_id, repository_full_name FROM agent_runs WHERE id = $1",
    )
    .bind(run_id)
    .fetch_optional(executor)
    .await
}

/// Locks a run that has not ended; `false` when it has, or does not exist.
pub async fn lock_active(connection: &mut PgConnection, run_id: Uuid) -> Result<bool, sqlx::Error> {
    let locked: Option<Uuid> = sqlx::query_scalar(
        "SELECT id FROM agent_runs
         WHERE id = $1 AND status NOT IN ('succeeded', 'failed', 'canceled') FOR NO KEY UPDATE",
    )
    .bind(run_id)
    .fetch_optional(connection)
    .await?;
    Ok(locked.is_some())
}

/// The agent of a run.
pub async fn agent_key(
    connection: &mut PgConnection,
    run_id: Uuid,
) -> Result<Option<String>, sqlx::Error> {
    let key: Option<Option<String>> =
        sqlx::query_scalar("SELECT agent_key FROM agent_runs WHERE id = $1")
            .bind(run_id)
            .fetch_optional(connection)
            .await?;
    Ok(key.flatten())
}

/// Whether the newest `run.agent.session.saved` of the run says exactly this already.
pub async fn session_saved_is_recorded(
    connection: &mut PgConnection,
    record: &AuditRecord,
) -> Result<bool, sqlx::Error> {
    let newest: Option<Value> = sqlx::query_scalar(
        "SELECT payload FROM flow_events
         WHERE run_id = $1 AND event_type = 'run.agent.session.saved' ORDER BY id DESC LIMIT 1",
    )
    .bind(record.run_id.map(|id| id.as_uuid()))
    .fetch_optional(connection)
    .await?;
    Ok(newest.is_some_and(|payload| payload == record.payload()))
}

/// A run with everything its agent's context needs.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ContextRun {
    pub id: Uuid,
    pub correlation_id: String,
    pub project_id: Option<Uuid>,
    pub repository_full_name: String,
    pub issue_number: Option<i32>,
    pub pr_number: Option<i32>,
    pub trigger_source: String,
    pub trigger_kind: String,
    pub trigger_label: String,
    pub discussion_mode: bool,
    pub agent_key: Option<String>,
    pub runtime_mode: Option<String>,
    pub run_payload: Value,
    pub model: Option<String>,
    pub reasoning_effort: Option<String>,
    pub template_kind: Option<String>,
    pub build_ref_sha: Option<String>,
}

/// Loads a run for its context.
pub async fn context_run(
    executor: impl PgExecutor<'_>,
    run_id: Uuid,
) -> Result<Option<ContextRun>, sqlx::Error> {
    sqlx::query_as(
        "SELECT r.id, r.correlation_id, r.project_id, r.repository_full_name, r.issue_number, r.pr_number,
                r.trigger_source, r.trigger_kind, r.trigger_label, r.discussion_mode, r.agent_key, r.runtime_mode,
                r.run_payload - 'raw_payload' AS run_payload, s.model, s.reasoning_effort, s.template_kind,
                NULLIF(t.build_ref_sha, '') AS build_ref_sha
         FROM agent_runs r
         LEFT JOIN agent_sessions s ON s.run_id = r.id
         LEFT JOIN runtime_deploy_tasks t ON t.run_id = r.id
         WHERE r.id = $1",
    )
    .bind(run_id)
    .fetch_optional(executor)
    .await
}

/// The Run object of the staff API.
#[derive(Debug, Clone, sqlx::FromRow, serde::Serialize)]
pub struct RunView {
    pub id: Uuid,
    pub correlation_id: String,
    pub project_id: Option<Uuid>,
    pub project_slug: String,
    pub project_name: String,
    pub repository_full_name: String,
    pub issue_number: Option<i32>,
    pub pr_number: Option<i32>,
    pub trigger_source: String,
    pub trigger_kind: String,
    pub trigger_label: String,
    pub discussion_mode: bool,
    pub agent_key: Option<String>,
    pub status: String,
    pub queue_reason: Option<String>,
    pub finish_reason: Option<String>,
    pub resumed_from_run_id: Option<Uuid>,
    pub runtime_mode: Option<String>,
    pub namespace: Option<String>,
    pub job_name: Option<String>,
    pub job_namespace: Option<String>,
    pub job_exists: bool,
    pub namespace_exists: bool,
    pub namespace_expires_at: Option<DateTime<Utc>>,
    pub wait_state: Option<String>,
    pub wait_reason: Option<String>,
    pub wait_target: Option<Value>,
    pub wait_since: Option<DateTime<Utc>>,
    pub wait_deadline_at: Option<DateTime<Utc>>,
    /// The wait in words, where its reason leaves a question open.
    pub wait_text: Option<String>,
    pub last_heartbeat_at: Option<DateTime<Utc>>,
    pub state_version: i64,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// Filters of the run lists.
#[derive(Debug, Default)]
pub struct RunFilter {
    pub status: Option<String>,
    pub trigger_kind: Option<String>,
    pub trigger_label: Option<String>,
    pub agent_key: Option<String>,
    pub project_id: Option<Uuid>,
    pub repository: Option<String>,
    pub issue_number: Option<i32>,
    pub pr_number: Option<i32>,
    pub wait_state: Option<String>,
    pub created_from: Option<DateTime<Utc>>,
    pub created_to: Option<DateTime<Utc>>,
    pub q: Option<String>,
    pub include_deploy: bool,
    pub with_job: bool,
    /// Waiting runs, and pending ones that are known to wait for something (DA-7).
    pub waits_only: bool,
    pub wait_reason: Option<String>,
    /// Has waited at least so many seconds.
    pub older_than: Option<i64>,
    pub id: Option<Uuid>,
    /// The reader, unless they are a platform admin (DU-14).
    pub member: Option<Uuid>,
}

const RUN_COLUMNS: &str = "SELECT r.id, r.correlation_id, r.project_id, COALESCE(p.slug, '') AS project_slug,
    COALESCE(p.name, '') AS project_name, r.repository_full_name, r.issue_number, r.pr_number, r.trigger_source,
    r.trigger_kind, r.trigger_label, r.discussion_mode, r.agent_key, r.status, r.queue_reason, r.finish_reason,
    r.resumed_from_run_id, r.runtime_mode, r.namespace, r.job_name, r.job_namespace,
    (r.job_name IS NOT NULL AND r.finished_at IS NULL) AS job_exists,
    COALESCE(l.state IN ('active', 'cleaning', 'failed'), false) AS namespace_exists,
    CASE WHEN l.state = 'active' THEN l.expires_at END AS namespace_expires_at,
    CASE WHEN s.wait_state IS NOT NULL THEN 'waiting_' || s.wait_state END AS wait_state, r.wait_reason,
    CASE WHEN r.wait_target_kind IS NOT NULL
         THEN jsonb_build_object('kind', r.wait_target_kind, 'ref', r.wait_target_ref) END AS wait_target,
    s.wait_since, r.wait_deadline_at,
    (SELECT CASE WHEN w.state = 'manual_action_required'
            THEN 'Manual action required: GitHub''s limit was met by each attempt, staff lets it go on'
            ELSE 'Goes on by itself when GitHub''s limit is over' END
     FROM github_rate_limit_waits w
     WHERE r.wait_target_kind = 'github_rate_limit_wait' AND w.id::text = r.wait_target_ref) AS wait_text,
    s.last_heartbeat_at, r.state_version, r.created_at, r.started_at, r.finished_at ";

const RUN_SOURCE: &str = " FROM agent_runs r
    LEFT JOIN projects p ON p.id = r.project_id
    LEFT JOIN agent_sessions s ON s.run_id = r.id
    LEFT JOIN namespace_leases l ON l.namespace = r.namespace
    WHERE true ";

fn push_filter(builder: &mut QueryBuilder<Postgres>, filter: &RunFilter) {
    macro_rules! equal {
        ($value:expr, $sql:literal) => {
            if let Some(value) = &$value {
                builder.push($sql).push_bind(value.clone());
            }
        };
    }
    equal!(filter.id, " AND r.id = ");
    equal!(filter.status, " AND r.status = ");
    equal!(filter.trigger_kind, " AND r.trigger_kind = ");
    equal!(filter.trigger_label, " AND r.trigger_label = ");
    equal!(filter.agent_key, " AND r.agent_key = ");
    equal!(filter.project_id, " AND r.project_id = ");
    equal!(filter.repository, " AND r.repository_full_name = ");
    equal!(filter.issue_number, " AND r.issue_number = ");
    equal!(filter.pr_number, " AND r.pr_number = ");
    equal!(filter.wait_state, " AND s.wait_state = ");
    equal!(filter.created_from, " AND r.created_at >= ");
    equal!(filter.created_to, " AND r.created_at < ");
    if let Some(text) = &filter.q {
        builder
            .push(" AND position(lower(")
            .push_bind(text.clone())
            .push(") IN lower(r.id::text || ' ' || r.correlation_id || ' ' || r.repository_full_name || ' ' || r.trigger_label)) > 0");
    }
    if !filter.include_deploy {
        builder.push(" AND NOT r.deploy_only");
    }
    equal!(filter.wait_reason, " AND r.wait_reason = ");
    if let Some(seconds) = filter.older_than {
        builder
            .push(" AND coalesce(s.wait_since, r.created_at) <= platform_now() - interval '1 second' * ")
            .push_bind(seconds);
    }
    if filter.waits_only {
        builder.push(
            " AND (r.status LIKE 'waiting\\_%' OR (r.status = 'pending' AND r.queue_reason IS NOT NULL))",
        );
    }
    if filter.with_job {
        builder.push(" AND r.job_name IS NOT NULL");
    }
    if let Some(user_id) = filter.member {
        builder
            .push(" AND EXISTS (SELECT 1 FROM project_members m WHERE m.project_id = r.project_id AND m.user_id = ")
            .push_bind(user_id)
            .push(")");
    }
}

/// One page of runs, newest first.
pub async fn page(
    executor: impl PgExecutor<'_>,
    filter: &RunFilter,
    limit: i64,
    offset: i64,
) -> Result<Vec<RunView>, sqlx::Error> {
    let mut builder = QueryBuilder::new(RUN_COLUMNS);
    builder.push(RUN_SOURCE);
    push_filter(&mut builder, filter);
    builder
        .push(" ORDER BY r.created_at DESC, r.id DESC LIMIT ")
        .push_bind(limit)
        .push(" OFFSET ")
        .push_bind(offset);
    builder.build_query_as().fetch_all(executor).await
}

/// How many runs a filter finds.
pub async fn count(executor: impl PgExecutor<'_>, filter: &RunFilter) -> Result<i64, sqlx::Error> {
    let mut builder = QueryBuilder::new("SELECT count(*)");
    builder.push(RUN_SOURCE);
    push_filter(&mut builder, filter);
    builder.build_query_scalar().fetch_one(executor).await
}

/// Whether a run exists, and whose it is.
pub async fn project_of(
    executor: impl PgExecutor<'_>,
    run_id: Uuid,
) -> Result<Option<Option<Uuid>>, sqlx::Error> {
    sqlx::query_scalar("SELECT project_id FROM agent_runs WHERE id = $1")
        .bind(run_id)
        .fetch_optional(executor)
        .await
}

/// Counters beside the run list: waiting runs with queued ones, and open approvals.
pub async fn attention_counts(
    executor: impl PgExecutor<'_>,
    member: Option<Uuid>,
) -> Result<(i64, i64), sqlx::Error> {
    sqlx::query_as(
        "SELECT (SELECT count(*) FROM agent_runs r
                 WHERE (r.status LIKE 'waiting\\_%' OR (r.status = 'pending' AND r.queue_reason IS NOT NULL))
                   AND ($1::uuid IS NULL OR EXISTS (SELECT 1 FROM project_members m
                        WHERE m.project_id = r.project_id AND m.user_id = $1))),
                (SELECT count(*) FROM mcp_action_requests q
                 WHERE q.approval_state = 'requested'
                   AND ($1::uuid IS NULL OR EXISTS (SELECT 1 FROM project_members m
                        WHERE m.project_id = q.project_id AND m.user_id = $1)))",
    )
    .bind(member)
    .fetch_one(executor)
    .await
}

/// The session, deploy and usage facts of the run page.
pub async fn details(
    executor: impl PgExecutor<'_>,
    run_id: Uuid,
) -> Result<Option<(Option<Value>, Option<Value>, Value, Value)>, sqlx::Error> {
    sqlx::query_as(
        "SELECT (SELECT jsonb_build_object('model', s.model, 'reasoning_effort', s.reasoning_effort,
                     'template_kind', s.template_kind, 'template_source', s.template_source,
                     'template_locale', s.template_locale, 'branch', s.branch_name, 'status', s.status,
                     'pr_number', s.pr_number, 'pr_url', s.pr_url, 'snapshot_version', s.snapshot_version,
                     'resumable', s.snapshot_checksum IS NOT NULL)
                 FROM agent_sessions s WHERE s.run_id = r.id),
                (SELECT jsonb_build_object('status', t.status, 'target_env', t.target_env, 'namespace', t.namespace,
                     'build_ref', t.build_ref, 'build_ref_sha', t.build_ref_sha, 'attempts', t.attempts,
                     'last_error', t.last_error)
                 FROM runtime_deploy_tasks t WHERE t.run_id = r.id),
                (SELECT jsonb_build_object('prompt_tokens', COALESCE(sum(u.prompt_tokens), 0),
                     'completion_tokens', COALESCE(sum(u.completion_tokens), 0),
                     'total_tokens', COALESCE(sum(u.total_tokens), 0))
                 FROM token_usage u WHERE u.run_id = r.id),
                (SELECT COALESCE(jsonb_agg(jsonb_build_object('source_type', k.source_type, 'source_id', k.source_id,
                     'target_type', k.target_type, 'target_id', k.target_id, 'link_type', k.link_type) ORDER BY k.id), '[]')
                 FROM links k WHERE (k.source_type = 'run' AND k.source_id = r.id::text)
                                 OR (k.target_type = 'run' AND k.target_id = r.id::text))
         FROM agent_runs r WHERE r.id = $1",
    )
    .bind(run_id)
    .fetch_optional(executor)
    .await
}

/// Whether the run has an event of this type.
pub async fn has_event(
    connection: &mut PgConnection,
    run_id: Uuid,
    event_type: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM flow_events WHERE run_id = $1 AND event_type = $2)",
    )
    .bind(run_id)
    .bind(event_type)
    .fetch_one(connection)
    .await
}
