//! The branch a run works on (R-73, L-50).

use super::config::AgentConfig;

/// The explicit target branch, else the rule of L-50.
pub(super) fn target_branch(config: &AgentConfig, from_context: Option<&str>) -> String {
    if let Some(branch) = config
        .target_branch
        .as_deref()
        .or(from_context)
        .filter(|branch| !branch.is_empty())
    {
        return branch.to_owned();
    }
    if config.is_repair() {
        return config.base_branch.clone();
    }
    match (config.issue_number, config.trigger_kind.as_str()) {
        (Some(number), "rethink") => format!("codex/issue-{number}-r{}", config.run12()),
        (Some(number), _) => format!("codex/issue-{number}"),
        (None, _) => format!("codex/run-{}", config.run12()),
    }
}
