//! What a discussion's session hears, and whether it has to end (L-107, L-108). It asks every few seconds.
use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use domain::discussion::{authors, conversation, stop_reason};
use domain::ids::RunId;
use serde::Serialize;

use super::RunCaller;
use crate::github;
use crate::http_api::ApiError;
use crate::staff::Services;
use crate::store::{discussions, run_reads, snapshots};

#[derive(Debug, Serialize)]
pub(super) struct Said {
    id: i64,
    author: String,
    body: String,
    answered: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct DiscussionView {
    /// Present once the session has to end.
    stop_reason: Option<String>,
    /// Comments of permitted people since the run was triggered, oldest first.
    comments: Vec<Said>,
    /// The run has posted an answer already.
    has_spoken: bool,
}

/// Reads the thread as it is now.
pub(super) async fn show(
    State(services): State<Services>,
    caller: RunCaller,
) -> Result<Json<DiscussionView>, ApiError> {
    let pool = services.pool();
    let run = run_reads::context_run(pool, caller.run_id)
        .await?
        .filter(|run| run.discussion_mode)
        .ok_or_else(|| ApiError::failed_precondition("this run is no discussion"))?;
    let number = run.issue_number.map(i64::from).ok_or_else(|| {
        ApiError::failed_precondition("a discussion without an Issue has no thread")
    })?;
    let over = |reason: String| {
        Json(DiscussionView {
            stop_reason: Some(reason),
            comments: Vec::new(),
            has_spoken: false,
        })
    };
    if let Some(reason) = discussions::ordered_stop(pool, run.id).await? {
        return Ok(over(reason));
    }
    let access = github::access_to(&services.app, &run.repository_full_name)
        .await
        .map_err(|error| unavailable(&error))?;
    let issue = match access.reader.issue(number).await {
        Ok(issue) => Some(issue),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(unavailable(&error)),
    };
    if let Some(reason) = stop_reason(issue.as_ref(), &services.app.policy) {
        return Ok(over(reason.to_string()));
    }
    let since = discussions::listens_since(pool, run.id)
        .await?
        .ok_or_else(|| ApiError::not_found("there is no such run"))?;
    let comments = access
        .reader
        .comments_since(number, since)
        .await
        .map_err(|error| unavailable(&error))?;
    let policy = &services.app.policy;
    let mut permitted = BTreeSet::new();
    for author in authors(&comments, policy) {
        let user = snapshots::user(pool, &author, run.project_id).await?;
        if user.is_some_and(|user| user.is_permitted()) {
            permitted.insert(author);
        }
    }
    let said = conversation(RunId(run.id), comments, since, &permitted, policy);
    Ok(Json(DiscussionView {
        stop_reason: None,
        comments: said
            .heard
            .into_iter()
            .map(|heard| Said {
                id: heard.comment.id,
                author: heard.comment.user.login,
                body: heard.comment.body,
                answered: heard.answered,
            })
            .collect(),
        has_spoken: said.has_spoken,
    }))
}

fn unavailable(error: &(dyn std::error::Error + 'static)) -> ApiError {
    tracing::warn!(error, "failed to read the thread of a discussion");
    ApiError::unavailable("GitHub does not answer; try again")
}
