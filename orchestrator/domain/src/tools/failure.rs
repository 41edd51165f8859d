//! Why a call of a known tool does not do what it was asked for (G-5, 1.5).

use crate::stages::spelled;

spelled!(
    /// `code` of a failed call (G-5).
    FailureCode {
        /// An argument is missing, unknown or out of bounds.
        InvalidArgument = "invalid_argument",
        /// No agent may do it, or not this one.
        Forbidden = "forbidden",
        /// It is not there.
        NotFound = "not_found",
        /// Something else was asked for under the same key.
        Conflict = "conflict",
        /// It would not hold, or needs somebody's word first.
        FailedPrecondition = "failed_precondition",
        /// Too much at once.
        ResourceExhausted = "resource_exhausted",
        /// Not now.
        Unavailable = "unavailable",
        /// A fault of the platform.
        Internal = "internal",
    }
);

spelled!(
    /// `reason` of a failed call (1.5), as far as tools are served.
    FailureReason {
        /// Nobody has approved what somebody tries to carry out.
        ApprovalMissing = "approval_missing",
        /// A project or repository that is not the run's.
        IdentityMismatch = "identity_mismatch",
        /// A namespace or Secret that is not the project's.
        ProtectedTarget = "protected_target",
        /// A database that belongs to no project.
        ProtectedDatabase = "protected_database",
        /// A database that is not the project's.
        ForeignDatabase = "foreign_database",
        /// A database that nobody has registered.
        UnregisteredDatabaseExists = "unregistered_database_exists",
        /// No project has registered it.
        DatabaseNotRegistered = "database_not_registered",
        /// A deletion must be meant.
        DeleteConfirmationRequired = "delete_confirmation_required",
        /// An environment that the platform does not govern.
        EnvironmentNotAllowed = "environment_not_allowed",
        /// It is in another environment.
        EnvironmentMismatch = "environment_mismatch",
        /// The session of a run of another project, or of none.
        ForeignSession = "foreign_session",
        /// The run has left no session.
        SessionNotFound = "session_not_found",
        /// More than an answer holds.
        SessionTooLarge = "session_too_large",
        /// An Issue or pull request that is not the run's.
        ForeignThread = "foreign_thread",
        /// A label that agents leave alone.
        LabelNotAllowed = "label_not_allowed",
        /// The key stands for other arguments.
        IdempotencyKeyConflict = "idempotency_key_conflict",
        /// Two triggers on one thread.
        RunLabelConflict = "run_label_conflict",
        /// Two labels of one configuration group on one thread.
        ConfigLabelConflict = "config_label_conflict",
        /// The run waits for somebody already.
        WaitAlreadyOpen = "wait_already_open",
        /// Nobody could approve it.
        NoApproverConfigured = "no_approver_configured",
        /// There is nobody whom the run works for.
        NoRecipient = "no_recipient",
        /// The run has asked for enough labels.
        LabelRequestsOpen = "label_requests_open",
        /// It is not known in time whether it is done.
        CallTimeout = "call_timeout",
        /// GitHub refuses or does not answer.
        GithubError = "github_error",
    }
);

/// A failure as the caller reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolFailure {
    /// Code.
    pub code: FailureCode,
    /// Reason of 1.5, where the code has some.
    pub reason: Option<FailureReason>,
    /// One sentence for the agent.
    pub message: String,
    /// Argument at fault.
    pub field: Option<String>,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// Whether what was done is undone; only of a transition that GitHub broke off (G-34).
    pub compensated: Option<bool>,
}

impl ToolFailure {
    /// A failure that no repetition mends.
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self {
            code,
            reason: None,
            message: message.into(),
            field: None,
            retryable: false,
            compensated: None,
        }
    }

    /// An argument is at fault.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..Self::new(FailureCode::InvalidArgument, message)
        }
    }

    /// With a reason.
    pub fn because(mut self, reason: FailureReason) -> Self {
        self.reason = Some(reason);
        self
    }

    /// The same call may succeed later.
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }
}
