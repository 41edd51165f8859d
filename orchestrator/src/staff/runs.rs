//! Runs: lists and one run (G-100).
use axum::Json;
use axum::extract::{Path, State};
use domain::runs::RunStatus;
use serde_json::{Value, json};
use uuid::Uuid;

use super::access::Need;
use super::principal::Principal;
use super::query::Query;
use super::state::Services;
use crate::http_api::ApiError;
use crate::store::run_reads::{self, RunFilter, RunView};

const WAIT_STATES: [&str; 6] = [
    "mcp",
    "owner_review",
    "backpressure",
    "waiting_mcp",
    "waiting_owner_review",
    "waiting_backpressure",
];

fn statuses() -> Vec<&'static str> {
    RunStatus::ALL
        .iter()
        .map(|status| status.as_str())
        .collect()
}

/// Takes the filters of the run lists; what is not known is refused (DA-5, DA-6).
pub(super) fn filter(query: &mut Query, principal: &Principal) -> Result<RunFilter, ApiError> {
    let wait_state = query
        .one_of("wait_state", &WAIT_STATES)?
        .map(|state| state.trim_start_matches("waiting_").to_owned());
    Ok(RunFilter {
        status: query.one_of("status", &statuses())?,
        trigger_kind: query.text("trigger_kind")?,
        trigger_label: query.text("trigger_label")?,
        agent_key: query.text("agent_key")?,
        project_id: query.parsed("project_id")?,
        repository: query.text("repository")?,
        issue_number: query.parsed("issue_number")?,
        pr_number: query.parsed("pr_number")?,
        wait_state,
        created_from: query.parsed("created_from")?,
        created_to: query.parsed("created_to")?,
        q: query.text("q")?,
        include_deploy: query.parsed("include_deploy")?.unwrap_or(false),
        with_job: false,
        waits_only: false,
        wait_reason: None,
        older_than: None,
        id: None,
        member: (!principal.user.is_platform_admin).then_some(principal.user.id),
    })
}

/// Adds what is derived rather than stored.
pub(super) fn present(services: &Services, run: &RunView) -> Result<Value, ApiError> {
    let mut value = serde_json::to_value(run).map_err(|error| ApiError::internal(&error))?;
    let web = services.config().github.git_base_url.as_str();
    let link = |kind: &str, number: Option<i32>| {
        number.map(|number| format!("{web}/{}/{kind}/{number}", run.repository_full_name))
    };
    value["issue_url"] = json!(link("issues", run.issue_number));
    value["pr_url"] = json!(link("pull", run.pr_number));
    Ok(value)
}

async fn page(
    services: &Services,
    principal: &Principal,
    mut query: Query,
    jobs_only: bool,
) -> Result<Value, ApiError> {
    let page = query.page()?;
    let mut filter = filter(&mut query, principal)?;
    query.finish()?;
    if jobs_only {
        filter.with_job = true;
        filter.status = filter.status.or_else(|| Some("running".to_owned()));
    }
    let (runs, total) = tokio::try_join!(
        run_reads::page(services.pool(), &filter, page.page_size, page.offset()),
        run_reads::count(services.pool(), &filter)
    )?;
    let items = runs
        .iter()
        .map(|run| present(services, run))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(json!({ "items": items, "pagination": page.describe(total) }))
}

/// A page of runs, newest first.
pub(super) async fn list(
    State(services): State<Services>,
    principal: Principal,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    let mut answer = page(&services, &principal, query, false).await?;
    let member = (!principal.user.is_platform_admin).then_some(principal.user.id);
    let (waiting, approvals) = run_reads::attention_counts(services.pool(), member).await?;
    answer["wait_queue_count"] = json!(waiting);
    answer["pending_approvals_count"] = json!(approvals);
    Ok(Json(answer))
}

/// Runs with a Job, the running ones unless asked otherwise.
pub(super) async fn jobs(
    State(services): State<Services>,
    principal: Principal,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    page(&services, &principal, query, true).await.map(Json)
}

/// Whether the caller may see or change the run: 404 or 403 otherwise. Answers its project.
pub(super) async fn require_run(
    services: &Services,
    principal: &Principal,
    run_id: Uuid,
    need: Need,
) -> Result<Option<Uuid>, ApiError> {
    let project_id = run_reads::project_of(services.pool(), run_id)
        .await?
        .ok_or_else(|| ApiError::not_found("there is no such run"))?;
    principal.require_scope(services, project_id, need).await?;
    Ok(project_id)
}

/// One run with session, deploy, tokens and links.
pub(super) async fn show(
    State(services): State<Services>,
    principal: Principal,
    Path(run_id): Path<Uuid>,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    query.finish()?;
    require_run(&services, &principal, run_id, Need::Read).await?;
    let filter = RunFilter {
        id: Some(run_id),
        include_deploy: true,
        ..RunFilter::default()
    };
    let run = run_reads::page(services.pool(), &filter, 1, 0)
        .await?
        .pop()
        .ok_or_else(|| ApiError::not_found("there is no such run"))?;
    let mut value = present(&services, &run)?;
    if let Some((session, deploy, tokens, links)) =
        run_reads::details(services.pool(), run_id).await?
    {
        value["session"] = json!(session);
        value["deploy"] = json!(deploy);
        value["token_usage"] = tokens;
        value["links"] = links;
    }
    Ok(Json(value))
}
