//! The agent behind a common face: the real CLI, or a script from the repository.

mod codex;
mod script;
mod story;

use std::path::{Path, PathBuf};

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
    /// This agent cannot be run by this build.
    #[error("the {0} adapter is not built yet")]
    NotBuilt(&'static str),
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
    pub(super) previous: Option<&'a Value>,
    pub(super) environment: &'a [(&'static str, String)],
    pub(super) output: &'a Output,
    pub(super) control_plane: &'a ControlPlane,
    pub(super) namespace: Option<&'a str>,
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
    /// State from which the next turn continues.
    pub(super) state: Value,
}

/// Runs the configured agent on the task.
pub(super) async fn run(task: &Task<'_>) -> Result<Work, AdapterError> {
    match task.config.adapter {
        AdapterKind::Codex => codex::run(task).await,
        AdapterKind::Script => script::run(task).await,
    }
}
