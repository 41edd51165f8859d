//! A person's decision (G-75, G-76, G-81 to G-83).
use domain::approvals::{
    Answer, ApprovalState, Classification, DecisionKind, Ignored, approved, classify,
    decision_ignored, denied, through_adapter,
};
use domain::audit::AuditRecord;
use domain::decide::Consequences;
use domain::effects::{Effect, EffectPlan};
use domain::ids::UserId;
use secrecy::SecretString;
use uuid::Uuid;

use super::expiry::expire;
use super::resume::resume;
use crate::app::App;
use crate::control_plane::{CommitError, write_consequences};
use crate::secret_sync::{self, ValueError};
use crate::store::approvals::{self, ApprovalRow, NewDecision};
use crate::store::effects::EffectOwner;
use crate::store::{clock, events, wakeups};
use crate::transition;
use crate::wakeups::Channel;

/// Why a decision was not taken.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    #[error("failed to store a decision")]
    Store(#[from] sqlx::Error),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Value(#[from] ValueError),
    /// Only a person at the console types a value, no adapter (G-45).
    #[error("failed to take a decision: who approves this request must type a value")]
    ValueRequired,
}

/// Who decides what.
#[derive(Debug, Clone)]
pub struct Decider {
    pub person: UserId,
    pub decision: DecisionKind,
    pub reason: Option<String>,
    pub answer: Option<Answer>,
    /// The value of a secret that the person types (G-45).
    pub provided: Option<SecretString>,
    /// The state that the person saw, if they say so.
    pub seen_version: Option<i32>,
    /// What else is recorded when the decision counts (DF-8).
    pub recorded: Option<AuditRecord>,
    /// The adapter that the person spoke through, if it was one.
    pub through: Option<Through>,
}

/// Where a decision came from that was not taken in the console.
#[derive(Debug, Clone, Copy)]
pub struct Through {
    pub adapter_id: Uuid,
    /// `source_kind` of `feedback.answered`.
    pub source_kind: &'static str,
}

impl Decider {
    /// The events of the decision, with the adapter that it came through.
    fn told(&self, audit: Vec<AuditRecord>) -> Vec<AuditRecord> {
        match self.through {
            Some(through) => {
                through_adapter(audit, &through.adapter_id.to_string(), through.source_kind)
            }
            None => audit,
        }
    }
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Decided {
    /// The request by then.
    pub request: ApprovalRow,
    pub classification: Classification,
}

/// Takes a decision; the person was found to be somebody who decides this. `None`: there is no such request.
pub async fn decide(app: &App, id: i64, decider: &Decider) -> Result<Option<Decided>, DecideError> {
    let mut transaction = app.pool.begin().await?;
    let Some(row) = approvals::lock(&mut transaction, id).await? else {
        return Ok(None);
    };
    let now = clock::now(&mut *transaction).await?;
    let standing = row.standing()?;
    let mut classification = classify(standing, decider.decision, decider.seen_version, now);
    if classification == Classification::Applied {
        match take(app, &mut transaction, &row, decider).await? {
            Taken::Counts => {}
            Taken::Dropped => {
                return Ok(Some(Decided {
                    request: row,
                    classification,
                }));
            }
            Taken::Late => classification = Classification::Expired,
        }
    }
    match classification {
        Classification::Applied => {}
        Classification::Expired if standing.state == ApprovalState::Requested => {
            expire(app, &mut transaction, &row).await?;
            tell_ignored(&mut transaction, &row, decider, Ignored::RequestExpired).await?;
        }
        Classification::Expired => {
            tell_ignored(&mut transaction, &row, decider, Ignored::RequestExpired).await?;
        }
        // Somebody who saw an older state of an open request decides on what they see next.
        Classification::Stale if standing.state == ApprovalState::Requested => {}
        Classification::Duplicate | Classification::Stale => {
            tell_ignored(&mut transaction, &row, decider, Ignored::AlreadyDecided).await?;
        }
    }
    let request = approvals::find(&mut *transaction, id).await?.unwrap_or(row);
    transition::commit(transaction, "approval.decide").await?;
    for channel in [Channel::Effects, Channel::RunQueue] {
        app.wakeups.notify(channel);
    }
    Ok(Some(Decided {
        request,
        classification,
    }))
}

/// What became of a decision that was in time when it was looked at.
enum Taken {
    Counts,
    /// Nothing of it is committed: this process does not go so far.
    Dropped,
    /// The deadline came between the look and the write.
    Late,
}

async fn take(
    app: &App,
    connection: &mut sqlx::PgConnection,
    row: &ApprovalRow,
    decider: &Decider,
) -> Result<Taken, DecideError> {
    let facts = row.facts()?;
    let is_approved = decider.decision == DecisionKind::Approved;
    if is_approved && facts.wants_value() && decider.provided.is_none() {
        return Err(DecideError::ValueRequired);
    }
    let mut plan = EffectPlan::default();
    let mut audit = match decider.decision {
        DecisionKind::Approved => {
            plan.push(Effect::ApplyRequest { request_id: row.id });
            approved(&facts, decider.person, decider.answer.as_ref())
        }
        DecisionKind::Denied => denied(&facts, decider.person),
    };
    audit = decider.told(audit);
    audit.extend(decider.recorded.clone());
    let consequences = Consequences {
        effects: plan.into_vec(),
        audit,
        ..Consequences::default()
    };
    let repository = row.repository_full_name.as_deref().unwrap_or_default();
    let consequences = app.conduct.asked(repository, consequences);
    let new = NewDecision {
        decision: decider.decision,
        decided_by: decider.person.as_uuid(),
        reason: decider.reason.as_deref(),
        answer: decider.answer.as_ref(),
    };
    if consequences.audit.is_empty() {
        return Ok(Taken::Dropped);
    }
    if !approvals::decide(connection, row.id, new).await? {
        return Ok(Taken::Late);
    }
    if let Some(value) = decider.provided.as_ref().filter(|_| is_approved) {
        secret_sync::keep(app, connection, row.id, value).await?;
    }
    let owner = EffectOwner {
        run_id: row.run_id,
        project_id: row.project_id,
        correlation_id: Some(&row.correlation_id),
        ..EffectOwner::default()
    };
    let mut channels = Vec::new();
    write_consequences(connection, None, &consequences, owner, &mut channels).await?;
    for channel in channels {
        wakeups::notify(connection, channel).await?;
    }
    if decider.decision == DecisionKind::Denied
        && let Some(ended) = approvals::find(&mut *connection, row.id).await?
    {
        resume(connection, &ended).await?;
    }
    Ok(Taken::Counts)
}

async fn tell_ignored(
    connection: &mut sqlx::PgConnection,
    row: &ApprovalRow,
    decider: &Decider,
    reason: Ignored,
) -> Result<(), sqlx::Error> {
    let record = decision_ignored(
        &row.facts()?,
        decider.person,
        decider.decision,
        row.state()?,
        reason,
    );
    for record in decider.told(vec![record]) {
        events::insert(&mut *connection, &record).await?;
    }
    Ok(())
}
