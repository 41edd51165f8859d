//! A discussion: listens to the thread, answers, and ends when the thread says so (L-105 to L-109).
//!
//! What was said and answered is read from GitHub at each look, so a session that was interrupted goes on where it was:
//! an answer names the comments it answers in its hidden line, and reactions are set as often as one likes.

use std::collections::BTreeSet;

use domain::comments::AnswerMarker;
use domain::ids::RunId;
use serde_json::json;
use uuid::Uuid;

use super::adapter::{self, Task};
use super::config::AgentConfig;
use super::context::{DiscussionNow, Remark, RunContext};
use super::control_plane::ControlPlane;
use super::error::AgentError;
use super::issue_thread::IssueThread;
use super::output::Output;
use super::scope::{self, Changes};
use super::session::Session;

/// Reaction on a comment that the session has seen, and after its answer (L-108).
const SEEN: &str = "eyes";
const ANSWERED: &str = "+1";

/// One session.
pub(super) struct Discussion<'a> {
    pub(super) config: &'a AgentConfig,
    pub(super) context: &'a RunContext,
    pub(super) control_plane: &'a ControlPlane,
    pub(super) output: &'a Output,
    pub(super) thread: IssueThread,
    pub(super) start: &'a str,
    /// What each turn gets; its prompt and remarks are those of the turn.
    pub(super) task: Task<'a>,
}

/// What this process has done already; GitHub may show it late.
#[derive(Debug, Default)]
struct Done {
    seen: BTreeSet<i64>,
    answered: BTreeSet<i64>,
    thanked: BTreeSet<i64>,
    has_spoken: bool,
}

impl Discussion<'_> {
    /// Talks until there is a reason to stop.
    pub(super) async fn run(&self, session: &mut Session) -> Result<(), AgentError> {
        let mut done = Done::default();
        loop {
            let now = self.control_plane.discussion().await?;
            if let Some(reason) = &now.stop_reason {
                session.save(self.control_plane, "running", None).await?;
                return report_stop(self.config, self.control_plane, reason).await;
            }
            self.turn(now, &mut done, session).await?;
            tokio::time::sleep(self.config.discussion_poll_interval).await;
        }
    }

    /// One look at the thread, and an answer if there is something to answer.
    async fn turn(
        &self,
        now: DiscussionNow,
        done: &mut Done,
        session: &mut Session,
    ) -> Result<(), AgentError> {
        let (answered, waiting): (Vec<Remark>, Vec<Remark>) = now
            .comments
            .into_iter()
            .partition(|remark| remark.answered || done.answered.contains(&remark.id));
        for remark in &waiting {
            if done.seen.insert(remark.id) {
                self.thread.react(remark.id, SEEN).await?;
            }
        }
        if !waiting.is_empty() || !(now.has_spoken || done.has_spoken) {
            self.answer(&waiting, session).await?;
            done.has_spoken = true;
            done.answered.extend(waiting.iter().map(|remark| remark.id));
        }
        for remark in answered.iter().chain(&waiting) {
            if done.thanked.insert(remark.id) {
                self.thread.react(remark.id, ANSWERED).await?;
            }
        }
        Ok(())
    }

    /// One answer to all remarks; none at all are answered by opening words.
    async fn answer(&self, remarks: &[Remark], session: &mut Session) -> Result<(), AgentError> {
        let prompt = prompt(&self.context.prompt, remarks);
        let (session_id, previous) = (session.id.clone(), session.agent_state.clone());
        let task = Task {
            prompt: &prompt,
            session_id: &session_id,
            previous: previous.as_ref(),
            remarks,
            ..self.task
        };
        let work = adapter::run(&task).await?;
        session.take(&work, self.config, self.control_plane).await;
        let changes = Changes::since(task.git, self.start).await?;
        scope::check(
            self.context.run.write_scope,
            &changes,
            &self.context.run.self_improve_paths,
        )?;
        let text = work.report.summary.ok_or(AgentError::NoAnswer)?;
        let text = self.output.redact(&text);
        let ids: Vec<i64> = remarks.iter().map(|remark| remark.id).collect();
        let marker = AnswerMarker {
            run_id: run_id(self.config)?,
            answers: ids.clone(),
        };
        self.thread.comment_once(&text, &marker.line()).await?;
        session.log = self
            .output
            .redact_json(json!({"answered": ids, "start": self.start}));
        session.save(self.control_plane, "running", None).await?;
        let status = match ids.len() {
            0 => "Opened the discussion".to_owned(),
            1 => "Answered 1 comment".to_owned(),
            count => format!("Answered {count} comments"),
        };
        let mut payload = facts(self.config);
        payload["status_text"] = json!(status);
        payload["last_human_comment_id"] = json!(ids.last());
        self.control_plane
            .event("run.agent.status_reported", payload)
            .await
    }
}

/// Tells why the session ends, if somebody wants it to; `false` when nobody does.
pub(super) async fn report_if_stopped(
    config: &AgentConfig,
    control_plane: &ControlPlane,
) -> Result<bool, AgentError> {
    match control_plane.discussion().await?.stop_reason {
        Some(reason) => report_stop(config, control_plane, &reason)
            .await
            .map(|()| true),
        None => Ok(false),
    }
}

async fn report_stop(
    config: &AgentConfig,
    control_plane: &ControlPlane,
    reason: &str,
) -> Result<(), AgentError> {
    let mut payload = facts(config);
    payload["status_text"] = json!("The discussion ends");
    payload["stop_reason"] = json!(reason);
    control_plane
        .event("run.agent.status_reported", payload)
        .await
}

fn facts(config: &AgentConfig) -> serde_json::Value {
    json!({
        "agent_key": config.agent_key,
        "runtime_mode": config.runtime_mode,
        "branch": config.base_branch,
        "trigger": config.trigger_label,
        "discussion_mode": true,
    })
}

fn run_id(config: &AgentConfig) -> Result<RunId, AgentError> {
    Uuid::parse_str(&config.run_id)
        .map(RunId)
        .map_err(|_| AgentError::Setting {
            name: "CODEXK8S_RUN_ID",
            reason: format!("\"{}\" is not an id", config.run_id),
        })
}

/// The run's prompt and what was said since the last answer.
fn prompt(base: &str, remarks: &[Remark]) -> String {
    let mut text = base.to_owned();
    for remark in remarks {
        text.push_str(&format!("\n\n@{}:\n{}", remark.author, remark.body));
    }
    text
}
