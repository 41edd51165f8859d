//! The label tools (G-32 to G-36): decided by `domain::tools`, done by the executor, awaited here.
use std::time::Duration;

use chrono::Duration as Span;
use domain::decide::Consequences;
use domain::effects::is_issue;
use domain::events::Thread;
use domain::ids::ProjectId;
use domain::tools::{
    FailureCode, FailureReason, IdempotencyKey, LabelArguments, LabelCall, LabelDecision,
    LabelOperation, ToolFailure, change_labels, label_arguments, label_query, own_thread,
    rejection, restoring_key,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::call::{Call, CallError, STALE_LIMIT};
use super::calls::Outcome;
use super::requests::{self, fingerprint, scoped};
use crate::control_plane::apply_pending;
use crate::github::{self, AccessError};
use crate::store::tool_calls::{self, KnownCall};
use crate::store::{clock, effects, snapshots};
use crate::wakeups::Channel;

/// G-22, in platform time.
const CALL_LIMIT: Span = Span::seconds(60);
/// How often an open call looks without having been woken.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// What stands under an idempotency key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum Kept {
    /// The effects are written down; whether they are done is asked of them.
    Open(Planned),
    /// The call succeeded.
    Done { output: Value },
    /// The call failed, and so do its repetitions (G-29).
    Failed { failure: KeptFailure },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Planned {
    thread: Thread,
    /// Keys of the effects, in their order.
    effects: Vec<String>,
    /// `add` or `remove`, and the label, of each effect.
    changes: Vec<(String, String)>,
    applied: Vec<String>,
    unchanged: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct KeptFailure {
    code: FailureCode,
    reason: Option<FailureReason>,
    message: String,
    compensated: Option<bool>,
}

impl From<&ToolFailure> for KeptFailure {
    fn from(failure: &ToolFailure) -> Self {
        Self {
            code: failure.code,
            reason: failure.reason,
            message: failure.message.clone(),
            compensated: failure.compensated,
        }
    }
}

impl From<KeptFailure> for ToolFailure {
    fn from(kept: KeptFailure) -> Self {
        Self {
            reason: kept.reason,
            compensated: kept.compensated,
            ..Self::new(kept.code, kept.message)
        }
    }
}

/// How far the effects of a call are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    Open,
    Done,
    /// GitHub refused the effect at this position; whether what was taken off is back, where anything was.
    Broken {
        position: usize,
        compensated: Option<bool>,
    },
}

/// `github_labels_list`.
pub async fn list(call: &Call, arguments: &Map<String, Value>) -> Result<Outcome, CallError> {
    let thread = match label_query(arguments).and_then(|asked| thread(call, asked)) {
        Ok(thread) => thread,
        Err(failure) => return Ok(Err(call.refuse(failure, Vec::new()).await?)),
    };
    let labels = match live_labels(call, &thread).await {
        Ok(labels) => labels,
        Err(failure) => return Ok(Err(call.refuse(failure, Vec::new()).await?)),
    };
    call.write(vec![call.called(), call.succeeded(false)])
        .await?;
    Ok(Ok(output(&labels, &[], &[])))
}

/// `github_labels_add`, `_remove` and `_transition`.
pub async fn change(
    call: &Call,
    operation: LabelOperation,
    arguments: &Map<String, Value>,
) -> Result<Outcome, CallError> {
    let arguments = match label_arguments(operation, arguments) {
        Ok(arguments) => arguments,
        Err(failure) => return Ok(Err(call.refuse(failure, Vec::new()).await?)),
    };
    let thread = match thread(call, arguments.issue_number) {
        Ok(thread) => thread,
        Err(failure) => return refuse_foreign(call, &arguments, failure).await,
    };
    let fingerprint = fingerprint(call, &serde_json::to_vec(&arguments)?);
    for _ in 0..STALE_LIMIT {
        if let Some(asked) = requests::standing(call, arguments.key.as_ref(), &fingerprint).await? {
            return Ok(asked);
        }
        if let Some(key) = &arguments.key
            && let Some(known) = tool_calls::find(call.services.pool(), scoped(call, key)).await?
        {
            return repeat(call, key, &fingerprint, known).await;
        }
        // Before the live labels: a change that is done in between is then in both, which harms nothing.
        let newest = snapshots::newest_label_change(call.services.pool(), &json!(thread)).await?;
        let pending =
            snapshots::pending_label_changes(call.services.pool(), &json!(thread)).await?;
        let mut current = match live_labels(call, &thread).await {
            Ok(labels) => labels,
            Err(failure) => return Ok(Err(call.refuse(failure, Vec::new()).await?)),
        };
        apply_pending(&mut current, &pending);
        let scope = Uuid::new_v4().to_string();
        let decided = match change_labels(&decision(call, &thread, &current, &scope), &arguments) {
            Ok(decided) => decided,
            Err(refused) => return Ok(Err(call.refuse(refused.failure, refused.audit).await?)),
        };
        if arguments.dry_run {
            call.write(vec![call.called(), call.succeeded(false)])
                .await?;
            let mut output = match &decided {
                LabelDecision::Change(changes) => {
                    output(&current, &changes.applied, &changes.unchanged)
                }
                LabelDecision::Ask(_) => output(&current, &[], &[]),
            };
            output["message"] = json!("dry_run");
            return Ok(Ok(output));
        }
        let changes = match decided {
            LabelDecision::Change(changes) => changes,
            LabelDecision::Ask(proposal) => {
                let seen = requests::SeenLabels {
                    labels: &current,
                    newest,
                };
                match requests::propose(call, &arguments, proposal, &fingerprint, seen).await? {
                    Some(outcome) => return Ok(outcome),
                    None => continue,
                }
            }
        };
        let mut transaction = call.services.pool().begin().await?;
        let turn = format!("{}:{thread}", i32::from(!is_issue(&thread)));
        tool_calls::lock_thread(&mut transaction, &turn).await?;
        if snapshots::newest_label_change(&mut *transaction, &json!(thread)).await? != newest {
            continue;
        }
        let consequences = Consequences {
            effects: changes.effects,
            audit: vec![call.called()],
            ..Consequences::default()
        };
        let written = call.add(&mut transaction, consequences).await?;
        let planned = Planned {
            thread: thread.clone(),
            changes: written
                .effects
                .iter()
                .map(|planned| change_of(&planned.effect))
                .collect(),
            effects: written
                .effects
                .into_iter()
                .map(|planned| planned.idempotency_key)
                .collect(),
            applied: changes.applied,
            unchanged: changes.unchanged,
        };
        if let Some(key) = &arguments.key
            && !tool_calls::claim(
                &mut transaction,
                scoped(call, key),
                &fingerprint,
                &serde_json::to_value(Kept::Open(planned.clone()))?,
            )
            .await?
        {
            continue;
        }
        call.commit(transaction, "mcp.label.change").await?;
        return finish(call, &planned, arguments.key.as_ref(), false).await;
    }
    Err(CallError::Overtaken)
}

/// A call whose key is known: the same answer, or an end of the same work (G-27, G-28).
async fn repeat(
    call: &Call,
    key: &IdempotencyKey,
    fingerprint: &[u8],
    known: KnownCall,
) -> Result<Outcome, CallError> {
    if known.input_fingerprint != fingerprint {
        return Ok(Err(call
            .refuse(requests::key_conflict(), Vec::new())
            .await?));
    }
    match serde_json::from_value(known.result.unwrap_or_default())? {
        Kept::Open(planned) => {
            call.write(vec![call.called()]).await?;
            finish(call, &planned, Some(key), true).await
        }
        Kept::Done { output } => {
            call.write(vec![call.called(), call.succeeded(true)])
                .await?;
            Ok(Ok(replayed(output)))
        }
        Kept::Failed { failure } => {
            let failure = ToolFailure::from(failure);
            call.write(vec![call.called(), call.failed(&failure, true)])
                .await?;
            Ok(Err(failure))
        }
    }
}

/// Waits for the effects of a call and tells what came of them; one that is not done in time goes on without it (G-22).
async fn finish(
    call: &Call,
    planned: &Planned,
    key: Option<&IdempotencyKey>,
    reused: bool,
) -> Result<Outcome, CallError> {
    let standing = settled(call, planned).await?;
    let labels = match &standing {
        Standing::Open => Err(ToolFailure::new(
            FailureCode::Unavailable,
            "it is not known yet whether this is done; ask again with the same key",
        )
        .because(FailureReason::CallTimeout)
        .retryable()),
        Standing::Done | Standing::Broken { .. } => live_labels(call, &planned.thread).await,
    };
    let labels = match labels {
        Ok(labels) => labels,
        Err(failure) => {
            call.write(vec![call.failed(&failure, reused)]).await?;
            return Ok(Err(failure));
        }
    };
    let (outcome, kept, audit) = match standing {
        Standing::Broken {
            position,
            compensated,
        } => {
            let failure = ToolFailure {
                compensated,
                ..ToolFailure::new(
                    FailureCode::Unavailable,
                    "GitHub refused to change the labels",
                )
                .because(FailureReason::GithubError)
            };
            let scope = String::new();
            let decision = decision(call, &planned.thread, &labels, &scope);
            let rejected = planned
                .changes
                .get(position)
                .map(|(op, label)| rejection(&decision, op, label, &failure));
            let mut audit: Vec<_> = rejected.into_iter().collect();
            audit.push(call.failed(&failure, reused));
            let kept = Kept::Failed {
                failure: KeptFailure::from(&failure),
            };
            (Err(failure), kept, audit)
        }
        Standing::Open | Standing::Done => {
            let output = output(&labels, &planned.applied, &planned.unchanged);
            let kept = Kept::Done {
                output: output.clone(),
            };
            let output = if reused { replayed(output) } else { output };
            (Ok(output), kept, vec![call.succeeded(reused)])
        }
    };
    let mut transaction = call.services.pool().begin().await?;
    let consequences = Consequences {
        audit,
        ..Consequences::default()
    };
    call.add(&mut transaction, consequences).await?;
    if let Some(key) = key {
        let kept = serde_json::to_value(kept)?;
        tool_calls::keep_result(&mut transaction, scoped(call, key), &kept).await?;
    }
    call.commit(transaction, "mcp.label.finish").await?;
    Ok(outcome)
}

async fn settled(call: &Call, planned: &Planned) -> Result<Standing, CallError> {
    let app = &call.services.app;
    let deadline = clock::now(&app.pool).await? + CALL_LIMIT;
    let mut waiter = app
        .wakeups
        .waiter(&[Channel::Effects, Channel::Clock], &app.shutdown);
    let undone: Vec<String> = planned
        .effects
        .iter()
        .map(|key| restoring_key(key))
        .collect();
    let keys = [planned.effects.as_slice(), &undone].concat();
    loop {
        let states = effects::states(&app.pool, &keys).await?;
        let of = |keys: &[String]| -> Vec<Option<String>> {
            keys.iter().map(|key| states.get(key).cloned()).collect()
        };
        let standing = standing(&of(&planned.effects), &of(&undone));
        if standing != Standing::Open || clock::now(&app.pool).await? >= deadline {
            return Ok(standing);
        }
        waiter.wait(LOOK_INTERVAL).await;
    }
}

/// `states` of the effects and of what undoes each of them, where it is wanted.
fn standing(states: &[Option<String>], undone: &[Option<String>]) -> Standing {
    let is = |state: &Option<String>, wanted: &str| state.as_deref() == Some(wanted);
    if let Some(position) = states.iter().position(|state| is(state, "given_up")) {
        let wanted: Vec<_> = undone.iter().filter(|state| state.is_some()).collect();
        if wanted.iter().any(|state| is(state, "pending")) {
            return Standing::Open;
        }
        let compensated =
            (!wanted.is_empty()).then(|| wanted.iter().all(|state| is(state, "done")));
        return Standing::Broken {
            position,
            compensated,
        };
    }
    if states.iter().all(|state| is(state, "done")) {
        Standing::Done
    } else {
        Standing::Open
    }
}

fn decision<'a>(
    call: &'a Call,
    thread: &'a Thread,
    current: &'a [String],
    scope: &'a str,
) -> LabelCall<'a> {
    let policy = &call.services.app.policy;
    LabelCall {
        run_id: call.run_id(),
        correlation_id: &call.correlation_id,
        project_id: call.caller.project_id.map(ProjectId),
        agent_key: call.agent_key(),
        trigger_kind: call.tool_run().trigger_kind,
        thread,
        current,
        catalogue: &policy.labels,
        bot_login: &policy.bot_login,
        scope,
        approved: None,
    }
}

fn change_of(effect: &domain::effects::Effect) -> (String, String) {
    use domain::effects::Effect;
    match effect {
        Effect::RemoveLabel { label, .. } => ("remove".to_owned(), label.clone()),
        Effect::AddLabel { label, .. } => ("add".to_owned(), label.clone()),
        other => (other.kind().to_owned(), String::new()),
    }
}

fn thread(call: &Call, asked: Option<i64>) -> Result<Thread, ToolFailure> {
    let subject = &call.subject;
    own_thread(
        &subject.repository_full_name,
        subject.issue_number.map(i64::from),
        subject.pr_number.map(i64::from),
        asked,
    )
}

/// G-33. Nothing of the foreign thread is read, so that only its number is recorded.
async fn refuse_foreign(
    call: &Call,
    arguments: &LabelArguments,
    failure: ToolFailure,
) -> Result<Outcome, CallError> {
    let number = arguments.issue_number.unwrap_or_default();
    let thread = Thread::issue(call.subject.repository_full_name.clone(), number);
    let scope = String::new();
    let decision = decision(call, &thread, &[], &scope);
    let adds = arguments.add.iter().map(|label| ("add", label));
    let removes = arguments.remove.iter().map(|label| ("remove", label));
    let recorded = adds
        .chain(removes)
        .map(|(op, label)| rejection(&decision, op, label, &failure))
        .collect();
    Ok(Err(call.refuse(failure, recorded).await?))
}

async fn live_labels(call: &Call, thread: &Thread) -> Result<Vec<String>, ToolFailure> {
    let read = async {
        let access = github::access_to(&call.services.app, &thread.repository_full_name).await?;
        Ok::<_, AccessError>(access.reader.labels(thread.number).await?)
    };
    read.await.map_err(|error| {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "failed to read labels for a tool call"
        );
        ToolFailure::new(
            FailureCode::Unavailable,
            "GitHub does not answer; try again",
        )
        .because(FailureReason::GithubError)
        .retryable()
    })
}

pub(super) fn output(labels: &[String], applied: &[String], unchanged: &[String]) -> Value {
    let labels: Vec<Value> = labels.iter().map(|name| json!({"name": name})).collect();
    json!({
        "status": "ok",
        "labels": labels,
        "applied": applied,
        "unchanged": unchanged,
        "approval_state": "none",
    })
}

fn replayed(mut output: Value) -> Value {
    output["reused"] = json!(true);
    output["message"] = json!("idempotent_replay");
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(states: &[&str]) -> Vec<Option<String>> {
        states
            .iter()
            .map(|state| (!state.is_empty()).then(|| (*state).to_owned()))
            .collect()
    }

    #[test]
    fn a_call_is_over_when_all_is_done_or_broken_and_undone() {
        let broken = |position, compensated| Standing::Broken {
            position,
            compensated,
        };
        let cases = [
            (vec![], vec![], Standing::Done),
            (vec!["done", "pending"], vec!["", ""], Standing::Open),
            (vec!["done", "done"], vec!["", ""], Standing::Done),
            (
                vec!["done", "given_up"],
                vec!["pending", ""],
                Standing::Open,
            ),
            (
                vec!["done", "given_up"],
                vec!["done", ""],
                broken(1, Some(true)),
            ),
            (
                vec!["done", "given_up"],
                vec!["given_up", ""],
                broken(1, Some(false)),
            ),
            (vec!["given_up"], vec![""], broken(0, None)),
        ];
        for (states, undone, expected) in cases {
            assert_eq!(
                standing(&of(&states), &of(&undone)),
                expected,
                "{states:?} {undone:?}"
            );
        }
    }
}
