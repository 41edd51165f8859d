//! Approvals (governance 3): which operation needs whose word, how a request moves, and what is told of it.

mod feedback;
mod matrix;
mod request;
mod resume;
mod state;

pub use feedback::{
    Answer, FeedbackOption, FeedbackQuestion, GivenAnswer, InvalidAnswer, feedback_question,
};
pub use matrix::{
    ApprovalMode, Deciders, Operation, approval_mode, environment_of_label, is_production,
    may_decide,
};
pub use request::{
    ApplyFailure, ExpiryCause, Ignored, LabelProposal, Proposal, RequestAction, RequestFacts,
    applied, approved, decision_ignored, denied, expired, failed, link, not_approved, requested,
    through_adapter,
};
pub use resume::{ResumePayload, ResumeStatus};
pub use state::{ApprovalState, Classification, DecisionKind, Standing, classify};
