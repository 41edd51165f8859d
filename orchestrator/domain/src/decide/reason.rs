//! Reasons of `webhook.ignored`: the only table is L-42.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::UserId;

/// Why a delivery made no run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum IgnoreReason {
    /// L-28.
    IssueEventNotTriggerLabel,
    /// L-45.
    PushMainVersionsAutobumped,
    /// L-45.
    RepositoryNotBoundForPushMain,
    /// L-33.
    IssueTriggerLabelConflict,
    /// L-34.
    DiscussionModeTriggerLabelConflict,
    /// L-30.
    RepositoryNotBoundForIssueLabel,
    /// L-31; the account type in lower case.
    SenderTypeNotPermitted(String),
    /// L-31.
    SenderLoginMissing,
    /// L-31.
    SenderNotAllowed,
    /// L-31.
    SenderNotProjectMember,
    /// L-31.
    SenderRoleMissing,
    /// L-31; the role.
    SenderRoleNotPermitted(String),
    /// L-35.
    PullRequestReviewStageAmbiguous,
    /// L-35.
    PullRequestReviewStageNotResolved,
    /// L-41.
    IssueTriggerCandidateNotFound,
    /// L-115.
    RepositoryPreflightFailed,
    /// L-36.
    IssueClosed,
    /// L-38.
    IssueActiveRunExists,
    /// L-39.
    AgentNotConfigured,
    /// L-40.
    StageTransitionNotAllowed,
    /// L-40.
    StageGateNotPassed,
    /// L-37.
    IssueStateBlocked,
    /// L-37.
    IssueStateAbandoned,
    /// L-37.
    IssueNeedInputOpen,
}

impl fmt::Display for IgnoreReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            IgnoreReason::SenderTypeNotPermitted(account_type) => {
                return write!(formatter, "sender_type_{account_type}_not_permitted");
            }
            IgnoreReason::SenderRoleNotPermitted(role) => {
                return write!(formatter, "sender_role_{role}_not_permitted");
            }
            IgnoreReason::IssueEventNotTriggerLabel => "issue_event_not_trigger_label",
            IgnoreReason::PushMainVersionsAutobumped => "push_main_versions_autobumped",
            IgnoreReason::RepositoryNotBoundForPushMain => "repository_not_bound_for_push_main",
            IgnoreReason::IssueTriggerLabelConflict => "issue_trigger_label_conflict",
            IgnoreReason::DiscussionModeTriggerLabelConflict => {
                "discussion_mode_trigger_label_conflict"
            }
            IgnoreReason::RepositoryNotBoundForIssueLabel => "repository_not_bound_for_issue_label",
            IgnoreReason::SenderLoginMissing => "sender_login_missing",
            IgnoreReason::SenderNotAllowed => "sender_not_allowed",
            IgnoreReason::SenderNotProjectMember => "sender_not_project_member",
            IgnoreReason::SenderRoleMissing => "sender_role_not_permitted",
            IgnoreReason::PullRequestReviewStageAmbiguous => "pull_request_review_stage_ambiguous",
            IgnoreReason::PullRequestReviewStageNotResolved => {
                "pull_request_review_stage_not_resolved"
            }
            IgnoreReason::IssueTriggerCandidateNotFound => "issue_trigger_candidate_not_found",
            IgnoreReason::RepositoryPreflightFailed => "repository_preflight_failed",
            IgnoreReason::IssueClosed => "issue_closed",
            IgnoreReason::IssueActiveRunExists => "issue_active_run_exists",
            IgnoreReason::AgentNotConfigured => "agent_not_configured",
            IgnoreReason::StageTransitionNotAllowed => "stage_transition_not_allowed",
            IgnoreReason::StageGateNotPassed => "stage_gate_not_passed",
            IgnoreReason::IssueStateBlocked => "issue_state_blocked",
            IgnoreReason::IssueStateAbandoned => "issue_state_abandoned",
            IgnoreReason::IssueNeedInputOpen => "issue_need_input_open",
        };
        formatter.write_str(text)
    }
}

/// What L-42 prescribes for a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaction {
    /// One new comment on the thread.
    pub comment: bool,
    /// `need:input` is set, before the comment (L-43).
    pub need_input: bool,
    /// A `runtime_errors` row of level `warning`, source `webhook-trigger`.
    pub journal: bool,
}

impl IgnoreReason {
    /// The row of L-42, before its exceptions (source `issue_comment`, L-64).
    pub fn reaction(&self) -> Reaction {
        match self {
            IgnoreReason::IssueEventNotTriggerLabel
            | IgnoreReason::PushMainVersionsAutobumped
            | IgnoreReason::RepositoryNotBoundForPushMain => Reaction {
                comment: false,
                need_input: false,
                journal: false,
            },
            IgnoreReason::PullRequestReviewStageAmbiguous
            | IgnoreReason::PullRequestReviewStageNotResolved
            | IgnoreReason::IssueTriggerCandidateNotFound => Reaction {
                comment: true,
                need_input: true,
                journal: true,
            },
            _ => Reaction {
                comment: true,
                need_input: false,
                journal: true,
            },
        }
    }

    /// Whether the reason is about who sent the delivery (L-31).
    pub fn is_sender_reason(&self) -> bool {
        matches!(
            self,
            IgnoreReason::SenderTypeNotPermitted(_)
                | IgnoreReason::SenderLoginMissing
                | IgnoreReason::SenderNotAllowed
                | IgnoreReason::SenderNotProjectMember
                | IgnoreReason::SenderRoleMissing
                | IgnoreReason::SenderRoleNotPermitted(_)
        )
    }
}

/// The person a trigger is judged as: the sender, or the human of a grant (L-18).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Row of `users`.
    pub user_id: UserId,
    /// Login.
    pub login: String,
    /// Whether the person may accept a stage.
    pub is_approver: bool,
}
