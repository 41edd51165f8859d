//! States of a run, its end reasons and the moves between states (runtime 1.1, 1.4, D-17).

use serde::{Deserialize, Serialize};

use crate::stages::spelled;

spelled!(
    /// `agent_runs.status`.
    RunStatus {
        /// Waits for a worker.
        Pending = "pending",
        /// Claimed; its timer counts.
        Running = "running",
        /// Waits for an approval or an answer.
        WaitingMcp = "waiting_mcp",
        /// Waits for the owner's review.
        WaitingOwnerReview = "waiting_owner_review",
        /// Waits for GitHub's rate limit.
        WaitingBackpressure = "waiting_backpressure",
        /// Ended well.
        Succeeded = "succeeded",
        /// Ended badly.
        Failed = "failed",
        /// Ended by decision.
        Canceled = "canceled",
    }
);

impl RunStatus {
    /// Whether no further move is possible.
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            RunStatus::Succeeded | RunStatus::Failed | RunStatus::Canceled
        )
    }

    /// Whether a wait is open.
    pub fn is_waiting(self) -> bool {
        matches!(
            self,
            RunStatus::WaitingMcp | RunStatus::WaitingOwnerReview | RunStatus::WaitingBackpressure
        )
    }

    /// The moves of D-17; the database refuses any other as well.
    pub fn may_become(self, next: RunStatus) -> bool {
        match self {
            RunStatus::Pending => matches!(next, RunStatus::Running | RunStatus::Canceled),
            RunStatus::Running => next.is_waiting() || next.is_terminal(),
            waiting if waiting.is_waiting() => {
                matches!(
                    next,
                    RunStatus::Running | RunStatus::Failed | RunStatus::Canceled
                )
            }
            _ => false,
        }
    }
}

spelled!(
    /// `agent_runs.queue_reason` of a pending run.
    QueueReason {
        /// The project's slots are leased.
        NoFreeSlot = "no_free_slot",
        /// The role's limit is reached.
        RoleLimit = "role_limit",
        /// Another run writes the branch.
        BranchBusy = "branch_busy",
    }
);

spelled!(
    /// `agent_runs.finish_reason` and `reason` of the terminal event: the table of runtime 1.4.
    FinishReason {
        ///
        KubernetesJobFailed = "kubernetes job failed",
        ///
        KubernetesJobNotFound = "kubernetes job not found",
        ///
        NamespacePrepareFailed = "namespace_prepare_failed",
        ///
        RuntimeDeployFailed = "runtime_deploy_failed",
        /// R-20, G-6.
        McpTokenIssueFailed = "mcp_token_issue_failed",
        ///
        AgentContextResolveFailed = "agent_context_resolve_failed",
        /// L-46, R-86.
        FailedPrecondition = "failed_precondition",
        ///
        RunTimeout = "run_timeout",
        ///
        CanceledByStaff = "canceled_by_staff",
        /// L-83.
        CanceledByStateAbandoned = "canceled_by_state_abandoned",
        /// L-106, L-107.
        DiscussionStopped = "discussion_stopped",
        ///
        RuntimeDeployCanceled = "runtime_deploy_canceled",
        ///
        ContinuedInResumeRun = "continued_in_resume_run",
    }
);

impl FinishReason {
    /// Status of a run that ends for this reason.
    pub fn status(self) -> RunStatus {
        match self {
            FinishReason::CanceledByStaff
            | FinishReason::CanceledByStateAbandoned
            | FinishReason::DiscussionStopped
            | FinishReason::RuntimeDeployCanceled
            | FinishReason::ContinuedInResumeRun => RunStatus::Canceled,
            _ => RunStatus::Failed,
        }
    }
}

/// How a run ended: success, or one of the reasons of runtime 1.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    ///
    Succeeded,
    /// Any other end.
    Because(FinishReason),
}

impl RunEnd {
    /// The terminal status.
    pub fn status(self) -> RunStatus {
        match self {
            RunEnd::Succeeded => RunStatus::Succeeded,
            RunEnd::Because(reason) => reason.status(),
        }
    }

    /// The end reason, none for success.
    pub fn reason(self) -> Option<FinishReason> {
        match self {
            RunEnd::Succeeded => None,
            RunEnd::Because(reason) => Some(reason),
        }
    }

    /// Type of the terminal event (DF-5, runtime 1.4).
    pub fn event_type(self) -> &'static str {
        match self {
            RunEnd::Succeeded => "run.succeeded",
            RunEnd::Because(reason) => match reason {
                FinishReason::KubernetesJobFailed => "run.failed",
                FinishReason::KubernetesJobNotFound => "run.failed.job_not_found",
                FinishReason::NamespacePrepareFailed
                | FinishReason::RuntimeDeployFailed
                | FinishReason::McpTokenIssueFailed
                | FinishReason::AgentContextResolveFailed => "run.failed.launch_error",
                FinishReason::FailedPrecondition => "run.failed.precondition",
                FinishReason::RunTimeout => "run.failed.timeout",
                _ => "run.canceled",
            },
        }
    }
}

spelled!(
    /// `agent_runs.trigger_source`.
    TriggerSource {
        /// A label on an Issue.
        IssueLabel = "issue_label",
        /// A comment under a discussed Issue.
        IssueComment = "issue_comment",
        /// `need:reviewer` on a pull request.
        PullRequestLabel = "pull_request_label",
        /// A review that requests changes.
        PullRequestReview = "pull_request_review",
        /// A push to the default branch.
        PushMain = "push_main",
        /// A staff redeploy.
        Staff = "staff",
        /// Continuation of a waiting run.
        Resume = "resume",
    }
);
