//! What an agent needs to know to start: run, issue, review, prompt, identities.
use axum::Json;
use axum::extract::State;
use domain::audit::{Actor, AuditEvent, AuditRecord, PromptContextPayload, SystemActor};
use domain::ids::{CorrelationId, ProjectId, RunId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::RunCaller;
use super::prompt::{self, PromptFacts, ReviewComment, supported_locale};
use crate::credentials::{GithubTokens, resolve_for_repository};
use crate::github::{GithubClient, GithubError};
use crate::http_api::ApiError;
use crate::staff::Services;
use crate::store::run_reads::{self, ContextRun};
use crate::store::{events, repositories, sessions};
use crate::transition;

/// What `self_improve_only` adds to Markdown (L-9): prompt seeds and the runner's image.
const SELF_IMPROVE_PATHS: [&str; 2] = ["orchestrator/seeds/", "deploy/agent-runner/Dockerfile"];

#[derive(Debug, Deserialize)]
struct IssueObject {
    number: i64,
    title: String,
    #[serde(default)]
    body: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ReviewObject {
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    state: String,
    user: Option<UserObject>,
}

#[derive(Debug, Deserialize)]
struct RemarkObject {
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    line: Option<i64>,
    user: Option<UserObject>,
}

#[derive(Debug, Deserialize)]
struct UserObject {
    login: String,
}

/// Assembles the context and records that it was (`prompt.context.assembled`).
pub(super) async fn show(
    State(services): State<Services>,
    caller: RunCaller,
) -> Result<Json<Value>, ApiError> {
    let run = run_reads::context_run(services.pool(), caller.run_id)
        .await?
        .ok_or_else(|| ApiError::not_found("there is no such run"))?;
    let repository =
        repositories::find_by_full_name(services.pool(), &run.repository_full_name).await?;
    let tokens = match &repository {
        Some(repository) => resolve_for_repository(
            services.pool(),
            services.cipher(),
            &services.app.token_fallback(),
            repository.id,
        )
        .await
        .map_err(|error| ApiError::internal(&error))?,
        None => GithubTokens::default(),
    };
    let is_revise = run.trigger_kind.ends_with("_revise");
    let (issue, review_comments) = read_threads(&services, &run, &tokens, is_revise).await?;
    let payload = |pointer: &str| run.run_payload.pointer(pointer).and_then(Value::as_str);
    let target_branch = payload("/target_branch").unwrap_or_default().to_owned();
    let base_branch = payload("/base_branch")
        .map(str::to_owned)
        .or_else(|| {
            repository
                .as_ref()
                .map(|repository| repository.default_ref.clone())
        })
        .unwrap_or_else(|| services.config().agent.base_branch.clone());
    let write_scope = payload("/write_scope").unwrap_or("any");
    let kind = match (&run.template_kind, run.discussion_mode, is_revise) {
        (Some(kind), _, _) => kind.as_str(),
        (None, true, _) => "discussion",
        (None, false, true) => "revise",
        (None, false, false) => "work",
    };
    let agent_key = run.agent_key.clone().unwrap_or_default();
    let stage = run
        .trigger_kind
        .trim_end_matches("_revise")
        .replace('_', "-");
    let locale = supported_locale(&services.config().agent.default_locale);
    let prompt = prompt::render(&PromptFacts {
        stage: &stage,
        agent: &agent_key,
        kind,
        locale,
        repository: &run.repository_full_name,
        branch: &target_branch,
        base_branch: &base_branch,
        write_scope,
        self_improve_paths: &SELF_IMPROVE_PATHS,
        issue: issue.as_ref().map(|issue| {
            (
                issue.number,
                issue.title.as_str(),
                issue.body.as_deref().unwrap_or_default(),
            )
        }),
        review_comments: &review_comments,
    })
    .ok_or_else(|| ApiError::failed_precondition("no prompt template serves this run (R-79)"))?;
    // A discussion pushes nothing, but goes on where the agent's session of the Issue's branch stopped.
    let session_branch = match run.issue_number {
        Some(number) if run.discussion_mode => format!("codex/issue-{number}"),
        _ => target_branch.clone(),
    };
    let session = sessions::latest_for_resume(
        services.pool(),
        &run.repository_full_name,
        &session_branch,
        &agent_key,
        run.id,
    )
    .await?;
    record_prompt(
        &services,
        &run,
        repository.as_ref(),
        kind,
        prompt.template,
        locale,
    )
    .await?;
    let github = &services.config().github;
    let model = run
        .model
        .clone()
        .unwrap_or_else(|| services.config().agent.default_model.clone());
    let reasoning = run
        .reasoning_effort
        .clone()
        .unwrap_or_else(|| services.config().agent.default_reasoning_effort.clone());
    Ok(Json(json!({
        "run": {
            "id": run.id,
            "correlation_id": run.correlation_id,
            "project_id": run.project_id,
            "repository_full_name": run.repository_full_name,
            "issue_number": run.issue_number,
            "pr_number": run.pr_number,
            "trigger_source": run.trigger_source,
            "trigger_kind": run.trigger_kind,
            "trigger_label": run.trigger_label,
            "discussion_mode": run.discussion_mode,
            "agent_key": agent_key,
            "runtime_mode": run.runtime_mode.clone().unwrap_or(caller.runtime_mode),
            "target_branch": target_branch,
            "base_branch": base_branch,
            "build_ref": run.build_ref_sha.as_deref().or_else(|| payload("/runtime/build_ref")),
            "existing_pr_number": run.pr_number,
            "model": model,
            "reasoning_effort": reasoning,
            "template_kind": kind,
            "locale": locale,
            "write_scope": write_scope,
            "self_improve_paths": SELF_IMPROVE_PATHS,
        },
        "issue": issue.map(|issue| json!({
            "number": issue.number, "title": issue.title, "body": issue.body.unwrap_or_default(),
        })),
        "review_comments": review_comments,
        "prompt": prompt.text,
        "bot": {
            "username": non_empty(&tokens.bot_username).unwrap_or(&github.bot_username),
            "mail": non_empty(&tokens.bot_email).unwrap_or(&github.bot_mail),
        },
        "github": { "api_base_url": github.api_base_url, "git_base_url": github.git_base_url },
        "session": session,
    })))
}

fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// Reads Issue and review live: what people wrote last counts.
async fn read_threads(
    services: &Services,
    run: &ContextRun,
    tokens: &GithubTokens,
    is_revise: bool,
) -> Result<(Option<IssueObject>, Vec<ReviewComment>), ApiError> {
    let Some(token) = tokens.management.as_ref().or(tokens.bot.as_ref()) else {
        return Err(ApiError::failed_precondition(
            "no GitHub token is known for this repository",
        ));
    };
    let client = services
        .app
        .github
        .with_token(&token.token)
        .map_err(|error| github_error(&error))?;
    let issue = async {
        match run.issue_number {
            Some(number) => client
                .get(&format!(
                    "/repos/{}/issues/{number}",
                    run.repository_full_name
                ))
                .await
                .map(Some),
            None => Ok(None),
        }
    };
    let remarks = async {
        match run.pr_number.filter(|_| is_revise) {
            Some(number) => review_comments(&client, &run.repository_full_name, number).await,
            None => Ok(Vec::new()),
        }
    };
    tokio::try_join!(issue, remarks).map_err(|error| github_error(&error))
}

async fn review_comments(
    client: &GithubClient,
    repository: &str,
    number: i32,
) -> Result<Vec<ReviewComment>, GithubError> {
    let route = format!("/repos/{repository}/pulls/{number}");
    let reviews_route = format!("{route}/reviews");
    let remarks_route = format!("{route}/comments");
    let (reviews, remarks) = tokio::try_join!(
        client.get_all::<ReviewObject>(&reviews_route),
        client.get_all::<RemarkObject>(&remarks_route)
    )?;
    let author = |user: Option<UserObject>| user.map(|user| user.login).unwrap_or_default();
    let newest = reviews
        .into_iter()
        .filter(|review| review.state.eq_ignore_ascii_case("changes_requested"))
        .rfind(|review| {
            review
                .body
                .as_deref()
                .is_some_and(|body| !body.trim().is_empty())
        })
        .map(|review| ReviewComment {
            author: author(review.user),
            body: review.body.unwrap_or_default(),
            path: None,
            line: None,
        });
    let remarks = remarks.into_iter().map(|remark| ReviewComment {
        author: author(remark.user),
        body: remark.body.unwrap_or_default(),
        path: remark.path,
        line: remark.line,
    });
    Ok(newest.into_iter().chain(remarks).collect())
}

fn github_error(error: &GithubError) -> ApiError {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "failed to read the threads of a run"
    );
    ApiError::unavailable("GitHub does not answer; try again")
}

async fn record_prompt(
    services: &Services,
    run: &ContextRun,
    repository: Option<&repositories::Repository>,
    kind: &str,
    template: &str,
    locale: &str,
) -> Result<(), ApiError> {
    let mut transaction = services.pool().begin().await?;
    // A runner that asks again assembles nothing new.
    let known = run_reads::has_event(&mut transaction, run.id, "prompt.context.assembled").await?;
    if !known {
        let payload = PromptContextPayload {
            repository_id: repository.map(|repository| repository.id.to_string()),
            repository_owner: repository.map(|repository| repository.owner.clone()),
            repository_name: repository.map(|repository| repository.name.clone()),
            template_kind: Some(kind.to_owned()),
            template_source: Some(format!("repo_seed:{template}")),
            template_locale: Some(locale.to_owned()),
        };
        let record = AuditRecord::new(
            AuditEvent::PromptContextAssembled(payload),
            Actor::System(SystemActor::ControlPlane),
            CorrelationId::new(run.correlation_id.clone()),
        )
        .run(RunId(run.id))
        .project(run.project_id.map(ProjectId));
        events::insert(&mut transaction, &record).await?;
    }
    transition::commit(transaction, "prompt.assembled").await?;
    Ok(())
}
