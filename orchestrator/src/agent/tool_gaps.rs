//! Tools that the image lacks: found in what programs print, or told by the agent in its report.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// More are not told of; a broken search path would name every program there is.
const MOST: usize = 20;

/// What is known of missing tools so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ToolGaps {
    printed: BTreeSet<String>,
    reported: Vec<Value>,
}

impl ToolGaps {
    /// Looks for a shell's words for a missing program.
    pub(super) fn look_at(&mut self, line: &str) {
        if self.printed.len() < MOST
            && let Some(tool) = missing_tool(line)
        {
            self.printed.insert(tool.to_owned());
        }
    }

    /// Takes what the agent's report names.
    pub(super) fn report(&mut self, gaps: &[Value]) {
        self.reported.extend(gaps.iter().take(MOST).cloned());
    }

    /// Payload of `run.toolchain.gap_detected`; none where nothing is missing.
    pub(super) fn payload(&self) -> Option<Value> {
        let mut sources = Vec::new();
        if !self.printed.is_empty() {
            sources.push("output");
        }
        if !self.reported.is_empty() {
            sources.push("report");
        }
        let printed = self.printed.iter().cloned().map(Value::String);
        let mut gaps: Vec<Value> = printed.collect();
        gaps.extend(
            self.reported
                .iter()
                .filter(|gap| gap.as_str().is_none_or(|gap| !self.printed.contains(gap)))
                .cloned(),
        );
        (!gaps.is_empty()).then(|| json!({"tool_gaps": gaps, "sources": sources}))
    }
}

/// The program that a shell did not find: `bash: line 1: jq: command not found`, `zsh: command not found: jq`,
/// `sh: 1: jq: not found`.
fn missing_tool(line: &str) -> Option<&str> {
    let line = line.trim_end();
    let (before, after) = match line.split_once(": command not found") {
        Some(parts) => parts,
        None => {
            let before = line.strip_suffix(": not found")?;
            let (shell, rest) = before.split_once(": ")?;
            let number = rest.split_once(": ")?.0;
            let is_shell = shell
                .rsplit('/')
                .next()
                .is_some_and(|name| name.ends_with("sh"));
            if !is_shell || number.parse::<u32>().is_err() {
                return None;
            }
            (before, "")
        }
    };
    let tool = match after.strip_prefix(": ") {
        Some(tool) => tool,
        None => before.rsplit(": ").next()?,
    };
    let is_name =
        |character: char| character.is_ascii_alphanumeric() || "._+-/".contains(character);
    (!tool.is_empty() && tool.len() <= 64 && tool.chars().all(is_name)).then_some(tool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_told_by_each_shell_in_its_own_words() {
        for (line, tool) in [
            ("bash: line 1: jq: command not found", Some("jq")),
            ("/usr/bin/bash: line 3: rg: command not found", Some("rg")),
            ("zsh: command not found: yq", Some("yq")),
            ("sh: 1: helm: not found", Some("helm")),
            ("/bin/sh: 12: kubectl-v1.2: not found", Some("kubectl-v1.2")),
            ("remote: Repository: not found", None),
            ("sh: file: not found", None),
            ("error: 404: page: not found", None),
            ("the command not found page", None),
            ("bash: line 1: $(rm -rf): command not found", None),
        ] {
            assert_eq!(missing_tool(line), tool, "{line}");
        }
    }

    #[test]
    fn what_is_printed_and_reported_is_told_once() {
        let mut gaps = ToolGaps::default();
        assert_eq!(gaps.payload(), None);
        gaps.look_at("sh: 1: jq: not found");
        gaps.look_at("sh: 1: jq: not found");
        gaps.report(&[json!("jq"), json!("helm")]);
        assert_eq!(
            gaps.payload(),
            Some(json!({"tool_gaps": ["jq", "helm"], "sources": ["output", "report"]}))
        );
    }
}
