//! The environment of an agent's Job (runtime 3.1): everything but credentials, in the order of the table.

use super::context::WorkerContext;
use super::namespace::text;
use crate::store::runs::WorkerRun;
use domain::snapshot::ProfileFacts;
use domain::stages::TriggerKind;

/// Which prompt templates a run uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptChoice {
    /// `work`, `revise` or `discussion`.
    pub kind: String,
    /// Where templates come from.
    pub source: &'static str,
    /// `ru` or `en`.
    pub locale: String,
}

/// The choice of R-79 as far as it is made before the template is looked up.
pub fn prompt_choice(ctx: &WorkerContext, run: &WorkerRun) -> PromptChoice {
    let kind = if run.discussion_mode {
        "discussion".to_owned()
    } else {
        run.trigger_kind
            .parse::<TriggerKind>()
            .map_or("work", TriggerKind::template_kind)
            .to_owned()
    };
    PromptChoice {
        kind,
        source: "repo_seed",
        locale: ctx.policy.locale.to_string(),
    }
}

/// Branch a pull request goes into.
pub fn base_branch(ctx: &WorkerContext, run: &WorkerRun) -> String {
    text(&run.run_payload, "/base_branch")
        .unwrap_or_else(|| ctx.app.config.agent.base_branch.clone())
}

/// Name and value of every plain variable.
pub fn plain(
    ctx: &WorkerContext,
    run: &WorkerRun,
    profile: &ProfileFacts,
    build_ref: Option<&str>,
    workspace: &str,
) -> Vec<(&'static str, String)> {
    let config = &ctx.app.config;
    let number = |value: Option<i32>| value.map(|value| value.to_string()).unwrap_or_default();
    let payload = |pointer: &str| text(&run.run_payload, pointer).unwrap_or_default();
    let prompt = prompt_choice(ctx, run);
    let target_branch = text(&run.run_payload, "/target_branch");
    let default_branch = || {
        run.issue_number
            .map(|number| format!("codex/issue-{number}"))
    };
    vec![
        ("CODEXK8S_RUN_ID", run.id.to_string()),
        ("CODEXK8S_CORRELATION_ID", run.correlation_id.clone()),
        (
            "CODEXK8S_PROJECT_ID",
            run.project_id.map(|id| id.to_string()).unwrap_or_default(),
        ),
        (
            "CODEXK8S_SLOT_NO",
            run.slot_no.unwrap_or_default().to_string(),
        ),
        (
            "CODEXK8S_RUNTIME_MODE",
            run.runtime_mode.clone().unwrap_or_default(),
        ),
        (
            "CODEXK8S_RUNTIME_TARGET_ENV",
            run.target_env.clone().unwrap_or_default(),
        ),
        (
            "CODEXK8S_RUNTIME_BUILD_REF",
            build_ref
                .map(str::to_owned)
                .unwrap_or_else(|| payload("/runtime/build_ref")),
        ),
        (
            "CODEXK8S_RUNTIME_ACCESS_PROFILE",
            payload("/runtime/access_profile"),
        ),
        (
            "CODEXK8S_CONTROL_PLANE_URL",
            config.peers.control_plane_url.clone(),
        ),
        (
            "CODEXK8S_MCP_BASE_URL",
            config.peers.control_plane_mcp_base_url.clone(),
        ),
        (
            "CODEXK8S_REPOSITORY_FULL_NAME",
            run.repository_full_name.clone(),
        ),
        ("CODEXK8S_ISSUE_NUMBER", number(run.issue_number)),
        ("CODEXK8S_RUN_TRIGGER_KIND", run.trigger_kind.clone()),
        ("CODEXK8S_RUN_TRIGGER_LABEL", run.trigger_label.clone()),
        ("CODEXK8S_DISCUSSION_MODE", run.discussion_mode.to_string()),
        (
            "CODEXK8S_DISCUSSION_POLL_INTERVAL_MS",
            config
                .agent
                .discussion_poll_interval
                .as_millis()
                .to_string(),
        ),
        (
            "CODEXK8S_RUN_TARGET_BRANCH",
            target_branch.or_else(default_branch).unwrap_or_default(),
        ),
        ("CODEXK8S_EXISTING_PR_NUMBER", number(run.pr_number)),
        (
            "CODEXK8S_AGENT_KEY",
            run.agent_key.clone().unwrap_or_default(),
        ),
        ("CODEXK8S_AGENT_MODEL", profile.model.clone()),
        (
            "CODEXK8S_AGENT_REASONING_EFFORT",
            profile.reasoning_effort.clone(),
        ),
        ("CODEXK8S_PROMPT_TEMPLATE_KIND", prompt.kind),
        ("CODEXK8S_PROMPT_TEMPLATE_SOURCE", prompt.source.to_owned()),
        ("CODEXK8S_PROMPT_TEMPLATE_LOCALE", prompt.locale),
        (
            "CODEXK8S_STATE_IN_REVIEW_LABEL",
            "state:in-review".to_owned(),
        ),
        ("CODEXK8S_AGENT_BASE_BRANCH", base_branch(ctx, run)),
        ("CODEXK8S_AGENT_DISPLAY_NAME", payload("/agent/name")),
        (
            "CODEXK8S_GIT_BOT_USERNAME",
            config.github.bot_username.clone(),
        ),
        ("CODEXK8S_GIT_BOT_MAIL", config.github.bot_mail.clone()),
        ("CODEXK8S_WORKSPACE_DIR", workspace.to_owned()),
        (
            "CODEXK8S_GITHUB_API_BASE_URL",
            config.github.api_base_url.clone(),
        ),
        (
            "CODEXK8S_GITHUB_GIT_BASE_URL",
            config.github.git_base_url.clone(),
        ),
        ("CODEXK8S_AGENT_ADAPTER", config.agent.adapter.clone()),
        (
            "CODEXK8S_OPENAI_BASE_URL",
            config.agent.openai_base_url.clone(),
        ),
    ]
}
