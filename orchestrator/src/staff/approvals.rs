//! Requests of agents that need somebody's word (G-84), and the decision (3.5).
use axum::Json;
use axum::extract::{Path, State};
use domain::approvals::{
    Answer, ApprovalMode, ApprovalState, Classification, DecisionKind, GivenAnswer, Ignored,
    Proposal, RequestFacts, ResumePayload, decision_ignored, is_production, may_decide,
};
use domain::ids::UserId;
use domain::snapshot::UserFacts;
use domain::waits::RESUME_PAYLOAD_LIMIT_BYTES;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::JsonBody;
use super::access::Need;
use super::audit::{Change, guard};
use super::principal::Principal;
use super::query::Query;
use super::state::Services;
use crate::approvals::{Decided, Decider, decide as take};
use crate::http_api::ApiError;
use crate::store::approval_reads::{self, ApprovalFilter, ApprovalView};
use crate::store::approvals::{self, ApprovalRow};
use crate::store::{clock, events, projects};

const PAGE_SIZE: i64 = 100;
const MAX_PAGE_SIZE: i64 = 500;
/// Longest value of a secret in bytes; GitHub's own limit (G-45).
const VALUE_LIMIT_BYTES: usize = 48 * 1024;
/// Longest reason in characters (G-76).
const REASON_LIMIT_CHARACTERS: usize = 1000;

/// A page of requests, oldest first; those that nobody decided unless asked otherwise.
pub(super) async fn list(
    State(services): State<Services>,
    principal: Principal,
    mut query: Query,
) -> Result<Json<Value>, ApiError> {
    let page = query.number("page", 1, 1, i64::MAX)?;
    let page_size = query.number("page_size", PAGE_SIZE, 1, MAX_PAGE_SIZE)?;
    let states: Vec<&str> = ApprovalState::ALL
        .iter()
        .map(|state| state.as_str())
        .collect();
    let filter = ApprovalFilter {
        id: None,
        state: query
            .one_of("state", &states)?
            .or_else(|| Some(ApprovalState::Requested.to_string())),
        tool: query.text("tool")?,
        action: query.text("action")?,
        requested_by: query.text("requested_by")?,
        project_id: query.parsed("project_id")?,
        run_id: query.parsed("run_id")?,
        member: (!principal.user.is_platform_admin).then_some(principal.user.id),
    };
    query.finish()?;
    let offset = (page - 1).saturating_mul(page_size);
    let (rows, total) = tokio::try_join!(
        approval_reads::page(
            services.pool(),
            &filter,
            principal.user.id,
            page_size,
            offset
        ),
        approval_reads::count(services.pool(), &filter)
    )?;
    let items: Vec<Value> = rows.iter().map(|row| shown(&principal, row)).collect();
    Ok(Json(json!({
        "items": items,
        "pagination": {"page": page, "page_size": page_size, "total_count": total},
    })))
}

/// One request, whatever its state.
pub(super) async fn show(
    State(services): State<Services>,
    principal: Principal,
    Path(id): Path<i64>,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    query.finish()?;
    let unknown = || ApiError::not_found("there is no such request");
    let filter = ApprovalFilter {
        id: Some(id),
        ..ApprovalFilter::default()
    };
    let row = approval_reads::page(services.pool(), &filter, principal.user.id, 1, 0)
        .await?
        .pop()
        .ok_or_else(unknown)?;
    principal
        .require_scope(&services, row.project_id, Need::Read)
        .await?;
    Ok(Json(shown(&principal, &row)))
}

fn facts_of(principal: &Principal, project_role: Option<String>) -> UserFacts {
    UserFacts {
        id: UserId(principal.user.id),
        login: principal.user.github_login.clone().unwrap_or_default(),
        is_platform_owner: principal.user.is_platform_owner,
        is_platform_admin: principal.user.is_platform_admin,
        project_role,
    }
}

fn shown(principal: &Principal, row: &ApprovalView) -> Value {
    let person = facts_of(principal, row.project_role.clone());
    let production = is_production(row.environment.as_deref());
    let can_decide = row.approval_state == ApprovalState::Requested.as_str()
        && ApprovalMode::from_text(&row.approval_mode)
            .is_some_and(|mode| may_decide(mode, production, &person));
    json!({
        "id": row.id,
        "correlation_id": row.correlation_id,
        "run_id": row.run_id,
        "project_id": row.project_id,
        "repository_full_name": row.repository_full_name,
        "issue_number": row.issue_number,
        "pr_number": row.pr_number,
        "trigger_label": row.trigger_label,
        "tool_name": row.tool_name,
        "action": row.action,
        "approval_mode": row.approval_mode,
        "approval_state": row.approval_state,
        "state_version": row.state_version,
        "requested_by": row.requested_by,
        "environment": row.environment,
        "target_ref": row.target_ref,
        "justification": row.justification,
        "question": row.question,
        "options": row.options,
        "allow_custom": row.allow_custom,
        "can_decide": can_decide,
        "decided_by": row.decided_by,
        "decided_at": row.decided_at,
        "decision_reason": row.decision_reason,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DecisionRequest {
    decision: DecisionKind,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    answer: Option<GivenAnswer>,
    #[serde(default)]
    provided_secret_value: Option<SecretString>,
    #[serde(default)]
    state_version: Option<i32>,
}

/// Takes a decision; of several the first counts.
pub(super) async fn decide(
    State(services): State<Services>,
    principal: Principal,
    Path(id): Path<i64>,
    JsonBody(request): JsonBody<DecisionRequest>,
) -> Result<Json<Value>, ApiError> {
    let unknown = || ApiError::not_found("there is no such request");
    let row = approvals::find(services.pool(), id)
        .await?
        .ok_or_else(unknown)?;
    let facts = row.facts()?;
    let change = Change {
        project_id: row.project_id,
        ..Change::new("approval_request", id, "decide").keys(["approval_state"])
    };
    let permitted = permitted(&services, &principal, &row, &facts, &request).await?;
    guard(&services, &principal, &change, permitted).await?;
    let reason = reason(&services, &request)?;
    let answer = answer(&services, &facts, &request).await?;
    let provided = provided(&facts, &request)?;
    let decider = Decider {
        provided,
        person: UserId(principal.user.id),
        decision: request.decision,
        reason,
        answer,
        seen_version: request.state_version,
        recorded: Some(change.recorded(&principal)),
        through: None,
    };
    let decided = take(&services.app, id, &decider)
        .await
        .map_err(|error| ApiError::internal(&error))?
        .ok_or_else(unknown)?;
    answered(&decided)
}

/// Reason and answer of a decision that a person took elsewhere than in the console, held to the same rules.
///
/// # Errors
/// A refusal has no reason, or the answer is none.
pub(crate) async fn checked_decision(
    services: &Services,
    facts: &RequestFacts,
    decision: DecisionKind,
    given_reason: Option<&str>,
    given_answer: Option<&GivenAnswer>,
) -> Result<(Option<String>, Option<Answer>), ApiError> {
    let request = DecisionRequest {
        decision,
        reason: given_reason.map(str::to_owned),
        answer: given_answer.cloned(),
        provided_secret_value: None,
        state_version: None,
    };
    let reason = reason(services, &request)?;
    Ok((reason, answer(services, facts, &request).await?))
}

/// Whether the person decides this (G-71); who does not is on record (G-72).
async fn permitted(
    services: &Services,
    principal: &Principal,
    row: &ApprovalRow,
    facts: &RequestFacts,
    request: &DecisionRequest,
) -> Result<Result<(), ApiError>, ApiError> {
    let role = match row.project_id {
        Some(project_id) => {
            projects::role_in(services.pool(), project_id, principal.user.id).await?
        }
        None => None,
    };
    let person = facts_of(principal, role.flatten());
    let production = is_production(facts.environment.as_deref());
    if may_decide(facts.mode, production, &person) {
        return Ok(Ok(()));
    }
    let ignored = decision_ignored(
        facts,
        person.id,
        request.decision,
        row.state()?,
        Ignored::NotApprover,
    );
    let mut connection = services.pool().acquire().await?;
    events::insert(&mut connection, &ignored).await?;
    Ok(Err(ApiError::forbidden(
        "somebody else decides this request",
    )))
}

fn reason(services: &Services, request: &DecisionRequest) -> Result<Option<String>, ApiError> {
    let given = request
        .reason
        .as_deref()
        .map(str::trim)
        .filter(|reason| !reason.is_empty());
    let invalid = |message: &str| Err(ApiError::invalid("reason", message));
    match given {
        None if request.decision == DecisionKind::Denied => {
            invalid("who refuses says why, in 1 to 1000 characters")
        }
        Some(reason) if reason.chars().count() > REASON_LIMIT_CHARACTERS => {
            invalid("the reason has at most 1000 characters")
        }
        given => Ok(given.map(|reason| services.redactor().redact(reason))),
    }
}

/// The answer to a question (G-58); it must fit into what the agent is told (G-93).
async fn answer(
    services: &Services,
    facts: &RequestFacts,
    request: &DecisionRequest,
) -> Result<Option<Answer>, ApiError> {
    let question = match (&facts.proposal, request.decision) {
        (Some(Proposal::Feedback(question)), DecisionKind::Approved) => question,
        _ if request.answer.is_some() => {
            return Err(ApiError::invalid(
                "answer",
                "there is no question to answer",
            ));
        }
        _ => return Ok(None),
    };
    let answer = question
        .answer(request.answer.as_ref())
        .map_err(|invalid| ApiError::invalid("answer", invalid.as_str()))?;
    let answer = match answer {
        Answer::Custom(text) => Answer::Custom(services.redactor().redact(&text)),
        option @ Answer::Option(_) => option,
    };
    let now = clock::now(services.pool()).await?;
    let told = ResumePayload::of(facts, ApprovalState::Applied, Some(&answer), None, now);
    let length = serde_json::to_string(&told)
        .map_err(|error| ApiError::internal(&error))?
        .len();
    if length > RESUME_PAYLOAD_LIMIT_BYTES {
        return Err(ApiError::invalid(
            "answer",
            "the answer is longer than what an agent is told of",
        ));
    }
    Ok(Some(answer))
}

/// The value of a secret (G-45); nobody is told what is wrong with it but its length.
fn provided(
    facts: &RequestFacts,
    request: &DecisionRequest,
) -> Result<Option<SecretString>, ApiError> {
    let invalid = |message: &str| ApiError::invalid("provided_secret_value", message);
    let is_wanted = facts.wants_value() && request.decision == DecisionKind::Approved;
    match &request.provided_secret_value {
        None if is_wanted => Err(invalid("the request wants a value from you")),
        None => Ok(None),
        Some(_) if !is_wanted => Err(invalid("the request wants no value")),
        Some(value) if !(1..=VALUE_LIMIT_BYTES).contains(&value.expose_secret().len()) => {
            Err(invalid("the value has 1 byte to 48 KiB"))
        }
        Some(value) => Ok(Some(value.clone())),
    }
}

fn answered(decided: &Decided) -> Result<Json<Value>, ApiError> {
    let request = &decided.request;
    match decided.classification {
        Classification::Applied | Classification::Duplicate => Ok(Json(json!({
            "id": request.id,
            "correlation_id": request.correlation_id,
            "run_id": request.run_id,
            "tool_name": request.tool_name,
            "action": request.action,
            "approval_state": request.approval_state,
            "state_version": request.state_version,
            "classification": decided.classification,
        }))),
        classification @ (Classification::Stale | Classification::Expired) => {
            let message = match classification {
                Classification::Expired => "the request has expired",
                _ => "the request was decided otherwise, or you saw an older state",
            };
            Err(ApiError::conflict(message)
                .with("classification", json!(classification))
                .with("approval_state", json!(request.approval_state))
                .with("state_version", json!(request.state_version))
                .with("decided_by", json!(request.decided_by)))
        }
    }
}
