//! The one status comment of a run, rendered from the run at the moment of writing (L-102 to L-104).
use chrono::{DateTime, Utc};
use domain::audit::{AuditEvent, NextStepPayload, StatusCommentPayload};
use domain::comments::{
    NamespaceAction, StatusComment, StatusMarker, StatusReport, best_status_comment, status_comment,
};
use domain::effects::CommentPhase;
use domain::events::{Thread, ThreadKind};
use domain::ids::RunId;
use domain::labels::CatalogueLabel;
use domain::launch_profiles::IssueFlow;
use domain::next_steps::{NextStep, offered_after_run};
use domain::policy::Policy;
use domain::runs::RunStatus;
use domain::snapshot::RunFacts;
use serde_json::{Value, json};

use super::{Attempt, EffectError, Performed, StoredStatusComment};
use crate::app::App;
use crate::github::{self, GithubError, PostedComment, RepositoryAccess};
use crate::store::status_comments::{self, CommentEvent, StatusCommentRow};
use crate::store::{clock, run_history, snapshots, thread_states};

pub(super) async fn upsert(
    attempt: &Attempt<'_>,
    thread: &Thread,
    run_id: RunId,
    wanted: CommentPhase,
) -> Result<Performed, EffectError> {
    let app = attempt.app;
    let run = run_history::of_run(&app.pool, run_id.as_uuid())
        .await?
        .ok_or(EffectError::NoRun)?;
    let row = status_comments::load(&app.pool, run_id.as_uuid())
        .await?
        .ok_or(EffectError::NoRun)?;
    let events = status_comments::events(&app.pool, run_id.as_uuid()).await?;
    let now = clock::now(&app.pool).await?;
    let shown = row
        .status_comment_phase
        .as_deref()
        .and_then(CommentPhase::from_text);
    // L-103: a late lower phase updates fields but not the phase.
    let phase = shown.map_or(wanted, |shown| shown.advance(wanted));
    let scope_run_id = RunId(row.scope_run_id);
    let access = github::access_to(app, &thread.repository_full_name).await?;
    let mut shown_now = describe(&app.policy, &run, &row, &events, phase, now);
    let flow = issue_flow(app, &run).await?;
    if phase >= CommentPhase::Finished && run.status == RunStatus::Succeeded {
        shown_now.next_steps = next_steps(&app.policy, &access, &run, &flow).await?;
    }
    let body = status_comment(
        &shown_now,
        app.policy.public_base_url.as_deref(),
        app.policy.locale,
    );
    let comment = write(
        attempt,
        &access,
        thread,
        scope_run_id,
        row.status_comment_id,
        phase,
        &body,
    )
    .await?;
    let payload = StatusCommentPayload {
        issue_number: Some(thread.number),
        thread_kind: Some(thread.kind.to_string()),
        repository_full_name: Some(thread.repository_full_name.clone()),
        comment_id: Some(comment.id),
        comment_url: Some(comment.url),
        phase: Some(phase.to_string()),
    };
    let mut events = vec![
        AuditEvent::RunStatusCommentUpserted(payload.clone()),
        AuditEvent::RunServiceMessageUpdated(payload),
    ];
    if !shown_now.next_steps.is_empty() {
        events.push(rendered(&run, &flow, &shown_now.next_steps));
    }
    let audit = events
        .into_iter()
        .map(|event| {
            attempt
                .event(event)
                .run(run_id)
                .project(Some(run.project_id))
        })
        .collect();
    Ok(Performed {
        audit,
        status_comment: Some(StoredStatusComment {
            run_id: run_id.as_uuid(),
            comment_id: comment.id,
            phase: phase.as_str(),
        }),
        ..Performed::default()
    })
}

/// Edits the known comment, finds a lost one, or writes the first.
async fn write(
    attempt: &Attempt<'_>,
    access: &RepositoryAccess,
    thread: &Thread,
    run_id: RunId,
    known: Option<i64>,
    phase: CommentPhase,
    body: &str,
) -> Result<PostedComment, GithubError> {
    // The last write is the moment to look for duplicates; otherwise one call is enough.
    if let Some(id) = known.filter(|_| phase < CommentPhase::Finished) {
        match access.writer.edit_comment(id, body).await {
            Err(error) if error.is_not_found() => {}
            outcome => return outcome,
        }
    }
    if known.is_none() && !attempt.may_be_done() && phase == CommentPhase::Created {
        return access.writer.create_comment(thread.number, body).await;
    }
    match keep_one(access, thread, run_id).await? {
        Some(id) => match access.writer.edit_comment(id, body).await {
            Err(error) if error.is_not_found() => {
                access.writer.create_comment(thread.number, body).await
            }
            outcome => outcome,
        },
        None => access.writer.create_comment(thread.number, body).await,
    }
}

/// The comment of the run that stays; the others of this run are deleted (L-102).
async fn keep_one(
    access: &RepositoryAccess,
    thread: &Thread,
    run_id: RunId,
) -> Result<Option<i64>, GithubError> {
    let marked: Vec<(i64, StatusMarker)> = access
        .reader
        .comments(thread.number)
        .await?
        .into_iter()
        .filter_map(|comment| Some((comment.id, StatusMarker::find(&comment.body)?)))
        .filter(|(_, marker)| marker.run_id == run_id)
        .collect();
    let best = best_status_comment(&marked);
    for (id, _) in marked.iter().filter(|(id, _)| Some(*id) != best) {
        match access.writer.delete_comment(*id).await {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
    }
    Ok(best)
}

fn describe(
    policy: &Policy,
    run: &RunFacts,
    row: &StatusCommentRow,
    events: &[CommentEvent],
    phase: CommentPhase,
    now: DateTime<Utc>,
) -> StatusComment {
    let text =
        |payload: &Value, key: &str| payload.get(key).and_then(Value::as_str).map(str::to_owned);
    let last = |types: &[&str]| {
        events
            .iter()
            .rev()
            .find(|event| types.contains(&event.event_type.as_str()))
    };
    let terminal = events.iter().rev().find(|event| {
        event.event_type.starts_with("run.failed") || event.event_type == "run.canceled"
    });
    let pull_request = last(&["run.pr.created", "run.pr.updated"]);
    StatusComment {
        run_id: RunId(row.scope_run_id),
        phase,
        status: run.status,
        kind: if run.discussion_mode {
            "discussion".to_owned()
        } else {
            run.trigger_kind.to_string()
        },
        runtime_mode: run.runtime_mode,
        target_env: run.target_env,
        build_ref: run.build_ref.clone(),
        access_profile: run.access_profile,
        job: row.job_namespace.clone().zip(row.job_name.clone()),
        namespace: run.namespace.clone(),
        slot_url: None,
        issue_number: run.issue_number,
        pr_number: run.pr_number,
        pr_url: pull_request
            .and_then(|event| text(&event.payload, "pr_url"))
            .or_else(|| row.pr_url.clone()),
        model: row.model.clone(),
        reasoning_effort: row.reasoning_effort.clone(),
        finish_reason: row.finish_reason.clone(),
        error: terminal.and_then(|event| text(&event.payload, "error")),
        suggested_label: last(&["run.revise.pr_not_found"])
            .and_then(|_| run.trigger_kind.stage())
            .map(|stage| policy.labels.name(CatalogueLabel::work(stage)).to_owned()),
        reports: events
            .iter()
            .filter(|event| event.event_type == "run.agent.status_reported")
            .filter_map(|event| {
                Some(StatusReport {
                    at: event.created_at,
                    text: text(&event.payload, "status_text")?,
                })
            })
            .collect(),
        timeline: timeline(events, phase, now),
        namespace_action: namespace_action(run, row),
        next_steps: Vec::new(),
        login: last(&["run.codex.auth.required"]).and_then(|event| {
            text(&event.payload, "verification_url").zip(text(&event.payload, "user_code"))
        }),
    }
}

/// When each phase was reached first, this one included.
fn timeline(
    events: &[CommentEvent],
    phase: CommentPhase,
    now: DateTime<Utc>,
) -> Vec<(DateTime<Utc>, CommentPhase)> {
    let mut reached: Vec<(DateTime<Utc>, CommentPhase)> = Vec::new();
    let written = events
        .iter()
        .filter(|event| event.event_type == "run.status.comment.upserted")
        .filter_map(|event| {
            Some((
                event.created_at,
                CommentPhase::from_text(event.payload.get("phase")?.as_str()?)?,
            ))
        });
    for (at, phase) in written.chain([(now, phase)]) {
        if reached.iter().all(|(_, known)| *known != phase) {
            reached.push((at, phase));
        }
    }
    reached
}

fn namespace_action(run: &RunFacts, row: &StatusCommentRow) -> Option<NamespaceAction> {
    if !run.status.is_terminal() {
        return None;
    }
    match row.lease_state.as_deref()? {
        "cleaned" => Some(NamespaceAction::Deleted),
        _ if row.lease_debug_hold == Some(true) => Some(NamespaceAction::KeptForDebug),
        _ => row.lease_expires_at.map(NamespaceAction::KeptUntil),
    }
}

/// The path of the run's Issue; the unset one without an Issue or a binding.
async fn issue_flow(app: &App, run: &RunFacts) -> Result<IssueFlow, sqlx::Error> {
    let Some(number) = run.issue_number else {
        return Ok(IssueFlow::default());
    };
    match snapshots::live_repository_id(&app.pool, &run.repository_full_name).await? {
        Some(repository_id) => {
            let kind = ThreadKind::Issue;
            Ok(thread_states::load(&app.pool, repository_id, kind, number)
                .await?
                .flow)
        }
        None => Ok(IssueFlow::default()),
    }
}

/// The steps that are offered (L-91), by the live labels of the Issue.
async fn next_steps(
    policy: &Policy,
    access: &RepositoryAccess,
    run: &RunFacts,
    flow: &IssueFlow,
) -> Result<Vec<NextStep>, GithubError> {
    let labels = match run.issue_number {
        Some(number) => access.reader.labels(number).await?,
        None => Vec::new(),
    };
    Ok(offered_after_run(run, &labels, flow, policy))
}

/// `run.next_step.matrix_rendered` (L-89).
fn rendered(run: &RunFacts, flow: &IssueFlow, steps: &[NextStep]) -> AuditEvent {
    AuditEvent::RunNextStepMatrixRendered(NextStepPayload {
        issue_number: run.issue_number,
        pr_number: run.pr_number,
        launch_profile: flow.profile.map(|profile| profile.to_string()),
        current_stage: run.stage().map(|stage| stage.to_string()),
        actions: Some(steps.iter().map(|step| json!(step)).collect()),
        ..NextStepPayload::default()
    })
}
