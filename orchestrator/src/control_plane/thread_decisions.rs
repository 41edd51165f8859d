//! What decisions about a thread have in common that no delivery asked for: they are committed under the same locks as
//! the deliveries of that thread, and taken anew when one of these was faster.
use domain::audit::AuditRecord;
use domain::decide::{Consequences, Undecided};
use domain::events::Thread;
use domain::ids::CorrelationId;
use domain::launch_profiles::IssueFlow;
use domain::snapshot::{Binding, Fact, Read, RunFacts, Snapshot};
use serde_json::json;

use super::commit::{self, CommitError};
use super::snapshot_loader;
use crate::app::App;
use crate::store::effects::EffectOwner;
use crate::store::{events, snapshots, wakeups};
use crate::transition;

/// How often a decision is taken anew because another of its thread was faster.
pub(super) const STALE_LIMIT: usize = 8;

/// Why there is no decision.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    #[error("failed to load what the decision needs")]
    Load(#[from] sqlx::Error),
    #[error(transparent)]
    Undecided(#[from] Undecided),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error("failed to decide: the same facts are asked for again and again")]
    NoProgress,
    #[error("failed to decide: the thread changes faster than decisions are taken")]
    Overtaken,
}

/// A decision with what it knew.
pub(super) struct Decided<'a> {
    pub(super) binding: &'a Binding,
    /// `owner/name` as GitHub spells it.
    pub(super) repository_full_name: &'a str,
    pub(super) correlation_id: &'a CorrelationId,
    pub(super) snapshot: &'a Snapshot,
    /// The newest change of labels that was known of a thread.
    pub(super) labels: Option<(&'a Thread, Option<i64>)>,
    /// What is recorded of the request when it changes anything (DF-8).
    pub(super) recorded: Option<&'a AuditRecord>,
}

/// `false`: what the decision knew has changed meanwhile.
pub(super) async fn write(
    app: &App,
    decided: &Decided<'_>,
    consequences: Consequences,
) -> Result<bool, StepError> {
    let mut transaction = app.pool.begin().await?;
    if !commit::still_true(
        &mut transaction,
        decided.repository_full_name,
        decided.snapshot,
    )
    .await?
    {
        return Ok(false);
    }
    if let Some((thread, newest)) = decided.labels
        && snapshots::newest_label_change(&mut *transaction, &json!(thread)).await? != newest
    {
        return Ok(false);
    }
    let consequences = app
        .conduct
        .asked(decided.repository_full_name, consequences);
    let owner = EffectOwner {
        project_id: Some(decided.binding.project_id.as_uuid()),
        correlation_id: Some(decided.correlation_id.as_str()),
        ..EffectOwner::default()
    };
    let mut channels = Vec::new();
    commit::write_consequences(
        &mut transaction,
        Some(decided.binding),
        &consequences,
        owner,
        &mut channels,
    )
    .await?;
    let changes = !consequences.effects.is_empty() || !consequences.thread_states.is_empty();
    if changes && let Some(recorded) = decided.recorded {
        events::insert(&mut transaction, recorded).await?;
    }
    for channel in &channels {
        wakeups::notify(&mut transaction, *channel).await?;
    }
    transition::commit(transaction, "thread_decision.commit").await?;
    for channel in channels {
        app.wakeups.notify(channel);
    }
    Ok(true)
}

/// The path of an Issue, and the runs that led there.
pub(super) struct Path {
    pub(super) flow: IssueFlow,
    pub(super) history: Vec<RunFacts>,
}

/// Reads the path of an Issue into the snapshot, which then says whether it is still true.
pub(super) async fn load_path(
    app: &App,
    repository_full_name: &str,
    snapshot: &mut Snapshot,
    issue: &Thread,
) -> Result<Path, StepError> {
    let reads = [
        Read::IssueState(issue.number),
        Read::IssueHistory(issue.number),
    ];
    snapshot_loader::load_facts(app, repository_full_name, snapshot, reads.to_vec()).await?;
    match reads.each_ref().map(|read| snapshot.facts.get(read)) {
        [Some(Fact::State(state)), Some(Fact::History(history))] => Ok(Path {
            flow: state.flow.clone(),
            history: history.clone(),
        }),
        _ => Err(StepError::NoProgress),
    }
}
