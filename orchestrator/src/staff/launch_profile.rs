//! The path of an Issue as people change it: a risk lengthens it, the platform owner may shorten it (L-95, L-96).
use axum::Json;
use axum::extract::State;
use domain::decide::{FlowInput, read_flow};
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
pub(super) struct ProfileBody {
    repository_full_name: Option<String>,
    issue_number: Option<i64>,
    risk_signals: Option<Vec<String>>,
    launch_profile: Option<String>,
    reason: Option<String>,
}

/// Names risks of an Issue, or sets its profile.
pub(super) async fn change(
    State(services): State<Services>,
    principal: Principal,
    JsonBody(body): JsonBody<ProfileBody>,
) -> Result<Json<Value>, ApiError> {
    let mut full_name = body
        .repository_full_name
        .filter(|name| !name.trim().is_empty())
        .ok_or_else(|| ApiError::invalid("repository_full_name", "this member is required"))?;
    let input = FlowInput {
        issue_number: body.issue_number,
        risk_signals: body.risk_signals,
        launch_profile: body.launch_profile,
        reason: body.reason,
    };
    let request = read_flow(&input).map_err(invalid)?;
    let subject = format!("{full_name}#{}", request.issue_number);
    let change = Change::new("launch_profile", subject, "set").keys(["launch_profile"]);
    let asking = asking(&services, &principal, change.clone(), &mut full_name).await?;
    let change = change.project(asking.binding.project_id.as_uuid());
    let outcome = asking
        .launch_profile(&request)
        .await
        .map_err(|error| undecided(&error))?
        .map_err(|shorter| ApiError::forbidden(shorter.to_string()));
    let (before, after) = guard(&services, &principal, &change, outcome).await?;
    Ok(Json(json!({
        "launch_profile": after.profile,
        "previous_profile": before.profile,
    })))
}
