//! Which code serves which tool.
use domain::tools::{FailureCode, LabelOperation, ToolFailure, ToolName};
use serde_json::{Map, Value};

use super::call::{Call, CallError, failure_body};
use super::{
    database_calls, feedback_calls, label_calls, notification_calls, secret_calls,
    self_improve_calls, status_calls,
};

/// What a call came to: its output, or its failure.
pub type Outcome = Result<Value, ToolFailure>;

/// Serves a call that the run may make; a fault of the platform is a failure as well.
pub async fn answer(
    call: &Call,
    tool: ToolName,
    arguments: &Map<String, Value>,
) -> Result<Value, Value> {
    let served = match tool {
        ToolName::StatusReport => status_calls::report(call, arguments).await,
        ToolName::LabelsList => label_calls::list(call, arguments).await,
        ToolName::LabelsAdd => label_calls::change(call, LabelOperation::Add, arguments).await,
        ToolName::LabelsRemove => {
            label_calls::change(call, LabelOperation::Remove, arguments).await
        }
        ToolName::LabelsTransition => {
            label_calls::change(call, LabelOperation::Transition, arguments).await
        }
        ToolName::OwnerFeedback => feedback_calls::ask(call, arguments).await,
        ToolName::DatabaseLifecycle => database_calls::lifecycle(call, arguments).await,
        ToolName::SecretSync => secret_calls::sync(call, arguments).await,
        ToolName::UserDecision => notification_calls::ask(call, arguments).await,
        ToolName::UserNotify => notification_calls::notify(call, arguments).await,
        ToolName::SelfImproveRunLookup => self_improve_calls::look_up(call, arguments).await,
        ToolName::SelfImproveRunsList => self_improve_calls::list(call, arguments).await,
        ToolName::SelfImproveSessionGet => self_improve_calls::session(call, arguments).await,
    };
    let failure = match served {
        Ok(Ok(output)) => return Ok(output),
        Ok(Err(failure)) => failure,
        Err(error) => fault(&error),
    };
    Err(failure_body(&failure))
}

fn fault(error: &CallError) -> ToolFailure {
    let unavailable = match error {
        CallError::Store(cause) => crate::store::is_unavailable(cause),
        CallError::Overtaken => true,
        CallError::Databases(cause) => !cause.is_permanent(),
        _ => false,
    };
    tracing::error!(
        error = error as &dyn std::error::Error,
        "failed to serve a tool call"
    );
    if unavailable {
        ToolFailure::new(FailureCode::Unavailable, "the platform is busy; try again").retryable()
    } else {
        ToolFailure::new(FailureCode::Internal, "internal error")
    }
}
