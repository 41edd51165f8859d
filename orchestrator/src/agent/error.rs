//! How a run can go wrong, and the exit code each way has.

use std::path::PathBuf;

use domain::waits::LimitAnswer;

/// Any failure.
pub(super) const EXIT_FAILURE: i32 = 1;
/// The stored session could not be restored.
const EXIT_SESSION_NOT_RESTORED: i32 = 5;
/// A precondition of the run does not hold; the error text is in the stored session.
pub(super) const EXIT_FAILED_PRECONDITION: i32 = 42;
/// Ended by SIGTERM, as a shell reports it.
pub(super) const EXIT_TERMINATED: i32 = 143;

/// A failure of the runner.
#[derive(Debug, thiserror::Error)]
pub(super) enum AgentError {
    /// A required setting is missing or unusable.
    #[error("invalid setting {name}: {reason}")]
    Setting { name: &'static str, reason: String },
    /// The command line is unknown.
    #[error("unknown agent subcommand \"{0}\"; use none or \"source\"")]
    Usage(String),
    /// A file or folder could not be used.
    #[error("failed to {action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// git could not be run or refused.
    #[error("failed to {action}: {detail}")]
    Git { action: String, detail: String },
    /// The tree is on a branch that is not the run's.
    #[error("the prepared tree is on branch {found}, not on {wanted}")]
    WrongBranch { found: String, wanted: String },
    /// The control plane could not be reached, or refused.
    #[error("failed to {action} at the control plane: {detail}")]
    ControlPlane { action: String, detail: String },
    /// The stored snapshot changed twice under the run.
    #[error(
        "the session snapshot was changed by someone else (expected version {expected}, actual {actual})"
    )]
    SnapshotConflict { expected: i64, actual: i64 },
    /// The stored session could not be put where the agent continues from.
    #[error("failed to restore the session to {}", path.display())]
    SessionRestore {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// GitHub could not be reached, or refused.
    #[error("failed to {action} on GitHub: {detail}")]
    GitHub { action: String, detail: String },
    /// GitHub's rate limit refused.
    #[error("failed to {action} on GitHub: {}", .answer.message)]
    GitHubLimit {
        action: String,
        answer: Box<LimitAnswer>,
    },
    /// A run that goes on knows nothing of the one before.
    #[error("the run goes on after a wait, and nothing is known of how that ended")]
    NoResumePayload,
    /// A run that goes on has no session to go on with (G-92).
    #[error("the run goes on after a wait, and its session was not kept")]
    NoSnapshot,
    /// The agent itself failed.
    #[error(transparent)]
    Adapter(#[from] super::adapter::AdapterError),
    /// The agent deleted what its changes are told by.
    #[error("the agent deleted the git repository of its tree, so nothing can be published")]
    NoRepository,
    /// Nothing came out where a change was expected.
    #[error("the agent changed nothing and the branch {branch} has no open pull request")]
    NothingWritten { branch: String },
    /// A self-improvement without diagnosis, actions or evidence (L-110).
    #[error("the agent's report lacks {0}")]
    ReportIncomplete(String),
    /// A turn of a discussion without words.
    #[error("the agent had nothing to say")]
    NoAnswer,
    /// A discussion without a thread to talk in.
    #[error("a discussion needs an Issue")]
    NoThread,
    /// A run must not push to the base branch.
    #[error("refused to push to the base branch {0}")]
    BaseBranch(String),
    /// A precondition does not hold.
    #[error("{0}")]
    Precondition(Precondition),
}

/// What ends a run with exit code 42.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Precondition {
    /// Revise without an open pull request, or its branch is gone.
    PullRequestNotFound {
        branch: String,
        reason: MissingReason,
    },
    /// The write scope was violated.
    WriteScope { text: String, paths: Vec<String> },
}

/// Why there is nothing to revise (L-46 row 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MissingReason {
    PullRequest,
    Branch,
}

impl MissingReason {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::PullRequest => "pr_not_found",
            Self::Branch => "branch_not_found",
        }
    }
}

impl std::fmt::Display for Precondition {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PullRequestNotFound {
                branch,
                reason: MissingReason::PullRequest,
            } => {
                write!(formatter, "no open pull request for branch {branch}")
            }
            Self::PullRequestNotFound {
                branch,
                reason: MissingReason::Branch,
            } => {
                write!(formatter, "branch {branch} no longer exists on the remote")
            }
            Self::WriteScope { text, .. } => formatter.write_str(text),
        }
    }
}

impl AgentError {
    /// GitHub's limit, if that was the trouble.
    pub(super) fn limit(&self) -> Option<LimitAnswer> {
        match self {
            Self::GitHubLimit { answer, .. } => Some((**answer).clone()),
            // git says nothing of headers, and asks nobody but GitHub.
            Self::Git { detail, .. } => {
                Some(LimitAnswer::words(detail)).filter(LimitAnswer::is_limit)
            }
            Self::Adapter(super::adapter::AdapterError::GitHubLimit { answer, .. }) => {
                Some((**answer).clone())
            }
            _ => None,
        }
    }

    /// The process exit code.
    pub(super) fn exit_code(&self) -> i32 {
        match self {
            Self::Precondition(_) => EXIT_FAILED_PRECONDITION,
            Self::SessionRestore { .. } | Self::NoSnapshot => EXIT_SESSION_NOT_RESTORED,
            _ => EXIT_FAILURE,
        }
    }
}

/// One line with all causes.
pub(super) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
