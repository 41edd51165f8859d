//! The tools that an agent may call: which run sees which, what a call may change, and why it is refused.
//!
//! The protocol lives in `orchestrator::mcp`; here a call is data, and what follows from it is data again.

mod arguments;
mod catalogue;
mod failure;
pub mod fields;
mod labels;
mod self_improve;

pub use arguments::{
    IdempotencyKey, LabelArguments, LabelOperation, STATUS_LIMIT_CHARACTERS, dry_run,
    idempotency_key, justification, label_arguments, label_query, only_arguments, status_text,
};
pub use catalogue::{ToolCategory, ToolName, ToolRun, effective};
pub use failure::{FailureCode, FailureReason, ToolFailure};
pub use labels::{
    LabelCall, LabelChanges, LabelDecision, Refused, change_labels, own_thread, rejection,
    restored_labels, restoring_key,
};
pub use self_improve::{
    RunsQuery, SESSION_LIMIT_BYTES, may_read_session, run_lookup, runs_query, session_query,
};
