//! Interactions with people through adapters: requests, attempts at delivery, callbacks and answers. Callers own the
//! transactions; a run is locked before its interaction, as in every change of a run.
use chrono::{DateTime, Utc};
use domain::ids::{CorrelationId, ProjectId, RunId};
use domain::notifications::{
    CallbackKind, Classified, Continuation, DeliveryError, DeliveryRole, EditCapability, Given,
    Handle, HandleKind, InteractionFacts, InteractionKind, InteractionState, RecipientFacts,
};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::tool_calls::CallKey;

/// G-134: an attempt of which nothing is known for so long is taken up again, in seconds.
const STUCK_AFTER_SECONDS: f64 = 120.0;
/// Most interactions that one sweep ends (D-29).
const SWEEP_LIMIT: i64 = 1000;

macro_rules! columns {
    () => {
        "i.id, i.project_id, i.run_id, i.interaction_kind, i.approval_request_id, i.state, i.recipient_provider,
         i.recipient_ref, i.request_payload_json, i.context_links_json, i.response_deadline_at, i.adapter_id, i.tool_name,
         i.correlation_id, i.input_fingerprint, i.provider_message_ref, i.edit_capability, i.continuation, i.updated_at,
         r.repository_full_name, p.selected_option_id, p.free_text"
    };
}

macro_rules! tables {
    () => {
        " FROM interaction_requests i JOIN agent_runs r ON r.id = i.run_id
          LEFT JOIN interaction_response_records p ON p.id = i.effective_response_id"
    };
}

/// A row, with the answer that counts.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct InteractionRow {
    pub id: Uuid,
    pub project_id: Uuid,
    pub run_id: Uuid,
    pub interaction_kind: String,
    pub approval_request_id: Option<i64>,
    pub state: String,
    pub recipient_provider: String,
    pub recipient_ref: String,
    pub request_payload_json: Value,
    pub context_links_json: Value,
    pub response_deadline_at: Option<DateTime<Utc>>,
    pub adapter_id: Option<Uuid>,
    pub tool_name: String,
    pub correlation_id: String,
    pub input_fingerprint: Option<Vec<u8>>,
    pub provider_message_ref: Option<String>,
    pub edit_capability: Option<String>,
    pub continuation: String,
    pub updated_at: DateTime<Utc>,
    /// Of the run.
    pub repository_full_name: String,
    pub selected_option_id: Option<String>,
    pub free_text: Option<String>,
}

fn unknown(column: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("unknown {column}").into())
}

impl InteractionRow {
    /// What is delivered.
    ///
    /// # Errors
    /// The word is not one that this program writes.
    pub fn kind(&self) -> Result<InteractionKind, sqlx::Error> {
        InteractionKind::from_text(&self.interaction_kind)
            .ok_or_else(|| unknown("interaction_kind"))
    }

    /// State.
    ///
    /// # Errors
    /// The word is not one that this program writes.
    pub fn state(&self) -> Result<InteractionState, sqlx::Error> {
        InteractionState::from_text(&self.state).ok_or_else(|| unknown("state"))
    }

    /// What the adapter can do with the message.
    pub fn edit_capability(&self) -> Option<EditCapability> {
        self.edit_capability
            .as_deref()
            .and_then(EditCapability::from_text)
    }

    /// The answer that counts.
    pub fn answer(&self) -> Option<Given> {
        match (&self.selected_option_id, &self.free_text) {
            (Some(id), _) => Some(Given::Option(id.clone())),
            (None, Some(text)) => Some(Given::Text(text.clone())),
            (None, None) => None,
        }
    }

    /// What its events tell.
    ///
    /// # Errors
    /// A word of the row is not one that this program writes.
    pub fn facts(&self) -> Result<InteractionFacts, sqlx::Error> {
        Ok(InteractionFacts {
            id: self.id.to_string(),
            run_id: RunId(self.run_id),
            project_id: ProjectId(self.project_id),
            correlation_id: CorrelationId::new(self.correlation_id.clone()),
            tool_name: self.tool_name.clone(),
            kind: self.kind()?,
            deadline: self.response_deadline_at,
        })
    }
}

/// An interaction that is about to begin.
#[derive(Debug, Clone, Copy)]
pub struct NewInteraction<'a> {
    pub id: Uuid,
    pub project_id: Uuid,
    pub run_id: Uuid,
    pub scope_run_id: Uuid,
    pub correlation_id: &'a str,
    pub kind: InteractionKind,
    pub approval_request_id: Option<i64>,
    pub tool_name: &'a str,
    pub recipient_ref: &'a str,
    pub content: &'a Value,
    pub context_links: &'a Value,
    pub deadline: Option<DateTime<Utc>>,
    pub adapter_id: Option<Uuid>,
    pub idempotency_key: Option<&'a str>,
    pub input_fingerprint: Option<&'a [u8]>,
}

/// How adapters know people.
pub const RECIPIENT_PROVIDER: &str = "github";

/// Inserts one; `false`: its key is taken, or the run has an open question already.
pub async fn insert(
    connection: &mut PgConnection,
    new: &NewInteraction<'_>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "INSERT INTO interaction_requests (id, project_id, run_id, scope_run_id, correlation_id, interaction_kind,
             approval_request_id, tool_name, recipient_provider, recipient_ref, request_payload_json, context_links_json,
             response_deadline_at, adapter_id, idempotency_key, input_fingerprint)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
         ON CONFLICT DO NOTHING",
    )
    .bind(new.id)
    .bind(new.project_id)
    .bind(new.run_id)
    .bind(new.scope_run_id)
    .bind(new.correlation_id)
    .bind(new.kind.as_str())
    .bind(new.approval_request_id)
    .bind(new.tool_name)
    .bind(RECIPIENT_PROVIDER)
    .bind(new.recipient_ref)
    .bind(new.content)
    .bind(new.context_links)
    .bind(new.deadline)
    .bind(new.adapter_id)
    .bind(new.idempotency_key)
    .bind(new.input_fingerprint)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Reads one.
pub async fn find(
    executor: impl PgExecutor<'_>,
    id: Uuid,
) -> Result<Option<InteractionRow>, sqlx::Error> {
    sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        tables!(),
        " WHERE i.id = $1"
    ))
    .bind(id)
    .fetch_optional(executor)
    .await
}

/// Locks one, and its run before it.
pub async fn lock(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<InteractionRow>, sqlx::Error> {
    sqlx::query(
        "SELECT r.id FROM agent_runs r JOIN interaction_requests i ON i.run_id = r.id WHERE i.id = $1 FOR UPDATE OF r",
    )
    .bind(id)
    .execute(&mut *connection)
    .await?;
    sqlx::query("SELECT id FROM interaction_requests WHERE id = $1 FOR UPDATE")
        .bind(id)
        .execute(&mut *connection)
        .await?;
    find(connection, id).await
}

/// The one that stands under a key (G-26).
pub async fn with_key(
    executor: impl PgExecutor<'_>,
    key: CallKey<'_>,
) -> Result<Option<InteractionRow>, sqlx::Error> {
    sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        tables!(),
        " WHERE i.scope_run_id = $1 AND i.tool_name = $2 AND i.idempotency_key = $3"
    ))
    .bind(key.scope_run_id)
    .bind(key.tool_name)
    .bind(key.key)
    .fetch_optional(executor)
    .await
}

/// The open question of a run (G-24).
pub async fn open_question(
    executor: impl PgExecutor<'_>,
    run_id: Uuid,
) -> Result<Option<InteractionRow>, sqlx::Error> {
    sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        tables!(),
        " WHERE i.run_id = $1 AND i.interaction_kind = 'decision_request' AND i.state IN ('pending_dispatch', 'open')"
    ))
    .bind(run_id)
    .fetch_optional(executor)
    .await
}

/// The logins that a run knows (G-63), without the platform's own.
pub async fn recipient_facts(
    executor: impl PgExecutor<'_>,
    run_id: Uuid,
) -> Result<RecipientFacts, sqlx::Error> {
    let found: Option<(Option<String>, Option<String>, Option<String>)> = sqlx::query_as(
        "SELECT run_payload #>> '{issue,user,login}', run_payload #>> '{pull_request,user,login}',
                run_payload #>> '{sender,login}'
         FROM agent_runs WHERE id = $1",
    )
    .bind(run_id)
    .fetch_optional(executor)
    .await?;
    let (issue_author, pull_request_author, sender) = found.unwrap_or_default();
    Ok(RecipientFacts {
        issue_author,
        pull_request_author,
        sender,
        bot: None,
    })
}

/// The login of the platform's owner, whom approvals are told to.
pub async fn owner_login(executor: impl PgExecutor<'_>) -> Result<Option<String>, sqlx::Error> {
    let found: Option<Option<String>> = sqlx::query_scalar(
        "SELECT github_login FROM users WHERE is_platform_owner AND disabled_at IS NULL",
    )
    .fetch_optional(executor)
    .await?;
    Ok(found.flatten())
}

/// Keeps what a person may press.
pub async fn insert_handle(
    connection: &mut PgConnection,
    interaction_id: Uuid,
    handle_hash: &[u8],
    kind: HandleKind,
    option_id: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO interaction_handles (handle_hash, interaction_id, handle_kind, option_id)
         VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind(handle_hash)
    .bind(interaction_id)
    .bind(kind.as_str())
    .bind(option_id)
    .execute(connection)
    .await
    .map(drop)
}

/// What a handle of this interaction stands for.
pub async fn handle(
    executor: impl PgExecutor<'_>,
    interaction_id: Uuid,
    handle_hash: &[u8],
) -> Result<Option<Handle>, sqlx::Error> {
    let found: Option<(String, Option<String>, bool)> = sqlx::query_as(
        "SELECT handle_kind, option_id, used_at IS NOT NULL FROM interaction_handles
         WHERE handle_hash = $1 AND interaction_id = $2",
    )
    .bind(handle_hash)
    .bind(interaction_id)
    .fetch_optional(executor)
    .await?;
    found
        .map(|(kind, option_id, is_used)| {
            Ok(Handle {
                kind: HandleKind::from_text(&kind).ok_or_else(|| unknown("handle_kind"))?,
                option_id,
                is_used,
            })
        })
        .transpose()
}

/// A handle is good once.
pub async fn use_handle(
    connection: &mut PgConnection,
    handle_hash: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE interaction_handles SET used_at = platform_now() WHERE handle_hash = $1 AND used_at IS NULL",
    )
    .bind(handle_hash)
    .execute(connection)
    .await
    .map(drop)
}

/// Plans an attempt; it is due at once when no time is given. Answers its number.
pub async fn plan_attempt(
    connection: &mut PgConnection,
    interaction_id: Uuid,
    role: DeliveryRole,
    due_at: Option<DateTime<Utc>>,
) -> Result<i32, sqlx::Error> {
    let attempt_no: i32 = sqlx::query_scalar(
        "UPDATE interaction_requests SET last_delivery_attempt_no = last_delivery_attempt_no + 1
         WHERE id = $1 RETURNING last_delivery_attempt_no",
    )
    .bind(interaction_id)
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO interaction_delivery_attempts
             (interaction_id, attempt_no, delivery_id, adapter_kind, status, next_retry_at, delivery_role)
         VALUES ($1, $2, gen_random_uuid(), 'http', 'pending', coalesce($3, platform_now()), $4)",
    )
    .bind(interaction_id)
    .bind(attempt_no)
    .bind(due_at)
    .bind(role.as_str())
    .execute(connection)
    .await?;
    Ok(attempt_no)
}

/// An attempt that is claimed.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct DueAttempt {
    pub id: i64,
    pub interaction_id: Uuid,
    pub attempt_no: i32,
    pub delivery_id: Uuid,
    pub delivery_role: String,
}

/// Claims attempts that are due; one of which nothing is heard is due again after two minutes (G-134).
pub async fn claim_due(
    executor: impl PgExecutor<'_>,
    limit: i64,
) -> Result<Vec<DueAttempt>, sqlx::Error> {
    sqlx::query_as(
        "UPDATE interaction_delivery_attempts SET next_retry_at = platform_now() + make_interval(secs => $2)
         WHERE id IN (SELECT id FROM interaction_delivery_attempts
                      WHERE status = 'pending' AND next_retry_at <= platform_now()
                      ORDER BY next_retry_at, id LIMIT $1 FOR UPDATE SKIP LOCKED)
         RETURNING id, interaction_id, attempt_no, delivery_id, delivery_role",
    )
    .bind(limit)
    .bind(STUCK_AFTER_SECONDS)
    .fetch_all(executor)
    .await
}

/// Seconds until the next attempt or deadline is due, if there is one.
pub async fn seconds_until_due(executor: impl PgExecutor<'_>) -> Result<Option<f64>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT extract(epoch FROM least(
             (SELECT min(next_retry_at) FROM interaction_delivery_attempts WHERE status = 'pending'),
             (SELECT min(response_deadline_at) FROM interaction_requests
              WHERE interaction_kind = 'decision_request' AND state IN ('pending_dispatch', 'open'))
         ) - platform_now())::float8",
    )
    .fetch_one(executor)
    .await
}

/// Ends an attempt; `false` when it has ended before.
pub async fn end_attempt(
    connection: &mut PgConnection,
    id: i64,
    status: &str,
    error: Option<DeliveryError>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE interaction_delivery_attempts SET status = $2, last_error_code = $3, next_retry_at = NULL
         WHERE id = $1 AND status = 'pending'",
    )
    .bind(id)
    .bind(status)
    .bind(error.map(DeliveryError::as_str))
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes down what the provider says of a delivery; `false` when there is none of this name.
pub async fn receipt(
    connection: &mut PgConnection,
    interaction_id: Uuid,
    delivery_id: Option<Uuid>,
    status: &str,
    error: Option<&str>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE interaction_delivery_attempts SET status = $3, last_error_code = coalesce($4, last_error_code)
         WHERE id = (SELECT id FROM interaction_delivery_attempts
                     WHERE interaction_id = $1 AND ($2::uuid IS NULL OR delivery_id = $2)
                       AND status IN ('accepted', 'delivered')
                     ORDER BY attempt_no DESC LIMIT 1)",
    )
    .bind(interaction_id)
    .bind(delivery_id)
    .bind(status)
    .bind(error)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Attempts at one message so far.
pub async fn attempts_of(
    executor: impl PgExecutor<'_>,
    interaction_id: Uuid,
    role: DeliveryRole,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT count(*) FROM interaction_delivery_attempts WHERE interaction_id = $1 AND delivery_role = $2",
    )
    .bind(interaction_id)
    .bind(role.as_str())
    .fetch_one(executor)
    .await
}

/// An adapter has the message.
pub async fn acknowledge(
    connection: &mut PgConnection,
    id: Uuid,
    adapter_id: Uuid,
    state: InteractionState,
    message_ref: Option<&str>,
    capability: Option<EditCapability>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE interaction_requests SET state = $3, adapter_id = $2, provider_message_ref = coalesce($4, provider_message_ref),
             edit_capability = coalesce($5, edit_capability),
             resolution_kind = CASE WHEN $3 = 'resolved' AND interaction_kind = 'notify' THEN 'delivery_only' ELSE resolution_kind END
         WHERE id = $1",
    )
    .bind(id)
    .bind(adapter_id)
    .bind(state.as_str())
    .bind(message_ref)
    .bind(capability.map(EditCapability::as_str))
    .execute(connection)
    .await
    .map(drop)
}

/// Ends one that is open; `false` when it has ended before.
pub async fn end(
    connection: &mut PgConnection,
    id: Uuid,
    state: InteractionState,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE interaction_requests SET state = $2 WHERE id = $1 AND state IN ('pending_dispatch', 'open')",
    )
    .bind(id)
    .bind(state.as_str())
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends an open one with the answer that counts; answers with the row of the answer.
pub async fn answer(
    connection: &mut PgConnection,
    id: Uuid,
    given: &Given,
) -> Result<Option<i64>, sqlx::Error> {
    if !end(&mut *connection, id, InteractionState::Resolved).await? {
        return Ok(None);
    }
    let (kind, resolution, option, text) = match given {
        Given::Option(option) => ("option", "option_selected", Some(option), None),
        Given::Text(text) => ("free_text", "free_text_submitted", None, Some(text)),
    };
    let response: i64 = sqlx::query_scalar(
        "INSERT INTO interaction_response_records (interaction_id, response_kind, selected_option_id, free_text, is_effective)
         VALUES ($1, $2, $3, $4, true) RETURNING id",
    )
    .bind(id)
    .bind(kind)
    .bind(option)
    .bind(text)
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query(
        "UPDATE interaction_requests SET effective_response_id = $2, resolution_kind = $3 WHERE id = $1",
    )
    .bind(id)
    .bind(response)
    .bind(resolution)
    .execute(connection)
    .await?;
    Ok(Some(response))
}

/// What becomes of the message after its answer.
pub async fn set_continuation(
    connection: &mut PgConnection,
    id: Uuid,
    continuation: Continuation,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE interaction_requests SET continuation = $2 WHERE id = $1")
        .bind(id)
        .bind(continuation.as_str())
        .execute(connection)
        .await
        .map(drop)
}

/// Whether an event was taken before (G-135).
pub async fn is_known_event(
    executor: impl PgExecutor<'_>,
    interaction_id: Uuid,
    event_id: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM interaction_callback_events WHERE interaction_id = $1 AND adapter_event_id = $2)",
    )
    .bind(interaction_id)
    .bind(event_id)
    .fetch_one(executor)
    .await
}

/// Keeps a callback, without handle and text.
pub async fn insert_event(
    connection: &mut PgConnection,
    interaction_id: Uuid,
    event_id: &str,
    kind: CallbackKind,
    classification: Classified,
    payload: &Value,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO interaction_callback_events (interaction_id, adapter_event_id, callback_kind, classification, payload)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind(interaction_id)
    .bind(event_id)
    .bind(kind.as_str())
    .bind(classification.as_str())
    .bind(payload)
    .execute(connection)
    .await
    .map(drop)
}

/// Questions whose time is over, oldest first.
pub async fn overdue(executor: impl PgExecutor<'_>) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT id FROM interaction_requests
         WHERE interaction_kind = 'decision_request' AND state IN ('pending_dispatch', 'open')
           AND response_deadline_at <= platform_now()
         ORDER BY response_deadline_at, id LIMIT $1",
    )
    .bind(SWEEP_LIMIT)
    .fetch_all(executor)
    .await
}

/// Messages about requests that have ended without them, with the state of the request (G-139).
pub async fn overtaken(executor: impl PgExecutor<'_>) -> Result<Vec<(Uuid, String)>, sqlx::Error> {
    sqlx::query_as(
        "SELECT i.id, q.approval_state FROM interaction_requests i JOIN mcp_action_requests q ON q.id = i.approval_request_id
         WHERE i.state IN ('pending_dispatch', 'open') AND q.approval_state <> 'requested'
         ORDER BY i.id LIMIT $1",
    )
    .bind(SWEEP_LIMIT)
    .fetch_all(executor)
    .await
}
