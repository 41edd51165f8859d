//! `user.notify` and `user.decision.request` (2.6): a message that nobody waits for, and a question that the run waits for.
use chrono::Duration;
use domain::audit::RunWaitPayload;
use domain::decide::Consequences;
use domain::ids::ProjectId;
use domain::notifications::{
    DecisionOption, DecisionQuestion, InteractionEnd, InteractionFacts, InteractionKind,
    InteractionResume, InteractionState, Notice, RecipientFacts, created, decision_question,
    notice, recipient,
};
use domain::tools::{FailureCode, FailureReason, IdempotencyKey, ToolFailure};
use domain::waits::WaitCause;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::call::{Call, CallError, STALE_LIMIT};
use super::calls::Outcome;
use super::requests::{fingerprint, is_held, key_conflict, scoped, wait_already_open};
use crate::notifications::{Opening, open};
use crate::store::notifications::{self as interactions, InteractionRow};
use crate::store::{clock, run_waits};
use crate::waits;

fn no_recipient() -> ToolFailure {
    let message = "there is nobody whom this run works for";
    ToolFailure::new(FailureCode::FailedPrecondition, message).because(FailureReason::NoRecipient)
}

/// A message with what it is held against.
struct Message<'a> {
    kind: InteractionKind,
    content: Value,
    key: Option<&'a IdempotencyKey>,
    fingerprint: Vec<u8>,
}

/// Sends a message; it is delivered after the call, and nobody waits.
pub async fn notify(call: &Call, arguments: &Map<String, Value>) -> Result<Outcome, CallError> {
    let notice = match notice(arguments) {
        Ok(notice) => redacted_notice(call, notice),
        Err(failure) => return Ok(Err(call.refuse(failure, Vec::new()).await?)),
    };
    let message = Message {
        kind: InteractionKind::Notify,
        content: serde_json::to_value(&notice)?,
        key: notice.key.as_ref(),
        fingerprint: fingerprint(call, &serde_json::to_vec(&notice)?),
    };
    for _ in 0..STALE_LIMIT {
        if let Some(told) = standing(call, &message).await? {
            return Ok(told);
        }
        let Some((facts, recipient)) = addressed(call, &message, None).await? else {
            return Ok(Err(call.refuse(no_recipient(), Vec::new()).await?));
        };
        let mut transaction = call.services.pool().begin().await?;
        match write(call, &mut transaction, &message, &facts, &recipient).await? {
            Written::Overtaken => continue,
            Written::Dropped => {}
            Written::Ready => call.commit(transaction, "notification.create").await?,
        }
        return Ok(Ok(notified(&facts.id)));
    }
    Err(CallError::Overtaken)
}

/// Asks, and makes the run wait (G-62, G-88).
pub async fn ask(call: &Call, arguments: &Map<String, Value>) -> Result<Outcome, CallError> {
    let question = match decision_question(arguments) {
        Ok(question) => redacted_question(call, question),
        Err(failure) => return Ok(Err(call.refuse(failure, Vec::new()).await?)),
    };
    let message = Message {
        kind: InteractionKind::DecisionRequest,
        content: serde_json::to_value(&question)?,
        key: question.key.as_ref(),
        fingerprint: fingerprint(call, &serde_json::to_vec(&question)?),
    };
    let pool = call.services.pool();
    for _ in 0..STALE_LIMIT {
        if let Some(told) = standing(call, &message).await? {
            return Ok(told);
        }
        if is_held(call).await? {
            return Ok(Err(call.refuse(wait_already_open(), Vec::new()).await?));
        }
        let deadline = clock::now(pool).await? + Duration::seconds(question.response_ttl_seconds);
        let Some((facts, recipient)) = addressed(call, &message, Some(deadline)).await? else {
            return Ok(Err(call.refuse(no_recipient(), Vec::new()).await?));
        };
        let mut transaction = pool.begin().await?;
        let run = run_waits::lock(&mut transaction, call.caller.run_id).await?;
        if run.is_none_or(|run| run.status != "running") {
            transaction.rollback().await?;
            return Ok(Err(call.refuse(wait_already_open(), Vec::new()).await?));
        }
        match write(call, &mut transaction, &message, &facts, &recipient).await? {
            Written::Overtaken => continue,
            Written::Dropped => {}
            Written::Ready => {
                waits::open_wait(
                    &mut transaction,
                    call.caller.run_id,
                    WaitCause::Interaction,
                    &facts.id,
                    facts.deadline,
                    RunWaitPayload::default(),
                )
                .await?;
                call.commit(transaction, "notification.create").await?;
            }
        }
        return Ok(Ok(asked(&facts.id, facts.deadline.map(|at| json!(at)))));
    }
    Err(CallError::Overtaken)
}

/// What became of a message that was about to be committed.
enum Written {
    Ready,
    /// This process does not go so far: nothing of it is committed.
    Dropped,
    /// Another call was faster.
    Overtaken,
}

/// Writes message and events.
async fn write(
    call: &Call,
    transaction: &mut sqlx::PgConnection,
    message: &Message<'_>,
    facts: &InteractionFacts,
    recipient: &str,
) -> Result<Written, CallError> {
    let mut audit = vec![call.called()];
    audit.extend(created(facts));
    audit.push(call.succeeded(false));
    let opening = Opening {
        facts,
        id: Uuid::parse_str(&facts.id).unwrap_or_default(),
        scope_run_id: call.subject.scope_run_id,
        approval_request_id: None,
        recipient_ref: recipient,
        content: &message.content,
        context_links: &context_links(call),
        idempotency_key: message.key.map(IdempotencyKey::as_str),
        input_fingerprint: Some(&message.fingerprint),
    };
    if !open(&mut *transaction, call.services.config(), opening).await? {
        return Ok(Written::Overtaken);
    }
    let consequences = Consequences {
        audit,
        ..Consequences::default()
    };
    let written = call.add(transaction, consequences).await?;
    Ok(if written.audit.is_empty() {
        Written::Dropped
    } else {
        Written::Ready
    })
}

/// Who is told, as the run knows them (G-63).
async fn addressed(
    call: &Call,
    message: &Message<'_>,
    deadline: Option<chrono::DateTime<chrono::Utc>>,
) -> Result<Option<(InteractionFacts, String)>, CallError> {
    let known = interactions::recipient_facts(call.services.pool(), call.caller.run_id).await?;
    let known = RecipientFacts {
        bot: Some(call.services.config().github.bot_username.clone()),
        ..known
    };
    let (Some(recipient), Some(project_id)) = (recipient(&known), call.caller.project_id) else {
        return Ok(None);
    };
    let facts = InteractionFacts {
        id: Uuid::now_v7().to_string(),
        run_id: call.run_id(),
        project_id: ProjectId(project_id),
        correlation_id: call.correlation_id.clone(),
        tool_name: call.tool.to_string(),
        kind: message.kind,
        deadline,
    };
    Ok(Some((facts, recipient)))
}

/// The answer to a call that was made before: under its key, or word for word while its question is open (G-27, G-30).
async fn standing(call: &Call, message: &Message<'_>) -> Result<Option<Outcome>, CallError> {
    let pool = call.services.pool();
    if let Some(key) = message.key
        && let Some(row) = interactions::with_key(pool, scoped(call, key)).await?
    {
        if row.input_fingerprint.as_deref() != Some(&message.fingerprint) {
            return Ok(Some(Err(call.refuse(key_conflict(), Vec::new()).await?)));
        }
        return told_again(call, &row).await.map(Some);
    }
    if message.kind != InteractionKind::DecisionRequest {
        return Ok(None);
    }
    match interactions::open_question(pool, call.caller.run_id).await? {
        Some(row) if row.input_fingerprint.as_deref() == Some(&message.fingerprint) => {
            told_again(call, &row).await.map(Some)
        }
        Some(_) => Ok(Some(Err(call
            .refuse(wait_already_open(), Vec::new())
            .await?))),
        None => Ok(None),
    }
}

async fn told_again(call: &Call, row: &InteractionRow) -> Result<Outcome, CallError> {
    call.write(vec![call.called(), call.succeeded(true)])
        .await?;
    let id = row.id.to_string();
    let end = match (row.kind()?, row.state()?) {
        (InteractionKind::Notify, _) => None,
        (_, InteractionState::PendingDispatch | InteractionState::Open) => None,
        (_, InteractionState::Resolved) => Some(InteractionEnd::Answered),
        (_, InteractionState::Expired) => Some(InteractionEnd::Expired),
        (_, InteractionState::DeliveryExhausted) => Some(InteractionEnd::DeliveryExhausted),
        (_, InteractionState::Cancelled) => Some(InteractionEnd::Cancelled),
    };
    let mut told = match end {
        None if row.kind()? == InteractionKind::Notify => notified(&id),
        None => asked(&id, row.response_deadline_at.map(|at| json!(at))),
        Some(end) => {
            let given = row.answer();
            let ended =
                InteractionResume::of(&id, &row.tool_name, end, given.as_ref(), row.updated_at);
            let mut told = serde_json::to_value(&ended)?;
            if let Some(told) = told.as_object_mut() {
                for name in ["kind", "tool_name", "request_status", "request_id"] {
                    told.remove(name);
                }
            }
            told["status"] = json!(end);
            told["interaction_id"] = json!(id);
            told
        }
    };
    told["reused"] = json!(true);
    Ok(Ok(told))
}

fn notified(id: &str) -> Value {
    json!({"status": "accepted", "interaction_id": id, "delivery_state": "queued"})
}

fn asked(id: &str, expires_at: Option<Value>) -> Value {
    json!({
        "status": "pending_user_response",
        "interaction_id": id,
        "wait_state": "waiting_mcp",
        "wait_reason": "interaction_response",
        "expires_at": expires_at,
    })
}

fn context_links(call: &Call) -> Value {
    let subject = &call.subject;
    json!({
        "repository_full_name": subject.repository_full_name,
        "issue_number": subject.issue_number,
        "pull_request_number": subject.pr_number,
        "run_id": call.caller.run_id,
    })
}

/// Agents write what they read; a secret among it is shown to nobody (G-124).
fn redacted_notice(call: &Call, notice: Notice) -> Notice {
    let redact = |text: &str| call.services.redactor().redact(text);
    Notice {
        summary: redact(&notice.summary),
        details_markdown: notice.details_markdown.as_deref().map(redact),
        action_label: notice.action_label.as_deref().map(redact),
        action_url: notice.action_url.as_deref().map(redact),
        ..notice
    }
}

fn redacted_question(call: &Call, question: DecisionQuestion) -> DecisionQuestion {
    let redact = |text: &str| call.services.redactor().redact(text);
    DecisionQuestion {
        question: redact(&question.question),
        details_markdown: question.details_markdown.as_deref().map(redact),
        options: question
            .options
            .iter()
            .map(|option| DecisionOption {
                option_id: option.option_id.clone(),
                label: redact(&option.label),
                description: option.description.as_deref().map(redact),
            })
            .collect(),
        free_text_placeholder: question.free_text_placeholder.as_deref().map(redact),
        ..question
    }
}
