//! The run token and the Secret that carries it into the pod (G-6, G-12); for the worker alone.
use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Duration, Utc};
use domain::audit::{
    Actor, AuditEvent, AuditRecord, McpAccessPayload, McpTokenPayload, SystemActor,
};
use domain::ids::{CorrelationId, ProjectId, RunId};
use domain::runs::RunStatus;
use domain::tools::effective;
use http::StatusCode;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::ServiceCaller;
use crate::credentials::{
    RunCredentials, RunSecretError, RunTokenIssue, RunTokenSubject, SecretOwner, Service,
    apply_run_secret, clamp_run_token_ttl, resolve_for_project, resolve_for_repository,
    run_secret_name, set_secret_owner,
};
use crate::http_api::ApiError;
use crate::staff::{JsonBody, Services};
use crate::store::{events, repositories, run_reads, tokens, tool_calls};
use crate::transition;

/// Default of `WORKER_RUN_CREDENTIALS_SECRET_NAME`; the run's short id follows.
const SECRET_NAME_PREFIX: &str = "codex-run-credentials";

/// A later generation belongs to a relaunched pod of the same run, whose policy stands (G-9).
const FIRST_GENERATION: i32 = 1;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IssueRequest {
    namespace: String,
    runtime_mode: String,
}

#[derive(Debug, Serialize)]
pub(super) struct IssueAnswer {
    token_id: Uuid,
    secret_name: String,
    secret_namespace: String,
    expires_at: DateTime<Utc>,
}

/// Issues the next generation and writes it into the run's namespace; the worker is told reference and
/// expiry only.
pub(super) async fn issue(
    State(services): State<Services>,
    caller: ServiceCaller,
    Path(run_id): Path<Uuid>,
    JsonBody(request): JsonBody<IssueRequest>,
) -> Result<Json<IssueAnswer>, ApiError> {
    caller.require(&[Service::Worker])?;
    if request.namespace.is_empty() {
        return Err(ApiError::invalid(
            "namespace",
            "the run token is bound to a namespace (G-6)",
        ));
    }
    let kube = services
        .app
        .kube
        .as_ref()
        .ok_or_else(|| ApiError::unavailable("no cluster is configured"))?;
    let run = run_reads::token_subject(services.pool(), run_id)
        .await?
        .filter(is_open)
        .ok_or_else(|| {
            ApiError::failed_precondition("there is no such run, or it has ended (G-6)")
        })?;
    // Beside each other: neither needs the other, and the worker waits for both.
    let (issued, bot_token) = tokio::try_join!(
        store_issue(&services, run_id, &run, &request),
        bot_token(&services, &run)
    )?;
    let (issue, expires_at) = issued;
    let subject = RunTokenSubject {
        run_id,
        correlation_id: run.correlation_id.clone(),
        project_id: run.project_id,
        namespace: request.namespace.clone(),
        runtime_mode: request.runtime_mode.clone(),
    };
    let run_token = services
        .run_tokens()
        .mint(&subject, issue)
        .map_err(|error| ApiError::internal(&error))?;
    let agent = &services.config().agent;
    let credentials = RunCredentials {
        openai_api_key: agent.openai_api_key.clone(),
        context7_api_key: agent.context7_api_key.clone(),
        git_bot_token: bot_token,
        run_token,
    };
    let secret_name = run_secret_name(SECRET_NAME_PREFIX, run_id);
    let labels = BTreeMap::from([
        (
            "app.kubernetes.io/managed-by".to_owned(),
            "codex-k8s-control-plane".to_owned(),
        ),
        (
            "codex-k8s.dev/instance".to_owned(),
            services.config().instance.clone(),
        ),
        ("codex-k8s.dev/run-id".to_owned(), run_id.to_string()),
    ]);
    apply_run_secret(kube, &request.namespace, &secret_name, labels, &credentials)
        .await
        .map_err(|error| secret_error(&error))?;
    // A run that ended meanwhile was cleaned up before the Secret was there, and has no Job that would take it along.
    if !is_active(&services, run_id).await? {
        delete_secret(kube, &request.namespace, &secret_name).await?;
        return Err(ApiError::failed_precondition("the run has ended (G-6)"));
    }
    Ok(Json(IssueAnswer {
        token_id: issue.token_id,
        secret_name,
        secret_namespace: request.namespace,
        expires_at,
    }))
}

fn is_open(run: &run_reads::TokenSubject) -> bool {
    RunStatus::from_text(&run.status).is_some_and(|status| !status.is_terminal())
}

async fn is_active(services: &Services, run_id: Uuid) -> Result<bool, ApiError> {
    let run = run_reads::token_subject(services.pool(), run_id).await?;
    Ok(run.as_ref().is_some_and(is_open))
}

async fn delete_secret(kube: &kube::Client, namespace: &str, name: &str) -> Result<(), ApiError> {
    let secrets: Api<Secret> = Api::namespaced(kube.clone(), namespace);
    match secrets.delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to delete the credentials of a run that has ended"
            );
            Err(ApiError::unavailable(
                "the cluster does not answer; try again",
            ))
        }
    }
}

async fn store_issue(
    services: &Services,
    run_id: Uuid,
    run: &run_reads::TokenSubject,
    request: &IssueRequest,
) -> Result<(RunTokenIssue, DateTime<Utc>), ApiError> {
    let token_id = Uuid::new_v4();
    let ttl =
        Duration::from_std(services.config().staff.run_token_ttl).unwrap_or(Duration::hours(24));
    let mut transaction = services.pool().begin().await?;
    if !run_reads::lock_active(&mut transaction, run_id).await? {
        return Err(ApiError::failed_precondition("the run has ended (G-6)"));
    }
    let issued =
        tokens::issue_run_token(&mut transaction, run_id, token_id, clamp_run_token_ttl(ttl))
            .await?;
    let payload =
        |token_id: Uuid, generation: i32, expires_at, reason: Option<&str>| McpTokenPayload {
            token_id: Some(token_id.to_string()),
            generation: Some(generation.into()),
            namespace: Some(request.namespace.clone()),
            runtime_mode: Some(request.runtime_mode.clone()),
            expires_at: Some(expires_at),
            reason: reason.map(str::to_owned),
        };
    let record = |event| {
        AuditRecord::new(
            event,
            Actor::System(SystemActor::ControlPlane),
            CorrelationId::new(run.correlation_id.clone()),
        )
        .run(RunId(run_id))
        .project(run.project_id.map(ProjectId))
    };
    if let (Some(id), Some(generation), Some(expires_at)) = (
        issued.replaced_token_id,
        issued.replaced_generation,
        issued.replaced_expires_at,
    ) {
        let payload = payload(id, generation, expires_at, Some("reissued"));
        events::insert(
            &mut transaction,
            &record(AuditEvent::RunMcpTokenRevoked(payload)),
        )
        .await?;
    }
    if issued.generation == FIRST_GENERATION {
        let policy = effective_tools(
            tool_calls::subject(&mut *transaction, run_id).await?,
            request,
        );
        events::insert(
            &mut transaction,
            &record(AuditEvent::McpPolicyResolved(policy)),
        )
        .await?;
    }
    let payload = payload(token_id, issued.generation, issued.expires_at, None);
    events::insert(
        &mut transaction,
        &record(AuditEvent::RunMcpTokenIssued(payload)),
    )
    .await?;
    transition::commit(transaction, "credentials.issue").await?;
    let issue = RunTokenIssue {
        token_id,
        generation: issued.generation,
        issued_at: issued.issued_at,
    };
    Ok((issue, issued.expires_at))
}

/// What the run may call, fixed at its start (G-20).
fn effective_tools(
    subject: Option<tool_calls::CallSubject>,
    request: &IssueRequest,
) -> McpAccessPayload {
    let run = subject.map(|subject| subject.tool_run(&request.runtime_mode));
    let tools: Vec<serde_json::Value> = run
        .iter()
        .flat_map(effective)
        .map(|tool| json!({"name": tool, "category": tool.category(), "approval": "none"}))
        .collect();
    let canonical = serde_json::to_vec(&tools).expect("a list of JSON values has a JSON form");
    McpAccessPayload {
        policy_hash: Some(hex::encode(Sha256::digest(canonical))),
        sources: Some(vec![json!("agent"), json!("trigger")]),
        tools: Some(tools),
        ..McpAccessPayload::default()
    }
}

/// The bot token of the run's repository, else of its project, else the platform's (D-23).
async fn bot_token(
    services: &Services,
    run: &run_reads::TokenSubject,
) -> Result<Option<secrecy::SecretString>, ApiError> {
    let fallback = services.app.token_fallback();
    let (pool, cipher) = (services.pool(), services.cipher());
    let repository = repositories::find_by_full_name(pool, &run.repository_full_name).await?;
    let resolved = match (repository, run.project_id) {
        (Some(repository), _) => {
            resolve_for_repository(pool, cipher, &fallback, repository.id).await
        }
        (None, Some(project_id)) => resolve_for_project(pool, cipher, &fallback, project_id).await,
        (None, None) => return Ok(fallback.bot),
    };
    let resolved = resolved.map_err(|error| ApiError::internal(&error))?;
    Ok(resolved.bot.map(|bot| bot.token))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OwnerRequest {
    kind: String,
    name: String,
    uid: String,
    namespace: String,
}

/// Binds the Secret to the Job or Pod that now exists.
pub(super) async fn set_owner(
    State(services): State<Services>,
    caller: ServiceCaller,
    Path(run_id): Path<Uuid>,
    JsonBody(request): JsonBody<OwnerRequest>,
) -> Result<StatusCode, ApiError> {
    caller.require(&[Service::Worker])?;
    let api_version = match request.kind.as_str() {
        "Job" => "batch/v1",
        "Pod" => "v1",
        _ => return Err(ApiError::invalid("kind", "expected one of Job, Pod")),
    };
    let kube = services
        .app
        .kube
        .as_ref()
        .ok_or_else(|| ApiError::unavailable("no cluster is configured"))?;
    let owner = SecretOwner {
        api_version,
        kind: request.kind,
        name: request.name,
        uid: request.uid,
    };
    let name = run_secret_name(SECRET_NAME_PREFIX, run_id);
    set_secret_owner(kube, &request.namespace, &name, &owner)
        .await
        .map_err(|error| secret_error(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

fn secret_error(error: &RunSecretError) -> ApiError {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "failed to write run credentials"
    );
    match error {
        RunSecretError::Missing { .. } => {
            ApiError::not_found("there is no credentials secret of this run")
        }
        _ => ApiError::unavailable("the cluster did not accept the run's credentials"),
    }
}
