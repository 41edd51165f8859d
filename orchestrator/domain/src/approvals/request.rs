//! What is told of a request on its way (3.2, L-19).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, ApprovalMode, ApprovalState, DecisionKind, FeedbackQuestion};
use crate::audit::{
    Actor, ApprovalDecisionIgnoredPayload, ApprovalPayload, AuditEvent, AuditRecord,
    FeedbackPayload, LabelChangePayload, McpToolPayload, SystemActor,
};
use crate::databases::DatabaseChange;
use crate::decide::NewLink;
use crate::effects::LabelSource;
use crate::events::Thread;
use crate::ids::{CorrelationId, ProjectId, RunId, UserId};
use crate::secret_sync::{SecretPolicy, SecretSync};
use crate::stages::spelled;
use crate::tools::{FailureCode, FailureReason, ToolName};

spelled!(
    /// `mcp_action_requests.action`.
    RequestAction {
        /// A secret on GitHub and in the cluster.
        SecretSync = "secret_sync_env",
        /// A new database.
        DatabaseCreate = "database_create",
        /// A database that goes.
        DatabaseDelete = "database_delete",
        /// A question to the owner.
        OwnerFeedback = "owner_feedback_request",
        /// A label that starts something.
        LabelPropose = "label_propose",
    }
);

impl RequestAction {
    /// Whether the request never holds its run (G-35).
    pub fn is_detached(self) -> bool {
        self == RequestAction::LabelPropose
    }
}

spelled!(
    /// Why a request expired (1.5).
    ExpiryCause {
        /// Nobody decided in time.
        Ttl = "ttl",
        /// Its run is over.
        RunTerminal = "run_terminal",
    }
);

spelled!(
    /// Why an approved request failed (1.5).
    ApplyFailure {
        /// Its run was cancelled before the first step.
        RunCanceled = "run_canceled",
        /// What was agreed to is no longer what would be done.
        FactsChanged = "facts_changed",
        /// No repetition helps.
        PermanentError = "permanent_error",
        /// Enough repetitions did not help.
        AttemptsExhausted = "attempts_exhausted",
    }
);

spelled!(
    /// Why a decision changes nothing (1.5).
    Ignored {
        /// Another one counts.
        AlreadyDecided = "already_decided",
        /// It came too late.
        RequestExpired = "request_expired",
        /// Not this person.
        NotApprover = "not_approver",
    }
);

/// Labels that an agent asks for; gated as a whole (G-35).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelProposal {
    /// Where.
    pub thread: Thread,
    /// To set.
    pub add: Vec<String>,
    /// To take off.
    pub remove: Vec<String>,
    /// Those of `add` that need the approval.
    pub gated: Vec<String>,
    /// What the thread bore when the agent asked, sorted.
    pub before: Vec<String>,
}

impl LabelProposal {
    /// What the approver sees (`target_ref`).
    pub fn target_ref(&self) -> Value {
        json!({
            "repository_full_name": self.thread.repository_full_name,
            "thread_kind": self.thread.kind,
            "thread_number": self.thread.number,
            "add_labels": self.add,
            "remove_labels": self.remove,
        })
    }
}

/// What is asked for, as it is stored (`payload`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Proposal {
    /// Labels.
    Labels(LabelProposal),
    /// An answer.
    Feedback(FeedbackQuestion),
    /// A secret, without its value.
    SecretSync(SecretSync),
    /// A database.
    Database(DatabaseChange),
}

/// A request as its events tell of it.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestFacts {
    /// Row of `mcp_action_requests`.
    pub id: i64,
    /// Run that asked.
    pub run_id: Option<RunId>,
    /// Its correlation.
    pub correlation_id: CorrelationId,
    /// Its project.
    pub project_id: Option<ProjectId>,
    /// Canonical name of the tool.
    pub tool_name: String,
    /// What shall be done.
    pub action: RequestAction,
    /// Whose word it needs.
    pub mode: ApprovalMode,
    /// Where it acts, if that is known.
    pub environment: Option<String>,
    /// `agent:<key>`.
    pub requested_by: String,
    /// What the approver sees.
    pub target_ref: Value,
    /// From then on nobody decides.
    pub expires_at: DateTime<Utc>,
    /// What is asked for; none for what no code serves.
    pub proposal: Option<Proposal>,
}

impl RequestFacts {
    fn record(&self, event: AuditEvent, actor: Actor) -> AuditRecord {
        let record =
            AuditRecord::new(event, actor, self.correlation_id.clone()).project(self.project_id);
        match self.run_id {
            Some(run_id) => record.run(run_id),
            None => record,
        }
    }

    fn payload(&self, state: ApprovalState) -> ApprovalPayload {
        ApprovalPayload {
            request_id: Some(self.id),
            tool_name: Some(self.tool_name.clone()),
            tool_category: ToolName::called(&self.tool_name)
                .map(|tool| tool.category().to_string()),
            action: Some(self.action.to_string()),
            approval_mode: Some(self.mode.to_string()),
            approval_state: Some(state.to_string()),
            requested_by: Some(self.requested_by.clone()),
            environment: self.environment.clone(),
            expires_at: Some(self.expires_at),
            target_ref: Some(self.target_ref.clone()),
            ..ApprovalPayload::default()
        }
    }

    /// Whether whoever approves types a value (G-45).
    pub fn wants_value(&self) -> bool {
        matches!(&self.proposal, Some(Proposal::SecretSync(sync)) if sync.policy == SecretPolicy::Provided)
    }

    fn feedback(&self) -> Option<(&FeedbackQuestion, FeedbackPayload)> {
        let Some(Proposal::Feedback(question)) = &self.proposal else {
            return None;
        };
        let payload = FeedbackPayload {
            request_id: Some(self.id),
            ..FeedbackPayload::default()
        };
        Some((question, payload))
    }

    /// One payload for each gated label.
    fn labels(&self, state: ApprovalState) -> Vec<LabelChangePayload> {
        let Some(Proposal::Labels(proposal)) = &self.proposal else {
            return Vec::new();
        };
        proposal
            .gated
            .iter()
            .map(|label| LabelChangePayload {
                op: Some("add".to_owned()),
                label: Some(label.clone()),
                thread_kind: Some(proposal.thread.kind.to_string()),
                thread_number: Some(proposal.thread.number),
                source: Some(LabelSource::Mcp.to_string()),
                requested_by: Some(self.requested_by.clone()),
                approval_state: Some(state.to_string()),
                approval_request_id: Some(self.id),
                before: Some(proposal.before.clone()),
                after: Some(proposal.before.clone()),
                ..LabelChangePayload::default()
            })
            .collect()
    }

    /// What the end of a privileged request tells besides: `secret.sync.*` and `database.*` (G-46, G-48, G-50, G-56).
    fn privileged_end(
        &self,
        failure: Option<ApplyFailure>,
        steps: &[String],
    ) -> Option<AuditRecord> {
        let event = match &self.proposal {
            Some(Proposal::SecretSync(sync)) => sync.ended(self.id, failure, steps),
            Some(Proposal::Database(change)) => change.ended(self.id, failure, steps),
            Some(Proposal::Labels(_) | Proposal::Feedback(_)) | None => return None,
        };
        Some(self.record(event, Actor::System(SystemActor::ControlPlane)))
    }

    fn rejected(&self, state: ApprovalState, reason: &str) -> Vec<AuditRecord> {
        self.labels(state)
            .into_iter()
            .map(|payload| {
                let payload = LabelChangePayload {
                    reason: Some(reason.to_owned()),
                    ..payload
                };
                self.record(
                    AuditEvent::LabelRejected(payload),
                    Actor::System(SystemActor::ControlPlane),
                )
            })
            .collect()
    }
}

/// A new request (G-74), with `label.requested` or `feedback.requested`.
pub fn requested(request: &RequestFacts) -> Vec<AuditRecord> {
    let actor = || Actor::System(SystemActor::ControlPlaneMcp);
    let mut records: Vec<AuditRecord> = request
        .labels(ApprovalState::Requested)
        .into_iter()
        .map(|payload| request.record(AuditEvent::LabelRequested(payload), actor()))
        .collect();
    if let Some((question, payload)) = request.feedback() {
        let payload = FeedbackPayload {
            option_count: i64::try_from(question.options.len()).ok(),
            expires_at: Some(request.expires_at),
            ..payload
        };
        records.push(request.record(AuditEvent::FeedbackRequested(payload), actor()));
    }
    let payload = request.payload(ApprovalState::Requested);
    records.push(request.record(AuditEvent::ApprovalRequested(payload), actor()));
    records
}

/// Joins the run that asks to its request (G-132).
pub fn link(request: &RequestFacts) -> Option<NewLink> {
    Some(NewLink {
        source_type: "run",
        source_id: request.run_id?.to_string(),
        target_type: "approval_request",
        target_id: request.id.to_string(),
        link_type: "references",
        metadata: json!({}),
    })
}

/// Somebody agreed (G-75); of a question also that it is answered, without the text (G-58).
pub fn approved(request: &RequestFacts, by: UserId, answer: Option<&Answer>) -> Vec<AuditRecord> {
    let payload = request.payload(ApprovalState::Approved);
    let mut records = vec![request.record(AuditEvent::ApprovalApproved(payload), Actor::Human(by))];
    if let (Some((_, payload)), Some(answer)) = (request.feedback(), answer) {
        let option_id = match answer {
            Answer::Option(id) => Some(id.clone()),
            Answer::Custom(_) => None,
        };
        let payload = FeedbackPayload {
            answer_kind: Some(answer.kind().to_owned()),
            option_id,
            source_kind: Some("console".to_owned()),
            ..payload
        };
        records.push(request.record(AuditEvent::FeedbackAnswered(payload), Actor::Human(by)));
    }
    records
}

/// Somebody refused (G-76); the reason stays in the row.
pub fn denied(request: &RequestFacts, by: UserId) -> Vec<AuditRecord> {
    let payload = request.payload(ApprovalState::Denied);
    let mut records = vec![request.record(AuditEvent::ApprovalDenied(payload), Actor::Human(by))];
    records.extend(request.rejected(ApprovalState::Denied, "approval_denied"));
    if let Some((_, payload)) = request.feedback() {
        records.push(request.record(AuditEvent::FeedbackDeclined(payload), Actor::Human(by)));
    }
    records
}

/// Nobody decided (G-77).
pub fn expired(request: &RequestFacts, cause: ExpiryCause) -> Vec<AuditRecord> {
    let actor = || Actor::System(SystemActor::ControlPlane);
    let payload = ApprovalPayload {
        reason: Some(cause.to_string()),
        ..request.payload(ApprovalState::Expired)
    };
    let mut records = vec![request.record(AuditEvent::ApprovalExpired(payload), actor())];
    records.extend(request.rejected(ApprovalState::Expired, "approval_expired"));
    if let Some((_, payload)) = request.feedback() {
        records.push(request.record(AuditEvent::FeedbackExpired(payload), actor()));
    }
    records
}

/// It is done (G-78).
pub fn applied(request: &RequestFacts, by: &str, steps: &[String]) -> Vec<AuditRecord> {
    let payload = ApprovalPayload {
        applied_by: Some(by.to_owned()),
        completed_steps: Some(steps.to_vec()),
        ..request.payload(ApprovalState::Applied)
    };
    let mut records = vec![request.record(
        AuditEvent::ApprovalApplied(payload),
        Actor::System(SystemActor::ControlPlane),
    )];
    records.extend(request.privileged_end(None, steps));
    records
}

/// It could not be done (G-79).
pub fn failed(request: &RequestFacts, failure: ApplyFailure, steps: &[String]) -> Vec<AuditRecord> {
    let payload = ApprovalPayload {
        reason: Some(failure.to_string()),
        completed_steps: Some(steps.to_vec()),
        ..request.payload(ApprovalState::Failed)
    };
    let mut records = vec![request.record(
        AuditEvent::ApprovalFailed(payload),
        Actor::System(SystemActor::ControlPlane),
    )];
    records.extend(request.rejected(ApprovalState::Failed, "approval_failed"));
    records.extend(request.privileged_end(Some(failure), steps));
    records
}

/// Somebody tried to carry it out though nobody has approved it (G-80).
pub fn not_approved(request: &RequestFacts, state: ApprovalState) -> AuditRecord {
    let payload = McpToolPayload {
        tool: Some(request.tool_name.clone()),
        approval_state: Some(state.to_string()),
        status: Some("error".to_owned()),
        code: Some(FailureCode::FailedPrecondition.to_string()),
        reason: Some(FailureReason::ApprovalMissing.to_string()),
        ..McpToolPayload::default()
    };
    request.record(
        AuditEvent::McpToolFailed(payload),
        Actor::System(SystemActor::ControlPlane),
    )
}

/// A decision that changes nothing (G-72, G-82, G-83); by nobody whom the platform knows when there is no person.
pub fn decision_ignored(
    request: &RequestFacts,
    by: impl Into<Option<UserId>>,
    attempted: DecisionKind,
    state: ApprovalState,
    reason: Ignored,
) -> AuditRecord {
    let payload = ApprovalDecisionIgnoredPayload {
        request_id: Some(request.id),
        attempted: Some(attempted.to_string()),
        current_state: Some(state.to_string()),
        reason: Some(reason.to_string()),
        adapter_id: None,
    };
    let actor = by
        .into()
        .map_or(Actor::System(SystemActor::ControlPlane), Actor::Human);
    request.record(AuditEvent::ApprovalDecisionIgnored(payload), actor)
}

/// The same records of a decision that a person took through an adapter (DF-2).
pub fn through_adapter(
    mut records: Vec<AuditRecord>,
    adapter_id: &str,
    source_kind: &str,
) -> Vec<AuditRecord> {
    for record in &mut records {
        let adapter_id = Some(adapter_id.to_owned());
        match &mut record.event {
            AuditEvent::ApprovalApproved(payload) | AuditEvent::ApprovalDenied(payload) => {
                payload.adapter_id = adapter_id;
            }
            AuditEvent::FeedbackAnswered(payload) => {
                payload.adapter_id = adapter_id;
                payload.source_kind = Some(source_kind.to_owned());
            }
            AuditEvent::FeedbackDeclined(payload) => payload.adapter_id = adapter_id,
            AuditEvent::ApprovalDecisionIgnored(payload) => payload.adapter_id = adapter_id,
            _ => {}
        }
    }
    records
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use uuid::Uuid;

    use super::*;
    use crate::approvals::FeedbackOption;

    fn facts(action: RequestAction, tool: &str, proposal: Proposal) -> RequestFacts {
        RequestFacts {
            id: 7,
            run_id: Some(RunId(Uuid::nil())),
            correlation_id: CorrelationId::new("delivery"),
            project_id: None,
            tool_name: tool.to_owned(),
            action,
            mode: ApprovalMode::Owner,
            environment: None,
            requested_by: "agent:dev".to_owned(),
            target_ref: json!({}),
            expires_at: DateTime::UNIX_EPOCH,
            proposal: Some(proposal),
        }
    }

    pub(in crate::approvals) fn feedback() -> RequestFacts {
        let option = |id: &str| FeedbackOption {
            option_id: id.to_owned(),
            label: id.to_owned(),
        };
        let question = FeedbackQuestion {
            question: "Which?".to_owned(),
            options: vec![option("opt-1"), option("opt-2")],
            allow_custom: true,
            response_ttl_seconds: 60,
            justification: None,
            key: None,
            dry_run: false,
        };
        facts(
            RequestAction::OwnerFeedback,
            "owner.feedback.request",
            Proposal::Feedback(question),
        )
    }

    fn labels() -> RequestFacts {
        let proposal = LabelProposal {
            thread: Thread::issue("o/r", 5),
            add: vec!["run:qa".to_owned(), "need:qa".to_owned()],
            remove: Vec::new(),
            gated: vec!["run:qa".to_owned()],
            before: vec!["bug".to_owned()],
        };
        facts(
            RequestAction::LabelPropose,
            "github_labels_add",
            Proposal::Labels(proposal),
        )
    }

    fn types(records: &[AuditRecord]) -> String {
        let types: Vec<_> = records.iter().map(AuditRecord::event_type).collect();
        types.join(" ")
    }

    #[test]
    fn a_decision_through_an_adapter_names_it_and_how_it_was_given() {
        let by = UserId(Uuid::nil());
        let answer = Answer::Custom("blue".to_owned());
        let records = through_adapter(approved(&feedback(), by, Some(&answer)), "a-1", "voice");
        let told: Vec<String> = records
            .iter()
            .map(|record| {
                let payload = record.payload();
                format!("{} {}", payload["adapter_id"], payload["source_kind"])
            })
            .collect();
        assert_eq!(told, ["\"a-1\" null", "\"a-1\" \"voice\""]);
        let denied = through_adapter(denied(&labels(), by), "a-1", "adapter");
        assert_eq!(denied[0].payload()["adapter_id"], "a-1");
    }

    #[test]
    fn each_move_is_told_once_and_with_what_it_means() {
        let by = UserId(Uuid::nil());
        let (question, label) = (feedback(), labels());
        let answer = Answer::Custom("blue".to_owned());
        let cases = [
            (
                requested(&question),
                "feedback.requested approval.requested",
            ),
            (requested(&label), "label.requested approval.requested"),
            (
                approved(&question, by, Some(&answer)),
                "approval.approved feedback.answered",
            ),
            (approved(&label, by, None), "approval.approved"),
            (denied(&question, by), "approval.denied feedback.declined"),
            (denied(&label, by), "approval.denied label.rejected"),
            (
                expired(&question, ExpiryCause::Ttl),
                "approval.expired feedback.expired",
            ),
            (
                expired(&label, ExpiryCause::RunTerminal),
                "approval.expired label.rejected",
            ),
            (applied(&label, "x", &[]), "approval.applied"),
            (
                failed(&label, ApplyFailure::FactsChanged, &[]),
                "approval.failed label.rejected",
            ),
            (
                failed(&question, ApplyFailure::RunCanceled, &[]),
                "approval.failed",
            ),
        ];
        for (records, expected) in cases {
            assert_eq!(types(&records), expected);
        }
    }

    #[test]
    fn the_text_of_an_answer_is_in_no_event() {
        let answer = Answer::Custom("a secret wish".to_owned());
        for record in approved(&feedback(), UserId(Uuid::nil()), Some(&answer)) {
            assert!(!record.payload().to_string().contains("secret wish"));
        }
    }

    #[test]
    fn what_is_asked_for_is_stored_and_read_again() {
        for request in [feedback(), labels()] {
            let proposal = request.proposal.unwrap();
            let stored = serde_json::to_value(&proposal).unwrap();
            assert_eq!(
                serde_json::from_value::<Proposal>(stored).unwrap(),
                proposal
            );
        }
    }
}
