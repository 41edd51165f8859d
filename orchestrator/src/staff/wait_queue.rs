//! Runs that wait (R-183, DA-7), and the one step that staff takes for GitHub's limits.
use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::JsonBody;
use super::access::Need;
use super::audit::{Change, guard, record_change};
use super::principal::Principal;
use super::query::Query;
use super::runs::{filter, present, require_run};
use super::state::Services;
use crate::http_api::ApiError;
use crate::store::{github_waits, run_reads, run_waits};
use crate::transition;
use crate::waits;
use crate::wakeups::Channel;

const WAIT_REASONS: [&str; 4] = [
    "owner_review",
    "approval_pending",
    "interaction_response",
    "github_rate_limit",
];

/// Every waiting run, and pending ones with their `queue_reason`; newest first.
pub(super) async fn list(
    State(services): State<Services>,
    principal: Principal,
    mut query: Query,
) -> Result<Json<Value>, ApiError> {
    let page = query.page()?;
    let wait_reason = query.one_of("wait_reason", &WAIT_REASONS)?;
    let older_than = query.parsed("older_than")?;
    let mut filter = filter(&mut query, &principal)?;
    query.finish()?;
    filter.waits_only = true;
    filter.wait_reason = wait_reason;
    filter.older_than = older_than;
    let (runs, total) = tokio::try_join!(
        run_reads::page(services.pool(), &filter, page.page_size, page.offset()),
        run_reads::count(services.pool(), &filter)
    )?;
    let items = runs
        .iter()
        .map(|run| present(&services, run))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Json(
        json!({ "items": items, "pagination": page.describe(total) }),
    ))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResumeRequest {
    #[serde(default)]
    reason: Option<String>,
}

/// Lets a wait go on whose attempts are used up; one that goes on by itself is answered, not changed.
pub(super) async fn resume_after_limit(
    State(services): State<Services>,
    principal: Principal,
    Path((run_id, wait_id)): Path<(Uuid, Uuid)>,
    JsonBody(request): JsonBody<ResumeRequest>,
) -> Result<Json<Value>, ApiError> {
    let change = Change::new("github_rate_limit_wait", wait_id, "resume").keys(["state"]);
    let permitted = require_run(&services, &principal, run_id, Need::Write).await;
    let project_id = guard(&services, &principal, &change, permitted).await?;
    let mut transaction = services.pool().begin().await?;
    // The run before its waits, as every change of a run takes them.
    run_waits::lock(&mut transaction, run_id).await?;
    let wait = github_waits::lock(&mut transaction, wait_id)
        .await?
        .filter(|wait| wait.run_id == run_id)
        .ok_or_else(|| ApiError::not_found("there is no such wait of this run"))?;
    if matches!(wait.state.as_str(), "resolved" | "cancelled") {
        return Err(ApiError::conflict("this wait is over").with("state", json!(wait.state)));
    }
    if !waits::let_go_on(&mut transaction, &wait).await? {
        transaction.rollback().await?;
        return Ok(Json(json!({"wait_id": wait.id, "state": wait.state})));
    }
    let change = Change {
        project_id,
        ..change
    };
    record_change(&mut transaction, &principal, &change).await?;
    transition::commit(transaction, "limit.let_go_on").await?;
    tracing::info!(%run_id, %wait_id, reason = request.reason, "staff lets a wait go on");
    services.app.wakeups.notify(Channel::RunQueue);
    Ok(Json(
        json!({"wait_id": wait.id, "state": "auto_resume_scheduled"}),
    ))
}
