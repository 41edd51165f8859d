//! What a runner says and hears of waits: GitHub's limit, and how the wait before a resume run ended.
use axum::Json;
use axum::extract::State;
use domain::waits::{Contour, LimitAnswer, OperationClass, RESUME_PAYLOAD_LIMIT_BYTES};
use serde::Deserialize;
use serde_json::{Value, json};

use super::RunCaller;
use crate::http_api::ApiError;
use crate::staff::{JsonBody, Services};
use crate::store::run_waits;
use crate::transition;
use crate::waits::{self, LimitMet, LimitSignal};

/// A UUID with room to spare.
const SIGNAL_ID_LIMIT_BYTES: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitRequest {
    signal_id: String,
    answer: LimitAnswer,
}

/// Takes the signal of an agent that met GitHub's limit.
pub(super) async fn github_limit(
    State(services): State<Services>,
    caller: RunCaller,
    JsonBody(request): JsonBody<LimitRequest>,
) -> Result<Json<Value>, ApiError> {
    if request.signal_id.is_empty() || request.signal_id.len() > SIGNAL_ID_LIMIT_BYTES {
        return Err(ApiError::invalid(
            "signal_id",
            "expected 1 to 100 characters",
        ));
    }
    let answer = LimitAnswer {
        message: services.redactor().redact(&request.answer.message),
        ..request.answer
    };
    // Runs name their signals themselves; one cannot take another's.
    let id = format!("{}:{}", caller.run_id, request.signal_id);
    let signal = LimitSignal {
        run_id: caller.run_id,
        contour: Contour::AgentBotToken,
        operation: OperationClass::AgentGithubCall,
        id: &id,
        answer: &answer,
    };
    let mut transaction = services.pool().begin().await?;
    let met = waits::meet(&mut transaction, signal).await?;
    transition::commit(transaction, "limit.signal").await?;
    Ok(Json(match met {
        LimitMet::Waiting(wait) => json!({
            "outcome": "waiting",
            "wait_id": wait.id,
            "state": wait.state,
            "resume_not_before": wait.resume_not_before,
        }),
        LimitMet::HardFailure | LimitMet::RunOver => json!({"outcome": "hard_failure"}),
    }))
}

/// How the wait ended after which this run goes on.
pub(super) async fn resume_payload(
    State(services): State<Services>,
    caller: RunCaller,
) -> Result<Json<Value>, ApiError> {
    let payload = run_waits::resume_payload(services.pool(), caller.run_id)
        .await?
        .ok_or_else(|| ApiError::not_found("this run does not go on after a wait"))?;
    if payload.to_string().len() > RESUME_PAYLOAD_LIMIT_BYTES {
        return Err(ApiError::failed_precondition(
            "the resume payload is larger than 12 KiB",
        ));
    }
    Ok(Json(payload))
}
