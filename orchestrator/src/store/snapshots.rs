//! What a decision always knows: the binding, the sender, and whether the platform changed that label itself.
use std::collections::BTreeMap;

use domain::ids::{AgentId, ProjectId, RepositoryId, UserId};
use domain::snapshot::{AgentFacts, Binding, Preflight, UserFacts};
use serde_json::Value;
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

/// The live repository of that name, if one is bound.
pub async fn live_repository_id(
    executor: impl PgExecutor<'_>,
    full_name: &str,
) -> Result<Option<Uuid>, sqlx::Error> {
    let Some((owner, name)) = full_name.split_once('/') else {
        return Ok(None);
    };
    sqlx::query_scalar(
        "SELECT id FROM repositories WHERE provider = 'github' AND lower(owner) = lower($1) AND lower(name) = lower($2) AND unbound_at IS NULL
         ORDER BY created_at LIMIT 1",
    )
    .bind(owner)
    .bind(name)
    .fetch_optional(executor)
    .await
}

#[derive(sqlx::FromRow)]
struct BindingRow {
    id: Uuid,
    project_id: Uuid,
    slug: String,
    default_ref: String,
    services_yaml_path: String,
    is_platform: bool,
    preflight_status: Option<String>,
}

/// The live binding of a repository id (L-30).
pub async fn binding(pool: &PgPool, external_id: i64) -> Result<Option<Binding>, sqlx::Error> {
    let row: Option<BindingRow> = sqlx::query_as(
        "SELECT r.id, r.project_id, p.slug, r.default_ref, r.services_yaml_path, r.is_platform, r.preflight_report_json ->> 'status' AS preflight_status
         FROM repositories r JOIN projects p ON p.id = r.project_id AND p.deleted_at IS NULL
         WHERE r.provider = 'github' AND r.external_id = $1 AND r.unbound_at IS NULL",
    )
    .bind(external_id)
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let agents = agents(pool, row.project_id).await?;
    Ok(Some(Binding {
        repository_id: RepositoryId(row.id),
        project_id: ProjectId(row.project_id),
        project_slug: row.slug,
        default_ref: row.default_ref,
        services_yaml_path: row.services_yaml_path,
        is_platform: row.is_platform,
        preflight: match row.preflight_status.as_deref() {
            Some("failed") => Preflight::Failed,
            Some(_) => Preflight::Passed,
            None => Preflight::None,
        },
        agents,
    }))
}

#[derive(sqlx::FromRow)]
struct AgentRow {
    id: Uuid,
    agent_key: String,
    name: String,
    is_active: bool,
}

async fn agents(
    pool: &PgPool,
    project_id: Uuid,
) -> Result<BTreeMap<String, AgentFacts>, sqlx::Error> {
    // System agents first, so that a project's own replaces one of the same key.
    let rows: Vec<AgentRow> = sqlx::query_as(
        "SELECT id, agent_key, name, is_active FROM agents WHERE project_id IS NULL OR project_id = $1 ORDER BY project_id NULLS FIRST",
    )
    .bind(project_id)
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            (
                row.agent_key.clone(),
                AgentFacts {
                    id: AgentId(row.id),
                    key: row.agent_key,
                    name: row.name,
                    is_active: row.is_active,
                },
            )
        })
        .collect())
}

#[derive(sqlx::FromRow)]
pub(super) struct UserRow {
    id: Uuid,
    login: String,
    is_platform_owner: bool,
    is_platform_admin: bool,
    project_role: Option<String>,
}

impl From<UserRow> for UserFacts {
    fn from(row: UserRow) -> Self {
        Self {
            id: UserId(row.id),
            login: row.login,
            is_platform_owner: row.is_platform_owner,
            is_platform_admin: row.is_platform_admin,
            project_role: row.project_role,
        }
    }
}

/// The enabled platform user of a GitHub login, as seen from a project.
pub async fn user(
    executor: impl PgExecutor<'_>,
    login: &str,
    project_id: Option<Uuid>,
) -> Result<Option<UserFacts>, sqlx::Error> {
    let row: Option<UserRow> = sqlx::query_as(
        "SELECT u.id, u.github_login::text AS login, u.is_platform_owner, u.is_platform_admin, m.role AS project_role
         FROM users u LEFT JOIN project_members m ON m.user_id = u.id AND m.project_id = $2
         WHERE u.github_login = $1::citext AND u.disabled_at IS NULL",
    )
    .bind(login)
    .bind(project_id)
    .fetch_optional(executor)
    .await?;
    Ok(row.map(Into::into))
}

/// Whether effect `e` has told of its change, or will: it is being performed right now, or it is done, of the last ten
/// minutes, and has its `label.applied`.
macro_rules! tells_of_its_change {
    () => {
        "((e.state = 'pending' AND e.attempts > 0)
          OR (e.state = 'done' AND e.done_at > platform_now() - interval '10 minutes' AND EXISTS (
              SELECT 1 FROM flow_events f
              WHERE f.event_type = 'label.applied' AND f.created_at > platform_now() - interval '10 minutes'
                AND f.payload ->> 'label' = e.payload ->> 'label'
                AND f.payload ->> 'thread_number' = e.payload -> 'thread' ->> 'number'
                AND f.payload ->> 'op' = CASE WHEN e.kind = 'add_label' THEN 'add' ELSE 'remove' END)))"
    };
}

/// The platform's own label change that a delivery reports, not yet matched (L-19).
pub async fn own_label_change(
    executor: impl PgExecutor<'_>,
    thread: &Value,
    kind: &str,
    label: &str,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar(concat!(
        "SELECT e.id FROM outbox_effects e
         WHERE e.kind = $1 AND e.payload ->> 'label' = $2 AND e.payload -> 'thread' = $3 AND e.reported_by_delivery_id IS NULL
           AND ",
        tells_of_its_change!(),
        " ORDER BY e.id LIMIT 1",
    ))
    .bind(kind)
    .bind(label)
    .bind(thread)
    .fetch_optional(executor)
    .await
}

/// A label change of a thread that is written down and not done yet.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct PendingLabelChange {
    pub id: i64,
    /// `add_label` or `remove_label`.
    pub kind: String,
    pub label: String,
}

/// What the executor will still do to the labels of a thread, in its order.
pub async fn pending_label_changes(
    executor: impl PgExecutor<'_>,
    thread: &Value,
) -> Result<Vec<PendingLabelChange>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, kind, payload ->> 'label' AS label FROM outbox_effects
         WHERE state = 'pending' AND kind IN ('add_label', 'remove_label') AND payload -> 'thread' = $1 ORDER BY id",
    )
    .bind(thread)
    .fetch_all(executor)
    .await
}

/// The newest label change that was ever written down for a thread.
pub async fn newest_label_change(
    executor: impl PgExecutor<'_>,
    thread: &Value,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT max(id) FROM outbox_effects WHERE kind IN ('add_label', 'remove_label') AND payload -> 'thread' = $1",
    )
    .bind(thread)
    .fetch_one(executor)
    .await
}

/// Remembers that a delivery reported the change; `false` when the effect was completed meanwhile without telling of it,
/// or another delivery has reported it.
pub async fn match_label_change(
    executor: impl PgExecutor<'_>,
    effect_id: i64,
    delivery_id: &str,
) -> Result<bool, sqlx::Error> {
    let matched = sqlx::query(concat!(
        "UPDATE outbox_effects e SET reported_by_delivery_id = $2
         WHERE e.id = $1 AND e.reported_by_delivery_id IS NULL AND ",
        tells_of_its_change!(),
    ))
    .bind(effect_id)
    .bind(delivery_id)
    .execute(executor)
    .await?;
    Ok(matched.rows_affected() == 1)
}
