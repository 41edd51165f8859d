//! New runs: insert-or-nothing on the correlation id (D-1).
use domain::decide::NewRun;
use domain::ids::{AgentId, RunId};
use sqlx::PgConnection;
use uuid::Uuid;

/// Whether the run is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    New,
    /// A run of this correlation id exists already.
    Existing(RunId),
}

/// Inserts a `pending` run; the loser of a race reads the winner's id.
pub async fn insert(connection: &mut PgConnection, run: &NewRun) -> Result<Inserted, sqlx::Error> {
    let number = |value: Option<i64>| value.and_then(|number| i32::try_from(number).ok());
    let inserted: Option<Uuid> = sqlx::query_scalar(
        "INSERT INTO agent_runs (id, correlation_id, project_id, agent_id, trigger_source, trigger_kind, trigger_label,
             discussion_mode, repository_full_name, issue_number, pr_number, agent_key, runtime_mode, target_env, namespace,
             run_payload, deploy_only)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
         ON CONFLICT (correlation_id) DO NOTHING RETURNING id",
    )
    .bind(run.run_id.as_uuid())
    .bind(run.correlation_id.as_str())
    .bind(run.project_id.as_uuid())
    .bind(run.agent.as_ref().map(|agent| AgentId::as_uuid(agent.id)))
    .bind(run.trigger.source.as_str())
    .bind(run.trigger.kind.to_string())
    .bind(&run.trigger.label)
    .bind(run.discussion_mode)
    .bind(&run.repository_full_name)
    .bind(number(run.issue_number))
    .bind(number(run.pr_number))
    .bind(run.agent.as_ref().map(|agent| agent.key.as_str()))
    .bind(run.runtime.mode.as_str())
    .bind(run.runtime.target_env.map(|environment| environment.as_str()))
    .bind(run.runtime.namespace.as_ref().map(domain::ids::NamespaceName::as_str))
    .bind(&run.payload)
    .bind(run.runtime.deploy_only)
    .fetch_optional(&mut *connection)
    .await?;
    if inserted.is_some() {
        return Ok(Inserted::New);
    }
    let existing: Uuid = sqlx::query_scalar("SELECT id FROM agent_runs WHERE correlation_id = $1")
        .bind(run.correlation_id.as_str())
        .fetch_one(connection)
        .await?;
    Ok(Inserted::Existing(existing.into()))
}
