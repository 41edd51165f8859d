//! Taking an agent's token away while its run goes on (G-9).
use axum::extract::{Path, State};
use domain::audit::{Actor, AuditEvent, AuditRecord, McpTokenPayload};
use domain::ids::{CorrelationId, ProjectId, RunId, UserId};
use http::StatusCode;
use uuid::Uuid;

use super::audit::{Change, guard, record_change};
use super::principal::Principal;
use super::query::Query;
use super::state::Services;
use crate::http_api::ApiError;
use crate::store::{events, run_reads, tokens};
use crate::transition;

/// Revokes the token of a run. One that is dead already is answered alike and told of once.
pub(super) async fn revoke(
    State(services): State<Services>,
    principal: Principal,
    Path(run_id): Path<Uuid>,
    query: Query,
) -> Result<StatusCode, ApiError> {
    query.finish()?;
    let change = Change::new("run_mcp_token", run_id, "revoke");
    guard(&services, &principal, &change, principal.require_admin()).await?;
    let run = run_reads::token_subject(services.pool(), run_id)
        .await?
        .ok_or_else(|| ApiError::not_found("there is no such run"))?;
    let mut transaction = services.pool().begin().await?;
    let Some(revoked) = tokens::revoke_run_token(&mut transaction, run_id).await? else {
        transaction.rollback().await?;
        return Ok(StatusCode::NO_CONTENT);
    };
    let record = AuditRecord::new(
        AuditEvent::RunMcpTokenRevoked(McpTokenPayload {
            token_id: Some(revoked.token_id.to_string()),
            generation: Some(revoked.generation.into()),
            namespace: revoked.namespace,
            runtime_mode: revoked.runtime_mode,
            expires_at: Some(revoked.expires_at),
            reason: Some("staff".to_owned()),
        }),
        Actor::Human(UserId(principal.user.id)),
        CorrelationId::new(run.correlation_id),
    )
    .run(RunId(run_id))
    .project(run.project_id.map(ProjectId));
    events::insert(&mut transaction, &record).await?;
    let change = Change {
        project_id: run.project_id,
        ..change
    };
    record_change(&mut transaction, &principal, &change.keys(["revoked_at"])).await?;
    transition::commit(transaction, "run_token.revoke").await?;
    Ok(StatusCode::NO_CONTENT)
}
