//! Requests that need somebody's word (`mcp_action_requests`). Every move is a conditional update; its events commit
//! with it, in the caller's transaction (G-81, G-128).
use chrono::{DateTime, Utc};
use domain::approvals::{
    Answer, ApplyFailure, ApprovalMode, ApprovalState, Deciders, DecisionKind, ExpiryCause,
    Proposal, RequestAction, RequestFacts, Standing, expired,
};
use domain::ids::{CorrelationId, ProjectId, RunId};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::events;
use super::tool_calls::CallKey;

/// Most requests that one sweep ends (D-29).
const SWEEP_LIMIT: i64 = 1000;

macro_rules! columns {
    () => {
        "q.id, q.correlation_id, q.run_id, q.scope_run_id, q.project_id, q.tool_name, q.action, q.target_ref,
         q.environment, q.signature, q.input_fingerprint, q.approval_mode, q.approval_state, q.requested_by,
         q.decided_by, q.decision_reason, q.answer_option_id, q.answer_text, q.payload, q.detached, q.expires_at,
         q.state_version, q.updated_at, q.completed_steps,
         (SELECT r.repository_full_name FROM agent_runs r WHERE r.id = q.run_id) AS repository_full_name"
    };
}

/// A row.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ApprovalRow {
    pub id: i64,
    pub correlation_id: String,
    pub run_id: Option<Uuid>,
    pub scope_run_id: Option<Uuid>,
    pub project_id: Option<Uuid>,
    pub tool_name: String,
    pub action: String,
    pub target_ref: Value,
    pub environment: Option<String>,
    pub signature: String,
    pub input_fingerprint: Vec<u8>,
    pub approval_mode: String,
    pub approval_state: String,
    pub requested_by: String,
    pub decided_by: Option<Uuid>,
    pub decision_reason: Option<String>,
    pub answer_option_id: Option<String>,
    pub answer_text: Option<String>,
    pub payload: Value,
    pub detached: bool,
    pub expires_at: DateTime<Utc>,
    pub state_version: i32,
    pub updated_at: DateTime<Utc>,
    pub completed_steps: Vec<String>,
    /// Of the run.
    pub repository_full_name: Option<String>,
}

impl ApprovalRow {
    /// What its events tell.
    ///
    /// # Errors
    /// A word of the row is not one that this program writes.
    pub fn facts(&self) -> Result<RequestFacts, sqlx::Error> {
        let unknown = |column: &str| sqlx::Error::Decode(format!("unknown {column}").into());
        Ok(RequestFacts {
            id: self.id,
            run_id: self.run_id.map(RunId),
            correlation_id: CorrelationId::new(self.correlation_id.clone()),
            project_id: self.project_id.map(ProjectId),
            tool_name: self.tool_name.clone(),
            action: RequestAction::from_text(&self.action).ok_or_else(|| unknown("action"))?,
            mode: ApprovalMode::from_text(&self.approval_mode)
                .ok_or_else(|| unknown("approval_mode"))?,
            environment: self.environment.clone(),
            requested_by: self.requested_by.clone(),
            target_ref: self.target_ref.clone(),
            expires_at: self.expires_at,
            proposal: serde_json::from_value::<Proposal>(self.payload.clone()).ok(),
        })
    }

    /// State.
    ///
    /// # Errors
    /// The word is not one that this program writes.
    pub fn state(&self) -> Result<ApprovalState, sqlx::Error> {
        ApprovalState::from_text(&self.approval_state)
            .ok_or_else(|| sqlx::Error::Decode("unknown approval_state".into()))
    }

    /// What a decision meets.
    ///
    /// # Errors
    /// The state is not one that this program writes.
    pub fn standing(&self) -> Result<Standing, sqlx::Error> {
        Ok(Standing {
            state: self.state()?,
            state_version: self.state_version,
            expires_at: self.expires_at,
        })
    }

    /// The encrypted value of the request, as [`keep_secret`] stored it.
    pub fn kept_secret(&self) -> Option<&str> {
        self.payload.get("secret_value_encrypted")?.as_str()
    }

    /// What the person answered, if the request is a question that was answered.
    pub fn answer(&self) -> Option<Answer> {
        match (&self.answer_option_id, &self.answer_text) {
            (Some(id), _) => Some(Answer::Option(id.clone())),
            (None, Some(text)) => Some(Answer::Custom(text.clone())),
            (None, None) => None,
        }
    }
}

/// A request that is about to be asked.
#[derive(Debug, Clone)]
pub struct NewApproval<'a> {
    /// Its `id` is given by the database.
    pub facts: &'a RequestFacts,
    pub scope_run_id: Uuid,
    pub signature: &'a str,
    pub idempotency_key: Option<&'a str>,
    pub input_fingerprint: &'a [u8],
    pub justification: Option<&'a str>,
    pub payload: &'a Value,
}

/// Inserts a request. `None`: the same is open already, or the run waits for another one (G-24, G-30).
pub async fn insert(
    connection: &mut PgConnection,
    new: &NewApproval<'_>,
) -> Result<Option<i64>, sqlx::Error> {
    let facts = new.facts;
    sqlx::query_scalar(
        "INSERT INTO mcp_action_requests (correlation_id, run_id, scope_run_id, project_id, tool_name, action, target_ref,
             environment, justification, signature, idempotency_key, input_fingerprint, approval_mode, requested_by,
             payload, detached, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
         ON CONFLICT DO NOTHING RETURNING id",
    )
    .bind(facts.correlation_id.as_str())
    .bind(facts.run_id.map(RunId::as_uuid))
    .bind(new.scope_run_id)
    .bind(facts.project_id.map(ProjectId::as_uuid))
    .bind(&facts.tool_name)
    .bind(facts.action.as_str())
    .bind(&facts.target_ref)
    .bind(&facts.environment)
    .bind(new.justification)
    .bind(new.signature)
    .bind(new.idempotency_key)
    .bind(new.input_fingerprint)
    .bind(facts.mode.as_str())
    .bind(&facts.requested_by)
    .bind(new.payload)
    .bind(facts.action.is_detached())
    .bind(facts.expires_at)
    .fetch_optional(connection)
    .await
}

/// Reads a request.
pub async fn find(
    executor: impl PgExecutor<'_>,
    id: i64,
) -> Result<Option<ApprovalRow>, sqlx::Error> {
    sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM mcp_action_requests q WHERE q.id = $1"
    ))
    .bind(id)
    .fetch_optional(executor)
    .await
}

/// Locks a request, and its run before it, as every change of a run does. A request that passes to a resume run
/// meanwhile is locked with that one (R-24).
pub async fn lock(
    connection: &mut PgConnection,
    id: i64,
) -> Result<Option<ApprovalRow>, sqlx::Error> {
    sqlx::query(
        "SELECT r.id FROM agent_runs r JOIN mcp_action_requests q ON q.run_id = r.id WHERE q.id = $1 FOR UPDATE OF r",
    )
    .bind(id)
    .execute(&mut *connection)
    .await?;
    sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM mcp_action_requests q WHERE q.id = $1 FOR UPDATE OF q"
    ))
    .bind(id)
    .fetch_optional(connection)
    .await
}

/// The open request of this scope for the same thing (G-30).
pub async fn open_with_signature(
    executor: impl PgExecutor<'_>,
    scope_run_id: Uuid,
    signature: &str,
) -> Result<Option<ApprovalRow>, sqlx::Error> {
    sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM mcp_action_requests q WHERE q.scope_run_id = $1 AND q.signature = $2
           AND q.approval_state IN ('requested', 'approved')"
    ))
    .bind(scope_run_id)
    .bind(signature)
    .fetch_optional(executor)
    .await
}

/// The newest applied request of this scope for the same thing (G-30).
pub async fn applied_with_signature(
    executor: impl PgExecutor<'_>,
    scope_run_id: Uuid,
    signature: &str,
) -> Result<Option<ApprovalRow>, sqlx::Error> {
    sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM mcp_action_requests q WHERE q.scope_run_id = $1 AND q.signature = $2
           AND q.approval_state = 'applied' ORDER BY q.id DESC LIMIT 1"
    ))
    .bind(scope_run_id)
    .bind(signature)
    .fetch_optional(executor)
    .await
}

/// Keeps the encrypted value of a request until the request ends (G-120); `sealed` is base64.
pub async fn keep_secret(
    connection: &mut PgConnection,
    id: i64,
    sealed: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE mcp_action_requests
         SET payload = payload || jsonb_build_object('secret_value_encrypted', $2::text) WHERE id = $1",
    )
    .bind(id)
    .bind(sealed)
    .execute(connection)
    .await
    .map(drop)
}

/// The step of a request is done (G-85).
pub async fn complete_step(
    connection: &mut PgConnection,
    id: i64,
    step: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE mcp_action_requests SET completed_steps = array_append(completed_steps, $2)
         WHERE id = $1 AND NOT $2 = ANY(completed_steps)",
    )
    .bind(id)
    .bind(step)
    .execute(connection)
    .await
    .map(drop)
}

/// The request that stands under a key (G-26).
pub async fn with_key(
    executor: impl PgExecutor<'_>,
    key: CallKey<'_>,
) -> Result<Option<ApprovalRow>, sqlx::Error> {
    sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM mcp_action_requests q WHERE q.scope_run_id = $1 AND q.tool_name = $2 AND q.idempotency_key = $3"
    ))
    .bind(key.scope_run_id)
    .bind(key.tool_name)
    .bind(key.key)
    .fetch_optional(executor)
    .await
}

/// What the run has open: whether a request holds it, and how many label requests there are (G-24).
pub async fn open_of_run(
    executor: impl PgExecutor<'_>,
    run_id: Uuid,
) -> Result<(bool, i64), sqlx::Error> {
    sqlx::query_as(
        "SELECT coalesce(bool_or(NOT detached AND approval_state IN ('requested', 'approved')), false),
                count(*) FILTER (WHERE detached AND approval_state = 'requested')
         FROM mcp_action_requests WHERE run_id = $1 AND approval_state IN ('requested', 'approved')",
    )
    .bind(run_id)
    .fetch_one(executor)
    .await
}

/// Who could decide requests of a project (G-73).
pub async fn deciders(
    executor: impl PgExecutor<'_>,
    project_id: Option<Uuid>,
) -> Result<Deciders, sqlx::Error> {
    let (owner, admin, project_admin): (bool, bool, bool) = sqlx::query_as(
        "SELECT EXISTS (SELECT 1 FROM users WHERE disabled_at IS NULL AND is_platform_owner),
                EXISTS (SELECT 1 FROM users WHERE disabled_at IS NULL AND is_platform_admin),
                EXISTS (SELECT 1 FROM users u JOIN project_members m ON m.user_id = u.id
                        WHERE u.disabled_at IS NULL AND m.project_id = $1 AND m.role = 'admin')",
    )
    .bind(project_id)
    .fetch_one(executor)
    .await?;
    Ok(Deciders {
        owner,
        admin,
        project_admin,
    })
}

/// A decision as it is stored.
#[derive(Debug, Clone, Copy)]
pub struct NewDecision<'a> {
    pub decision: DecisionKind,
    pub decided_by: Uuid,
    pub reason: Option<&'a str>,
    pub answer: Option<&'a Answer>,
}

/// Takes a decision (G-81); `false` when another one, or the deadline, was faster.
pub async fn decide(
    connection: &mut PgConnection,
    id: i64,
    new: NewDecision<'_>,
) -> Result<bool, sqlx::Error> {
    let (option, text) = match new.answer {
        Some(Answer::Option(id)) => (Some(id.as_str()), None),
        Some(Answer::Custom(text)) => (None, Some(text.as_str())),
        None => (None, None),
    };
    let done = sqlx::query(
        "UPDATE mcp_action_requests SET approval_state = $2, decided_by = $3, decided_at = platform_now(),
             decision_reason = $4, answer_option_id = $5, answer_text = $6, state_version = state_version + 1,
             payload = CASE $2 WHEN 'denied' THEN payload - 'secret_value_encrypted' ELSE payload END
         WHERE id = $1 AND approval_state = 'requested' AND platform_now() < expires_at",
    )
    .bind(id)
    .bind(new.decision.as_str())
    .bind(new.decided_by)
    .bind(new.reason)
    .bind(option)
    .bind(text)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Tells that an approved request is done (G-78); `false` when it is not `approved`.
pub async fn apply(
    connection: &mut PgConnection,
    id: i64,
    by: &str,
    steps: &[String],
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE mcp_action_requests SET approval_state = 'applied', applied_by = $2, applied_at = platform_now(),
             completed_steps = $3, payload = payload - 'secret_value_encrypted', state_version = state_version + 1
         WHERE id = $1 AND approval_state = 'approved'",
    )
    .bind(id)
    .bind(by)
    .bind(steps)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Tells that an approved request could not be done (G-79); `false` when it is not `approved`.
pub async fn fail(
    connection: &mut PgConnection,
    id: i64,
    failure: ApplyFailure,
    error: &str,
    steps: &[String],
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE mcp_action_requests SET approval_state = 'failed', last_error = $2, completed_steps = $3,
             decision_reason = $4, payload = payload - 'secret_value_encrypted', state_version = state_version + 1
         WHERE id = $1 AND approval_state = 'approved'",
    )
    .bind(id)
    .bind(error.replace('\0', "\u{fffd}"))
    .bind(steps)
    .bind(failure.as_str())
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Counts an attempt to begin what was approved.
pub async fn count_attempt(connection: &mut PgConnection, id: i64) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE mcp_action_requests SET apply_attempts = apply_attempts + 1 WHERE id = $1")
        .bind(id)
        .execute(connection)
        .await
        .map(drop)
}

/// Expires a request whose time is over (G-83); `false` when it was decided, or has time left.
pub async fn expire(connection: &mut PgConnection, id: i64) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE mcp_action_requests SET approval_state = 'expired', decision_reason = 'ttl',
             payload = payload - 'secret_value_encrypted', state_version = state_version + 1
         WHERE id = $1 AND approval_state = 'requested' AND expires_at <= platform_now()",
    )
    .bind(id)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Requests whose time is over, oldest first.
pub async fn overdue(executor: impl PgExecutor<'_>) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT id FROM mcp_action_requests WHERE approval_state = 'requested' AND expires_at <= platform_now()
         ORDER BY expires_at, id LIMIT $1",
    )
    .bind(SWEEP_LIMIT)
    .fetch_all(executor)
    .await
}

/// Seconds until the next request expires, if any is open.
pub async fn seconds_until_overdue(
    executor: impl PgExecutor<'_>,
) -> Result<Option<f64>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT extract(epoch FROM min(expires_at) - platform_now())::float8
         FROM mcp_action_requests WHERE approval_state = 'requested'",
    )
    .fetch_one(executor)
    .await
}

/// Which requests the end of a run closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfRun {
    /// Those that held it.
    Waiting,
    /// Labels that it asked for, too: only a cancel closes those (G-77).
    All,
}

/// Expires what a run that is over leaves open, with its events (G-77, G-87). Answers how many.
pub async fn expire_of_run(
    connection: &mut PgConnection,
    run_id: Uuid,
    which: OfRun,
) -> Result<usize, sqlx::Error> {
    let rows: Vec<ApprovalRow> = sqlx::query_as(concat!(
        "UPDATE mcp_action_requests q SET approval_state = 'expired', decision_reason = 'run_terminal',
             payload = q.payload - 'secret_value_encrypted', state_version = state_version + 1
         WHERE q.run_id = $1 AND q.approval_state = 'requested' AND ($2 OR NOT q.detached) RETURNING ",
        columns!()
    ))
    .bind(run_id)
    .bind(which == OfRun::All)
    .fetch_all(&mut *connection)
    .await?;
    for row in &rows {
        for record in expired(&row.facts()?, ExpiryCause::RunTerminal) {
            events::insert(connection, &record).await?;
        }
    }
    Ok(rows.len())
}
