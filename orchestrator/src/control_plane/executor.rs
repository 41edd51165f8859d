//! Performs what decisions wrote down (D-31), under lease and fence.
use std::time::Duration;

use domain::audit::{Actor, AuditEvent, AuditRecord, EffectGivenUpPayload, SystemActor};
use domain::effects::Effect;
use domain::ids::{CorrelationId, ProjectId, RunId};
use domain::tools::restored_labels;
use domain::waits::{Contour, Judgement, LimitAnswer, OperationClass, judge};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::backoff::{self, EFFECT_LIMIT, GIVE_UP_AFTER};
use super::crew::Crew;
use super::effects::{self as world, Attempt, EffectError, LabelsSeen, Performed};
use super::parts::pause_until;
use crate::app::{App, SharedApp};
use crate::store::effects::{self, ClaimedEffect, EffectInsertError, EffectOwner};
use crate::store::errors::{self, NewRuntimeError};
use crate::store::{clock, effect_context, events, wakeups};
use crate::transition;
use crate::waits::{self, LimitMet, LimitSignal};
use crate::wakeups::{Channel, Woken};

/// Effects of one process at the same time; they are mostly waits for GitHub.
const EXECUTORS: usize = 8;
/// Below the lease of 60 s, so that an attempt never outlives it.
const ATTEMPT_TIME_LIMIT: Duration = Duration::from_secs(50);

/// Performs effects until the process ends; those in hand are finished.
pub async fn run(app: SharedApp) {
    let owner = format!("{}-executor", app.config.worker.worker_id);
    let mut waiter = app
        .wakeups
        .waiter(&[Channel::Effects, Channel::Clock], &app.shutdown);
    let mut crew = Crew::new(EXECUTORS);
    while crew.has_room(&app.shutdown).await {
        match claim(&app, &owner, crew.room()).await {
            Ok(claimed) if !claimed.is_empty() => {
                for group in together(claimed) {
                    let app = app.clone();
                    crew.start(async move { perform_group(&app, group).await });
                }
                continue;
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to claim an effect"
            ),
        }
        let due = effects::seconds_until_due(&app.pool).await.ok().flatten();
        if waiter
            .wait(pause_until(due, app.config.poll_interval))
            .await
            == Woken::Shutdown
        {
            break;
        }
    }
    crew.finish().await;
}

async fn claim(app: &App, owner: &str, limit: usize) -> Result<Vec<ClaimedEffect>, sqlx::Error> {
    let mut transaction = app.pool.begin().await?;
    let claimed = effects::claim(&mut transaction, owner, limit).await?;
    transition::commit_if(!claimed.is_empty(), transaction, "effect.claim").await?;
    Ok(claimed)
}

/// Label changes of one thread go one after the other and share one look at its labels; all else goes side by side.
fn together(claimed: Vec<ClaimedEffect>) -> Vec<Vec<ClaimedEffect>> {
    let mut groups: Vec<(Option<Value>, Vec<ClaimedEffect>)> = Vec::new();
    for effect in claimed {
        let is_label_change = matches!(effect.kind.as_str(), "add_label" | "remove_label");
        let thread = effect
            .payload
            .get("thread")
            .filter(|_| is_label_change)
            .cloned();
        match groups
            .iter_mut()
            .find(|(of, _)| thread.is_some() && *of == thread)
        {
            Some((_, group)) => group.push(effect),
            None => groups.push((thread, vec![effect])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Performs a group in its order, within the time that its leases allow, and completes what was done in one step.
async fn perform_group(app: &App, group: Vec<ClaimedEffect>) {
    let deadline = tokio::time::Instant::now() + ATTEMPT_TIME_LIMIT;
    let labels = LabelsSeen::default();
    let mut done = Vec::with_capacity(group.len());
    for claimed in group {
        let started = std::time::Instant::now();
        let outcome = tokio::time::timeout_at(deadline, attempt(app, &claimed, &labels))
            .await
            .unwrap_or(Err(EffectError::TimedOut));
        metrics::histogram!("codexk8s_effect_duration_seconds", "kind" => claimed.kind.clone())
            .record(started.elapsed().as_secs_f64());
        match outcome {
            Ok(performed) => done.push((claimed, performed)),
            Err(error) => {
                labels.forget();
                give_back(app, &claimed, &error).await;
            }
        }
    }
    if let Err(error) = complete(app, &done).await {
        for (claimed, _) in &done {
            give_back(app, claimed, &error).await;
        }
    }
}

#[tracing::instrument(skip_all, fields(effect.id = claimed.id, effect.kind = claimed.kind, attempt = claimed.attempts, run.id = ?claimed.run_id, delivery.id = ?claimed.delivery_id))]
async fn give_back(app: &App, claimed: &ClaimedEffect, error: &EffectError) {
    if let Err(error) = handle_failure(app, claimed, error).await {
        // The lease ends by itself; the next executor goes on.
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "failed to give an effect back"
        );
    }
}

#[tracing::instrument(skip_all, fields(effect.id = claimed.id, effect.kind = claimed.kind, attempt = claimed.attempts, run.id = ?claimed.run_id, delivery.id = ?claimed.delivery_id))]
async fn attempt(
    app: &App,
    claimed: &ClaimedEffect,
    labels: &LabelsSeen,
) -> Result<Performed, EffectError> {
    let effect = Effect::deserialize(&claimed.payload).map_err(EffectError::Decode)?;
    let context = effect_context::load(&app.pool, claimed).await?;
    let repository = effect
        .thread()
        .map(|thread| thread.repository_full_name.as_str())
        .or(context.repository_full_name.as_deref());
    if repository.is_some_and(|repository| !app.acts_on(repository)) {
        return Ok(Performed::default());
    }
    let attempt = Attempt {
        app,
        claimed,
        correlation_id: CorrelationId::new(context.correlation_id),
        labels,
    };
    world::perform(&attempt, &effect).await
}

/// Completion and what it tells commit together; a stale fence tells nothing.
async fn complete(app: &App, done: &[(ClaimedEffect, Performed)]) -> Result<(), EffectError> {
    if done.is_empty() {
        return Ok(());
    }
    let mut transaction = app.pool.begin().await?;
    let mut completed = Vec::with_capacity(done.len());
    for (claimed, performed) in done {
        if effects::complete(&mut transaction, claimed).await? {
            performed.record(&mut transaction, claimed).await?;
            if let Some(run_id) = claimed.run_id {
                waits::settle(&mut transaction, run_id).await?;
            }
            completed.push(claimed);
        } else {
            tracing::info!(effect.id = claimed.id, "another executor has the effect");
        }
    }
    let has_followers = effects::has_followers(&mut transaction, &completed).await?;
    if has_followers {
        wakeups::notify(&mut transaction, Channel::Effects).await?;
    }
    transition::commit(transaction, "effect.complete").await?;
    if has_followers {
        app.wakeups.notify(Channel::Effects);
    }
    Ok(())
}

async fn handle_failure(
    app: &App,
    claimed: &ClaimedEffect,
    error: &EffectError,
) -> Result<(), sqlx::Error> {
    let text = error.chain();
    if let Some(answer) = error.limit()
        && wait_out(app, claimed, answer, &text).await?
    {
        return Ok(());
    }
    let too_old = clock::now(&app.pool).await? - claimed.created_at >= GIVE_UP_AFTER;
    let decoded = Effect::deserialize(&claimed.payload).ok();
    let limit = decoded.as_ref().and_then(Effect::attempt_limit);
    let is_used_up = limit.is_some_and(|limit| claimed.attempts >= limit);
    if !error.is_permanent() && !too_old && !is_used_up {
        tracing::warn!(error = text, "an effect failed, it is tried again");
        let pause = backoff::pause_seconds(claimed.attempts, EFFECT_LIMIT);
        let (Some(_), Some(effect)) = (limit, &decoded) else {
            return effects::postpone(&app.pool, claimed, &text, pause).await;
        };
        let mut transaction = app.pool.begin().await?;
        effects::postpone(&mut *transaction, claimed, &text, pause).await?;
        world::tell_failed_step(&mut transaction, claimed, effect, error, false).await?;
        return transition::commit(transaction, "effect.step_failed").await;
    }
    tracing::error!(error = text, "an effect is given up");
    let mut transaction = app.pool.begin().await?;
    if let Some(effect) = &decoded {
        world::tell_failed_step(&mut transaction, claimed, effect, error, true).await?;
    }
    for given_up in effects::give_up(&mut transaction, claimed, &text).await? {
        let code = if given_up.id == claimed.id {
            error.code()
        } else {
            "predecessor_given_up".to_owned()
        };
        tell_given_up(&mut transaction, app, &given_up, &code, &text).await?;
        if let Ok(effect) = Effect::deserialize(&given_up.payload) {
            let is_permanent = error.is_permanent();
            world::give_up_request(&mut transaction, given_up.id, &effect, is_permanent, &text)
                .await?;
        }
    }
    let restores = restore_labels(&mut transaction, claimed).await?;
    transition::commit(transaction, "effect.give_up").await?;
    if restores {
        app.wakeups.notify(Channel::Effects);
    }
    Ok(())
}

/// An event of what an effect belongs to.
pub(super) fn record_of(
    claimed: &ClaimedEffect,
    correlation_id: CorrelationId,
    event: AuditEvent,
) -> AuditRecord {
    let actor = Actor::System(SystemActor::ControlPlane);
    let record =
        AuditRecord::new(event, actor, correlation_id).project(claimed.project_id.map(ProjectId));
    match claimed.run_id {
        Some(run_id) => record.run(RunId(run_id)),
        None => record,
    }
}

/// What an agent's transition took off comes back with the end of its add (G-34).
async fn restore_labels(
    connection: &mut PgConnection,
    given_up: &ClaimedEffect,
) -> Result<bool, sqlx::Error> {
    let Ok(effect) = Effect::deserialize(&given_up.payload) else {
        return Ok(false);
    };
    let done = effects::done_before(connection, given_up.id).await?;
    let restored = restored_labels(&effect, &done);
    if restored.is_empty() {
        return Ok(false);
    }
    let owner = EffectOwner {
        run_id: given_up.run_id,
        project_id: given_up.project_id,
        ..EffectOwner::default()
    };
    match effects::insert_plan(connection, &restored, owner).await {
        Ok(_) => {}
        Err(EffectInsertError::Store(error)) => return Err(error),
        Err(EffectInsertError::Encode(error)) => return Err(sqlx::Error::Encode(error.into())),
    }
    wakeups::notify(connection, Channel::Effects).await?;
    Ok(true)
}

/// A call that met GitHub's limit waits with the others of its run, and costs none of its own attempts. `false`:
/// nobody waits for it any more.
async fn wait_out(
    app: &App,
    claimed: &ClaimedEffect,
    answer: &LimitAnswer,
    text: &str,
) -> Result<bool, sqlx::Error> {
    let signal_id = format!("effect-{}-{}", claimed.id, claimed.attempts);
    let mut transaction = app.pool.begin().await?;
    let met = match (claimed.run_id, OperationClass::of_effect(&claimed.kind)) {
        (Some(run_id), Some(operation)) => {
            let signal = LimitSignal {
                run_id,
                contour: Contour::PlatformPat,
                operation,
                id: &signal_id,
                answer,
            };
            waits::meet(&mut transaction, signal).await?
        }
        _ => LimitMet::RunOver,
    };
    match met {
        LimitMet::Waiting(wait) => {
            tracing::warn!(error = text, wait.id = %wait.id, wait.state, "an effect met GitHub's limit, its run's calls wait");
            effects::await_limit(&mut transaction, claimed, text, wait.resume_not_before).await?;
        }
        // Labels and comments of a run that is over, and what belongs to no run, wait on their own.
        LimitMet::RunOver => {
            let too_old =
                clock::now(&mut *transaction).await? - claimed.created_at >= GIVE_UP_AFTER;
            let Judgement::Limited(limit) = judge(answer) else {
                return Ok(false);
            };
            if too_old {
                return Ok(false);
            }
            let used = (claimed.attempts - 1).max(0);
            #[expect(
                clippy::cast_precision_loss,
                reason = "a span of hours is exact as a float"
            )]
            let pause = limit.delay_seconds(used) as f64;
            tracing::warn!(
                error = text,
                pause,
                "an effect met GitHub's limit, it is tried again"
            );
            effects::postpone(&mut *transaction, claimed, text, pause).await?;
        }
        LimitMet::HardFailure => return Ok(false),
    }
    transition::commit(transaction, "effect.limit").await?;
    Ok(true)
}

async fn tell_given_up(
    connection: &mut PgConnection,
    app: &App,
    effect: &ClaimedEffect,
    code: &str,
    cause: &str,
) -> Result<(), sqlx::Error> {
    let context = effect_context::load(&app.pool, effect).await?;
    let decoded = Effect::deserialize(&effect.payload).ok();
    let thread = decoded.as_ref().and_then(Effect::thread);
    let payload = EffectGivenUpPayload {
        effect_kind: Some(effect.kind.clone()),
        delivery_id: effect.delivery_id.clone(),
        repository_full_name: thread.map(|thread| thread.repository_full_name.clone()),
        thread_kind: thread.map(|thread| thread.kind.to_string()),
        thread_number: thread.map(|thread| thread.number),
        attempts: Some(i64::from(effect.attempts)),
        error_code: Some(code.to_owned()),
    };
    let record = AuditRecord::new(
        AuditEvent::EffectGivenUp(payload),
        Actor::System(SystemActor::ControlPlane),
        CorrelationId::new(context.correlation_id.as_str()),
    )
    .project(effect.project_id.map(ProjectId));
    let record = match effect.run_id {
        Some(run_id) => record.run(RunId(run_id)),
        None => record,
    };
    events::insert(connection, &record).await?;
    let entry = NewRuntimeError {
        source: "outbox",
        level: "error",
        message: &format!("an effect of kind {} is given up: {code}", effect.kind),
        details: json!({"effect_id": effect.id, "idempotency_key": effect.idempotency_key, "attempts": effect.attempts, "cause": cause}),
        correlation_id: Some(&context.correlation_id),
        run_id: effect.run_id,
        project_id: effect.project_id,
    };
    errors::journal(connection, &entry).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(id: i64, kind: &str, number: i64) -> ClaimedEffect {
        ClaimedEffect {
            id,
            idempotency_key: id.to_string(),
            kind: kind.to_owned(),
            delivery_id: None,
            run_id: None,
            project_id: None,
            payload: json!({"thread": {"number": number}}),
            attempts: 1,
            fence: 1,
            created_at: chrono::DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn only_label_changes_of_one_thread_go_together_in_their_order() {
        let claimed = vec![
            effect(1, "add_label", 7),
            effect(2, "create_comment", 7),
            effect(3, "remove_label", 7),
            effect(4, "remove_label", 8),
            effect(5, "create_comment", 7),
        ];
        let groups: Vec<Vec<i64>> = together(claimed)
            .iter()
            .map(|group| group.iter().map(|effect| effect.id).collect())
            .collect();
        assert_eq!(groups, [vec![1, 3], vec![2], vec![4], vec![5]]);
    }
}
