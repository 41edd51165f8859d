//! What somebody approved (G-75, G-78 to G-80, G-85, G-86): begun once, its steps being effects of their own, and told
//! of when the last is done. The ledger of the steps is the outbox.
use domain::approvals::{
    ApplyFailure, ApprovalState, DecisionKind, LabelProposal, Proposal, RequestFacts, applied,
    failed, not_approved,
};
use domain::databases::DatabaseChange;
use domain::decide::{Consequences, NewGrant};
use domain::effects::{Effect, EffectPlan, PlannedEffect, is_issue};
use domain::ids::{RunId, UserId};
use domain::secret_sync::{SecretSync, SyncStep};
use domain::tools::{LabelArguments, LabelCall, LabelChanges, LabelDecision, change_labels};
use serde_json::json;
use sqlx::PgConnection;

use super::{Attempt, EffectError, Performed, databases, secret_sync};
use crate::app::App;
use crate::approvals::resume;
use crate::control_plane::commit::{CommitError, write_consequences};
use crate::control_plane::person_steps::apply_pending;
use crate::github;
use crate::store::approvals::{self, ApprovalRow};
use crate::store::effects::EffectOwner;
use crate::store::tool_calls::{self, CallSubject};
use crate::store::{effects, events, repositories, run_waits, snapshots, wakeups};
use crate::transition;
use crate::wakeups::Channel;

/// `applied_by` of what the platform does itself.
const APPLIED_BY: &str = "control-plane";
/// How often a decision is taken anew because another of its thread was faster.
const STALE_LIMIT: usize = 8;

/// Begins a request, unless that was done before.
pub(super) async fn begin(
    attempt: &Attempt<'_>,
    request_id: i64,
) -> Result<Performed, EffectError> {
    let pool = &attempt.app.pool;
    let finishing = Effect::FinishRequest { request_id }.idempotency_key("");
    if !effects::states(pool, &[finishing]).await?.is_empty() {
        return Ok(Performed::nothing());
    }
    let Some(row) = approvals::find(pool, request_id).await? else {
        return Ok(Performed::nothing());
    };
    if refused_unapproved(attempt.app, &row).await? {
        return Ok(Performed::nothing());
    }
    match row.facts()?.proposal {
        Some(Proposal::Labels(proposal)) => begin_labels(attempt, &row, &proposal).await?,
        Some(Proposal::Feedback(_)) => {
            let mut transaction = pool.begin().await?;
            if let Some(row) = approved(&mut transaction, request_id).await? {
                match canceled(&mut transaction, &row).await? {
                    true => {
                        fail(&mut transaction, &row, ApplyFailure::RunCanceled, "", &[]).await?
                    }
                    false => finish_locked(&mut transaction, &row, &[]).await?,
                }
                transition::commit(transaction, "approval.begin").await?;
            }
        }
        Some(Proposal::SecretSync(sync)) => begin_sync(attempt, &row, &sync).await?,
        Some(Proposal::Database(change)) => begin_database(attempt, &row, &change).await?,
        None => {
            let mut transaction = pool.begin().await?;
            if let Some(row) = approved(&mut transaction, request_id).await? {
                let failure = ApplyFailure::PermanentError;
                fail(&mut transaction, &row, failure, "no code serves it", &[]).await?;
                transition::commit(transaction, "approval.begin").await?;
            }
        }
    }
    attempt.app.wakeups.notify(Channel::RunQueue);
    Ok(Performed::nothing())
}

/// Whether nobody has approved the request, whoever has planned that it is carried out; then that is told (G-80).
pub(super) async fn refused_unapproved(app: &App, row: &ApprovalRow) -> Result<bool, sqlx::Error> {
    let state = row.state()?;
    if state.decision() == Some(DecisionKind::Approved) {
        return Ok(false);
    }
    let mut transaction = app.pool.begin().await?;
    events::insert(&mut transaction, &not_approved(&row.facts()?, state)).await?;
    transition::commit(transaction, "approval.refuse").await?;
    Ok(true)
}

/// The request, locked, if it is approved and nothing else (G-80).
async fn approved(
    connection: &mut PgConnection,
    request_id: i64,
) -> Result<Option<ApprovalRow>, sqlx::Error> {
    let Some(row) = approvals::lock(&mut *connection, request_id).await? else {
        return Ok(None);
    };
    if row.state()? != ApprovalState::Approved {
        tracing::warn!(
            request_id,
            state = row.approval_state,
            "a request that is not approved is not carried out"
        );
        return Ok(None);
    }
    approvals::count_attempt(connection, request_id).await?;
    Ok(Some(row))
}

/// Whether the run was cancelled; one that is continued has passed its requests on.
async fn canceled(connection: &mut PgConnection, row: &ApprovalRow) -> Result<bool, sqlx::Error> {
    let Some(run_id) = row.run_id else {
        return Ok(false);
    };
    let run = run_waits::lock(connection, run_id).await?;
    Ok(run.is_some_and(|run| run.status == "canceled"))
}

async fn begin_sync(
    attempt: &Attempt<'_>,
    row: &ApprovalRow,
    sync: &SecretSync,
) -> Result<(), EffectError> {
    let app = attempt.app;
    let name = &sync.repository_full_name;
    let bound = repositories::find_by_full_name(&app.pool, name).await?;
    let is_bound = bound.is_some_and(|bound| Some(bound.project_id) == row.project_id);
    let may_be_done = is_bound && secret_sync::is_own_namespace(app, row, sync).await?;
    let mut transaction = app.pool.begin().await?;
    let Some(row) = approved(&mut transaction, row.id).await? else {
        return Ok(());
    };
    if canceled(&mut transaction, &row).await? {
        fail(&mut transaction, &row, ApplyFailure::RunCanceled, "", &[]).await?;
    } else if may_be_done {
        let steps = SyncStep::ALL.iter().map(|step| Effect::SyncSecret {
            request_id: row.id,
            step: *step,
        });
        plan_steps(app, &mut transaction, &row, steps).await?;
    } else {
        let why = "the target is not the project's any more";
        fail(&mut transaction, &row, ApplyFailure::FactsChanged, why, &[]).await?;
    }
    transition::commit(transaction, "approval.begin").await?;
    app.wakeups.notify(Channel::Effects);
    Ok(())
}

async fn begin_database(
    attempt: &Attempt<'_>,
    row: &ApprovalRow,
    change: &DatabaseChange,
) -> Result<(), EffectError> {
    let app = attempt.app;
    let facts = databases::facts(app, row, change).await?;
    let mut transaction = app.pool.begin().await?;
    let Some(row) = approved(&mut transaction, row.id).await? else {
        return Ok(());
    };
    if canceled(&mut transaction, &row).await? {
        fail(&mut transaction, &row, ApplyFailure::RunCanceled, "", &[]).await?;
    } else if databases::reserve(&mut transaction, &row, change, &facts).await? {
        let step = Effect::ChangeDatabase { request_id: row.id };
        plan_steps(app, &mut transaction, &row, [step]).await?;
    } else {
        let why = "the database is not what it was when it was asked for";
        fail(&mut transaction, &row, ApplyFailure::FactsChanged, why, &[]).await?;
    }
    transition::commit(transaction, "approval.begin").await?;
    app.wakeups.notify(Channel::Effects);
    Ok(())
}

/// Writes steps that follow each other, with the end of the request after the last.
async fn plan_steps(
    app: &App,
    connection: &mut PgConnection,
    row: &ApprovalRow,
    steps: impl IntoIterator<Item = Effect>,
) -> Result<(), EffectError> {
    let mut plan = EffectPlan::default();
    for step in steps {
        plan.push_after(step, plan.last());
    }
    plan.push_after(Effect::FinishRequest { request_id: row.id }, plan.last());
    let consequences = Consequences {
        effects: plan.into_vec(),
        ..Consequences::default()
    };
    let repository = row.repository_full_name.as_deref().unwrap_or_default();
    let consequences = app.conduct.asked(repository, consequences);
    write_plan(connection, row, &consequences).await
}

async fn begin_labels(
    attempt: &Attempt<'_>,
    row: &ApprovalRow,
    proposal: &LabelProposal,
) -> Result<(), EffectError> {
    let app = attempt.app;
    let thread = &proposal.thread;
    for _ in 0..STALE_LIMIT {
        let bound =
            repositories::find_by_full_name(&app.pool, &thread.repository_full_name).await?;
        let is_bound = bound.is_some_and(|bound| Some(bound.project_id) == row.project_id);
        let subject = match row.run_id {
            Some(run_id) => tool_calls::subject(&app.pool, run_id).await?,
            None => None,
        };
        // Before the live labels: a change that is done in between is then in both, which harms nothing.
        let newest = snapshots::newest_label_change(&app.pool, &json!(thread)).await?;
        let pending = snapshots::pending_label_changes(&app.pool, &json!(thread)).await?;
        let mut current = if is_bound {
            let access = github::access_to(app, &thread.repository_full_name).await?;
            access.reader.labels(thread.number).await?
        } else {
            Vec::new()
        };
        apply_pending(&mut current, &pending);
        let facts = row.facts()?;
        let decided = subject
            .filter(|_| is_bound)
            .and_then(|subject| decision(app, &facts, &subject, proposal, &current));
        let mut transaction = app.pool.begin().await?;
        let turn = format!("{}:{thread}", i32::from(!is_issue(thread)));
        tool_calls::lock_thread(&mut transaction, &turn).await?;
        if snapshots::newest_label_change(&mut *transaction, &json!(thread)).await? != newest {
            continue;
        }
        let Some(row) = approved(&mut transaction, row.id).await? else {
            return Ok(());
        };
        if canceled(&mut transaction, &row).await? {
            fail(&mut transaction, &row, ApplyFailure::RunCanceled, "", &[]).await?;
        } else if let Some(changes) = decided {
            write_steps(app, &mut transaction, &row, proposal, changes).await?;
        } else {
            let why = "what was approved may not be done any more";
            fail(&mut transaction, &row, ApplyFailure::FactsChanged, why, &[]).await?;
        }
        transition::commit(transaction, "approval.begin").await?;
        app.wakeups.notify(Channel::Effects);
        return Ok(());
    }
    Err(EffectError::TimedOut)
}

/// What the request changes on what the thread bears now; none when it may not be done any more (G-36, G-37, G-86).
fn decision(
    app: &App,
    facts: &RequestFacts,
    subject: &CallSubject,
    proposal: &LabelProposal,
    current: &[String],
) -> Option<LabelChanges> {
    let call = LabelCall {
        run_id: facts.run_id.unwrap_or(RunId(uuid::Uuid::nil())),
        correlation_id: &facts.correlation_id,
        project_id: facts.project_id,
        agent_key: subject.agent_key.as_deref().unwrap_or_default(),
        trigger_kind: subject.tool_run("").trigger_kind,
        thread: &proposal.thread,
        current,
        catalogue: &app.policy.labels,
        bot_login: &app.policy.bot_login,
        scope: &format!("request-{}", facts.id),
        approved: Some(facts.id),
    };
    let arguments = LabelArguments {
        issue_number: Some(proposal.thread.number),
        add: proposal.add.clone(),
        remove: proposal.remove.clone(),
        key: None,
        dry_run: false,
    };
    match change_labels(&call, &arguments) {
        Ok(LabelDecision::Change(changes)) => Some(changes),
        Ok(LabelDecision::Ask(_)) | Err(_) => None,
    }
}

async fn write_steps(
    app: &App,
    connection: &mut PgConnection,
    row: &ApprovalRow,
    proposal: &LabelProposal,
    changes: LabelChanges,
) -> Result<(), EffectError> {
    let mut steps = changes.effects;
    let finishing = Effect::FinishRequest { request_id: row.id };
    let mut plan = EffectPlan::default();
    plan.push(finishing);
    let after = steps.len().checked_sub(1);
    steps.extend(
        plan.into_vec()
            .into_iter()
            .map(|planned| PlannedEffect { after, ..planned }),
    );
    let grants = row.decided_by.map_or_else(Vec::new, |person| {
        changes
            .gated
            .iter()
            .map(|label| NewGrant {
                thread: proposal.thread.clone(),
                label: label.clone(),
                user_id: UserId(person),
                request_id: Some(row.id),
            })
            .collect()
    });
    let consequences = Consequences {
        effects: steps,
        grants,
        ..Consequences::default()
    };
    let consequences = app
        .conduct
        .asked(&proposal.thread.repository_full_name, consequences);
    write_plan(connection, row, &consequences).await
}

async fn write_plan(
    connection: &mut PgConnection,
    row: &ApprovalRow,
    consequences: &Consequences,
) -> Result<(), EffectError> {
    let owner = EffectOwner {
        run_id: row.run_id,
        project_id: row.project_id,
        correlation_id: Some(&row.correlation_id),
        ..EffectOwner::default()
    };
    let mut channels = Vec::new();
    write_consequences(connection, None, consequences, owner, &mut channels)
        .await
        .map_err(|error| match error {
            CommitError::Store(error) => EffectError::Store(error),
            CommitError::Effects(error) => EffectError::Follow(error),
        })?;
    for channel in channels {
        wakeups::notify(connection, channel).await?;
    }
    Ok(())
}

/// The last step is done.
pub(super) async fn finish(
    attempt: &Attempt<'_>,
    request_id: i64,
) -> Result<Performed, EffectError> {
    let pool = &attempt.app.pool;
    let Some(row) = approvals::find(pool, request_id).await? else {
        return Ok(Performed::nothing());
    };
    if refused_unapproved(attempt.app, &row).await? {
        return Ok(Performed::nothing());
    }
    let mut transaction = pool.begin().await?;
    let Some(row) = approvals::lock(&mut transaction, request_id).await? else {
        return Ok(Performed::nothing());
    };
    if row.state()? == ApprovalState::Approved {
        let mut steps = steps_before(&mut transaction, attempt.claimed.id).await?;
        steps.extend(row.completed_steps.iter().cloned());
        finish_locked(&mut transaction, &row, &steps).await?;
        transition::commit(transaction, "approval.finish").await?;
        attempt.app.wakeups.notify(Channel::RunQueue);
    }
    Ok(Performed::nothing())
}

async fn steps_before(
    connection: &mut PgConnection,
    effect_id: i64,
) -> Result<Vec<String>, sqlx::Error> {
    let done = effects::done_before(connection, effect_id).await?;
    Ok(done
        .iter()
        .filter_map(|planned| match &planned.effect {
            Effect::AddLabel { label, .. } => Some(format!("add_label:{label}")),
            Effect::RemoveLabel { label, .. } => Some(format!("remove_label:{label}")),
            _ => None,
        })
        .collect())
}

async fn finish_locked(
    connection: &mut PgConnection,
    row: &ApprovalRow,
    steps: &[String],
) -> Result<(), sqlx::Error> {
    if !approvals::apply(&mut *connection, row.id, APPLIED_BY, steps).await? {
        return Ok(());
    }
    for record in applied(&row.facts()?, APPLIED_BY, steps) {
        events::insert(&mut *connection, &record).await?;
    }
    told(connection, row.id).await
}

async fn fail(
    connection: &mut PgConnection,
    row: &ApprovalRow,
    failure: ApplyFailure,
    error: &str,
    steps: &[String],
) -> Result<(), sqlx::Error> {
    let text = if error.is_empty() {
        failure.as_str()
    } else {
        error
    };
    if !approvals::fail(&mut *connection, row.id, failure, text, steps).await? {
        return Ok(());
    }
    for record in failed(&row.facts()?, failure, steps) {
        events::insert(&mut *connection, &record).await?;
    }
    told(connection, row.id).await
}

async fn told(connection: &mut PgConnection, request_id: i64) -> Result<(), sqlx::Error> {
    match approvals::find(&mut *connection, request_id).await? {
        Some(ended) => resume(connection, &ended).await,
        None => Ok(()),
    }
}

/// An effect was given up: the request that it belongs to has failed (G-79), in the same transaction.
pub async fn give_up(
    connection: &mut PgConnection,
    effect_id: i64,
    effect: &Effect,
    is_permanent: bool,
    error: &str,
) -> Result<(), sqlx::Error> {
    let (Effect::ApplyRequest { request_id } | Effect::FinishRequest { request_id }) = effect
    else {
        return Ok(());
    };
    let Some(row) = approvals::lock(&mut *connection, *request_id).await? else {
        return Ok(());
    };
    let mut steps = steps_before(&mut *connection, effect_id).await?;
    steps.extend(row.completed_steps.iter().cloned());
    let failure = if is_permanent {
        ApplyFailure::PermanentError
    } else {
        ApplyFailure::AttemptsExhausted
    };
    fail(connection, &row, failure, error, &steps).await
}
