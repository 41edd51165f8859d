//! `owner.feedback.request` (2.5): the run waits for the owner's answer.
use chrono::Duration;
use domain::approvals::{
    FeedbackOption, FeedbackQuestion, Proposal, RequestAction, feedback_question, is_production,
};
use domain::waits::WaitCause;
use serde_json::{Map, Value, json};

use super::call::{Call, CallError};
use super::calls::Outcome;
use super::requests::fingerprint;
use super::waiting_calls::{self, Asked};

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
    let fingerprint = fingerprint(call, &serde_json::to_vec(&question)?);
    let asked = Asked {
        action: RequestAction::OwnerFeedback,
        proposal: Proposal::Feedback(question.clone()),
        environment: call
            .subject
            .target_env
            .as_deref()
            .filter(|environment| is_production(Some(environment))),
        ttl: Duration::seconds(question.response_ttl_seconds),
        cause: WaitCause::OwnerReview,
        justification: question.justification.as_deref(),
        key: question.key.as_ref(),
        fingerprint: &fingerprint,
        value: None,
        once_is_enough: false,
    };
    waiting_calls::ask(call, &asked).await
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
