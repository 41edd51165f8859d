//! Plays a story from the checked out tree, so that a run can be fast and the same every time.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use domain::comments::result_marker;
use domain::waits::LimitAnswer;
use serde_json::{Value, json};
use tokio::process::Command;

use super::story::{CallTool, Step, Stories, expand};
use super::{AdapterError, Task, Work, command};
use crate::agent::error::AgentError;
use crate::agent::github::GitHub;
use crate::agent::mcp_tools::McpTools;
use crate::agent::pull_request::PullRequests;
use crate::agent::report::{Report, risk_signals};

/// How often a gate looks for its file.
const GATE_INTERVAL: Duration = Duration::from_millis(50);
/// Longest status text the platform takes (G-39).
const STATUS_LIMIT_CHARACTERS: usize = 100;
/// A printed filler is cut into lines of this length.
const PRINT_LINE_BYTES: usize = 1000;

/// Plays the matching story to its end.
pub(super) async fn run(task: &Task<'_>) -> Result<Work, AdapterError> {
    let path = task.tree().join(&task.config.script);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(AdapterError::NoStory(task.config.script.clone()));
        }
        Err(error) => return Err(AdapterError::BadStory(error.to_string())),
    };
    let stories = Stories::parse(&text).map_err(AdapterError::BadStory)?;
    let story = stories
        .select(&facts(task))
        .ok_or_else(|| AdapterError::NoMatch {
            trigger_kind: task.config.trigger_kind.clone(),
            agent: task.config.agent_key.clone(),
            template_kind: task.config.template_kind.clone(),
        })?;
    let variables = variables(task);
    task.output.line(
        "agent",
        &format!("session {} on branch {}", task.session_id, task.branch),
    );
    if let Some(kind) = task.resumed_after {
        task.output.line("agent", &format!("goes on after {kind}"));
    }
    tracing::debug!(
        prompt_bytes = task.prompt.len(),
        steps = story.steps.len(),
        "plays a story"
    );
    for (index, step) in story.steps.iter().enumerate() {
        play(task, step, &variables)
            .await
            .map_err(|stop| match stop {
                Stop::Failed(reason) => AdapterError::Step {
                    number: index + 1,
                    reason,
                },
                Stop::Exited(code) => AdapterError::Exited(code),
                Stop::Limited(answer) => AdapterError::GitHubLimit {
                    answer,
                    state: Some(state(task)),
                },
            })?;
    }
    let told = story.report.clone().unwrap_or_default();
    let summary = expand(&told.summary, &variables);
    let risk_signals = risk_signals(&told.risk_signals).map_err(AdapterError::BadStory)?;
    Ok(Work {
        report: Report {
            summary: Some(summary).filter(|text| !text.is_empty()),
            pull_request: told.pull_request,
            diagnosis: expand(&told.diagnosis, &variables),
            action_items: values(&told.action_items),
            evidence_refs: values(&told.evidence_refs),
            tool_gaps: values(&told.tool_gaps),
            risk_signals,
        },
        state: state(task),
        ..Work::default()
    })
}

/// Writes what the runs before this one left.
pub(super) fn restore(home: &Path, session_id: &str, state: &Value) -> std::io::Result<PathBuf> {
    let folder = home.join("sessions");
    let path = folder.join(format!("{}.json", domain::ids::shorten(session_id)));
    std::fs::create_dir_all(folder)?;
    std::fs::write(&path, state.to_string())?;
    Ok(path)
}

fn values(texts: &[String]) -> Vec<Value> {
    texts.iter().cloned().map(Value::String).collect()
}

/// The stage is the trigger kind without its revise part.
fn facts(task: &Task<'_>) -> BTreeMap<&'static str, String> {
    let kind = &task.config.trigger_kind;
    BTreeMap::from([
        ("trigger_kind", kind.clone()),
        ("agent", task.config.agent_key.clone()),
        ("template_kind", task.config.template_kind.clone()),
        (
            "stage",
            kind.strip_suffix("_revise").unwrap_or(kind).to_owned(),
        ),
    ])
}

fn variables(task: &Task<'_>) -> Vec<(&'static str, String)> {
    let config = task.config;
    vec![
        (
            "ISSUE_NUMBER",
            config
                .issue_number
                .map(|number| number.to_string())
                .unwrap_or_default(),
        ),
        ("RUN_ID", config.run_id.clone()),
        ("BRANCH", task.branch.to_owned()),
        ("REMARK_COUNT", task.remarks.len().to_string()),
        ("REMARKS", remarks(task)),
        ("MODEL", config.model.clone().unwrap_or_default()),
        (
            "REASONING",
            config.reasoning_effort.clone().unwrap_or_default(),
        ),
    ]
}

/// What people said, one line each.
fn remarks(task: &Task<'_>) -> String {
    let lines = task
        .remarks
        .iter()
        .map(|remark| format!("{}: {}", remark.author, remark.body));
    lines.collect::<Vec<_>>().join("\n")
}

fn state(task: &Task<'_>) -> Value {
    state_after(task.previous, &task.config.run_id)
}

/// The runs of the session so far: shows that a later run continued an earlier one.
pub(super) fn state_after(previous: Option<&Value>, run_id: &str) -> Value {
    let mut runs = previous
        .and_then(|previous| previous.get("runs"))
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    runs.push(Value::String(run_id.to_owned()));
    json!({"adapter": "script", "runs": runs})
}

enum Stop {
    Failed(String),
    Exited(i32),
    Limited(Box<LimitAnswer>),
}

async fn play(task: &Task<'_>, step: &Step, variables: &[(&str, String)]) -> Result<(), Stop> {
    let failed = |error: &dyn std::fmt::Display| Stop::Failed(error.to_string());
    if let Some(write) = &step.write {
        let path = inside(task.tree(), &expand(&write.path, variables))?;
        let parent = path.parent().unwrap_or_else(|| task.tree());
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, expand(&write.content, variables)))
            .map_err(|error| failed(&error))
    } else if let Some(delete) = &step.delete {
        let path = inside(task.tree(), &expand(&delete.path, variables))?;
        std::fs::remove_file(path).map_err(|error| failed(&error))
    } else if let Some(command) = &step.run {
        let words: Vec<String> = command
            .command
            .iter()
            .map(|word| expand(word, variables))
            .collect();
        run_command(task, &words).await
    } else if let Some(status) = &step.status {
        report_status(task, &expand(&status.text, variables)).await
    } else if let Some(tool) = &step.tool {
        call_tool(task, tool, variables).await
    } else if let Some(gate) = &step.gate {
        let file = PathBuf::from(expand(&gate.file, variables));
        while !file.exists() {
            tokio::time::sleep(GATE_INTERVAL).await;
        }
        Ok(())
    } else if let Some(review) = &step.review {
        let text = task.output.redact(&expand(&review.text, variables));
        submit_review(task, &text).await
    } else if step.delete_remote_branch.is_some() {
        if task.branch == task.config.base_branch {
            return Err(Stop::Failed("the base branch is never deleted".to_owned()));
        }
        let arguments = ["push", "--quiet", "origin", "--delete", task.branch];
        task.git
            .run("delete the remote branch", &arguments)
            .await
            .map(drop)
            .map_err(|error| failed(&error))
    } else if let Some(exit) = &step.exit {
        if exit.code == 0 {
            Ok(())
        } else {
            Err(Stop::Exited(exit.code))
        }
    } else if let Some(print) = &step.print {
        task.output.text("agent", &expand(&print.text, variables));
        let mut left = print.bytes;
        while left > 0 {
            let length = left.min(PRINT_LINE_BYTES);
            task.output
                .line("agent", &".".repeat(length.saturating_sub(1)));
            left -= length;
        }
        Ok(())
    } else {
        Ok(())
    }
}

async fn submit_review(task: &Task<'_>, text: &str) -> Result<(), Stop> {
    let config = task.config;
    let number = config
        .existing_pr_number
        .ok_or_else(|| Stop::Failed("the run has no pull request".to_owned()))?;
    let submitted = async {
        let github = GitHub::new(
            &config.api_base_url,
            &config.git.repository_full_name,
            config.git.bot_token.clone(),
        )?;
        PullRequests::new(github)
            .review_once(number, text, &result_marker(&config.run_id))
            .await
    };
    submitted
        .await
        .map_err(|error: AgentError| match error.limit() {
            Some(answer) => Stop::Limited(Box::new(answer)),
            None => Stop::Failed(error.to_string()),
        })
}

async fn run_command(task: &Task<'_>, words: &[String]) -> Result<(), Stop> {
    let (program, arguments) = words
        .split_first()
        .ok_or_else(|| Stop::Failed("empty command".to_owned()))?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(task.tree()).envs(
        task.environment
            .iter()
            .map(|(name, value)| (*name, value.as_str())),
    );
    let limit = OnceCell::new();
    let status = command::run(command, |line| {
        task.output.line("agent", line);
        if let Some(answer) = LimitAnswer::in_output(line) {
            // The first refusal tells enough.
            drop(limit.set(answer));
        }
    })
    .await
    .map_err(|error| Stop::Failed(format!("\"{program}\" could not be run: {error}")))?;
    if status.success() {
        return Ok(());
    }
    Err(match limit.into_inner() {
        Some(answer) => Stop::Limited(Box::new(answer)),
        None => Stop::Failed(format!("\"{program}\" ended with {status}")),
    })
}

async fn call_tool(
    task: &Task<'_>,
    tool: &CallTool,
    variables: &[(&str, String)],
) -> Result<(), Stop> {
    let arguments = serde_json::from_str(&expand(&tool.arguments.to_string(), variables))
        .map_err(|error| Stop::Failed(format!("the arguments are no JSON: {error}")))?;
    let config = task.config;
    let answer = McpTools::new(&config.mcp_base_url, config.run_token.clone())
        .call(&tool.name, &arguments)
        .await
        .map_err(|error| Stop::Failed(error.to_string()))?;
    task.output
        .text("agent", &format!("{} answered {answer}", tool.name));
    Ok(())
}

async fn report_status(task: &Task<'_>, text: &str) -> Result<(), Stop> {
    let text: String = task
        .output
        .redact(text.trim())
        .chars()
        .take(STATUS_LIMIT_CHARACTERS)
        .collect();
    let payload = json!({
        "agent_key": task.config.agent_key,
        "status_text": text,
        "runtime_mode": task.config.runtime_mode,
        "namespace": task.namespace,
        "main_direct": task.config.is_repair(),
    });
    let reported = task
        .control_plane
        .event("run.agent.status_reported", payload)
        .await;
    reported.map_err(|error| Stop::Failed(error.to_string()))
}

fn inside(tree: &Path, path: &str) -> Result<PathBuf, Stop> {
    let relative = Path::new(path);
    let stays = relative
        .components()
        .all(|part| matches!(part, Component::Normal(name) if name != ".git"));
    if stays {
        Ok(tree.join(relative))
    } else {
        Err(Stop::Failed(format!("path {path} leaves the tree")))
    }
}
