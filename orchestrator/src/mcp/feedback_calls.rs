//! `owner.feedback.request` (2.5): the run waits for the owner's answer.
use chrono::Duration;
use domain::approvals::{
    ApprovalState, FeedbackOption, FeedbackQuestion, Proposal, RequestAction, feedback_question,
    is_production,
};
use domain::audit::RunWaitPayload;
use domain::waits::WaitCause;
use serde_json::{Map, Value, json};

use super::call::{Call, CallError};
use super::calls::Outcome;
use super::requests::{self, asked_output, fingerprint, wait_already_open};
use crate::store::{approvals, clock, run_waits};
use crate::waits;

/// How often a call is decided anew because another of its run was faster.
const STALE_LIMIT: usize = 8;

/// Asks, unless that is open already, and makes the run wait (G-88).
pub async fn ask(call: &Call, arguments: &Map<String, Value>) -> Result<Outcome, CallError> {
    let question = match feedback_question(arguments) {
        Ok(question) => redacted(call, question),
        Err(failure) => return Ok(Err(call.refuse(failure, Vec::new()).await?)),
    };
    if question.dry_run {
        call.write(vec![call.called(), call.succeeded(false)])
            .await?;
        return Ok(Ok(
            json!({"status": "ok", "approval_state": "none", "message": "dry_run"}),
        ));
    }
    let pool = call.services.pool();
    let fingerprint = fingerprint(call, &serde_json::to_vec(&question)?);
    let environment = call
        .subject
        .target_env
        .as_deref()
        .filter(|environment| is_production(Some(environment)));
    for _ in 0..STALE_LIMIT {
        if let Some(told) = requests::standing(call, question.key.as_ref(), &fingerprint).await? {
            return Ok(told);
        }
        let expires_at = clock::now(pool).await? + Duration::seconds(question.response_ttl_seconds);
        let mut facts = requests::facts(
            call,
            RequestAction::OwnerFeedback,
            Proposal::Feedback(question.clone()),
            environment,
            expires_at,
        );
        if let Some(told) = requests::open(call, &requests::signature(&facts)).await? {
            return Ok(told);
        }
        let (is_held, _) = approvals::open_of_run(pool, call.caller.run_id).await?;
        if is_held {
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
        let asked = requests::insert(
            call,
            &mut transaction,
            &mut facts,
            question.key.as_ref(),
            &fingerprint,
            question.justification.as_deref(),
        )
        .await?;
        let Some(written) = asked else {
            continue;
        };
        if !written.is_empty() {
            waits::open_wait(
                &mut transaction,
                call.caller.run_id,
                WaitCause::OwnerReview,
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

/// Agents write what they read; a secret among it is shown to nobody (G-124).
fn redacted(call: &Call, question: FeedbackQuestion) -> FeedbackQuestion {
    let redact = |text: &str| call.services.redactor().redact(text);
    FeedbackQuestion {
        question: redact(&question.question),
        options: question
            .options
            .iter()
            .map(|option| FeedbackOption {
                option_id: option.option_id.clone(),
                label: redact(&option.label),
            })
            .collect(),
        justification: question.justification.as_deref().map(redact),
        ..question
    }
}
