//! What is decided at the claim from live labels, before any namespace exists (L-14, L-46 rows 1 to 5).

use super::context::WorkerContext;
use super::control_plane::Threads;
use super::launch::LaunchError;
use crate::store::run_history;
use crate::store::runs::{self, WorkerRun};
use domain::audit::{AuditEvent, ProfileResolvedPayload, RevisePrNotFoundPayload};
use domain::events::ThreadKind;
use domain::policy::Policy;
use domain::profile::{self, ProfileRequest};
use domain::runs::TriggerSource;
use domain::snapshot::{ProfileFacts, RunFacts};
use domain::stages::TriggerKind;
use serde_json::Value;
use sqlx::PgConnection;

/// The run's profile, and whether it was resolved by an earlier attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedProfile {
    /// Model and reasoning effort with their sources.
    pub facts: ProfileFacts,
    /// Pull request found at the claim.
    pub pull_request: Option<i32>,
    /// The event is written already.
    pub recorded: bool,
}

/// A precondition that does not hold, with the event that explains it.
#[derive(Debug, Clone, PartialEq)]
pub struct Unmet {
    /// `error` of the terminal event.
    pub error: String,
    /// L-46 row 4.
    pub event: Option<AuditEvent>,
}

/// Resolves the profile of a run, or finds why it cannot start.
pub async fn resolve(
    ctx: &WorkerContext,
    run: &WorkerRun,
) -> Result<Result<ResolvedProfile, Unmet>, LaunchError> {
    if let Some(missing) = missing_agent(&run.run_payload) {
        return Ok(Err(Unmet {
            error: format!("the run names no {missing}"),
            event: None,
        }));
    }
    let mut conn = ctx.app.pool.acquire().await?;
    if let Some(stored) = runs::event_payload(&mut conn, run.id, "run.profile.resolved").await? {
        if let Ok(facts) = serde_json::from_value::<ProfileFacts>(stored) {
            return Ok(Ok(ResolvedProfile {
                facts,
                pull_request: None,
                recorded: true,
            }));
        }
    }
    let kind: TriggerKind = run
        .trigger_kind
        .parse()
        .map_err(|_| LaunchError::context(format!("unknown trigger kind {}", run.trigger_kind)))?;
    let source = TriggerSource::from_text(&run.trigger_source).ok_or_else(|| {
        LaunchError::context(format!("unknown trigger source {}", run.trigger_source))
    })?;
    let (history, threads) = tokio::try_join!(
        async {
            earlier_runs(&mut conn, run)
                .await
                .map_err(LaunchError::from)
        },
        async {
            ctx.control_plane
                .threads(run.id)
                .await
                .map_err(LaunchError::threads)
        },
    )?;
    drop(conn);
    if let Some(unmet) = unmet_threads(run, kind, source, &threads, &ctx.policy) {
        return Ok(Err(unmet));
    }
    let issue_labels = threads
        .issue
        .as_ref()
        .map(|thread| thread.labels.as_slice());
    let pull_request_labels = threads
        .pull_request
        .as_ref()
        .map(|thread| thread.labels.as_slice());
    let request = ProfileRequest {
        trigger_source: source,
        trigger_kind: kind,
        issue_labels,
        pull_request_labels,
        history: &history,
    };
    match profile::resolve(&request, &ctx.policy) {
        Err(conflict) => Ok(Err(Unmet {
            error: conflict.to_string(),
            event: None,
        })),
        Ok(facts) => {
            let number = threads
                .pull_request
                .and_then(|thread| i32::try_from(thread.number).ok());
            Ok(Ok(ResolvedProfile {
                facts,
                pull_request: number,
                recorded: false,
            }))
        }
    }
}

/// `run.profile.resolved`.
pub fn resolved_event(run: &WorkerRun, profile: &ResolvedProfile) -> AuditEvent {
    let facts = profile.facts.clone();
    AuditEvent::RunProfileResolved(ProfileResolvedPayload {
        repository_full_name: Some(run.repository_full_name.clone()),
        issue_number: run.issue_number.map(i64::from),
        pull_request_number: profile.pull_request.or(run.pr_number).map(i64::from),
        trigger_kind: Some(run.trigger_kind.clone()),
        discussion_mode: Some(run.discussion_mode),
        model: Some(facts.model),
        model_source: Some(facts.model_source),
        reasoning_effort: Some(facts.reasoning_effort),
        reasoning_source: Some(facts.reasoning_source),
    })
}

/// Runs of the same threads, newest first, this one left out (L-62).
async fn earlier_runs(conn: &mut PgConnection, run: &WorkerRun) -> sqlx::Result<Vec<RunFacts>> {
    let thread = match (run.issue_number, run.pr_number) {
        (Some(number), _) => (ThreadKind::Issue, number),
        (None, Some(number)) => (ThreadKind::PullRequest, number),
        (None, None) => return Ok(Vec::new()),
    };
    let mut runs = run_history::of_thread(
        conn,
        &run.repository_full_name,
        thread.0,
        i64::from(thread.1),
    )
    .await?;
    runs.retain(|earlier| earlier.run_id.as_uuid() != run.id);
    Ok(runs)
}

/// L-46 row 3.
fn missing_agent(payload: &Value) -> Option<&'static str> {
    let empty = |pointer: &str| {
        payload
            .pointer(pointer)
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
    };
    if empty("/agent/key") {
        Some("agent key")
    } else if empty("/agent/name") {
        Some("agent name")
    } else {
        None
    }
}

/// L-46 rows 4 and 5.
fn unmet_threads(
    run: &WorkerRun,
    kind: TriggerKind,
    source: TriggerSource,
    threads: &Threads,
    policy: &Policy,
) -> Option<Unmet> {
    let open = threads
        .pull_request
        .as_ref()
        .filter(|thread| thread.state == "open");
    if source == TriggerSource::PullRequestLabel && threads.pull_request.is_none() {
        return Some(Unmet {
            error: "a reviewer run needs a pull request".to_owned(),
            event: None,
        });
    }
    if !kind.is_revise() || run.discussion_mode {
        return None;
    }
    let branch = target_branch(run, threads);
    let reason = match open {
        None => "pr_not_found",
        Some(_) if !threads.branch_exists => "branch_not_found",
        Some(_) => return None,
    };
    let advice = domain::transitions::advised_label(kind, policy)
        .map(|label| format!("; start again with {label}"))
        .unwrap_or_default();
    let what = if reason == "pr_not_found" {
        "no open pull request"
    } else {
        "no branch"
    };
    Some(Unmet {
        error: format!("{reason}: there is {what} for {branch}{advice}"),
        event: Some(AuditEvent::RunRevisePrNotFound(RevisePrNotFoundPayload {
            branch: Some(branch),
            reason: Some(reason.to_owned()),
        })),
    })
}

/// Branch the run pushes to (L-50): the head of its pull request, or what the payload says.
fn target_branch(run: &WorkerRun, threads: &Threads) -> String {
    let from_payload = run
        .run_payload
        .get("target_branch")
        .and_then(Value::as_str)
        .map(str::to_owned);
    from_payload
        .or_else(|| {
            threads
                .pull_request
                .as_ref()
                .map(|thread| thread.head_ref.clone())
        })
        .unwrap_or_else(|| format!("codex/issue-{}", run.issue_number.unwrap_or_default()))
}
