//! Both threads of a run, live from GitHub, for the worker: it holds no GitHub token (runtime section 0) but decides at
//! the claim by labels and pull request (L-14, L-46), and keeps a namespace by `run:debug`.
use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, State};
use domain::events::{Issue, PullRequest, ThreadKind, issue_from, pull_request_from};
use serde_json::Value;
use uuid::Uuid;

use super::ServiceCaller;
use crate::credentials::{Service, resolve_for_repository};
use crate::github::{GithubClient, GithubError};
use crate::http_api::ApiError;
use crate::staff::Services;
use crate::store::run_reads::{self, ContextRun};
use crate::store::{run_history, snapshots};
use crate::worker::{PullRequestThread, Thread, Threads};

/// Reads Issue, pull request and, for a revise, whether the branch is there.
pub(super) async fn show(
    State(services): State<Services>,
    caller: ServiceCaller,
    Path(run_id): Path<Uuid>,
) -> Result<Json<Threads>, ApiError> {
    caller.require(&[Service::Worker])?;
    let run = run_reads::context_run(services.pool(), run_id)
        .await?
        .ok_or_else(|| ApiError::not_found("there is no such run"))?;
    let repository_id =
        snapshots::live_repository_id(services.pool(), &run.repository_full_name).await?;
    let tokens = resolve_for_repository(
        services.pool(),
        services.cipher(),
        &services.app.token_fallback(),
        repository_id.unwrap_or(Uuid::nil()),
    )
    .await
    .map_err(|error| ApiError::internal(&error))?;
    let token = tokens
        .management
        .as_ref()
        .or(tokens.bot.as_ref())
        .ok_or_else(|| {
            ApiError::failed_precondition("no GitHub token is known for this repository")
        })?;
    let client = services
        .app
        .github
        .with_token(&token.token)
        .map_err(|error| unavailable(&error))?;
    let linked = linked_pull_requests(&services, &run).await?;
    let (issue, pull_request, branch_exists, other_open_pull_requests) = tokio::try_join!(
        issue(&client, &run),
        pull_request(&client, &run),
        branch_exists(&client, &run),
        open_among(&client, &run, &linked)
    )
    .map_err(|error| unavailable(&error))?;
    Ok(Json(Threads {
        issue: issue.map(|issue| Thread {
            number: issue.number,
            state: issue.state,
            labels: issue.labels,
        }),
        pull_request: pull_request.map(|pull| PullRequestThread {
            number: pull.number,
            state: pull.state,
            labels: pull.labels,
            head_ref: pull.head_ref,
            head_sha: pull.head_sha,
        }),
        branch_exists,
        other_open_pull_requests,
    }))
}

/// Pull requests of the Issue by its run history; only a rethink asks for them (L-81).
async fn linked_pull_requests(
    services: &Services,
    run: &ContextRun,
) -> Result<BTreeSet<i64>, ApiError> {
    let Some(number) = run.issue_number.filter(|_| run.trigger_kind == "rethink") else {
        return Ok(BTreeSet::new());
    };
    let mut connection = services.pool().acquire().await?;
    let history = run_history::of_thread(
        &mut connection,
        &run.repository_full_name,
        ThreadKind::Issue,
        i64::from(number),
    )
    .await?;
    Ok(history
        .iter()
        .filter(|other| other.run_id.as_uuid() != run.id)
        .filter_map(|other| other.pr_number)
        .collect())
}

async fn open_among(
    client: &GithubClient,
    run: &ContextRun,
    numbers: &BTreeSet<i64>,
) -> Result<Vec<i64>, GithubError> {
    let mut open = Vec::new();
    for number in numbers {
        let route = format!("/repos/{}/pulls/{number}", run.repository_full_name);
        let found = found(client.get::<Value>(&route).await)?;
        if found.is_some_and(|object| pull_request_from(&object).state == "open") {
            open.push(*number);
        }
    }
    Ok(open)
}

async fn issue(client: &GithubClient, run: &ContextRun) -> Result<Option<Issue>, GithubError> {
    let Some(number) = run.issue_number else {
        return Ok(None);
    };
    let route = format!("/repos/{}/issues/{number}", run.repository_full_name);
    Ok(found(client.get::<Value>(&route).await)?.map(|object| issue_from(&object)))
}

/// The run's own pull request, or the open one of its branch (L-60).
async fn pull_request(
    client: &GithubClient,
    run: &ContextRun,
) -> Result<Option<PullRequest>, GithubError> {
    let pulls = format!("/repos/{}/pulls", run.repository_full_name);
    if let Some(number) = run.pr_number {
        let object = found(client.get::<Value>(&format!("{pulls}/{number}")).await)?;
        return Ok(object.map(|object| pull_request_from(&object)));
    }
    let (Some(branch), Some((owner, _))) = (branch(run), run.repository_full_name.split_once('/'))
    else {
        return Ok(None);
    };
    let head: String =
        url::form_urlencoded::byte_serialize(format!("{owner}:{branch}").as_bytes()).collect();
    let open = client
        .get_all::<Value>(&format!("{pulls}?state=open&head={head}"))
        .await?;
    Ok(open.first().map(pull_request_from))
}

/// Looked at for revise runs only: no other start needs its branch to be there.
async fn branch_exists(client: &GithubClient, run: &ContextRun) -> Result<bool, GithubError> {
    let Some(branch) = branch(run).filter(|_| run.trigger_kind.ends_with("_revise")) else {
        return Ok(false);
    };
    let route = format!("/repos/{}/git/ref/heads/{branch}", run.repository_full_name);
    Ok(found(client.get::<Value>(&route).await)?.is_some())
}

fn branch(run: &ContextRun) -> Option<&str> {
    run.run_payload
        .get("target_branch")
        .and_then(Value::as_str)
        .filter(|branch| !branch.is_empty())
}

fn found<T>(answer: Result<T, GithubError>) -> Result<Option<T>, GithubError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

fn unavailable(error: &GithubError) -> ApiError {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "failed to read the threads of a run"
    );
    ApiError::unavailable("GitHub does not answer; try again")
}
