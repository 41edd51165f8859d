//! Payloads about tools, approvals, labels, steps, interactions and staff; the other half of the rows.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::payload::payload;

payload!(
    /// A tool call.
    McpToolPayload {
        server: String,
        tool: String,
        category: String,
        approval_state: String,
        namespace: String,
        runtime_mode: String,
        status: String,
        code: String,
        reason: String,
        error: String,
        message: String,
        reused: bool,
    }
);

payload!(
    /// What a run token may do, or why it may nothing.
    McpAccessPayload {
        policy_hash: String,
        sources: Vec<Value>,
        tools: Vec<Value>,
        reason: String,
        token_id: String,
    }
);

payload!(
    /// An approval request.
    ApprovalPayload {
        request_id: i64,
        tool_name: String,
        tool_category: String,
        action: String,
        approval_mode: String,
        approval_state: String,
        requested_by: String,
        applied_by: String,
        adapter_id: String,
        reason: String,
        environment: String,
        expires_at: DateTime<Utc>,
        completed_steps: Vec<String>,
        target_ref: Value,
    }
);

payload!(
    /// A decision that came too late or twice.
    ApprovalDecisionIgnoredPayload {
        request_id: i64,
        attempted: String,
        current_state: String,
        reason: String,
        adapter_id: String,
    }
);

payload!(
    /// Steps of a secret synchronisation.
    SecretSyncPayload {
        request_id: i64,
        step: String,
        attempt: i64,
        retryable: bool,
        error_code: String,
        environment: String,
        github_ref: String,
        kubernetes_ref: String,
        policy: String,
        completed_steps: Vec<String>,
        failed_step: String,
    }
);

payload!(
    /// A project database.
    DatabaseLifecyclePayload {
        request_id: i64,
        environment: String,
        database_name: String,
        existed_before: bool,
        reason: String,
    }
);

payload!(
    /// A question to the owner.
    FeedbackPayload {
        request_id: i64,
        option_count: i64,
        expires_at: DateTime<Utc>,
        answer_kind: String,
        option_id: String,
        source_kind: String,
        adapter_id: String,
    }
);

payload!(
    /// A label of the catalogue on a thread (L-19).
    LabelChangePayload {
        op: String,
        label: String,
        thread_kind: String,
        thread_number: i64,
        source: String,
        requested_by: String,
        applied_by: String,
        approval_state: String,
        approval_request_id: i64,
        before: Vec<String>,
        after: Vec<String>,
        reason: String,
        compensated: bool,
    }
);

payload!(
    /// The bot's label was judged as a person's (L-18).
    LabelGrantConsumedPayload {
        label: String,
        thread_kind: String,
        thread_number: i64,
        request_id: i64,
        delivery_id: String,
    }
);

payload!(
    /// Next-step actions.
    NextStepPayload {
        issue_number: i64,
        pr_number: i64,
        launch_profile: String,
        current_stage: String,
        next_stage: String,
        action_kind: String,
        target_label: String,
        actions: Vec<Value>,
        removed_labels: Vec<String>,
        added_labels: Vec<String>,
        reason: String,
    }
);

payload!(
    /// A step off the shipped flow.
    StageFlowPayload {
        issue_number: i64,
        current_stage: String,
        next_stage: String,
        launch_profile: String,
        previous_profile: String,
        display_variant: String,
        signal: String,
    }
);

payload!(
    /// A question through an adapter.
    InteractionRequestPayload {
        interaction_id: String,
        tool_name: String,
        interaction_kind: String,
        wait_deadline_at: DateTime<Utc>,
        request_status: String,
    }
);

payload!(
    /// A delivery to an adapter.
    InteractionDispatchPayload {
        interaction_id: String,
        attempt_no: i64,
        delivery_id: String,
        delivery_role: String,
        adapter_kind: String,
        status: String,
        error_code: String,
        next_retry_at: DateTime<Utc>,
    }
);

payload!(
    /// An answer of an adapter.
    InteractionCallbackPayload {
        interaction_id: String,
        adapter_event_id: String,
        callback_kind: String,
        response_record_id: String,
        response_kind: String,
        classification: String,
    }
);

payload!(
    /// A preflight or bootstrap report.
    PlatformReportPayload {
        repository_id: String,
        status: String,
        failed_checks: Vec<String>,
        version: String,
        target: String,
        changed: bool,
        steps: Vec<Value>,
    }
);

payload!(
    /// A staff mutation or its refusal (DF-8).
    StaffChangePayload {
        entity: String,
        entity_id: String,
        action: String,
        changed_keys: Vec<String>,
        request_id: String,
    }
);

payload!(
    /// A configuration entry.
    ConfigEntryPayload {
        scope: String,
        key: String,
        kind: String,
        confirmed: bool,
        targets: Vec<String>,
        drift: Value,
    }
);
