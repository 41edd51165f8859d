//! Payloads of the catalogue: one struct per row of the table in data-and-api.md section 2.
//!
//! Every key is optional because one row serves several event types; an absent key is left out.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

macro_rules! payload {
    ($(#[$doc:meta])* $name:ident { $($key:ident: $type:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $(
                #[doc = concat!("`", stringify!($key), "`")]
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $key: Option<$type>,
            )+
        }

        impl $name {
            /// Keys of the payload, besides `run_id` and `project_id`.
            pub const KEYS: &'static [&'static str] = &[$(stringify!($key)),+];
        }
    };
}

pub(super) use payload;

payload!(
    /// A delivery.
    WebhookPayload {
        source: String,
        delivery_id: String,
        event_type: String,
        action: String,
        correlation_id: String,
        sender: Value,
        repository: Value,
        inserted: bool,
        label: String,
        run_kind: String,
        issue_number: i64,
    }
);

payload!(
    /// A delivery that made no run.
    WebhookIgnoredPayload {
        source: String,
        delivery_id: String,
        event_type: String,
        action: String,
        correlation_id: String,
        sender: Value,
        repository: Value,
        inserted: bool,
        label: String,
        run_kind: String,
        issue_number: i64,
        reason: String,
        binding_resolved: bool,
        conflicting_labels: Vec<String>,
        suggested_labels: Vec<String>,
        issue: Value,
    }
);

payload!(
    /// An effect that will not happen.
    EffectGivenUpPayload {
        effect_kind: String,
        delivery_id: String,
        repository_full_name: String,
        thread_kind: String,
        thread_number: i64,
        attempts: i64,
        error_code: String,
    }
);

payload!(
    /// Labels that no delivery explains.
    LabelDriftPayload {
        repository_full_name: String,
        thread_kind: String,
        thread_number: i64,
        labels: Vec<String>,
        expected: Vec<String>,
        since: DateTime<Utc>,
    }
);

payload!(
    /// A run was inserted.
    RunEnqueuedPayload {
        trigger_source: String,
        trigger_kind: String,
        trigger_label: String,
        repository_full_name: String,
        issue_number: i64,
        pr_number: i64,
        resumed_from_run_id: String,
    }
);

payload!(
    /// The conflict comment was posted.
    TriggerConflictCommentPayload {
        repository_full_name: String,
        issue_number: i64,
        trigger_label: String,
        conflicting_labels: Vec<String>,
        comment_id: i64,
        comment_url: String,
    }
);

payload!(
    /// A review that requests changes, and what the resolver found.
    ReviewPayload {
        repository_full_name: String,
        pull_request_number: i64,
        issue_number: i64,
        resolver_source: String,
        trigger_label: String,
        trigger_kind: String,
        reason: String,
        conflicting_labels: Vec<String>,
        suggested_labels: Vec<String>,
    }
);

payload!(
    /// Model and reasoning of a run.
    ProfileResolvedPayload {
        repository_full_name: String,
        issue_number: i64,
        pull_request_number: i64,
        trigger_kind: String,
        discussion_mode: bool,
        model: String,
        model_source: String,
        reasoning_effort: String,
        reasoning_source: String,
    }
);

payload!(
    /// Image of the agent Job.
    JobImageResolvedPayload {
        selected_image: String,
        selected_source: String,
        primary_image: String,
        fallback_image: String,
        primary_available: bool,
        fallback_available: bool,
        check_error: String,
    }
);

payload!(
    /// A namespace and its lease.
    NamespacePreparedPayload {
        runtime_mode: String,
        namespace: String,
        namespace_lease_ttl: String,
        namespace_lease_expires_at: DateTime<Utc>,
        namespace_reused: bool,
    }
);

payload!(
    /// A cleanup point of a namespace.
    NamespaceCleanupPayload {
        runtime_mode: String,
        namespace: String,
        namespace_lease_ttl: String,
        namespace_lease_expires_at: DateTime<Utc>,
        namespace_reused: bool,
        reason: String,
        run_status: String,
        error: String,
        cleanup_command: String,
        lease_source: String,
        guardrail_details: Vec<Value>,
    }
);

payload!(
    /// Reuse of a namespace on revise.
    NamespaceReusePayload {
        namespace: String,
        issue_number: i64,
        agent_key: String,
        trigger_kind: String,
        reason: String,
        effective_build_ref: String,
        fingerprint_hash: String,
    }
);

payload!(
    /// Deletion of a namespace on demand.
    NamespaceDeletedPayload {
        namespace: String,
        deleted: bool,
        already_deleted: bool,
        run_status_comment_id: i64,
        run_status_url: String,
        requested_by_type: String,
        requested_by_id: String,
    }
);

payload!(
    /// The Job of a run exists.
    RunStartedPayload {
        slot_no: i64,
        job_name: String,
        job_namespace: String,
        runtime_mode: String,
        repository_full_name: String,
        agent_key: String,
        issue_number: i64,
        trigger_kind: String,
        trigger_label: String,
        discussion_mode: bool,
        job_image: String,
        model: String,
        model_source: String,
        reasoning_effort: String,
        reasoning_source: String,
        prompt_template_kind: String,
        prompt_template_source: String,
        prompt_template_locale: String,
        base_branch: String,
    }
);

payload!(
    /// A run token.
    McpTokenPayload {
        token_id: String,
        generation: i64,
        namespace: String,
        runtime_mode: String,
        expires_at: DateTime<Utc>,
        reason: String,
    }
);

payload!(
    /// The prompt was assembled.
    PromptContextPayload {
        repository_id: String,
        repository_owner: String,
        repository_name: String,
        template_kind: String,
        template_source: String,
        template_locale: String,
    }
);

payload!(
    /// The runner's progress.
    AgentProgressPayload {
        branch: String,
        trigger_kind: String,
        runtime_mode: String,
        agent_key: String,
        model: String,
        reasoning_effort: String,
    }
);

payload!(
    /// What the agent says it does.
    AgentStatusReportedPayload {
        agent_key: String,
        status_text: String,
        runtime_mode: String,
        namespace: String,
        main_direct: bool,
        branch: String,
        trigger: String,
        discussion_mode: bool,
        stop_reason: String,
        last_human_comment_id: i64,
    }
);

payload!(
    /// A session snapshot.
    AgentSessionPayload {
        status: String,
        snapshot_version: i64,
        snapshot_checksum: String,
        restored_session_path: String,
    }
);

payload!(
    /// Login of the agent CLI.
    CodexAuthPayload {
        verification_url: String,
        user_code: String,
        source: String,
    }
);

payload!(
    /// A pull request of a run.
    PullRequestWrittenPayload {
        branch: String,
        pr_number: i64,
        pr_url: String,
        head_sha: String,
    }
);

payload!(
    /// A revise without pull request or branch.
    RevisePrNotFoundPayload {
        branch: String,
        reason: String,
    }
);

payload!(
    /// Findings of an agent about its tools.
    SelfImprovementPayload {
        diagnosis: String,
        action_items: Vec<Value>,
        evidence_refs: Vec<Value>,
        tool_gaps: Vec<Value>,
        sources: Vec<Value>,
        suggested_update_paths: Vec<String>,
    }
);

payload!(
    /// The status comment was written.
    StatusCommentPayload {
        issue_number: i64,
        thread_kind: String,
        repository_full_name: String,
        comment_id: i64,
        comment_url: String,
        phase: String,
    }
);

payload!(
    /// A wait begins or ends.
    RunWaitPayload {
        wait_state: String,
        wait_reason: String,
        wait_target_kind: String,
        wait_target_ref: String,
        wait_deadline_at: DateTime<Utc>,
        timeout_guard_disabled: bool,
        timeout_remaining: i64,
        resolution_kind: String,
        resume_mode: String,
        waited_seconds: i64,
        wait_id: String,
        contour_kind: String,
        limit_kind: String,
        state: String,
        operation_class: String,
        attempt_no: i64,
        next_step_kind: String,
        resume_not_before: DateTime<Utc>,
        open_wait_count: i64,
        dominant_wait_id: String,
        event_key: String,
        comment_mirror_state: String,
        requeued_correlation_id: String,
    }
);

payload!(
    /// The run is over.
    RunFinishedPayload {
        status: String,
        job_name: String,
        job_namespace: String,
        runtime_mode: String,
        namespace: String,
        error: String,
        reason: String,
    }
);

payload!(
    /// The run was cancelled.
    RunCanceledPayload {
        previous_status: String,
        current_status: String,
        already_terminal: bool,
        runtime_deploy_cancel_requested: bool,
        job_stopped: bool,
        canceled_github_waits: i64,
        expired_approvals: i64,
        reason: String,
        run_status_comment_id: i64,
        run_status_url: String,
        requested_by_type: String,
        requested_by_id: String,
        requested_by_email: String,
        requested_by_github_login: String,
    }
);

payload!(
    /// A worker's lease on a run.
    WorkerLeasePayload {
        worker_id: String,
        worker_status: String,
        worker_heartbeat_at: DateTime<Utc>,
        worker_expires_at: DateTime<Utc>,
        previous_lease_owner: String,
        previous_lease_until: DateTime<Utc>,
        runtime_mode: String,
        namespace: String,
        trigger_kind: String,
        discussion_mode: bool,
    }
);

payload!(
    /// A deploy task was stopped or rolled back.
    RuntimeDeployPayload {
        action: String,
        previous_status: String,
        current_status: String,
        already_terminal: bool,
        requested_by_type: String,
        requested_by_id: String,
        requested_by_email: String,
        requested_by_github_login: String,
        reason: String,
        build_ref: String,
        previous_build_ref: String,
        error: String,
    }
);

payload!(
    /// A finding of the leak check.
    HygieneLeakPayload {
        kind: String,
        namespace: String,
        object: String,
        age_seconds: i64,
        details: Vec<Value>,
    }
);
