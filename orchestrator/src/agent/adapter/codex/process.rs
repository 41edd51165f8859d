//! One turn of the CLI as a process: its events become the log of the run, its exit code the end of the turn.

use std::process::Stdio;

use domain::waits::LimitAnswer;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::Notify;

use super::events::{Event, Item, Usage};
use super::home::Home;
use crate::agent::adapter::command::each_line;
use crate::agent::adapter::{AdapterError, Task};

/// The program, found on the image's path.
const PROGRAM: &str = "codex";

/// What a turn left.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) session_id: Option<String>,
    pub(super) last_message: Option<String>,
    pub(super) usage: Usage,
    failure: Option<String>,
    limit: Option<LimitAnswer>,
}

impl Turn {
    /// Runs the CLI with this prompt, on a new session or a stored one.
    pub(super) async fn run(
        task: &Task<'_>,
        home: &Home,
        session_id: Option<&str>,
        prompt: &str,
    ) -> Result<Self, AdapterError> {
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            AdapterError::Cli(format!("\"{PROGRAM}\" {what}: {error}"))
        };
        let mut command = Command::new(PROGRAM);
        command
            .args(["exec", "--json", "--skip-git-repo-check", "--output-schema"])
            .arg(home.schema())
            .args(session_id.map(|id| ["resume", id]).into_iter().flatten())
            .arg("-")
            .current_dir(task.tree())
            .env("CODEX_HOME", home.folder())
            .envs(
                task.environment
                    .iter()
                    .map(|(name, value)| (*name, value.as_str())),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .map_err(|error| failed("could not be run", &error))?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err(failed("could not be run", &"its streams are missing"));
        };
        let mut turn = Self::default();
        let ask = async {
            let asked = stdin.write_all(prompt.as_bytes()).await;
            // Its end is the end of the prompt.
            drop(stdin);
            asked
        };
        let limited = Notify::new();
        let talk = async {
            tokio::join!(
                ask,
                each_line(stdout, |line| {
                    turn.take(task, line);
                    if turn.limit.is_some() {
                        limited.notify_one();
                    }
                }),
                each_line(stderr, |line| task.output.line("agent", line)),
            )
        };
        let asked = tokio::select! {
            (asked, (), ()) = talk => Some(asked),
            // A model that sees the refusal would only ask again.
            () = limited.notified() => None,
        };
        if let Some(answer) = turn.limit.take() {
            child
                .kill()
                .await
                .map_err(|error| failed("could not be stopped", &error))?;
            return Err(AdapterError::GitHubLimit {
                answer: Box::new(answer),
                state: None,
            });
        }
        let status = child
            .wait()
            .await
            .map_err(|error| failed("could not be awaited", &error))?;
        if !status.success() {
            let reason = turn
                .failure
                .unwrap_or_else(|| "it said nothing of why".to_owned());
            return Err(failed(&format!("ended with {status}"), &reason));
        }
        if let Some(Err(error)) = asked {
            return Err(failed("did not read its prompt", &error));
        }
        Ok(turn)
    }

    fn take(&mut self, task: &Task<'_>, line: &str) {
        let Some(event) = Event::read(line) else {
            task.output.line("agent", line);
            return;
        };
        if let Some(text) = event.lines() {
            task.output.text("agent", &text);
        }
        match event {
            Event::ThreadStarted { thread_id } => self.session_id = Some(thread_id),
            Event::ItemCompleted {
                item: Item::AgentMessage { text },
            } => self.last_message = Some(text),
            Event::TurnCompleted { usage } => self.usage = usage,
            Event::TurnFailed { error } => self.failure = Some(error.message),
            Event::Error { message } => self.failure = Some(message),
            Event::ItemCompleted {
                item:
                    Item::CommandExecution {
                        aggregated_output,
                        exit_code: Some(1..),
                        ..
                    },
            } => self.limit = LimitAnswer::in_output(&aggregated_output),
            Event::ItemCompleted { .. } | Event::Other => {}
        }
    }
}
