//! The diagnostics of self-improvement (G-65, G-66): runs and sessions of the run's own project, read only.
use domain::ids::{ProjectId, RunId};
use domain::tools::{
    FailureCode, FailureReason, RunsQuery, SESSION_LIMIT_BYTES, ToolFailure, may_read_session,
    run_lookup, runs_query, session_query,
};
use serde_json::{Map, Value, json};

use super::call::{Call, CallError};
use super::calls::Outcome;
use crate::store::self_improve::{self, KnownRun};
use crate::store::{run_reads, sessions};

/// Where an agent keeps the sessions that it reads.
const SESSIONS_FOLDER: &str = "/tmp/codex-sessions";
const SESSION_FILE: &str = "codex-session.json";

/// `self_improve_runs_list`.
pub async fn list(call: &Call, arguments: &Map<String, Value>) -> Result<Outcome, CallError> {
    runs(call, runs_query(arguments)).await
}

/// `self_improve_run_lookup`.
pub async fn look_up(call: &Call, arguments: &Map<String, Value>) -> Result<Outcome, CallError> {
    runs(call, run_lookup(arguments)).await
}

async fn runs(call: &Call, query: Result<RunsQuery, ToolFailure>) -> Result<Outcome, CallError> {
    let query = match query {
        Ok(query) => query,
        Err(failure) => return Ok(Err(call.refuse(failure, Vec::new()).await?)),
    };
    let mut found = match call.caller.project_id {
        Some(project) => {
            self_improve::runs(call.services.pool(), ProjectId(project), &query).await?
        }
        None => Vec::new(),
    };
    let on_page = usize::try_from(query.limit).unwrap_or_default();
    let has_next = found.len() > on_page;
    found.truncate(on_page);
    let items: Vec<Value> = found.iter().map(|run| item(call, run)).collect();
    call.write(vec![call.called(), call.succeeded(false)])
        .await?;
    Ok(Ok(json!({
        "status": "ok",
        "items": items,
        "page": query.page,
        "limit": query.limit,
        "has_next": has_next,
    })))
}

fn item(call: &Call, run: &KnownRun) -> Value {
    let web = call.services.config().github.git_base_url.as_str();
    let link = |kind: &str, number: Option<i32>| {
        number.map(|number| format!("{web}/{}/{kind}/{number}", run.repository_full_name))
    };
    json!({
        "run_id": run.id,
        "correlation_id": run.correlation_id,
        "project_id": run.project_id,
        "repository_full_name": run.repository_full_name,
        "agent_key": run.agent_key,
        "issue_number": run.issue_number,
        "issue_url": link("issues", run.issue_number),
        "pull_request_number": run.pr_number,
        "pull_request_url": link("pull", run.pr_number),
        "trigger_kind": run.trigger_kind,
        "trigger_label": run.trigger_label,
        "status": run.status,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
    })
}

/// `self_improve_session_get`.
pub async fn session(call: &Call, arguments: &Map<String, Value>) -> Result<Outcome, CallError> {
    let read = match session_query(arguments) {
        Ok(run_id) => stored_session(call, run_id).await?,
        Err(failure) => Err(failure),
    };
    match read {
        Ok(output) => {
            call.write(vec![call.called(), call.succeeded(false)])
                .await?;
            Ok(Ok(output))
        }
        Err(failure) => Ok(Err(call.refuse(failure, Vec::new()).await?)),
    }
}

async fn stored_session(call: &Call, run_id: RunId) -> Result<Outcome, sqlx::Error> {
    let absent = || {
        ToolFailure::new(FailureCode::NotFound, "there is no session of such a run")
            .because(FailureReason::SessionNotFound)
    };
    let pool = call.services.pool();
    let Some(run) = run_reads::token_subject(pool, run_id.as_uuid()).await? else {
        return Ok(Err(absent()));
    };
    let caller = call.caller.project_id.map(ProjectId);
    if let Err(failure) = may_read_session(caller, run.project_id.map(ProjectId)) {
        return Ok(Err(failure));
    }
    let snapshot = sessions::find(pool, run_id.as_uuid()).await?;
    let Some(session) = snapshot.and_then(|snapshot| snapshot.agent_session_json) else {
        return Ok(Err(absent()));
    };
    let text = call.services.redactor().redact(&session.to_string());
    if text.len() > SESSION_LIMIT_BYTES {
        let failure = ToolFailure::new(
            FailureCode::FailedPrecondition,
            format!("the session has more than {SESSION_LIMIT_BYTES} bytes"),
        );
        return Ok(Err(failure.because(FailureReason::SessionTooLarge)));
    }
    let folder = format!("{SESSIONS_FOLDER}/{run_id}");
    Ok(Ok(json!({
        "status": "ok",
        "run_id": run_id,
        "tmp_directory": folder,
        "tmp_file_path": format!("{folder}/{SESSION_FILE}"),
        "codex_session_json": text,
    })))
}
