//! What `codex exec --json` prints: one event per line. Kinds that are not listed are passed over, since the CLI adds
//! new ones with every release.

use serde::Deserialize;

/// Tokens of a session so far, as the CLI adds them up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
pub(super) struct Usage {
    #[serde(default)]
    pub(super) input_tokens: i64,
    #[serde(default)]
    pub(super) output_tokens: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type")]
pub(super) enum Event {
    #[serde(rename = "thread.started")]
    ThreadStarted { thread_id: String },
    #[serde(rename = "item.completed")]
    ItemCompleted { item: Item },
    #[serde(rename = "turn.completed")]
    TurnCompleted { usage: Usage },
    #[serde(rename = "turn.failed")]
    TurnFailed { error: Failure },
    #[serde(rename = "error")]
    Error { message: String },
    #[serde(other)]
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Failure {
    pub(super) message: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item {
    AgentMessage {
        text: String,
    },
    CommandExecution {
        command: String,
        #[serde(default)]
        aggregated_output: String,
        exit_code: Option<i32>,
    },
    McpToolCall {
        #[serde(default)]
        server: String,
        #[serde(default)]
        tool: String,
        #[serde(default)]
        status: String,
    },
    Error {
        message: String,
    },
    #[serde(other)]
    Other,
}

impl Event {
    /// Reads one line; anything that is no event is `None`.
    pub(super) fn read(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    /// What a person who reads the log of the run sees of it.
    pub(super) fn lines(&self) -> Option<String> {
        match self {
            Self::ItemCompleted { item } => item.lines(),
            Self::TurnFailed { error } => Some(format!("the turn failed: {}", error.message)),
            Self::Error { message } => Some(message.clone()),
            Self::ThreadStarted { .. } | Self::TurnCompleted { .. } | Self::Other => None,
        }
    }
}

impl Item {
    fn lines(&self) -> Option<String> {
        match self {
            Self::AgentMessage { text } => Some(text.clone()),
            Self::CommandExecution {
                command,
                aggregated_output,
                exit_code,
            } => {
                let end = match exit_code {
                    Some(0) | None => String::new(),
                    Some(code) => format!("\n(exit code {code})"),
                };
                let output = aggregated_output.trim_end();
                let output = if output.is_empty() {
                    String::new()
                } else {
                    format!("\n{output}")
                };
                Some(format!("$ {command}{output}{end}"))
            }
            Self::McpToolCall {
                server,
                tool,
                status,
            } => Some(format!("{server}.{tool}: {status}")),
            Self::Error { message } => Some(message.clone()),
            Self::Other => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_cli_are_read_and_unknown_ones_passed_over() {
        let read = |line: &str| Event::read(line);
        assert_eq!(
            read(r#"{"type":"thread.started","thread_id":"7"}"#),
            Some(Event::ThreadStarted {
                thread_id: "7".to_owned()
            })
        );
        let command = read(
            r#"{"type":"item.completed","item":{"id":"item_1","type":"command_execution","command":"ls","aggregated_output":"a\n","exit_code":2,"status":"failed"}}"#,
        );
        assert_eq!(
            command.and_then(|event| event.lines()).as_deref(),
            Some("$ ls\na\n(exit code 2)")
        );
        let usage = read(
            r#"{"type":"turn.completed","usage":{"input_tokens":200,"cached_input_tokens":20,"output_tokens":10}}"#,
        );
        assert_eq!(
            usage,
            Some(Event::TurnCompleted {
                usage: Usage {
                    input_tokens: 200,
                    output_tokens: 10
                }
            })
        );
        for unknown in [
            r#"{"type":"turn.started"}"#,
            r#"{"type":"item.completed","item":{"type":"poem","lines":3}}"#,
        ] {
            let event = read(unknown).expect("an event");
            assert_eq!(event.lines(), None, "{unknown}");
        }
        assert_eq!(read("2026-11-22 ERROR rmcp: closed"), None);
    }
}
