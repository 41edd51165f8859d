//! The risks that a run names in its report (R-80, L-96).
use std::collections::BTreeSet;

use axum::extract::State;
use domain::launch_profiles::RiskSignal;
use http::StatusCode;
use serde::Deserialize;

use super::RunCaller;
use crate::control_plane::{StepError, name_risks};
use crate::http_api::ApiError;
use crate::staff::{JsonBody, Services};
use crate::store::run_reads;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RiskRequest {
    signals: Vec<String>,
}

/// Lengthens the path of the run's Issue.
pub(super) async fn name(
    State(services): State<Services>,
    caller: RunCaller,
    JsonBody(request): JsonBody<RiskRequest>,
) -> Result<StatusCode, ApiError> {
    let signals: BTreeSet<RiskSignal> = request
        .signals
        .iter()
        .map(|text| RiskSignal::from_text(text))
        .collect::<Option<_>>()
        .ok_or_else(|| ApiError::invalid("signals", "expected risk signals of L-96"))?;
    let run = run_reads::context_run(services.pool(), caller.run_id)
        .await?
        .ok_or_else(|| ApiError::not_found("no such run"))?;
    name_risks(&services.app, &run, &signals)
        .await
        .map_err(|error| match error {
            StepError::Overtaken | StepError::Undecided(_) => {
                ApiError::unavailable("the Issue is busy; try again")
            }
            error => ApiError::internal(&error),
        })?;
    Ok(StatusCode::ACCEPTED)
}
