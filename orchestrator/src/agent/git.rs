//! The git program in one working tree, as the bot.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::credentials::Credentials;
use super::error::AgentError;
use super::output::Output;

/// A single git command that takes longer hangs.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(600);
/// How much of git's message goes into an error.
const DETAIL_LIMIT_CHARACTERS: usize = 600;
/// Secrets of the runner that git has no use for.
const FOREIGN_SECRETS: [&str; 4] = [
    "CODEXK8S_OPENAI_API_KEY",
    "CODEXK8S_CONTEXT7_API_KEY",
    "CODEXK8S_GIT_BOT_TOKEN",
    "CODEXK8S_MCP_BEARER_TOKEN",
];
/// The repository's content must not steer a git that holds credentials.
const SETTINGS: [&str; 12] = [
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "credential.helper=",
    "-c",
    "safe.directory=*",
    "-c",
    "advice.detachedHead=false",
    "-c",
    "gc.auto=0",
    // Asking whether there is something to tidy up would be a process of its own after each fetch and commit.
    "-c",
    "maintenance.auto=false",
];

/// git, run in one folder.
#[derive(Debug, Clone)]
pub(super) struct Git<'a> {
    folder: PathBuf,
    credentials: &'a Credentials,
    output: Output,
}

impl<'a> Git<'a> {
    pub(super) fn new(folder: PathBuf, credentials: &'a Credentials, output: Output) -> Self {
        Self {
            folder,
            credentials,
            output,
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs git and answers its standard output; a refusal is an error named by `action`.
    pub(super) async fn run(&self, action: &str, arguments: &[&str]) -> Result<String, AgentError> {
        let (succeeded, stdout, stderr) = self.attempt(action, arguments).await?;
        if succeeded {
            return Ok(stdout);
        }
        let detail: String = stderr
            .trim()
            .chars()
            .take(DETAIL_LIMIT_CHARACTERS)
            .collect();
        Err(AgentError::Git {
            action: action.to_owned(),
            detail: self.output.redact(&detail),
        })
    }

    /// Runs git where a refusal is an answer.
    pub(super) async fn succeeds(
        &self,
        action: &str,
        arguments: &[&str],
    ) -> Result<bool, AgentError> {
        Ok(self.attempt(action, arguments).await?.0)
    }

    async fn attempt(
        &self,
        action: &str,
        arguments: &[&str],
    ) -> Result<(bool, String, String), AgentError> {
        let failed = |detail: String| AgentError::Git {
            action: action.to_owned(),
            detail,
        };
        let mut command = Command::new("git");
        command
            .args(SETTINGS)
            .args(arguments)
            .current_dir(&self.folder)
            .envs(self.credentials.environment())
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        for name in FOREIGN_SECRETS {
            command.env_remove(name);
        }
        let answer = tokio::time::timeout(COMMAND_TIMEOUT, command.output())
            .await
            .map_err(|_| {
                failed(format!(
                    "git did not end within {} s",
                    COMMAND_TIMEOUT.as_secs()
                ))
            })?
            .map_err(|error| failed(format!("git could not be run: {error}")))?;
        let stderr = String::from_utf8_lossy(&answer.stderr).into_owned();
        self.output
            .line("git", &format!("git {}", arguments.join(" ")));
        self.output.text("git", &stderr);
        Ok((
            answer.status.success(),
            String::from_utf8_lossy(&answer.stdout).into_owned(),
            stderr,
        ))
    }

    /// The commit `HEAD` is on.
    pub(super) async fn head(&self) -> Result<String, AgentError> {
        Ok(self
            .run("read the current commit", &["rev-parse", "HEAD"])
            .await?
            .trim()
            .to_owned())
    }

    /// The branch `HEAD` is on; none when detached.
    pub(super) async fn current_branch(&self) -> Result<Option<String>, AgentError> {
        let (attached, name, _) = self
            .attempt(
                "read the current branch",
                &["symbolic-ref", "--quiet", "--short", "HEAD"],
            )
            .await?;
        Ok(attached.then(|| name.trim().to_owned()))
    }

    /// The commit of a branch on the remote, asked afresh.
    pub(super) async fn remote_branch(&self, branch: &str) -> Result<Option<String>, AgentError> {
        let reference = format!("refs/heads/{branch}");
        let listed = self
            .run(
                "list the remote branch",
                &["ls-remote", "origin", &reference],
            )
            .await?;
        Ok(listed
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .find(|(_, name)| *name == reference)
            .map(|(sha, _)| sha.to_owned()))
    }
}
