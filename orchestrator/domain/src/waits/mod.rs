//! Runs that wait (runtime 1.1, R-22 to R-24), and GitHub's rate limits as one cause of it.

mod cause;
mod limit_answer;
mod rate_limit;

pub use cause::WaitCause;
pub use limit_answer::LimitAnswer;
pub use rate_limit::{
    AfterAttempt, Contour, Judgement, Limit, LimitKind, LimitWaitState, OpenLimitWait,
    OperationClass, dominant, judge,
};

/// Prefix of the correlation id of a run that goes on after a wait for an answer.
pub const INTERACTION_RESUME_PREFIX: &str = "interaction-resume:";
/// Prefix of the correlation id of a run that goes on after a wait for GitHub's limit.
pub const LIMIT_RESUME_PREFIX: &str = "github-rate-limit-resume:";
/// A resume payload is no larger than this (R-95, G-93).
pub const RESUME_PAYLOAD_LIMIT_BYTES: usize = 12 * 1024;

/// Whether a run goes on after a wait: such a run does not start without its payload.
pub fn is_resume_correlation(correlation_id: &str) -> bool {
    [INTERACTION_RESUME_PREFIX, LIMIT_RESUME_PREFIX]
        .iter()
        .any(|prefix| correlation_id.starts_with(prefix))
}
