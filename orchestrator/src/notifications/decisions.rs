//! Decisions that people take through an adapter (3.5, G-95 to G-99).
use domain::approvals::{
    Classification, DecisionKind, GivenAnswer, Ignored, RequestFacts, decision_ignored,
    is_production, may_decide, through_adapter,
};
use domain::ids::UserId;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::router::Callbacks;
use crate::approvals::{DecideError, Decided, Decider, Through, decide};
use crate::http_api::ApiError;
use crate::staff::{Services, checked_decision, parse_body};
use crate::store::approvals::{self, ApprovalRow};
use crate::store::callback_adapters::{self, Adapter};
use crate::store::events;

/// Longest name of an event or an actor in bytes.
const NAME_LIMIT_BYTES: usize = 200;

/// A request may be named by its number or by the number's text; an interaction's id is neither (G-64).
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RequestId {
    Number(i64),
    Text(String),
}

impl RequestId {
    fn number(&self) -> Option<i64> {
        match self {
            RequestId::Number(number) => Some(*number),
            RequestId::Text(text) => text.parse().ok(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApproverCallback {
    approval_request_id: RequestId,
    decision: DecisionKind,
    actor_id: String,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    answer: Option<GivenAnswer>,
    adapter_event_id: String,
    correlation_id: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Execution {
    Applied,
    Failed,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExecutorCallback {
    approval_request_id: RequestId,
    decision: Execution,
    #[serde(default)]
    reason: Option<String>,
    adapter_event_id: String,
    correlation_id: String,
}

fn check_name(field: &str, name: &str) -> Result<(), ApiError> {
    if (1..=NAME_LIMIT_BYTES).contains(&name.len()) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    let message = "expected 1 to 200 bytes without control characters";
    Err(ApiError::invalid(field, message))
}

/// The request that a callback names, if the adapter may know of it.
async fn named(
    callbacks: &Callbacks,
    adapter: &Adapter,
    id: &RequestId,
    correlation_id: &str,
) -> Result<ApprovalRow, ApiError> {
    let unknown = || ApiError::not_found("there is no such request");
    let id = id.number().ok_or_else(unknown)?;
    callbacks.admit(&id.to_string())?;
    let row = approvals::find(callbacks.services.pool(), id)
        .await?
        .filter(|row| adapter.project_id.is_none() || adapter.project_id == row.project_id)
        .ok_or_else(unknown)?;
    if row.correlation_id != correlation_id {
        let message = "the request belongs to another correlation";
        return Err(ApiError::conflict(message).with_field("correlation_id"));
    }
    Ok(row)
}

/// `POST /api/v1/mcp/approver/callback`.
pub(super) async fn approver(
    callbacks: &Callbacks,
    adapter: &Adapter,
    body: &[u8],
) -> Result<Value, ApiError> {
    let callback: ApproverCallback = parse_body(body)?;
    check_name("adapter_event_id", &callback.adapter_event_id)?;
    check_name("actor_id", &callback.actor_id)?;
    let services = &callbacks.services;
    let row = named(
        callbacks,
        adapter,
        &callback.approval_request_id,
        &callback.correlation_id,
    )
    .await?;
    let event_id = &callback.adapter_event_id;
    if let Some(answer) = callback_adapters::answered(services.pool(), adapter.id, event_id).await?
    {
        return Ok(answer);
    }
    let presented = Presented {
        actor_ref: &callback.actor_id,
        adapter_id: adapter.id,
        source_kind: "adapter",
        decision: callback.decision,
        reason: callback.reason.as_deref(),
        answer: callback.answer.as_ref(),
    };
    let decided = present(services, &row, &presented).await?;
    let answer = told(&decided);
    let mut connection = services.pool().acquire().await?;
    Ok(callback_adapters::keep_answer(&mut connection, adapter.id, event_id, &answer).await?)
}

/// `POST /api/v1/mcp/executor/callback`: no built-in tool is given to an external executor (G-97).
pub(super) async fn executor(
    callbacks: &Callbacks,
    adapter: &Adapter,
    body: &[u8],
) -> Result<Value, ApiError> {
    let callback: ExecutorCallback = parse_body(body)?;
    check_name("adapter_event_id", &callback.adapter_event_id)?;
    let row = named(
        callbacks,
        adapter,
        &callback.approval_request_id,
        &callback.correlation_id,
    )
    .await?;
    tracing::warn!(
        request_id = row.id,
        adapter_id = %adapter.id,
        decision = ?callback.decision,
        has_reason = callback.reason.is_some(),
        "an adapter speaks for an executor that it is not"
    );
    Err(
        ApiError::conflict("the platform itself carries this request out")
            .with("reason", "executor_not_external"),
    )
}

/// A decision as an adapter presents it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Presented<'a> {
    pub actor_ref: &'a str,
    pub adapter_id: Uuid,
    pub source_kind: &'static str,
    pub decision: DecisionKind,
    pub reason: Option<&'a str>,
    pub answer: Option<&'a GivenAnswer>,
}

/// Takes it, if the person behind the adapter's name decides this.
///
/// # Errors
/// 403 for anybody else, 400 for a decision that lacks what it needs.
pub(super) async fn present(
    services: &Services,
    row: &ApprovalRow,
    presented: &Presented<'_>,
) -> Result<Decided, ApiError> {
    let facts = row.facts()?;
    let person = permitted(services, row, &facts, presented).await?;
    let (reason, answer) = checked_decision(
        services,
        &facts,
        presented.decision,
        presented.reason,
        presented.answer,
    )
    .await?;
    let decider = Decider {
        person,
        decision: presented.decision,
        reason,
        answer,
        provided: None,
        seen_version: None,
        recorded: None,
        through: Some(Through {
            adapter_id: presented.adapter_id,
            source_kind: presented.source_kind,
        }),
    };
    decide(&services.app, row.id, &decider)
        .await
        .map_err(|error| match error {
            // G-45: only the console takes a value.
            DecideError::ValueRequired => {
                ApiError::failed_precondition("value_required: type the value in the console")
            }
            other => ApiError::internal(&other),
        })?
        .ok_or_else(|| ApiError::not_found("there is no such request"))
}

async fn permitted(
    services: &Services,
    row: &ApprovalRow,
    facts: &RequestFacts,
    presented: &Presented<'_>,
) -> Result<UserId, ApiError> {
    let person = callback_adapters::person(
        services.pool(),
        presented.adapter_id,
        presented.actor_ref,
        row.project_id,
    )
    .await?;
    let production = is_production(facts.environment.as_deref());
    if let Some(person) = &person
        && may_decide(facts.mode, production, person)
    {
        return Ok(person.id);
    }
    let state = row.state()?;
    let ignored = decision_ignored(
        facts,
        person.map(|person| person.id),
        presented.decision,
        state,
        Ignored::NotApprover,
    );
    let adapter_id = presented.adapter_id.to_string();
    let mut connection = services.pool().acquire().await?;
    for record in through_adapter(vec![ignored], &adapter_id, presented.source_kind) {
        events::insert(&mut connection, &record).await?;
    }
    Err(ApiError::forbidden("somebody else decides this request"))
}

fn told(decided: &Decided) -> Value {
    let request = &decided.request;
    let accepted = matches!(
        decided.classification,
        Classification::Applied | Classification::Duplicate
    );
    json!({
        "id": request.id,
        "correlation_id": request.correlation_id,
        "run_id": request.run_id,
        "tool_name": request.tool_name,
        "action": request.action,
        "approval_state": request.approval_state,
        "classification": decided.classification,
        "accepted": accepted,
    })
}
