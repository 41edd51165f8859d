//! Session snapshots of a run: read, and written by compare-and-set (D-9, R-89..R-93).
use axum::Json;
use axum::extract::{Request, State};
use domain::audit::{Actor, AgentSessionPayload, AuditEvent, AuditRecord};
use domain::ids::{CorrelationId, ProjectId, RunId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::RunCaller;
use super::session_checksum::checksum;
use crate::http_api::ApiError;
use crate::staff::{Services, parse_body, read_body};
use crate::store::sessions::{self, SessionSnapshot, SnapshotOutcome, SnapshotWrite};
use crate::store::{events, run_reads};
use crate::transition;

/// A CLI session of a long run is some megabytes; more would not fit a snapshot column sensibly.
const MAX_SNAPSHOT_BYTES: usize = 16 * 1024 * 1024;
const STATUSES: [&str; 5] = [
    "running",
    "succeeded",
    "failed",
    "canceled",
    "failed_precondition",
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SaveRequest {
    expected_version: Option<i64>,
    status: String,
    branch: Option<String>,
    pr_number: Option<i32>,
    pr_url: Option<String>,
    session_id: Option<String>,
    #[serde(default)]
    session_json: Option<Value>,
    agent_session_json: Option<Value>,
    model: Option<String>,
    reasoning_effort: Option<String>,
    /// Text of a failed precondition; the worker ends the run with it.
    error: Option<String>,
    #[serde(default)]
    error_paths: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct SaveAnswer {
    snapshot_version: i64,
    snapshot_checksum: String,
}

/// The run's own snapshot.
pub(super) async fn show(
    State(services): State<Services>,
    caller: RunCaller,
) -> Result<Json<SessionSnapshot>, ApiError> {
    sessions::find(services.pool(), caller.run_id)
        .await?
        .map(Json)
        .ok_or_else(|| ApiError::not_found("this run has no snapshot yet"))
}

/// Stores a snapshot if nobody else wrote in between.
pub(super) async fn save(
    State(services): State<Services>,
    caller: RunCaller,
    request: Request,
) -> Result<Json<SaveAnswer>, ApiError> {
    let body: SaveRequest = parse_body(&read_body(request, MAX_SNAPSHOT_BYTES).await?)?;
    if !STATUSES.contains(&body.status.as_str()) {
        return Err(ApiError::invalid(
            "status",
            format!("expected one of {}", STATUSES.join(", ")),
        ));
    }
    let mut session_json = body.session_json.unwrap_or_else(|| json!({}));
    let Some(entries) = session_json.as_object_mut() else {
        return Err(ApiError::invalid("session_json", "expected an object"));
    };
    if let Some(error) = &body.error {
        entries.insert("error".to_owned(), json!(error));
        entries.insert("error_paths".to_owned(), json!(body.error_paths));
    }
    let checksum = checksum(&session_json, body.agent_session_json.as_ref());
    let write = SnapshotWrite {
        expected_version: body.expected_version,
        checksum: &checksum,
        status: &body.status,
        branch_name: body.branch.as_deref(),
        pr_number: body.pr_number,
        pr_url: body.pr_url.as_deref(),
        session_id: body.session_id.as_deref(),
        session_json: &session_json,
        agent_session_json: body.agent_session_json.as_ref(),
        model: body.model.as_deref(),
        reasoning_effort: body.reasoning_effort.as_deref(),
    };
    let mut transaction = services.pool().begin().await?;
    let outcome = sessions::save(&mut transaction, caller.run_id, &write).await?;
    let (version, news) = match outcome {
        SnapshotOutcome::Conflict { actual } => {
            return Err(
                ApiError::conflict("the snapshot was written by somebody else meanwhile")
                    .with("expected", json!(body.expected_version))
                    .with("actual", actual),
            );
        }
        SnapshotOutcome::Saved { version } => (version, true),
        SnapshotOutcome::Replayed { version } => (version, false),
    };
    let agent_key = run_reads::agent_key(&mut transaction, caller.run_id).await?;
    let record = AuditRecord::new(
        AuditEvent::RunAgentSessionSaved(AgentSessionPayload {
            status: Some(body.status.clone()),
            snapshot_version: Some(version),
            snapshot_checksum: Some(checksum.clone()),
            restored_session_path: None,
        }),
        Actor::Agent(agent_key.unwrap_or_default()),
        CorrelationId::new(caller.correlation_id.clone()),
    )
    .run(RunId(caller.run_id))
    .project(caller.project_id.map(ProjectId));
    // A replay with another status is news too: the status is part of what was saved.
    if news || !run_reads::session_saved_is_recorded(&mut transaction, &record).await? {
        events::insert(&mut transaction, &record).await?;
    }
    transition::commit(transaction, "session.save").await?;
    Ok(Json(SaveAnswer {
        snapshot_version: version,
        snapshot_checksum: checksum,
    }))
}
