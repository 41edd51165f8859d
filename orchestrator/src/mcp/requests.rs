//! Calls that need somebody's word first: asked once, and told again when they are repeated (G-24, G-27 to G-30, G-74).
use chrono::{DateTime, Duration, Utc};
use domain::approvals::{
    ApprovalMode, ApprovalState, LabelProposal, Operation, Proposal, RequestAction, RequestFacts,
    ResumePayload, approval_mode, environment_of_label, is_production, link, requested,
};
use domain::audit::AuditRecord;
use domain::databases::{DatabaseAction, DatabaseChange};
use domain::decide::Consequences;
use domain::effects::is_issue;
use domain::ids::ProjectId;
use domain::secret_sync::SecretSync;
use domain::tools::{FailureCode, FailureReason, IdempotencyKey, LabelArguments, ToolFailure};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use super::call::{Call, CallError};
use super::calls::Outcome;
use super::label_calls::output;
use super::waiting_calls::merge;
use crate::notifications::announce_request;
use crate::store::approvals::{self, ApprovalRow, NewApproval};
use crate::store::tool_calls::{self, CallKey};
use crate::store::{clock, notifications, snapshots};

/// G-24: labels that a run may ask for at once.
const LABEL_REQUESTS_LIMIT: i64 = 5;

/// The key of a call in its scope (G-26).
pub fn scoped<'a>(call: &'a Call, key: &'a IdempotencyKey) -> CallKey<'a> {
    CallKey {
        scope_run_id: call.subject.scope_run_id,
        tool_name: call.tool.as_str(),
        key: key.as_str(),
    }
}

/// What a key is held against (G-26): an HMAC, so that the row does not tell what was asked for.
pub fn fingerprint(call: &Call, input: &[u8]) -> Vec<u8> {
    let keys = &call.services.config().keys;
    let key = keys
        .secret_derivation
        .as_ref()
        .or(keys.token_encryption.as_ref())
        .expect("the configuration of a control plane requires the encryption key");
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(b"mcp input v1\0");
    mac.update(call.tool.as_str().as_bytes());
    mac.update(&[0]);
    mac.update(input);
    mac.finalize().into_bytes().to_vec()
}

/// G-28.
pub fn key_conflict() -> ToolFailure {
    ToolFailure::new(
        FailureCode::Conflict,
        "this idempotency key stands for other arguments",
    )
    .because(FailureReason::IdempotencyKeyConflict)
}

/// Whether the run waits for somebody already: for a decision, or for the answer to a question (G-24).
pub async fn is_held(call: &Call) -> Result<bool, CallError> {
    let (pool, run_id) = (call.services.pool(), call.caller.run_id);
    let (is_held, _) = approvals::open_of_run(pool, run_id).await?;
    Ok(is_held || notifications::open_question(pool, run_id).await?.is_some())
}

/// The run waits for somebody already (G-24).
pub fn wait_already_open() -> ToolFailure {
    ToolFailure::new(
        FailureCode::FailedPrecondition,
        "the run waits for an answer already",
    )
    .because(FailureReason::WaitAlreadyOpen)
}

fn no_approver() -> ToolFailure {
    ToolFailure::new(
        FailureCode::FailedPrecondition,
        "there is nobody who could approve this",
    )
    .because(FailureReason::NoApproverConfigured)
}

/// The answer to a repeated call whose key stands for a request; none when it does not.
pub async fn standing(
    call: &Call,
    key: Option<&IdempotencyKey>,
    fingerprint: &[u8],
) -> Result<Option<Outcome>, CallError> {
    let Some(key) = key else {
        return Ok(None);
    };
    let Some(row) = approvals::with_key(call.services.pool(), scoped(call, key)).await? else {
        return Ok(None);
    };
    if row.input_fingerprint != fingerprint {
        return Ok(Some(Err(call.refuse(key_conflict(), Vec::new()).await?)));
    }
    told_again(call, &row).await.map(Some)
}

/// The answer to a call for what is open already (G-30); none when it is not.
pub async fn open(call: &Call, signature: &str) -> Result<Option<Outcome>, CallError> {
    let scope = call.subject.scope_run_id;
    match approvals::open_with_signature(call.services.pool(), scope, signature).await? {
        Some(row) => told_again(call, &row).await.map(Some),
        None => Ok(None),
    }
}

/// The answer to a call for what was done already (G-30); none when it was not.
pub async fn applied(call: &Call, signature: &str) -> Result<Option<Outcome>, CallError> {
    let scope = call.subject.scope_run_id;
    match approvals::applied_with_signature(call.services.pool(), scope, signature).await? {
        Some(row) => told_again(call, &row).await.map(Some),
        None => Ok(None),
    }
}

/// What stands of a request: it is open, or it ended, and stays so for this key (G-29).
async fn told_again(call: &Call, row: &ApprovalRow) -> Result<Outcome, CallError> {
    let state = row.state()?;
    let facts = row.facts()?;
    let ended = ResumePayload::of(
        &facts,
        state,
        row.answer().as_ref(),
        row.decision_reason.as_deref(),
        row.updated_at,
    );
    let Some(ended) = ended else {
        call.write(vec![call.called(), call.pending(true)]).await?;
        let mut told = asked_output(&facts, state);
        told["reused"] = json!(true);
        return Ok(Ok(told));
    };
    call.write(vec![call.called(), call.succeeded(true)])
        .await?;
    let mut told = serde_json::to_value(&ended)?;
    if let Some(told) = told.as_object_mut() {
        told.remove("kind");
        told.remove("tool_name");
        told.remove("request_status");
    }
    merge(&mut told, target_output(&facts));
    told["status"] = json!(ended.request_status);
    told["approval_state"] = json!(state);
    told["reused"] = json!(true);
    told["message"] = json!("idempotent_replay");
    Ok(Ok(told))
}

/// What the caller reads while somebody is asked.
pub fn asked_output(facts: &RequestFacts, state: ApprovalState) -> Value {
    let mut told = json!({
        "status": "approval_required",
        "request_id": facts.id,
        "approval_state": state,
        "message": "approval_required",
    });
    if let Some(Proposal::Feedback(question)) = &facts.proposal {
        told["question"] = json!(question.question);
        told["options"] = json!(question.options);
        told["wait_state"] = json!("waiting_owner_review");
        told["expires_at"] = json!(facts.expires_at);
    }
    merge(&mut told, target_output(facts));
    told
}

/// What a privileged call names its target by, in its output (2.3, 2.4).
fn target_output(facts: &RequestFacts) -> Value {
    match &facts.proposal {
        Some(Proposal::SecretSync(sync)) => sync_output(sync),
        Some(Proposal::Database(change)) => database_output(change),
        Some(Proposal::Labels(_) | Proposal::Feedback(_)) | None => Value::Null,
    }
}

/// Both places of a secret; nothing of its value.
pub fn sync_output(sync: &SecretSync) -> Value {
    json!({
        "environment": sync.environment,
        "github_ref": sync.github_ref(),
        "kubernetes_ref": sync.kubernetes_ref(),
        "policy": sync.policy,
    })
}

/// A database by its name.
pub fn database_output(change: &DatabaseChange) -> Value {
    json!({
        "environment": change.environment,
        "action": change.action,
        "database_name": change.database_name,
    })
}

/// A request of this call; its id is not known yet.
pub fn facts(
    call: &Call,
    action: RequestAction,
    proposal: Proposal,
    environment: Option<&str>,
    expires_at: DateTime<Utc>,
) -> RequestFacts {
    let (operation, target_ref) = match &proposal {
        Proposal::Labels(proposal) => (Operation::GatedLabel, proposal.target_ref()),
        Proposal::Feedback(question) => (
            Operation::OwnerFeedback,
            json!({"question": question.question, "options": question.options, "allow_custom": question.allow_custom}),
        ),
        Proposal::SecretSync(sync) => (Operation::SecretSync, sync.target_ref()),
        Proposal::Database(change) => {
            let operation = match change.action {
                DatabaseAction::Delete => Operation::DatabaseDelete,
                DatabaseAction::Create => Operation::DatabaseCreate,
                DatabaseAction::Describe => Operation::Ungated,
            };
            (operation, change.target_ref())
        }
    };
    RequestFacts {
        id: 0,
        run_id: Some(call.run_id()),
        correlation_id: call.correlation_id.clone(),
        project_id: call.caller.project_id.map(ProjectId),
        tool_name: call.tool.to_string(),
        action,
        mode: approval_mode(operation, &call.tool_run(), is_production(environment)),
        environment: environment.map(str::to_owned),
        requested_by: format!("agent:{}", call.agent_key()),
        target_ref,
        expires_at,
        proposal: Some(proposal),
    }
}

/// SHA-256 over tool, action and target: what makes two requests the same (G-30).
pub fn signature(facts: &RequestFacts) -> String {
    let mut hash = Sha256::new();
    for part in [
        facts.tool_name.as_str(),
        facts.action.as_str(),
        &facts.target_ref.to_string(),
    ] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hex::encode(hash.finalize())
}

/// Whether anybody could decide it (G-73).
pub async fn refuse_undecidable(
    call: &Call,
    facts: &RequestFacts,
) -> Result<Option<ToolFailure>, CallError> {
    let deciders = approvals::deciders(call.services.pool(), call.caller.project_id).await?;
    let production = is_production(facts.environment.as_deref());
    Ok(
        (facts.mode != ApprovalMode::None && !deciders.suffice(facts.mode, production))
            .then(no_approver),
    )
}

/// Inserts a request with its events; `None`: another call was faster. The events are those that are committed.
pub async fn insert(
    call: &Call,
    connection: &mut PgConnection,
    facts: &mut RequestFacts,
    key: Option<&IdempotencyKey>,
    fingerprint: &[u8],
    justification: Option<&str>,
) -> Result<Option<Vec<AuditRecord>>, CallError> {
    let payload = serde_json::to_value(&facts.proposal)?;
    let signature = signature(facts);
    let new = NewApproval {
        facts,
        scope_run_id: call.subject.scope_run_id,
        signature: &signature,
        idempotency_key: key.map(IdempotencyKey::as_str),
        input_fingerprint: fingerprint,
        justification,
        payload: &payload,
    };
    let Some(id) = approvals::insert(connection, &new).await? else {
        return Ok(None);
    };
    facts.id = id;
    let mut audit = vec![call.called()];
    audit.extend(requested(facts));
    audit.push(call.pending(false));
    let consequences = Consequences {
        audit,
        links: link(facts).into_iter().collect(),
        ..Consequences::default()
    };
    let written = call.add(&mut *connection, consequences).await?;
    let config = call.services.config();
    let scope = call.subject.scope_run_id;
    announce_request(connection, config, facts, scope, justification).await?;
    Ok(Some(written.audit))
}

/// The labels of the thread as the call was decided on them.
#[derive(Debug, Clone, Copy)]
pub struct SeenLabels<'a> {
    pub labels: &'a [String],
    pub newest: Option<i64>,
}

/// Asks for labels (G-35). `None`: what the call was decided on has changed.
pub async fn propose(
    call: &Call,
    arguments: &LabelArguments,
    proposal: LabelProposal,
    fingerprint: &[u8],
    seen: SeenLabels<'_>,
) -> Result<Option<Outcome>, CallError> {
    let pool = call.services.pool();
    let catalogue = &call.services.app.policy.labels;
    let environment = proposal
        .gated
        .iter()
        .find_map(|label| environment_of_label(catalogue, label));
    let thread = proposal.thread.clone();
    let ttl = call.services.config().approvals_ttl;
    let expires_at = clock::now(pool).await? + Duration::from_std(ttl).unwrap_or(Duration::MAX);
    let mut facts = facts(
        call,
        RequestAction::LabelPropose,
        Proposal::Labels(proposal),
        environment,
        expires_at,
    );
    if let Some(outcome) = open(call, &signature(&facts)).await? {
        return Ok(Some(outcome));
    }
    let (_, open_labels) = approvals::open_of_run(pool, call.caller.run_id).await?;
    let refusal = if open_labels >= LABEL_REQUESTS_LIMIT {
        let message = "the run has asked for five labels; wait until somebody has decided";
        Some(
            ToolFailure::new(FailureCode::ResourceExhausted, message)
                .because(FailureReason::LabelRequestsOpen),
        )
    } else {
        refuse_undecidable(call, &facts).await?
    };
    if let Some(failure) = refusal {
        return Ok(Some(Err(call.refuse(failure, Vec::new()).await?)));
    }
    let mut transaction = pool.begin().await?;
    let turn = format!("{}:{thread}", i32::from(!is_issue(&thread)));
    tool_calls::lock_thread(&mut transaction, &turn).await?;
    if snapshots::newest_label_change(&mut *transaction, &json!(thread)).await? != seen.newest {
        return Ok(None);
    }
    let key = arguments.key.as_ref();
    let Some(written) = insert(call, &mut transaction, &mut facts, key, fingerprint, None).await?
    else {
        return Ok(None);
    };
    if !written.is_empty() {
        call.commit(transaction, "approval.request").await?;
    }
    let mut told = output(seen.labels, &[], &[]);
    let asked = asked_output(&facts, ApprovalState::Requested);
    for (name, value) in asked.as_object().into_iter().flatten() {
        told[name] = value.clone();
    }
    Ok(Some(Ok(told)))
}
