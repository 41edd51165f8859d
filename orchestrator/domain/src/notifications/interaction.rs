//! How an interaction moves (G-133), and what is told of it.

use chrono::{DateTime, Utc};

use super::{CallbackKind, Classified, DeliveryError, DeliveryRole, Given, InteractionEnd};
use crate::audit::{
    Actor, AuditEvent, AuditRecord, InteractionCallbackPayload, InteractionDispatchPayload,
    InteractionRequestPayload, SystemActor,
};
use crate::ids::{CorrelationId, ProjectId, RunId};
use crate::stages::spelled;

spelled!(
    /// What an adapter delivers.
    InteractionKind {
        /// A word, without an answer.
        Notify = "notify",
        /// A question of an agent to the person it works for.
        DecisionRequest = "decision_request",
        /// A request that needs somebody's word.
        ApprovalRequest = "approval_request",
        /// A question to the owner.
        OwnerFeedback = "owner_feedback",
    }
);

impl InteractionKind {
    /// Whether an answer is a decision about a request (G-139).
    pub fn decides(self) -> bool {
        matches!(
            self,
            InteractionKind::ApprovalRequest | InteractionKind::OwnerFeedback
        )
    }
}

spelled!(
    /// `interaction_requests.state`.
    InteractionState {
        /// No adapter has taken it yet.
        PendingDispatch = "pending_dispatch",
        /// The person may answer.
        Open = "open",
        /// It is answered, or needs no answer.
        Resolved = "resolved",
        /// Nobody answered in time.
        Expired = "expired",
        /// It could not be delivered.
        DeliveryExhausted = "delivery_exhausted",
        /// Its run is over.
        Cancelled = "cancelled",
    }
);

impl InteractionState {
    /// Whether it may still be answered.
    pub fn is_open(self) -> bool {
        matches!(
            self,
            InteractionState::PendingDispatch | InteractionState::Open
        )
    }

    /// After an adapter took the message: nobody waits for the answer to a notice.
    pub fn acknowledged(self, kind: InteractionKind) -> Self {
        match (self, kind) {
            (InteractionState::PendingDispatch, InteractionKind::Notify) => {
                InteractionState::Resolved
            }
            (InteractionState::PendingDispatch, _) => InteractionState::Open,
            (other, _) => other,
        }
    }
}

/// An interaction as its events tell of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InteractionFacts {
    /// Row of `interaction_requests`.
    pub id: String,
    /// Run that asks.
    pub run_id: RunId,
    /// Its project.
    pub project_id: ProjectId,
    /// Its correlation.
    pub correlation_id: CorrelationId,
    /// Canonical name of the tool.
    pub tool_name: String,
    /// What is delivered.
    pub kind: InteractionKind,
    /// From then on nobody answers.
    pub deadline: Option<DateTime<Utc>>,
}

impl InteractionFacts {
    fn record(&self, event: AuditEvent) -> AuditRecord {
        AuditRecord::new(
            event,
            Actor::System(SystemActor::ControlPlane),
            self.correlation_id.clone(),
        )
        .run(self.run_id)
        .project(Some(self.project_id))
    }

    fn request(&self) -> InteractionRequestPayload {
        InteractionRequestPayload {
            interaction_id: Some(self.id.clone()),
            tool_name: Some(self.tool_name.clone()),
            interaction_kind: Some(self.kind.to_string()),
            wait_deadline_at: self.deadline,
            ..InteractionRequestPayload::default()
        }
    }
}

/// A new one; a question also makes its run wait.
pub fn created(interaction: &InteractionFacts) -> Vec<AuditRecord> {
    let mut records =
        vec![interaction.record(AuditEvent::InteractionRequestCreated(interaction.request()))];
    if interaction.kind == InteractionKind::DecisionRequest {
        records.push(interaction.record(AuditEvent::InteractionWaitEntered(interaction.request())));
    }
    records
}

/// The wait for it is over.
pub fn wait_resumed(interaction: &InteractionFacts, end: InteractionEnd) -> AuditRecord {
    interaction.record(AuditEvent::InteractionWaitResumed(
        InteractionRequestPayload {
            request_status: Some(end.to_string()),
            ..interaction.request()
        },
    ))
}

/// One attempt at a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispatched {
    /// From 1.
    pub attempt_no: i64,
    /// Names the attempt to the adapter.
    pub delivery_id: String,
    /// What it is for.
    pub role: DeliveryRole,
    /// Name of the adapter.
    pub adapter: String,
}

impl Dispatched {
    fn payload(&self, interaction: &InteractionFacts) -> InteractionDispatchPayload {
        InteractionDispatchPayload {
            interaction_id: Some(interaction.id.clone()),
            attempt_no: Some(self.attempt_no),
            delivery_id: Some(self.delivery_id.clone()),
            delivery_role: Some(self.role.to_string()),
            adapter_kind: Some(self.adapter.clone()),
            ..InteractionDispatchPayload::default()
        }
    }
}

/// An attempt has ended; well without an error.
pub fn dispatch_attempted(
    interaction: &InteractionFacts,
    attempt: &Dispatched,
    error: Option<DeliveryError>,
) -> AuditRecord {
    let status = if error.is_some() {
        "failed"
    } else {
        "accepted"
    };
    interaction.record(AuditEvent::InteractionDispatchAttempted(
        InteractionDispatchPayload {
            status: Some(status.to_owned()),
            error_code: error.map(|error| error.to_string()),
            ..attempt.payload(interaction)
        },
    ))
}

/// The same is tried again then.
pub fn retry_scheduled(
    interaction: &InteractionFacts,
    attempt: &Dispatched,
    error: DeliveryError,
    at: DateTime<Utc>,
) -> AuditRecord {
    interaction.record(AuditEvent::InteractionDispatchRetryScheduled(
        InteractionDispatchPayload {
            status: Some("failed".to_owned()),
            error_code: Some(error.to_string()),
            next_retry_at: Some(at),
            ..attempt.payload(interaction)
        },
    ))
}

/// A callback as its events tell of it; neither handle nor text is in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The adapter's name for it.
    pub adapter_event_id: String,
    /// What happened.
    pub kind: CallbackKind,
    /// What it came to.
    pub classification: Classified,
    /// The stored answer, if it counts.
    pub response_record_id: Option<String>,
}

/// A callback was taken; of an answer also whether it counts.
pub fn received(
    interaction: &InteractionFacts,
    callback: &Received,
    given: Option<&Given>,
) -> Vec<AuditRecord> {
    let payload = InteractionCallbackPayload {
        interaction_id: Some(interaction.id.clone()),
        adapter_event_id: Some(callback.adapter_event_id.clone()),
        callback_kind: Some(callback.kind.to_string()),
        ..InteractionCallbackPayload::default()
    };
    let mut records =
        vec![interaction.record(AuditEvent::InteractionCallbackReceived(payload.clone()))];
    if !callback.kind.is_answer() {
        return records;
    }
    let response_kind = given.map(|given| match given {
        Given::Option(_) => "option".to_owned(),
        Given::Text(_) => "free_text".to_owned(),
    });
    let payload = InteractionCallbackPayload {
        response_record_id: callback.response_record_id.clone(),
        response_kind,
        classification: Some(callback.classification.to_string()),
        ..payload
    };
    records.push(interaction.record(match callback.classification {
        Classified::Applied => AuditEvent::InteractionResponseAccepted(payload),
        _ => AuditEvent::InteractionResponseRejected(payload),
    }));
    records
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn facts(kind: InteractionKind) -> InteractionFacts {
        InteractionFacts {
            id: "i".to_owned(),
            run_id: RunId(Uuid::nil()),
            project_id: ProjectId(Uuid::nil()),
            correlation_id: CorrelationId::new("delivery"),
            tool_name: "user.notify".to_owned(),
            kind,
            deadline: None,
        }
    }

    fn types(records: &[AuditRecord]) -> Vec<&'static str> {
        records.iter().map(AuditRecord::event_type).collect()
    }

    #[test]
    fn only_a_question_makes_a_run_wait() {
        assert_eq!(
            types(&created(&facts(InteractionKind::DecisionRequest))),
            ["interaction.request.created", "interaction.wait.entered"]
        );
        for kind in [InteractionKind::Notify, InteractionKind::ApprovalRequest] {
            let seen = types(&created(&facts(kind)));
            assert_eq!(seen, ["interaction.request.created"], "{kind}");
        }
    }

    #[test]
    fn an_acknowledgement_moves_what_is_pending_and_nothing_else() {
        use InteractionState::{Cancelled, Open, PendingDispatch, Resolved};
        let cases = [
            (PendingDispatch, InteractionKind::Notify, Resolved),
            (PendingDispatch, InteractionKind::DecisionRequest, Open),
            (Cancelled, InteractionKind::DecisionRequest, Cancelled),
            (Resolved, InteractionKind::DecisionRequest, Resolved),
        ];
        for (state, kind, expected) in cases {
            assert_eq!(state.acknowledged(kind), expected, "{state} {kind}");
        }
    }

    #[test]
    fn answers_are_told_with_what_they_came_to_and_never_with_their_text() {
        let interaction = facts(InteractionKind::DecisionRequest);
        let callback = |kind, classification| Received {
            adapter_event_id: "e".to_owned(),
            kind,
            classification,
            response_record_id: None,
        };
        let text = Given::Text("harbour".to_owned());
        let cases = [
            (
                CallbackKind::DeliveryReceipt,
                Classified::Applied,
                vec!["interaction.callback.received"],
            ),
            (
                CallbackKind::FreeTextReceived,
                Classified::Applied,
                vec![
                    "interaction.callback.received",
                    "interaction.response.accepted",
                ],
            ),
            (
                CallbackKind::OptionSelected,
                Classified::Stale,
                vec![
                    "interaction.callback.received",
                    "interaction.response.rejected",
                ],
            ),
        ];
        for (kind, classification, expected) in cases {
            let records = received(&interaction, &callback(kind, classification), Some(&text));
            assert_eq!(types(&records), expected, "{kind}");
            let told: String = records
                .iter()
                .map(|record| record.payload().to_string())
                .collect();
            assert!(!told.contains("harbour"), "{told}");
        }
    }
}
