//! Calls that need somebody's word and make the run wait for it: asked once, with what must be kept for the answer.
use chrono::Duration;
use domain::approvals::{ApprovalState, Proposal, RequestAction};
use domain::audit::RunWaitPayload;
use domain::tools::IdempotencyKey;
use domain::waits::WaitCause;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::call::{Call, CallError, STALE_LIMIT};
use super::calls::Outcome;
use super::requests::{self, asked_output, wait_already_open};
use crate::secret_sync;
use crate::store::{clock, run_waits};
use crate::waits;

/// What is asked for.
pub struct Asked<'a> {
    pub action: RequestAction,
    pub proposal: Proposal,
    /// The environment that counts for who may decide; none where none does.
    pub environment: Option<&'a str>,
    /// How long somebody may decide.
    pub ttl: Duration,
    /// What the run waits for.
    pub cause: WaitCause,
    pub justification: Option<&'a str>,
    pub key: Option<&'a IdempotencyKey>,
    pub fingerprint: &'a [u8],
    /// Kept encrypted until the request ends.
    pub value: Option<SecretString>,
    /// Without a key an applied request answers too: it would do the same again (G-30).
    pub once_is_enough: bool,
}

/// What a call that is only tried answers (G-31).
pub async fn dry_run(call: &Call, target: Value) -> Result<Outcome, CallError> {
    call.write(vec![call.called(), call.succeeded(false)])
        .await?;
    let mut told =
        json!({"status": "ok", "approval_state": "none", "message": "dry_run", "dry_run": true});
    merge(&mut told, target);
    Ok(Ok(told))
}

/// How long somebody may decide where the tool says nothing else (G-83).
pub fn approvals_ttl(call: &Call) -> Duration {
    Duration::from_std(call.services.config().approvals_ttl).unwrap_or(Duration::MAX)
}

/// Adds the fields of one object to another.
pub fn merge(told: &mut Value, more: Value) {
    if let Value::Object(more) = more {
        for (name, value) in more {
            told[name] = value;
        }
    }
}

/// Asks, unless that is open already, and makes the run wait (G-74, G-88).
pub async fn ask(call: &Call, asked: &Asked<'_>) -> Result<Outcome, CallError> {
    let pool = call.services.pool();
    for _ in 0..STALE_LIMIT {
        if let Some(told) = requests::standing(call, asked.key, asked.fingerprint).await? {
            return Ok(told);
        }
        let mut facts = requests::facts(
            call,
            asked.action,
            asked.proposal.clone(),
            asked.environment,
            clock::now(pool).await? + asked.ttl,
        );
        let signature = requests::signature(&facts);
        if let Some(told) = requests::open(call, &signature).await? {
            return Ok(told);
        }
        if asked.key.is_none()
            && asked.once_is_enough
            && let Some(told) = requests::applied(call, &signature).await?
        {
            return Ok(told);
        }
        if requests::is_held(call).await? {
            return Ok(Err(call.refuse(wait_already_open(), Vec::new()).await?));
        }
        if let Some(failure) = requests::refuse_undecidable(call, &facts).await? {
            return Ok(Err(call.refuse(failure, Vec::new()).await?));
        }
        let mut transaction = pool.begin().await?;
        let run = run_waits::lock(&mut transaction, call.caller.run_id).await?;
        if run.is_none_or(|run| run.status != "running") {
            transaction.rollback().await?;
            return Ok(Err(call.refuse(wait_already_open(), Vec::new()).await?));
        }
        let written = requests::insert(
            call,
            &mut transaction,
            &mut facts,
            asked.key,
            asked.fingerprint,
            asked.justification,
        )
        .await?;
        let Some(written) = written else {
            continue;
        };
        if !written.is_empty() {
            if let Some(value) = &asked.value {
                secret_sync::keep(&call.services.app, &mut transaction, facts.id, value).await?;
            }
            waits::open_wait(
                &mut transaction,
                call.caller.run_id,
                asked.cause,
                &facts.id.to_string(),
                Some(facts.expires_at),
                RunWaitPayload::default(),
            )
            .await?;
            call.commit(transaction, "approval.request").await?;
        }
        return Ok(Ok(asked_output(&facts, ApprovalState::Requested)));
    }
    Err(CallError::Overtaken)
}
