//! Next steps that people take from the console: told first, then done (L-97 to L-101).
use axum::Json;
use axum::extract::State;
use domain::decide::{LabelDiff, StepInput, StepMode, StepRefusal, read_step};
use serde::Deserialize;
use serde_json::{Value, json};

use super::JsonBody;
use super::audit::{Change, guard};
use super::principal::Principal;
use super::state::Services;
use super::thread_requests::{asking, invalid, undecided};
use crate::http_api::ApiError;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepBody {
    repository_full_name: Option<String>,
    action_kind: Option<String>,
    target_label: Option<String>,
    issue_number: Option<i64>,
    pull_request_number: Option<i64>,
    display_variant: Option<String>,
    expected_run_labels: Option<Vec<String>>,
}

impl From<StepBody> for StepInput {
    fn from(body: StepBody) -> Self {
        Self {
            repository_full_name: body.repository_full_name,
            action_kind: body.action_kind,
            target_label: body.target_label,
            issue_number: body.issue_number,
            pull_request_number: body.pull_request_number,
            display_variant: body.display_variant,
            expected_run_labels: body.expected_run_labels,
        }
    }
}

/// Tells what a step would do; GitHub is only read (L-99).
pub(super) async fn preview(
    State(services): State<Services>,
    principal: Principal,
    JsonBody(body): JsonBody<StepBody>,
) -> Result<Json<Value>, ApiError> {
    take(&services, &principal, body, StepMode::Preview).await
}

/// Takes a step; the labels follow as effects (L-99, L-100).
pub(super) async fn execute(
    State(services): State<Services>,
    principal: Principal,
    JsonBody(body): JsonBody<StepBody>,
) -> Result<Json<Value>, ApiError> {
    take(&services, &principal, body, StepMode::Execute).await
}

async fn take(
    services: &Services,
    principal: &Principal,
    body: StepBody,
    mode: StepMode,
) -> Result<Json<Value>, ApiError> {
    let mut request = read_step(&body.into(), &services.app.policy.labels).map_err(invalid)?;
    let mut full_name = request.repository_full_name.clone();
    let change = Change::new("next_step", &full_name, mode_name(mode)).keys(["labels"]);
    let asking = asking(services, principal, change.clone(), &mut full_name).await?;
    request.repository_full_name = asking.repository_full_name.to_owned();
    let change = change.project(asking.binding.project_id.as_uuid());
    let outcome = asking
        .next_step(&request, mode)
        .await
        .map_err(|error| undecided(&error))?
        .map_err(refused);
    let diff = guard(services, principal, &change, outcome).await?;
    Ok(Json(answer(&request.repository_full_name, &diff)))
}

fn mode_name(mode: StepMode) -> &'static str {
    match mode {
        StepMode::Preview => "preview",
        StepMode::Execute => "execute",
    }
}

fn answer(repository_full_name: &str, diff: &LabelDiff) -> Value {
    json!({
        "repository_full_name": repository_full_name,
        "thread_kind": diff.thread.kind,
        "thread_number": diff.thread.number,
        "thread_url": diff.thread_url,
        "removed_labels": diff.removed,
        "added_labels": diff.added,
        "final_labels": diff.final_labels,
    })
}

fn refused(refusal: StepRefusal) -> ApiError {
    match refusal {
        StepRefusal::Invalid(field) => invalid(field),
        StepRefusal::Conflict { expected, actual } => {
            ApiError::conflict("the trigger labels are no longer those you saw")
                .with("expected", json!(expected))
                .with("actual", json!(actual))
        }
        StepRefusal::ShorterPath { current, wanted } => ApiError::forbidden(format!(
            "only the platform owner may go back from {current} to {wanted}"
        )),
        StepRefusal::Ambiguous { labels } => ApiError::failed_precondition(
            "it is unclear which stage this step leaves; the Issue says what to do",
        )
        .with("reason", "need_input")
        .with("conflicting_labels", json!(labels)),
        StepRefusal::Guarded { reason, suggested } => {
            ApiError::failed_precondition(format!("the stage may not start: {reason}"))
                .with("reason", reason.to_string())
                .with("suggested_labels", json!(suggested))
        }
    }
}
