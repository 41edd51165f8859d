//! The closed set of event types (DF-1).

use serde_json::Value;

use super::governance_payload::*;
use super::payload::*;

macro_rules! audit_events {
    ($($variant:ident($payload:ident) = $text:literal,)+) => {
        /// One variant per event type of the catalogue.
        #[derive(Debug, Clone, PartialEq)]
        pub enum AuditEvent {
            $(#[doc = concat!("`", $text, "`")] $variant($payload),)+
        }

        impl AuditEvent {
            /// Every event type of the catalogue.
            pub const TYPES: &'static [&'static str] = &[$($text),+];

            /// `flow_events.event_type`.
            pub fn event_type(&self) -> &'static str {
                match self { $(AuditEvent::$variant(_) => $text,)+ }
            }

            /// Keys that the payload of a type may have, besides `run_id` and `project_id`.
            pub fn keys_of(event_type: &str) -> Option<&'static [&'static str]> {
                match event_type {
                    $($text => Some($payload::KEYS),)+
                    _ => None,
                }
            }

            /// Reads an event that arrives as text and JSON, e.g. from a runner (DF-4); unknown types and
            /// unknown keys are refused.
            pub fn from_json(event_type: &str, payload: Value) -> Result<Self, AuditError> {
                match event_type {
                    $($text => serde_json::from_value(payload).map(AuditEvent::$variant).map_err(|source| {
                        AuditError::Payload { event_type: event_type.to_owned(), source }
                    }),)+
                    _ => Err(AuditError::UnknownType(event_type.to_owned())),
                }
            }

            /// The payload without `run_id` and `project_id`.
            pub fn payload(&self) -> Result<Value, serde_json::Error> {
                match self { $(AuditEvent::$variant(payload) => serde_json::to_value(payload),)+ }
            }
        }
    };
}

/// An event that the catalogue does not allow.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// DF-1.
    #[error("failed to read an event: type {0:?} is not in the catalogue")]
    UnknownType(String),
    /// A key or value that the catalogue does not know.
    #[error("failed to read the payload of event {event_type}")]
    Payload {
        /// Type.
        event_type: String,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
}

audit_events! {
    WebhookReceived(WebhookPayload) = "webhook.received",
    WebhookDuplicate(WebhookPayload) = "webhook.duplicate",
    WebhookIgnored(WebhookIgnoredPayload) = "webhook.ignored",
    EffectGivenUp(EffectGivenUpPayload) = "effect.given_up",
    LabelDriftDetected(LabelDriftPayload) = "label.drift_detected",
    RunEnqueued(RunEnqueuedPayload) = "run.enqueued",
    RunTriggerConflictComment(TriggerConflictCommentPayload) = "run.trigger.conflict.comment",
    RunReviewChangesRequestedReceived(ReviewPayload) = "run.review.changes_requested.received",
    RunReviseStageResolved(ReviewPayload) = "run.revise.stage_resolved",
    RunReviseStageAmbiguous(ReviewPayload) = "run.revise.stage_ambiguous",
    RunProfileResolved(ProfileResolvedPayload) = "run.profile.resolved",
    RunJobImageResolved(JobImageResolvedPayload) = "run.job.image.resolved",
    RunNamespacePrepared(NamespacePreparedPayload) = "run.namespace.prepared",
    RunNamespaceTtlScheduled(NamespacePreparedPayload) = "run.namespace.ttl_scheduled",
    RunNamespaceTtlExtended(NamespacePreparedPayload) = "run.namespace.ttl_extended",
    RunNamespaceCleaned(NamespaceCleanupPayload) = "run.namespace.cleaned",
    RunNamespaceCleanupSkipped(NamespaceCleanupPayload) = "run.namespace.cleanup_skipped",
    RunNamespaceCleanupFailed(NamespaceCleanupPayload) = "run.namespace.cleanup_failed",
    RunNamespaceReuseFastPath(NamespaceReusePayload) = "run.namespace.reuse_fast_path",
    RunNamespaceReuseFallbackRedeploy(NamespaceReusePayload) = "run.namespace.reuse_fallback_redeploy",
    RunNamespaceDeleteByStaff(NamespaceDeletedPayload) = "run.namespace.delete_by_staff",
    RunNamespaceDeleteBySystem(NamespaceDeletedPayload) = "run.namespace.delete_by_system",
    RunStarted(RunStartedPayload) = "run.started",
    RunMcpTokenIssued(McpTokenPayload) = "run.mcp.token.issued",
    RunMcpTokenRevoked(McpTokenPayload) = "run.mcp.token.revoked",
    PromptContextAssembled(PromptContextPayload) = "prompt.context.assembled",
    RunAgentStarted(AgentProgressPayload) = "run.agent.started",
    RunAgentReady(AgentProgressPayload) = "run.agent.ready",
    RunAgentStatusReported(AgentStatusReportedPayload) = "run.agent.status_reported",
    RunAgentSessionSaved(AgentSessionPayload) = "run.agent.session.saved",
    RunAgentSessionRestored(AgentSessionPayload) = "run.agent.session.restored",
    RunAgentResumeUsed(AgentSessionPayload) = "run.agent.resume.used",
    RunCodexAuthRequired(CodexAuthPayload) = "run.codex.auth.required",
    RunCodexAuthSynchronized(CodexAuthPayload) = "run.codex.auth.synchronized",
    RunPrCreated(PullRequestWrittenPayload) = "run.pr.created",
    RunPrUpdated(PullRequestWrittenPayload) = "run.pr.updated",
    RunRevisePrNotFound(RevisePrNotFoundPayload) = "run.revise.pr_not_found",
    RunSelfImproveDiagnosisReady(SelfImprovementPayload) = "run.self_improve.diagnosis_ready",
    RunToolchainGapDetected(SelfImprovementPayload) = "run.toolchain.gap_detected",
    RunStatusCommentUpserted(StatusCommentPayload) = "run.status.comment.upserted",
    RunServiceMessageUpdated(StatusCommentPayload) = "run.service_message.updated",
    RunWaitPaused(RunWaitPayload) = "run.wait.paused",
    RunWaitResumed(RunWaitPayload) = "run.wait.resumed",
    RunSucceeded(RunFinishedPayload) = "run.succeeded",
    RunFailed(RunFinishedPayload) = "run.failed",
    RunFailedJobNotFound(RunFinishedPayload) = "run.failed.job_not_found",
    RunFailedLaunchError(RunFinishedPayload) = "run.failed.launch_error",
    RunFailedPrecondition(RunFinishedPayload) = "run.failed.precondition",
    RunFailedTimeout(RunFinishedPayload) = "run.failed.timeout",
    RunCanceled(RunCanceledPayload) = "run.canceled",
    WorkerInstanceHeartbeatMissed(WorkerLeasePayload) = "worker.instance.heartbeat.missed",
    RunLeaseDetectedStale(WorkerLeasePayload) = "run.lease.detected_stale",
    RunLeaseReleased(WorkerLeasePayload) = "run.lease.released",
    RunReclaimedAfterStaleLease(WorkerLeasePayload) = "run.reclaimed_after_stale_lease",
    RuntimeDeployCancelRequested(RuntimeDeployPayload) = "runtime_deploy.cancel_requested",
    RuntimeDeployStopRequested(RuntimeDeployPayload) = "runtime_deploy.stop_requested",
    RuntimeDeployRolledBack(RuntimeDeployPayload) = "runtime_deploy.rolled_back",
    RuntimeDeployRollbackFailed(RuntimeDeployPayload) = "runtime_deploy.rollback_failed",
    RunHygieneLeakDetected(HygieneLeakPayload) = "run.hygiene.leak_detected",
    McpToolCalled(McpToolPayload) = "mcp.tool.called",
    McpToolSucceeded(McpToolPayload) = "mcp.tool.succeeded",
    McpToolFailed(McpToolPayload) = "mcp.tool.failed",
    McpToolApprovalPending(McpToolPayload) = "mcp.tool.approval_pending",
    McpPolicyResolved(McpAccessPayload) = "mcp.policy.resolved",
    McpAuthRejected(McpAccessPayload) = "mcp.auth.rejected",
    ApprovalRequested(ApprovalPayload) = "approval.requested",
    ApprovalApproved(ApprovalPayload) = "approval.approved",
    ApprovalDenied(ApprovalPayload) = "approval.denied",
    ApprovalExpired(ApprovalPayload) = "approval.expired",
    ApprovalFailed(ApprovalPayload) = "approval.failed",
    ApprovalApplied(ApprovalPayload) = "approval.applied",
    ApprovalDecisionIgnored(ApprovalDecisionIgnoredPayload) = "approval.decision.ignored",
    SecretSyncStepCompleted(SecretSyncPayload) = "secret.sync.step_completed",
    SecretSyncStepFailed(SecretSyncPayload) = "secret.sync.step_failed",
    SecretSyncApplied(SecretSyncPayload) = "secret.sync.applied",
    SecretSyncFailed(SecretSyncPayload) = "secret.sync.failed",
    DatabaseCreated(DatabaseLifecyclePayload) = "database.created",
    DatabaseDeleted(DatabaseLifecyclePayload) = "database.deleted",
    DatabaseDescribed(DatabaseLifecyclePayload) = "database.described",
    DatabaseFailed(DatabaseLifecyclePayload) = "database.failed",
    FeedbackRequested(FeedbackPayload) = "feedback.requested",
    FeedbackAnswered(FeedbackPayload) = "feedback.answered",
    FeedbackDeclined(FeedbackPayload) = "feedback.declined",
    FeedbackExpired(FeedbackPayload) = "feedback.expired",
    LabelRequested(LabelChangePayload) = "label.requested",
    LabelApplied(LabelChangePayload) = "label.applied",
    LabelRejected(LabelChangePayload) = "label.rejected",
    LabelGrantConsumed(LabelGrantConsumedPayload) = "label.grant.consumed",
    RunNextStepMatrixRendered(NextStepPayload) = "run.next_step.matrix_rendered",
    RunNextStepPreviewRequested(NextStepPayload) = "run.next_step.preview_requested",
    RunNextStepExecuted(NextStepPayload) = "run.next_step.executed",
    RunNextStepBlockedNeedInput(NextStepPayload) = "run.next_step.blocked_need_input",
    RunStageSkipped(StageFlowPayload) = "run.stage.skipped",
    RunStageEscalated(StageFlowPayload) = "run.stage.escalated",
    StageLaunchProfileResolved(StageFlowPayload) = "stage.launch_profile.resolved",
    InteractionRequestCreated(InteractionRequestPayload) = "interaction.request.created",
    InteractionWaitEntered(InteractionRequestPayload) = "interaction.wait.entered",
    InteractionWaitResumed(InteractionRequestPayload) = "interaction.wait.resumed",
    InteractionDispatchAttempted(InteractionDispatchPayload) = "interaction.dispatch.attempted",
    InteractionDispatchRetryScheduled(InteractionDispatchPayload) = "interaction.dispatch.retry_scheduled",
    InteractionCallbackReceived(InteractionCallbackPayload) = "interaction.callback.received",
    InteractionResponseAccepted(InteractionCallbackPayload) = "interaction.response.accepted",
    InteractionResponseRejected(InteractionCallbackPayload) = "interaction.response.rejected",
    RepositoryPreflightFinished(PlatformReportPayload) = "repository.preflight.finished",
    PlatformBootstrapCompleted(PlatformReportPayload) = "platform.bootstrap.completed",
    StaffChangeRecorded(StaffChangePayload) = "staff.change.recorded",
    AccessDenied(StaffChangePayload) = "access.denied",
    ConfigEntryUpserted(ConfigEntryPayload) = "config.entry.upserted",
    ConfigEntrySynced(ConfigEntryPayload) = "config.entry.synced",
}

/// Types that a run-bound caller may insert for its own run (DF-4).
pub const RUN_CALLER_TYPES: [&str; 13] = [
    "run.agent.started",
    "run.agent.ready",
    "run.agent.status_reported",
    "run.agent.session.restored",
    "run.agent.session.saved",
    "run.agent.resume.used",
    "run.codex.auth.required",
    "run.codex.auth.synchronized",
    "run.pr.created",
    "run.pr.updated",
    "run.revise.pr_not_found",
    "run.self_improve.diagnosis_ready",
    "run.toolchain.gap_detected",
];
