//! GitHub's rate limits: a signal becomes a wait, a due wait goes on, and who has tried enough asks for staff.
use domain::audit::RunWaitPayload;
use domain::runs::RunStatus;
use domain::waits::{
    AfterAttempt, Contour, Judgement, LIMIT_RESUME_PREFIX, Limit, LimitAnswer, OpenLimitWait,
    OperationClass, WaitCause, dominant, judge,
};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::run_wait::{self, WaitEnd, WaitOutcome};
use crate::store::github_waits::{self, LimitWait, NewLimitWait, Schedule};
use crate::store::run_waits::{self, WaitingRun};
use crate::store::wakeups;
use crate::wakeups::Channel;

/// A call that met the limit.
#[derive(Debug, Clone, Copy)]
pub struct LimitSignal<'a> {
    /// The run that it was made for.
    pub run_id: Uuid,
    /// Whose call.
    pub contour: Contour,
    /// What was being done.
    pub operation: OperationClass,
    /// The same signal is taken once.
    pub id: &'a str,
    /// GitHub's answer, redacted.
    pub answer: &'a LimitAnswer,
}

/// What became of a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitMet {
    /// It is waited out.
    Waiting(LimitWait),
    /// Waiting would change nothing, or is switched off.
    HardFailure,
    /// The run is over.
    RunOver,
}

/// Takes a signal: one open wait for each contour of a run.
pub async fn meet(conn: &mut PgConnection, signal: LimitSignal<'_>) -> sqlx::Result<LimitMet> {
    let Some(run) = run_waits::lock(conn, signal.run_id).await? else {
        return Ok(LimitMet::RunOver);
    };
    if RunStatus::from_text(&run.status).is_none_or(RunStatus::is_terminal) {
        return Ok(LimitMet::RunOver);
    }
    if let Some(known) = github_waits::by_signal(conn, signal.id).await? {
        return Ok(LimitMet::Waiting(known));
    }
    let Judgement::Limited(limit) = judge(signal.answer) else {
        return Ok(LimitMet::HardFailure);
    };
    let (Some(project_id), true) = (run.project_id, github_waits::is_enabled(&mut *conn).await?)
    else {
        return Ok(LimitMet::HardFailure);
    };
    let open = github_waits::open_of_run(conn, signal.run_id).await?;
    let same = open
        .into_iter()
        .find(|wait| wait.contour_kind == signal.contour.as_str());
    let wait = match same {
        Some(wait) if wait.state == "auto_resume_in_progress" => {
            tell(conn, &wait, "resume_failed", &signal).await?;
            let schedule = schedule(limit, wait.attempts_used, wait.max_attempts);
            let again = github_waits::reschedule(conn, wait.id, limit.kind(), schedule).await?;
            planned(conn, &again, &signal).await?;
            again
        }
        Some(wait) => {
            tell(conn, &wait, "signal_detected", &signal).await?;
            return Ok(LimitMet::Waiting(wait));
        }
        None => begin(conn, project_id, limit, &signal).await?,
    };
    hold(conn, &run, &wait).await?;
    Ok(LimitMet::Waiting(wait))
}

fn schedule(limit: Limit, used: i32, max: i32) -> Schedule {
    match limit.after(used, max) {
        AfterAttempt::Again { seconds } => Schedule::After(seconds),
        AfterAttempt::Manual => Schedule::Manual,
    }
}

async fn begin(
    conn: &mut PgConnection,
    project_id: Uuid,
    limit: Limit,
    signal: &LimitSignal<'_>,
) -> sqlx::Result<LimitWait> {
    let max_attempts = limit.max_attempts();
    let used = match signal.contour {
        Contour::AgentBotToken => github_waits::attempts_of_chain(conn, signal.run_id).await?,
        Contour::PlatformPat => 0,
    };
    let attempts_used = used.min(max_attempts);
    let new = NewLimitWait {
        run_id: signal.run_id,
        project_id,
        contour: signal.contour,
        kind: limit.kind(),
        operation: signal.operation,
        signal_id: signal.id,
        attempts_used,
        max_attempts,
        schedule: schedule(limit, attempts_used, max_attempts),
    };
    let wait = github_waits::insert(conn, &new).await?;
    tell(conn, &wait, "signal_detected", signal).await?;
    tell(conn, &wait, "classified", signal).await?;
    planned(conn, &wait, signal).await?;
    Ok(wait)
}

async fn planned(
    conn: &mut PgConnection,
    wait: &LimitWait,
    signal: &LimitSignal<'_>,
) -> sqlx::Result<()> {
    let kind = if is_manual(wait) {
        "manual_action_required"
    } else {
        "resume_scheduled"
    };
    tell(conn, wait, kind, signal).await
}

async fn tell(
    conn: &mut PgConnection,
    wait: &LimitWait,
    kind: &str,
    signal: &LimitSignal<'_>,
) -> sqlx::Result<()> {
    github_waits::add_evidence(conn, wait.id, kind, signal.id, &signal.answer.message).await
}

/// Writes the wait into its run: an agent that met the limit has stopped, a call of the platform holds nothing up.
async fn hold(conn: &mut PgConnection, run: &WaitingRun, wait: &LimitWait) -> sqlx::Result<()> {
    let open = github_waits::open_of_run(conn, run.id).await?;
    let payload = payload(wait, &open, Some(event_key(wait)));
    if wait.is_of_agent() && run.status == RunStatus::Running.as_str() {
        let shown = dominant_of(&open).unwrap_or(wait.clone());
        run_wait::open_wait(
            conn,
            run.id,
            WaitCause::GithubRateLimit,
            &shown.id.to_string(),
            shown.resume_not_before,
            payload,
        )
        .await?;
        return Ok(());
    }
    show_dominant(conn, run.id).await?;
    let run = run_waits::lock(conn, run.id).await?.unwrap_or(run.clone());
    run_wait::record_paused(conn, &run, payload).await
}

fn event_key(wait: &LimitWait) -> &'static str {
    if is_manual(wait) {
        "manual_action_required"
    } else {
        "wait_entered"
    }
}

fn is_manual(wait: &LimitWait) -> bool {
    wait.state == "manual_action_required"
}

fn dominant_of(open: &[LimitWait]) -> Option<LimitWait> {
    let candidates: Vec<_> = open
        .iter()
        .map(|wait| OpenLimitWait {
            id: wait.id,
            is_manual: is_manual(wait),
            resume_not_before: wait.resume_not_before,
        })
        .collect();
    let id = dominant(&candidates)?;
    open.iter().find(|wait| wait.id == id).cloned()
}

/// Makes a run that waits for the limit show its dominant wait.
async fn show_dominant(conn: &mut PgConnection, run_id: Uuid) -> sqlx::Result<()> {
    let waits = run_waits::lock(conn, run_id)
        .await?
        .is_some_and(|run| run.status == RunStatus::WaitingBackpressure.as_str());
    if !waits {
        return Ok(());
    }
    let open = github_waits::open_of_run(conn, run_id).await?;
    match dominant_of(&open) {
        Some(shown) => {
            let target = shown.id.to_string();
            run_waits::set_target(conn, run_id, &target, shown.resume_not_before).await
        }
        None => Ok(()),
    }
}

fn payload(wait: &LimitWait, open: &[LimitWait], event_key: Option<&str>) -> RunWaitPayload {
    let operation = wait.operation();
    let next_step = if is_manual(wait) {
        operation.manual_action()
    } else {
        operation.next_step()
    };
    RunWaitPayload {
        wait_id: Some(wait.id.to_string()),
        contour_kind: Some(wait.contour_kind.clone()),
        limit_kind: Some(wait.limit_kind.clone()),
        state: Some(wait.state.clone()),
        operation_class: Some(wait.operation_class.clone()),
        attempt_no: Some(i64::from(wait.attempts_used)),
        next_step_kind: Some(next_step.to_owned()),
        resume_not_before: wait.resume_not_before,
        open_wait_count: i64::try_from(open.len()).ok(),
        dominant_wait_id: dominant_of(open).map(|wait| wait.id.to_string()),
        event_key: event_key.map(str::to_owned),
        ..RunWaitPayload::default()
    }
}

/// Tries a wait that was claimed as due. The agent goes on in another run; what the platform wanted is left to
/// the outbox, which completes it or meets the limit again.
pub async fn attempt(conn: &mut PgConnection, wait: &LimitWait) -> sqlx::Result<()> {
    let attempt = format!("{}#{}", wait.signal_id, wait.attempts_used);
    github_waits::add_evidence(conn, wait.id, "resume_attempted", &attempt, "").await?;
    if !wait.is_of_agent() {
        return wakeups::notify(conn, Channel::Effects).await;
    }
    // The run before its waits, as every change of a run takes them.
    let run = run_waits::lock(conn, wait.run_id).await?;
    let is_over =
        run.is_none_or(|run| RunStatus::from_text(&run.status).is_none_or(RunStatus::is_terminal));
    if is_over {
        github_waits::close(conn, wait.id, "cancelled").await?;
        return Ok(());
    }
    if !github_waits::close(conn, wait.id, "resolved").await? {
        return Ok(());
    }
    github_waits::add_evidence(conn, wait.id, "resolved", &attempt, "").await?;
    let target = wait.id.to_string();
    let correlation_id = format!("{LIMIT_RESUME_PREFIX}{target}");
    let told = json!({
        "kind": "github_rate_limit",
        "wait_id": wait.id,
        "contour_kind": wait.contour_kind,
        "limit_kind": wait.limit_kind,
        "operation_class": wait.operation_class,
        "attempt_no": wait.attempts_used,
        "resolution_reason": "limit_over",
    });
    let end = WaitEnd {
        target_ref: &target,
        resolution: "limit_over",
        correlation_id: &correlation_id,
        payload: &told,
    };
    let resolved = LimitWait {
        state: "resolved".to_owned(),
        ..wait.clone()
    };
    let outcome = run_wait::end_wait(conn, wait.run_id, end, payload(&resolved, &[], None)).await?;
    if outcome == WaitOutcome::NotWaiting {
        tracing::warn!(run_id = %wait.run_id, wait_id = %wait.id, "a run did not wait for the limit that is over");
    }
    Ok(())
}

/// A call of the platform for this run went through: its wait is over.
pub async fn settle(conn: &mut PgConnection, run_id: Uuid) -> sqlx::Result<()> {
    if !github_waits::is_tried(conn, run_id).await? {
        return Ok(());
    }
    let Some(run) = run_waits::lock(conn, run_id).await? else {
        return Ok(());
    };
    let open = github_waits::open_of_run(conn, run_id).await?;
    let tried = open
        .into_iter()
        .find(|wait| !wait.is_of_agent() && wait.state == "auto_resume_in_progress");
    let Some(mut wait) = tried else {
        return Ok(());
    };
    github_waits::close(conn, wait.id, "resolved").await?;
    let attempt = format!("{}#{}", wait.signal_id, wait.attempts_used);
    github_waits::add_evidence(conn, wait.id, "resolved", &attempt, "").await?;
    wait.state = "resolved".to_owned();
    show_dominant(conn, run_id).await?;
    let left = github_waits::open_of_run(conn, run_id).await?;
    let told = RunWaitPayload {
        resolution_kind: Some("limit_over".to_owned()),
        ..payload(&wait, &left, None)
    };
    run_wait::record_resumed(conn, &run, told).await
}

/// Staff lets a wait go on whose attempts are used up. `false`: it asks for nobody.
pub async fn let_go_on(conn: &mut PgConnection, wait: &LimitWait) -> sqlx::Result<bool> {
    if !is_manual(wait) {
        return Ok(false);
    }
    github_waits::grant_attempt(conn, wait.id).await?;
    show_dominant(conn, wait.run_id).await?;
    wakeups::notify(conn, Channel::RunQueue).await?;
    Ok(true)
}
