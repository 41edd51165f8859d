//! The agent behind a common face: the real CLI, or a script from the repository.

mod codex;
mod command;
mod script;
mod story;

use std::path::{Path, PathBuf};

use domain::waits::LimitAnswer;
use serde_json::Value;

use super::config::{AdapterKind, AgentConfig};
use super::context::Remark;
use super::control_plane::ControlPlane;
use super::git::Git;
use super::output::Output;
use super::report::Report;

/// Why an agent did not finish its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum AdapterError {
    /// The CLI could not be run, or failed.
    #[error("the agent failed: {0}")]
    Cli(String),
    /// The CLI was asked twice and reported nothing that can be read.
    #[error("{0}")]
    NoReport(String),
    /// The repository has no script.
    #[error("no story: {} does not exist in the checked out tree", .0.display())]
    NoStory(PathBuf),
    /// The script cannot be read.
    #[error("failed to read the story: {0}")]
    BadStory(String),
    /// No part of the script is meant for this run.
    #[error(
        "no story matches trigger kind {trigger_kind}, agent {agent}, template {template_kind}"
    )]
    NoMatch {
        trigger_kind: String,
        agent: String,
        template_kind: String,
    },
    /// A step went wrong.
    #[error("step {number} of the story failed: {reason}")]
    Step { number: usize, reason: String },
    /// What the agent did met GitHub's rate limit.
    #[error("the agent met GitHub's rate limit: {}", .answer.message)]
    GitHubLimit {
        answer: Box<LimitAnswer>,
        /// The session so far, where the agent does not keep it itself.
        state: Option<Value>,
    },
    /// The agent ended by itself with a code.
    #[error("the agent ended with exit code {0}")]
    Exited(i32),
}

/// What an agent gets to work with.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) config: &'a AgentConfig,
    pub(super) git: &'a Git<'a>,
    pub(super) branch: &'a str,
    pub(super) prompt: &'a str,
    pub(super) session_id: &'a str,
    /// Private folder of the runner; it goes when the runner ends.
    pub(super) home: &'a Path,
    pub(super) previous: Option<&'a Value>,
    pub(super) environment: &'a [(&'static str, String)],
    pub(super) output: &'a Output,
    pub(super) control_plane: &'a ControlPlane,
    pub(super) namespace: Option<&'a str>,
    /// Kind of the wait after which the run goes on, if it does.
    pub(super) resumed_after: Option<&'a str>,
    /// What people said that this turn answers; none outside of a discussion.
    pub(super) remarks: &'a [Remark],
}

impl Task<'_> {
    fn tree(&self) -> &Path {
        self.git.folder()
    }
}

/// What an agent leaves behind, besides the tree.
#[derive(Debug, Clone, Default)]
pub(super) struct Work {
    pub(super) report: Report,
    /// Name that the agent gave the session, if it names them itself.
    pub(super) session_id: Option<String>,
    /// What the turn took of the model; nothing where there is none.
    pub(super) usage: TurnUsage,
    /// State from which the next turn continues.
    pub(super) state: Value,
}

/// Tokens of one turn of a session, which counts its turns from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TurnUsage {
    pub(super) turn_no: i32,
    pub(super) prompt_tokens: i64,
    pub(super) completion_tokens: i64,
}

/// Runs the configured agent on the task.
pub(super) async fn run(task: &Task<'_>) -> Result<Work, AdapterError> {
    match task.config.adapter {
        AdapterKind::Codex => codex::run(task).await,
        AdapterKind::Script => script::run(task).await,
    }
}

/// Puts the state of an earlier turn where the agent continues from; `None` when it is another agent's.
pub(super) fn restore(
    kind: AdapterKind,
    home: &Path,
    session_id: &str,
    state: &Value,
) -> std::io::Result<Option<PathBuf>> {
    match kind {
        AdapterKind::Codex => codex::restore(home, state),
        AdapterKind::Script => script::restore(home, session_id, state).map(Some),
    }
}

/// Name and state of the session in the middle of a turn; none where the agent has not begun one.
pub(super) fn interrupted(
    config: &AgentConfig,
    home: &Path,
    session_id: &str,
    previous: Option<&Value>,
) -> Option<(String, Value)> {
    match config.adapter {
        AdapterKind::Codex => codex::interrupted(home, previous),
        AdapterKind::Script => Some((
            session_id.to_owned(),
            script::state_after(previous, &config.run_id),
        )),
    }
}
