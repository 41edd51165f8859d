//! Events that a runner may add to the journal of its own run (DF-4).
use axum::extract::State;
use domain::audit::{Actor, AuditEvent, AuditRecord, PAYLOAD_LIMIT_BYTES, RUN_CALLER_TYPES};
use domain::ids::{CorrelationId, ProjectId, RunId};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::RunCaller;
use crate::http_api::ApiError;
use crate::staff::{JsonBody, Services};
use crate::store::{events, links, run_reads};
use crate::transition;

/// DF-2: longer status lines are cut, not refused.
const MAX_STATUS_CHARACTERS: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventRequest {
    event_type: String,
    /// The runner's own name for this event: an answer that got lost is no second event.
    event_id: Option<Uuid>,
    #[serde(default)]
    payload: serde_json::Map<String, Value>,
}

/// Inserts one event of the closed set.
pub(super) async fn append(
    State(services): State<Services>,
    caller: RunCaller,
    JsonBody(request): JsonBody<EventRequest>,
) -> Result<StatusCode, ApiError> {
    if !RUN_CALLER_TYPES.contains(&request.event_type.as_str()) {
        return Err(ApiError::invalid(
            "event_type",
            "a runner may not write events of this type (DF-4)",
        ));
    }
    let mut payload = request.payload;
    // Which run this is, the token says.
    payload.remove("run_id");
    payload.remove("project_id");
    let mut payload = Value::Object(payload);
    services.redactor().redact_json(&mut payload);
    if payload.to_string().len() > PAYLOAD_LIMIT_BYTES {
        return Err(ApiError::invalid(
            "payload",
            "an event holds at most 64 KiB",
        ));
    }
    let mut event = AuditEvent::from_json(&request.event_type, payload).map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        ApiError::invalid("payload", cause.unwrap_or_else(|| error.to_string()))
    })?;
    if let AuditEvent::RunAgentStatusReported(payload) = &mut event
        && let Some(text) = &mut payload.status_text
    {
        *text = text.chars().take(MAX_STATUS_CHARACTERS).collect();
    }
    let mut transaction = services.pool().begin().await?;
    let agent_key = run_reads::agent_key(&mut transaction, caller.run_id).await?;
    let record = AuditRecord::new(
        event,
        Actor::Agent(agent_key.unwrap_or_default()),
        CorrelationId::new(caller.correlation_id.clone()),
    )
    .run(RunId(caller.run_id))
    .project(caller.project_id.map(ProjectId))
    .told_as(request.event_id.map(|id| id.to_string()));
    // The platform writes this one itself with the snapshot; a runner that says it again adds nothing.
    let known = matches!(record.event, AuditEvent::RunAgentSessionSaved(_))
        && run_reads::session_saved_is_recorded(&mut transaction, &record).await?;
    if !known {
        events::insert(&mut transaction, &record).await?;
    }
    if let AuditEvent::RunPrCreated(written) | AuditEvent::RunPrUpdated(written) = &record.event
        && let Some(number) = written.pr_number
    {
        links::insert_pull_request(&mut transaction, caller.run_id, number).await?;
    }
    transition::commit(transaction, "agent.event").await?;
    Ok(StatusCode::ACCEPTED)
}
