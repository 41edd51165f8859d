//! `run_status_report` (G-39): what the agent is doing, in its own words.
use domain::audit::{Actor, AgentStatusReportedPayload, AuditEvent};
use domain::tools::{STATUS_LIMIT_CHARACTERS, status_text};
use serde_json::{Map, Value, json};

use super::call::{Call, CallError};
use super::calls::Outcome;

/// Appends a report.
pub async fn report(call: &Call, arguments: &Map<String, Value>) -> Result<Outcome, CallError> {
    let text = match status_text(arguments) {
        Ok(text) => text,
        Err(failure) => return Ok(Err(call.refuse(failure, Vec::new()).await?)),
    };
    // What stands in the place of a secret may be longer than it.
    let text: String = call
        .services
        .redactor()
        .redact(&text)
        .chars()
        .take(STATUS_LIMIT_CHARACTERS)
        .collect();
    let payload = AgentStatusReportedPayload {
        agent_key: Some(call.agent_key().to_owned()),
        status_text: Some(text.clone()),
        runtime_mode: Some(call.caller.runtime_mode.clone()),
        namespace: Some(call.caller.namespace.clone()),
        ..AgentStatusReportedPayload::default()
    };
    let reported = call.record(
        AuditEvent::RunAgentStatusReported(payload),
        Actor::Agent(call.agent_key().to_owned()),
    );
    call.write(vec![call.called(), reported, call.succeeded(false)])
        .await?;
    Ok(Ok(json!({"status": "ok", "reported_status": text})))
}
