//! Callbacks about interactions (governance 7): receipts of providers, and answers of people.
use domain::approvals::{Classification, DecisionKind, GivenAnswer};
use domain::decide::Consequences;
use domain::notifications::{
    Callback, CallbackKind, Classified, Continuation, Given, Handle, InteractionEnd,
    InteractionKind, InteractionResume, InteractionState, ReceiptStatus, Received,
    classify_callback, received,
};
use domain::waits::RESUME_PAYLOAD_LIMIT_BYTES;
use serde_json::{Value, json};
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use super::decisions::{Presented, present};
use super::ending::{continue_message, resume};
use super::handles::DENY;
use super::router::Callbacks;
use crate::http_api::ApiError;
use crate::secrets::hash_token;
use crate::staff::{Services, parse_body};
use crate::store::approvals;
use crate::store::notifications::{self, InteractionRow};
use crate::store::{clock, events};
use crate::transition;
use crate::wakeups::Channel;

/// Why somebody refused who only pressed a button (G-76).
const REASON_OF_A_BUTTON: &str = "declined with a button, without a reason";

/// `POST /api/v1/mcp/interactions/callback`.
pub(super) async fn take(
    callbacks: &Callbacks,
    token_of: Uuid,
    body: &[u8],
) -> Result<Value, ApiError> {
    let callback: Callback = parse_body(body)?;
    callback
        .check()
        .map_err(|invalid| ApiError::invalid(invalid.field, invalid.message))?;
    let services = &callbacks.services;
    let unknown = || ApiError::not_found("there is no such interaction");
    let id = Uuid::parse_str(&callback.interaction_id).map_err(|_| unknown())?;
    let row = notifications::find(services.pool(), id)
        .await?
        .ok_or_else(unknown)?;
    if id != token_of {
        return Err(ApiError::unauthorized(
            "this token is for another interaction",
        ));
    }
    callbacks.admit(&callback.interaction_id)?;
    if notifications::is_known_event(services.pool(), id, &callback.adapter_event_id).await? {
        return Ok(answer(&row, Classified::Duplicate, Continuation::None));
    }
    match (callback.callback_kind.is_answer(), row.kind()?) {
        (false, _) => receipt(services, id, &callback).await,
        (true, InteractionKind::ApprovalRequest | InteractionKind::OwnerFeedback) => {
            decision(services, &row, &callback).await
        }
        (true, _) => respond(services, id, &callback).await,
    }
}

fn answer(row: &InteractionRow, classification: Classified, next: Continuation) -> Value {
    let accepted = matches!(classification, Classified::Applied | Classified::Duplicate);
    let waits = matches!(
        row.interaction_kind.as_str(),
        "decision_request" | "owner_feedback"
    );
    json!({
        "accepted": accepted,
        "classification": classification,
        "interaction_state": row.state,
        "resume_required": classification == Classified::Applied && waits,
        "continuation_action": next,
    })
}

/// What is kept of a callback: neither handle nor text (G-121, G-138).
fn normalised(callback: &Callback) -> Value {
    json!({
        "delivery_id": callback.delivery_id,
        "occurred_at": callback.occurred_at,
        "responder_ref": callback.responder_ref,
        "provider_message_ref": callback.provider_message_ref,
        "delivery_status": callback.delivery_status,
        "error_code": callback.error.as_ref().map(|error| &error.code),
    })
}

/// A transaction with the locked interaction; none when the event was taken meanwhile.
async fn begin(
    services: &Services,
    id: Uuid,
    callback: &Callback,
) -> Result<Option<(Transaction<'static, Postgres>, InteractionRow)>, ApiError> {
    let mut transaction = services.pool().begin().await?;
    let row = notifications::lock(&mut transaction, id)
        .await?
        .ok_or_else(|| ApiError::not_found("there is no such interaction"))?;
    let event_id = &callback.adapter_event_id;
    if notifications::is_known_event(&mut *transaction, id, event_id).await? {
        return Ok(None);
    }
    Ok(Some((transaction, row)))
}

/// Writes a callback down, commits, and answers with what stands then.
async fn finish(
    services: &Services,
    mut transaction: Transaction<'static, Postgres>,
    row: &InteractionRow,
    callback: &Callback,
    outcome: Outcome<'_>,
) -> Result<Value, ApiError> {
    let told = Received {
        adapter_event_id: callback.adapter_event_id.clone(),
        kind: callback.callback_kind,
        classification: outcome.classification,
        response_record_id: outcome.response.map(|id| id.to_string()),
    };
    let consequences = Consequences {
        audit: received(&row.facts()?, &told, outcome.given),
        ..Consequences::default()
    };
    let consequences = services
        .app
        .conduct
        .asked(&row.repository_full_name, consequences);
    if consequences.audit.is_empty() {
        // This process does not go so far: nothing of it is committed.
        return Ok(answer(row, outcome.classification, outcome.next));
    }
    notifications::insert_event(
        &mut transaction,
        row.id,
        &callback.adapter_event_id,
        callback.callback_kind,
        outcome.classification,
        &normalised(callback),
    )
    .await?;
    for record in &consequences.audit {
        events::insert(&mut transaction, record).await?;
    }
    let stands = notifications::find(&mut *transaction, row.id)
        .await?
        .unwrap_or_else(|| row.clone());
    transition::commit(transaction, "notification.callback").await?;
    for channel in [Channel::Effects, Channel::RunQueue] {
        services.app.wakeups.notify(channel);
    }
    Ok(answer(&stands, outcome.classification, outcome.next))
}

/// What a callback came to.
struct Outcome<'a> {
    classification: Classified,
    given: Option<&'a Given>,
    response: Option<i64>,
    next: Continuation,
}

impl Outcome<'_> {
    fn of(classification: Classified) -> Self {
        Outcome {
            classification,
            given: None,
            response: None,
            next: Continuation::None,
        }
    }
}

async fn receipt(services: &Services, id: Uuid, callback: &Callback) -> Result<Value, ApiError> {
    let delivery_id = callback
        .delivery_id
        .as_deref()
        .map(Uuid::parse_str)
        .transpose()
        .map_err(|_| ApiError::invalid("delivery_id", "there is no such delivery"))?;
    let status = match (callback.callback_kind, callback.delivery_status) {
        (CallbackKind::TransportFailure, _) | (_, Some(ReceiptStatus::Failed)) => "failed",
        (_, Some(ReceiptStatus::Delivered)) => "delivered",
        _ => "accepted",
    };
    let error = (status == "failed").then_some("transport_unavailable");
    let Some((mut transaction, row)) = begin(services, id, callback).await? else {
        return repeated(services, id).await;
    };
    let is_known = notifications::receipt(&mut transaction, id, delivery_id, status, error).await?;
    let classification = if is_known {
        Classified::Applied
    } else {
        Classified::Stale
    };
    let outcome = Outcome::of(classification);
    let mut told = finish(services, transaction, &row, callback, outcome).await?;
    // Nobody waits for a receipt.
    told["resume_required"] = json!(false);
    Ok(told)
}

async fn repeated(services: &Services, id: Uuid) -> Result<Value, ApiError> {
    let row = notifications::find(services.pool(), id)
        .await?
        .ok_or_else(|| ApiError::not_found("there is no such interaction"))?;
    Ok(answer(&row, Classified::Duplicate, Continuation::None))
}

/// The stored handle that a callback presents, by its hash.
async fn presented_handle(
    connection: &mut sqlx::PgConnection,
    id: Uuid,
    callback: &Callback,
) -> Result<Option<(Vec<u8>, Handle)>, sqlx::Error> {
    let Some(handle) = callback
        .callback_handle
        .as_deref()
        .filter(|_| callback.has_possible_handle())
    else {
        return Ok(None);
    };
    let hash = hash_token(handle);
    let found = notifications::handle(connection, id, &hash).await?;
    Ok(found.map(|handle| (hash, handle)))
}

/// The answer to a question of an agent.
async fn respond(services: &Services, id: Uuid, callback: &Callback) -> Result<Value, ApiError> {
    let Some((mut transaction, row)) = begin(services, id, callback).await? else {
        return repeated(services, id).await;
    };
    let now = clock::now(&mut *transaction).await?;
    let handle = presented_handle(&mut transaction, id, callback).await?;
    let judged = classify_callback(
        row.state()?,
        row.response_deadline_at,
        now,
        handle.as_ref().map(|(_, handle)| handle),
        callback,
    );
    let judged = judged.and_then(|given| {
        let given = match given {
            Given::Text(text) => Given::Text(services.redactor().redact(&text)),
            option @ Given::Option(_) => option,
        };
        let end = InteractionEnd::Answered;
        let told = InteractionResume::of(&id.to_string(), &row.tool_name, end, Some(&given), now);
        match serde_json::to_string(&told) {
            Ok(told) if told.len() <= RESUME_PAYLOAD_LIMIT_BYTES => Ok(given),
            _ => Err(Classified::Invalid),
        }
    });
    let given = match (judged, handle) {
        (Ok(given), Some((hash, _))) => {
            notifications::use_handle(&mut transaction, &hash).await?;
            given
        }
        (Err(classification), _) => {
            let outcome = Outcome::of(classification);
            return finish(services, transaction, &row, callback, outcome).await;
        }
        (Ok(_), None) => {
            let outcome = Outcome::of(Classified::Invalid);
            return finish(services, transaction, &row, callback, outcome).await;
        }
    };
    let response = notifications::answer(&mut transaction, id, &given).await?;
    resume(
        &mut transaction,
        &row,
        InteractionEnd::Answered,
        Some(&given),
    )
    .await?;
    let next = continue_message(&mut transaction, &row).await?;
    let outcome = Outcome {
        classification: Classified::Applied,
        given: Some(&given),
        response,
        next,
    };
    finish(services, transaction, &row, callback, outcome).await
}

/// The decision about a request (G-139): its handle says what was pressed, `responder_ref` by whom.
async fn decision(
    services: &Services,
    row: &InteractionRow,
    callback: &Callback,
) -> Result<Value, ApiError> {
    let (Some(request_id), Some(adapter_id)) = (row.approval_request_id, row.adapter_id) else {
        return Err(ApiError::not_found("there is no such request"));
    };
    let responder = callback
        .responder_ref
        .as_deref()
        .ok_or_else(|| ApiError::invalid("responder_ref", "a decision names who took it"))?;
    let mut connection = services.pool().acquire().await?;
    let handle = presented_handle(&mut connection, row.id, callback).await?;
    drop(connection);
    let now = clock::now(services.pool()).await?;
    // Whether it is in time is the request's to say; here only what was pressed.
    let judged = classify_callback(
        InteractionState::Open,
        None,
        now,
        handle.as_ref().map(|(_, handle)| handle),
        callback,
    );
    let given = match judged {
        Ok(given) => given,
        Err(classification) => {
            let Some((transaction, row)) = begin(services, row.id, callback).await? else {
                return repeated(services, row.id).await;
            };
            let outcome = Outcome::of(classification);
            return finish(services, transaction, &row, callback, outcome).await;
        }
    };
    let request = approvals::find(services.pool(), request_id)
        .await?
        .ok_or_else(|| ApiError::not_found("there is no such request"))?;
    let is_question = row.kind()? == InteractionKind::OwnerFeedback;
    let given_answer = match (&given, is_question) {
        (Given::Option(option), true) if option != DENY => Some(GivenAnswer {
            option_id: Some(option.clone()),
            custom_text: None,
        }),
        (Given::Text(text), true) => Some(GivenAnswer {
            option_id: None,
            custom_text: Some(text.clone()),
        }),
        _ => None,
    };
    let refuses = given == Given::Option(DENY.to_owned());
    let decided = present(
        services,
        &request,
        &Presented {
            actor_ref: responder,
            adapter_id,
            source_kind: match callback.callback_kind {
                CallbackKind::VoiceTranscriptReceived => "voice",
                _ => "adapter",
            },
            decision: if refuses {
                DecisionKind::Denied
            } else {
                DecisionKind::Approved
            },
            reason: refuses.then_some(REASON_OF_A_BUTTON),
            answer: given_answer.as_ref(),
        },
    )
    .await?;
    let Some((mut transaction, row)) = begin(services, row.id, callback).await? else {
        return repeated(services, row.id).await;
    };
    let classification = Classified::from(decided.classification);
    if decided.classification != Classification::Applied {
        let outcome = Outcome::of(classification);
        return finish(services, transaction, &row, callback, outcome).await;
    }
    if let Some((hash, _)) = &handle {
        notifications::use_handle(&mut transaction, hash).await?;
    }
    let kept = match given {
        // The text of an answer is the request's.
        Given::Text(_) => Given::Option("custom".to_owned()),
        option @ Given::Option(_) => option,
    };
    let response = notifications::answer(&mut transaction, row.id, &kept).await?;
    let next = match response {
        Some(_) => continue_message(&mut transaction, &row).await?,
        None => Continuation::None,
    };
    let outcome = Outcome {
        classification,
        given: Some(&kept),
        response,
        next,
    };
    finish(services, transaction, &row, callback, outcome).await
}
