//! Why a run waits, and how each cause is spelled in a run and its session (D-10).

use crate::runs::RunStatus;

/// What a run waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitCause {
    /// A person's decision on a request of the agent.
    Approval,
    /// A person's answer to a question of the agent.
    Interaction,
    /// The owner's answer.
    OwnerReview,
    /// The end of GitHub's rate limit.
    GithubRateLimit,
}

impl WaitCause {
    /// Status of the waiting run.
    pub fn status(self) -> RunStatus {
        match self {
            Self::Approval | Self::Interaction => RunStatus::WaitingMcp,
            Self::OwnerReview => RunStatus::WaitingOwnerReview,
            Self::GithubRateLimit => RunStatus::WaitingBackpressure,
        }
    }

    /// `agent_runs.wait_reason`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Approval => "approval_pending",
            Self::Interaction => "interaction_response",
            Self::OwnerReview => "owner_review",
            Self::GithubRateLimit => "github_rate_limit",
        }
    }

    /// `agent_runs.wait_target_kind`.
    pub fn target_kind(self) -> &'static str {
        match self {
            Self::Approval | Self::OwnerReview => "approval_request",
            Self::Interaction => "interaction_request",
            Self::GithubRateLimit => "github_rate_limit_wait",
        }
    }

    /// `agent_sessions.wait_state`.
    pub fn session_state(self) -> &'static str {
        match self {
            Self::Approval | Self::Interaction => "mcp",
            Self::OwnerReview => "owner_review",
            Self::GithubRateLimit => "backpressure",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_session_name_the_same_state() {
        for cause in [
            WaitCause::Approval,
            WaitCause::Interaction,
            WaitCause::OwnerReview,
            WaitCause::GithubRateLimit,
        ] {
            assert_eq!(
                cause.status().as_str(),
                format!("waiting_{}", cause.session_state()),
                "{cause:?}"
            );
        }
    }
}
