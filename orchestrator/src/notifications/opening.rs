//! A new interaction: written down with its handles and its first delivery, in the transaction of what it tells of.
use chrono::{DateTime, Utc};
use domain::approvals::{Proposal, RequestFacts};
use domain::ids::{ProjectId, RunId};
use domain::notifications::{DeliveryRole, InteractionFacts, InteractionKind, created};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::handles::buttons;
use crate::config::Config;
use crate::secrets::hash_token;
use crate::store::notifications::{self, NewInteraction};
use crate::store::{callback_adapters, events};

/// What is told or asked, of whom, for which run.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    pub facts: &'a InteractionFacts,
    pub id: Uuid,
    pub scope_run_id: Uuid,
    pub approval_request_id: Option<i64>,
    pub recipient_ref: &'a str,
    pub content: &'a Value,
    pub context_links: &'a Value,
    pub idempotency_key: Option<&'a str>,
    pub input_fingerprint: Option<&'a [u8]>,
}

/// Writes it down; `false`: its key is taken, or the run has an open question already. Its events are the caller's.
pub async fn open(
    connection: &mut PgConnection,
    config: &Config,
    opening: Opening<'_>,
) -> Result<bool, sqlx::Error> {
    let facts = opening.facts;
    let project_id = facts.project_id.as_uuid();
    let adapter_id = callback_adapters::for_delivery(&mut *connection, project_id).await?;
    let new = NewInteraction {
        id: opening.id,
        project_id,
        run_id: facts.run_id.as_uuid(),
        scope_run_id: opening.scope_run_id,
        correlation_id: facts.correlation_id.as_str(),
        kind: facts.kind,
        approval_request_id: opening.approval_request_id,
        tool_name: &facts.tool_name,
        recipient_ref: opening.recipient_ref,
        content: opening.content,
        context_links: opening.context_links,
        deadline: facts.deadline,
        adapter_id,
        idempotency_key: opening.idempotency_key,
        input_fingerprint: opening.input_fingerprint,
    };
    if !notifications::insert(&mut *connection, &new).await? {
        return Ok(false);
    }
    for button in buttons(config, opening.id, facts.kind, opening.content) {
        let hash = hash_token(button.handle.expose_secret());
        let option_id = button.option_id.as_deref();
        notifications::insert_handle(connection, opening.id, &hash, button.kind, option_id).await?;
    }
    notifications::plan_attempt(connection, opening.id, DeliveryRole::Primary, None).await?;
    Ok(true)
}

/// Tells the owner of a new request, where there is an adapter and an owner whom it could know; the request stays open
/// in the console in any case (G-134, G-139).
pub async fn announce_request(
    connection: &mut PgConnection,
    config: &Config,
    request: &RequestFacts,
    scope_run_id: Uuid,
    justification: Option<&str>,
) -> Result<(), sqlx::Error> {
    let (Some(run_id), Some(project_id)) = (request.run_id, request.project_id) else {
        return Ok(());
    };
    let has_adapter = callback_adapters::for_delivery(&mut *connection, project_id.as_uuid())
        .await?
        .is_some();
    let owner = notifications::owner_login(&mut *connection).await?;
    let (true, Some(owner)) = (has_adapter, owner) else {
        return Ok(());
    };
    let (kind, content) = content(request, justification);
    let id = Uuid::now_v7();
    let facts = facts(id, run_id, project_id, request, kind);
    let opening = Opening {
        facts: &facts,
        id,
        scope_run_id,
        approval_request_id: Some(request.id),
        recipient_ref: &format!("github_login:{owner}"),
        content: &content,
        context_links: &json!({}),
        idempotency_key: None,
        input_fingerprint: None,
    };
    if open(&mut *connection, config, opening).await? {
        for record in created(&facts) {
            events::insert(&mut *connection, &record).await?;
        }
    }
    Ok(())
}

fn facts(
    id: Uuid,
    run_id: RunId,
    project_id: ProjectId,
    request: &RequestFacts,
    kind: InteractionKind,
) -> InteractionFacts {
    let deadline: DateTime<Utc> = request.expires_at;
    InteractionFacts {
        id: id.to_string(),
        run_id,
        project_id,
        correlation_id: request.correlation_id.clone(),
        tool_name: request.tool_name.clone(),
        kind,
        deadline: Some(deadline),
    }
}

fn content(request: &RequestFacts, justification: Option<&str>) -> (InteractionKind, Value) {
    if let Some(Proposal::Feedback(question)) = &request.proposal {
        return (InteractionKind::OwnerFeedback, json!(question));
    }
    let content = json!({
        "tool_name": request.tool_name,
        "action": request.action,
        "environment": request.environment,
        "target_ref": request.target_ref,
        "justification": justification,
        "requested_by": request.requested_by,
        "expires_at": request.expires_at,
    });
    (InteractionKind::ApprovalRequest, content)
}
