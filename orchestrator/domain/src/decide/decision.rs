//! A decision as data.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{IgnoreReason, NewRun};
use crate::audit::AuditRecord;
use crate::effects::PlannedEffect;
use crate::events::{Event, Thread};
use crate::ids::{CorrelationId, RunId, UserId};
use crate::launch_profiles::IssueFlow;
use crate::runs::FinishReason;
use crate::snapshot::Read;

/// What a delivery leads to. All of it commits in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The answer (L-22).
    pub outcome: Outcome,
    /// Everything else.
    pub consequences: Consequences,
}

/// Outcome of a delivery.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// 202 with `run_id`; `webhook_deliveries.status=accepted`. When a run of this correlation id exists
    /// already (L-25, L-88) the caller drops the consequences and answers `duplicate` with its id.
    Accepted(Box<NewRun>),
    /// 200; `webhook_deliveries.status=ignored` with the reason.
    Ignored(Ignored),
    /// 202 without `run_id`; `webhook_deliveries.status=accepted`.
    Received,
}

impl Outcome {
    /// The run, if one is made.
    pub fn new_run(&self) -> Option<&NewRun> {
        match self {
            Outcome::Accepted(run) => Some(run),
            _ => None,
        }
    }

    /// The reason, if ignored.
    pub fn reason(&self) -> Option<&IgnoreReason> {
        match self {
            Outcome::Ignored(ignored) => Some(&ignored.reason),
            _ => None,
        }
    }
}

/// Why a delivery made no run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// Exactly one reason.
    pub reason: IgnoreReason,
    /// Labels that contradict each other, sorted.
    pub conflicting_labels: Vec<String>,
    /// Labels that would help, sorted.
    pub suggested_labels: Vec<String>,
}

/// Everything that follows from a decision besides its outcome.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Consequences {
    /// Rows for `outbox_effects`, in order; `after` is a position in this list.
    pub effects: Vec<PlannedEffect>,
    /// Rows for `flow_events`, in order.
    pub audit: Vec<AuditRecord>,
    /// Changes of `thread_states`.
    pub thread_states: Vec<ThreadStateChange>,
    /// Grant that was used up (L-18).
    pub consumed_grant: Option<ConsumedGrant>,
    /// Rows for `label_grants` (L-18).
    pub grants: Vec<NewGrant>,
    /// Runs cancelled in the same transaction (L-83); their Jobs are stopped by effects.
    pub cancellations: Vec<RunCancellation>,
    /// Rows for `runtime_errors` (L-42).
    pub journal: Vec<JournalEntry>,
    /// Rows for `links`.
    pub links: Vec<NewLink>,
}

impl Consequences {
    /// Appends what another part of the same decision wants; positions are moved, an effect wanted twice is kept once.
    pub fn extend(&mut self, other: Consequences) {
        let mut positions = Vec::with_capacity(other.effects.len());
        for mut planned in other.effects {
            planned.after = planned
                .after
                .and_then(|position| positions.get(position).copied());
            let known = self
                .effects
                .iter()
                .position(|known| known.idempotency_key == planned.idempotency_key);
            positions.push(known.unwrap_or(self.effects.len()));
            if known.is_none() {
                self.effects.push(planned);
            }
        }
        self.audit.extend(other.audit);
        self.thread_states.extend(other.thread_states);
        self.consumed_grant = self.consumed_grant.take().or(other.consumed_grant);
        self.grants.extend(other.grants);
        self.cancellations.extend(other.cancellations);
        self.journal.extend(other.journal);
        self.links.extend(other.links);
    }
}

/// A change of one `thread_states` row; the row is made when absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ThreadStateChange {
    /// The platform sets `need:input` (L-84).
    NeedInputSet {
        /// Where.
        thread: Thread,
        /// Ignore reason behind it.
        reason: String,
    },
    /// The platform's `need:input` is answered or was removed by hand.
    NeedInputCleared {
        /// Where.
        thread: Thread,
    },
    /// A role label was set (L-86).
    RoleLabelSet {
        /// Where.
        thread: Thread,
        /// Canonical name.
        label: String,
        /// When, by GitHub's clock; now when the delivery does not say.
        at: Option<DateTime<Utc>>,
    },
    /// A role label is gone.
    RoleLabelCleared {
        /// Where.
        thread: Thread,
        /// Canonical name.
        label: String,
    },
    /// The path of an Issue is another one (L-95, L-96).
    FlowSet {
        /// Where.
        thread: Thread,
        /// The path from now on.
        flow: IssueFlow,
    },
}

/// Lets the bot's label count as a person's, once and not for long (L-18).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGrant {
    /// Where.
    pub thread: Thread,
    /// Canonical name of the label.
    pub label: String,
    /// The human.
    pub user_id: UserId,
    /// The approved request behind it, if any.
    pub request_id: Option<i64>,
}

/// A grant used up by this delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumedGrant {
    /// Where.
    pub thread: Thread,
    /// Canonical name of the label.
    pub label: String,
    /// The human.
    pub user_id: UserId,
}

/// A run to be cancelled: status, reason, slot, waits and `run.canceled` as R-28 says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunCancellation {
    /// Which.
    pub run_id: RunId,
    /// Why.
    pub reason: FinishReason,
    /// Who asked; none for the system.
    pub requested_by: Option<UserId>,
}

/// A `runtime_errors` row.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalEntry {
    /// `webhook-trigger` for ignored deliveries (L-42).
    pub source: String,
    /// `warning`, `error` or `critical`.
    pub level: String,
    /// One sentence.
    pub message: String,
    /// More.
    pub details: Value,
    /// Correlation id of the delivery.
    pub correlation_id: CorrelationId,
}

/// A `links` row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLink {
    /// `issue`, `pr`, `run`, …
    pub source_type: &'static str,
    /// `owner/name#n` or a run id.
    pub source_id: String,
    /// As `source_type`.
    pub target_type: &'static str,
    /// As `source_id`.
    pub target_id: String,
    /// `references`, `implements`, `supersedes`, `produced` or `decides`.
    pub link_type: &'static str,
    /// More.
    pub metadata: Value,
}

/// Why there is no decision yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// Load these into [`crate::snapshot::Snapshot::facts`] and ask again.
    #[error("failed to decide yet: {} facts are not loaded", .0.len())]
    Missing(Vec<Read>),
    /// A fact cannot be read: repeat the decision later (L-32, D-2).
    #[error("failed to decide yet: {read:?} cannot be read: {cause}")]
    Unreadable {
        /// Which.
        read: Read,
        /// Why, for the log.
        cause: String,
    },
}

impl JournalEntry {
    /// The row of an ignored delivery (L-42).
    pub fn ignored(event: &Event, reason: &IgnoreReason) -> Self {
        Self {
            source: "webhook-trigger".to_owned(),
            level: "warning".to_owned(),
            message: format!("{} delivery ignored: {reason}", event.event_type),
            details: json!({
                "delivery_id": event.delivery_id,
                "event_type": event.event_type,
                "action": event.action,
                "repository_full_name": event.repository_full_name(),
                "sender_login": event.sender_login(),
                "reason": reason.to_string(),
            }),
            correlation_id: CorrelationId::new(event.delivery_id.as_str()),
        }
    }
}
