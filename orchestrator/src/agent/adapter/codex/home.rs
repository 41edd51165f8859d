//! The home of the CLI: its configuration, and the session that it continues.
//!
//! It lies in the runner's private folder and goes with it. A snapshot holds the session file line by line as text, as
//! the CLI wrote it: Postgres takes no JSON with a NUL in it, which any command may print.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::events::Usage;
use super::process::Turn;
use super::report;
use crate::agent::adapter::{AdapterError, Task, TurnUsage};

const ADAPTER: &str = "codex";
const OWNER_ONLY: u32 = 0o600;
/// Longest that one call of a tool of the platform may take, seconds.
const TOOL_TIMEOUT_SECONDS: u32 = 180;
const SESSIONS: &str = "sessions";

/// The folder that `CODEX_HOME` names.
#[derive(Debug)]
pub(super) struct Home(PathBuf);

/// What a snapshot keeps of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    adapter: String,
    pub(super) session_id: Option<String>,
    /// Path of the session file below the CLI's folder of sessions.
    file: PathBuf,
    lines: Vec<String>,
    turns: i32,
    usage: Usage,
}

impl State {
    /// A snapshot of this adapter; those of others cannot be continued.
    pub(super) fn read(value: &Value) -> Option<Self> {
        let state: Self = serde_json::from_value(value.clone()).ok()?;
        let inside = state
            .file
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        (state.adapter == ADAPTER && state.session_id.is_some() && inside).then_some(state)
    }

    pub(super) fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    pub(super) fn usage_since(&self, before: &Self) -> TurnUsage {
        TurnUsage {
            turn_no: self.turns,
            prompt_tokens: self.usage.input_tokens - before.usage.input_tokens,
            completion_tokens: self.usage.output_tokens - before.usage.output_tokens,
        }
    }
}

impl Home {
    /// Writes the configuration.
    pub(super) fn prepare(task: &Task<'_>) -> Result<Self, AdapterError> {
        let home = Self(folder(task.home));
        home.write(task)
            .map_err(|error| AdapterError::Cli(format!("failed to write its home: {error}")))?;
        Ok(home)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    pub(super) fn schema(&self) -> PathBuf {
        self.0.join("report-schema.json")
    }

    fn write(&self, task: &Task<'_>) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.0)?;
        let path = self.0.join("config.toml");
        std::fs::write(&path, configuration(task))?;
        std::fs::set_permissions(&path, Permissions::from_mode(OWNER_ONLY))?;
        std::fs::write(self.schema(), report::schema().to_string())
    }

    /// The session after a turn.
    pub(super) async fn state_after(
        &self,
        before: &State,
        turn: &Turn,
    ) -> Result<State, AdapterError> {
        let unread =
            |reason: &str| AdapterError::Cli(format!("failed to keep its session: {reason}"));
        let id = turn
            .session_id
            .as_deref()
            .ok_or_else(|| unread("it named none"))?;
        let sessions = self.0.join(SESSIONS);
        let path = session_file(&sessions, Some(id)).ok_or_else(|| unread("it wrote none"))?;
        let text = tokio::fs::read_to_string(&path)
            .await
            .map_err(|error| unread(&error.to_string()))?;
        Ok(State {
            adapter: ADAPTER.to_owned(),
            session_id: Some(id.to_owned()),
            file: path.strip_prefix(&sessions).unwrap_or(&path).to_owned(),
            lines: text.lines().map(str::to_owned).collect(),
            turns: before.turns + 1,
            usage: turn.usage,
        })
    }
}

/// Below the runner's private folder.
fn folder(private: &Path) -> PathBuf {
    private.join(ADAPTER)
}

/// Puts a stored session where the CLI looks for it; `None` when it is not one of this CLI.
pub(in crate::agent::adapter) fn restore(
    private: &Path,
    state: &Value,
) -> std::io::Result<Option<PathBuf>> {
    let Some(state) = State::read(state) else {
        return Ok(None);
    };
    let path = folder(private).join(SESSIONS).join(&state.file);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut text = state.lines.join("\n");
    text.push('\n');
    std::fs::write(&path, text)?;
    Ok(Some(path))
}

/// Id and snapshot of the session that was under way; its turn is not counted, since it did not end.
pub(super) fn newest_session(private: &Path, before: State) -> Option<(String, Value)> {
    let sessions = folder(private).join(SESSIONS);
    let path = session_file(&sessions, None)?;
    let text = std::fs::read_to_string(&path).ok()?;
    // A line that was being written is no line yet.
    let whole = text.get(..text.rfind('\n')? + 1)?;
    let first: Value = serde_json::from_str(whole.lines().next()?).ok()?;
    let id = first.pointer("/payload/id")?.as_str()?.to_owned();
    let state = State {
        adapter: ADAPTER.to_owned(),
        session_id: Some(id.clone()),
        file: path.strip_prefix(&sessions).ok()?.to_owned(),
        lines: whole.lines().map(str::to_owned).collect(),
        ..before
    };
    Some((id, state.to_json()))
}

/// The session file of this id, or the one written last; the CLI files them by day.
fn session_file(sessions: &Path, id: Option<&str>) -> Option<PathBuf> {
    let mut folders = vec![sessions.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).ok()?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|suffix| suffix == "jsonl") {
                found.push(path);
            }
        }
    }
    let of_id = |path: &&PathBuf| {
        let name = path.file_stem().and_then(|name| name.to_str());
        id.is_none_or(|id| name.is_some_and(|name| name.ends_with(id)))
    };
    let written = |path: &PathBuf| path.metadata().and_then(|data| data.modified()).ok();
    found
        .iter()
        .filter(of_id)
        .max_by_key(|path| written(path))
        .cloned()
}

/// The text of `config.toml`. A JSON string is a TOML string.
fn configuration(task: &Task<'_>) -> String {
    let config = task.config;
    let quoted = |text: &str| Value::from(text).to_string();
    let mut lines = Vec::new();
    for (key, value) in [
        ("model", config.model.as_deref()),
        ("model_reasoning_effort", config.reasoning_effort.as_deref()),
        ("model_provider", Some(PROVIDER)),
        ("approval_policy", Some("never")),
        ("sandbox_mode", Some("danger-full-access")),
        ("web_search", Some("disabled")),
    ] {
        if let Some(value) = value {
            lines.push(format!("{key} = {}", quoted(value)));
        }
    }
    // The Pod's image says which release works; nothing of the work goes to anybody but the model's provider.
    lines.push("check_for_update_on_startup = false".to_owned());
    lines.push("[analytics]\nenabled = false\n[feedback]\nenabled = false".to_owned());
    lines.push("[history]\npersistence = \"save-all\"".to_owned());
    lines.push(format!(
        "[model_providers.{PROVIDER}]\nname = \"OpenAI\"\nbase_url = {}\nenv_key = \"CODEXK8S_OPENAI_API_KEY\"\n\
         wire_api = \"responses\"\nsupports_websockets = false",
        quoted(&config.openai_base_url)
    ));
    lines.push(format!(
        "[mcp_servers.codex_k8s]\nurl = {}\nbearer_token_env_var = \"CODEXK8S_MCP_BEARER_TOKEN\"\n\
         tool_timeout_sec = {TOOL_TIMEOUT_SECONDS}",
        quoted(&config.mcp_base_url)
    ));
    // What the model runs has no use for the keys of the CLI itself.
    lines.push(
        "[shell_environment_policy]\nexclude = [\"CODEXK8S_OPENAI_API_KEY\", \"CODEXK8S_CONTEXT7_API_KEY\", \
         \"CODEXK8S_MCP_BEARER_TOKEN\", \"CODEXK8S_GIT_BOT_TOKEN\"]"
            .to_owned(),
    );
    lines.push(String::new());
    lines.join("\n")
}

const PROVIDER: &str = "codex_k8s";
