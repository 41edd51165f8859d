//! Settings of one run, read from the Job's environment and checked before anything is written.

use std::path::PathBuf;
use std::time::Duration;

use domain::ids::shorten;
use domain::policy::Locale;
use secrecy::SecretString;

use super::error::AgentError;

const DEFAULT_WORKSPACE: &str = "/workspace";
const DEFAULT_GIT_BASE_URL: &str = "https://github.com";
const DEFAULT_API_BASE_URL: &str = "https://api.github.com";
const DEFAULT_OPENAI_BASE_URL: &str = "https://api.openai.com/v1";
const DEFAULT_BASE_BRANCH: &str = "main";
const DEFAULT_DISCUSSION_POLL_INTERVAL: Duration = Duration::from_secs(15);
const DEFAULT_SCRIPT: &str = ".gonogo/story.yaml";
/// Where Kubernetes mounts the service account; an environment without containers says its own place.
const SERVICE_ACCOUNT_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Looks up one environment variable.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Which agent runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AdapterKind {
    Codex,
    Script,
}

/// Where and as whom git works; all that the `source` step needs.
#[derive(Debug, Clone)]
pub(super) struct GitSettings {
    pub(super) workspace: PathBuf,
    pub(super) repository_full_name: String,
    pub(super) git_base_url: String,
    pub(super) bot_token: SecretString,
    pub(super) build_ref: Option<String>,
}

impl GitSettings {
    /// The clone URL; it never contains the token.
    pub(super) fn remote_url(&self) -> String {
        format!("{}/{}.git", self.git_base_url, self.repository_full_name)
    }

    pub(super) fn load(get: Lookup<'_>) -> Result<Self, AgentError> {
        let repository_full_name = required(get, "CODEXK8S_REPOSITORY_FULL_NAME")?;
        let well_formed = repository_full_name.split('/').count() == 2
            && repository_full_name
                .split('/')
                .all(|part| !part.is_empty() && !part.starts_with('.'));
        if !well_formed {
            return Err(AgentError::Setting {
                name: "CODEXK8S_REPOSITORY_FULL_NAME",
                reason: format!("\"{repository_full_name}\" is not owner/name"),
            });
        }
        Ok(Self {
            workspace: optional(get, "CODEXK8S_WORKSPACE_DIR")
                .unwrap_or_else(|| DEFAULT_WORKSPACE.to_owned())
                .into(),
            repository_full_name,
            git_base_url: base_url(get, "CODEXK8S_GITHUB_GIT_BASE_URL", DEFAULT_GIT_BASE_URL),
            bot_token: SecretString::from(required(get, "CODEXK8S_GIT_BOT_TOKEN")?),
            build_ref: optional(get, "CODEXK8S_RUNTIME_BUILD_REF"),
        })
    }
}

/// All settings of a run.
#[derive(Debug, Clone)]
pub(super) struct AgentConfig {
    pub(super) run_id: String,
    pub(super) correlation_id: String,
    pub(super) agent_key: String,
    pub(super) runtime_mode: String,
    pub(super) trigger_kind: String,
    pub(super) trigger_label: String,
    pub(super) template_kind: String,
    pub(super) model: Option<String>,
    pub(super) reasoning_effort: Option<String>,
    pub(super) issue_number: Option<u64>,
    pub(super) target_branch: Option<String>,
    pub(super) base_branch: String,
    pub(super) locale: Locale,
    /// How often a discussion looks at its thread (L-108).
    pub(super) discussion_poll_interval: Duration,
    pub(super) existing_pr_number: Option<u64>,
    pub(super) control_plane_url: String,
    pub(super) run_token: SecretString,
    /// MCP server of the platform, which the CLI calls with the run's token.
    pub(super) mcp_base_url: String,
    /// Responses API of the model's provider.
    pub(super) openai_base_url: String,
    pub(super) bot_username: String,
    pub(super) bot_mail: String,
    pub(super) api_base_url: String,
    pub(super) git: GitSettings,
    pub(super) adapter: AdapterKind,
    pub(super) script: PathBuf,
    pub(super) service_account_dir: PathBuf,
    /// Values that must never leave the Pod.
    pub(super) secrets: Vec<SecretString>,
}

impl AgentConfig {
    pub(super) fn load(get: Lookup<'_>) -> Result<Self, AgentError> {
        let run_id = required(get, "CODEXK8S_RUN_ID")?;
        let correlation_id = required(get, "CODEXK8S_CORRELATION_ID")?;
        let agent_key = required(get, "CODEXK8S_AGENT_KEY")?;
        let control_plane_url = required(get, "CODEXK8S_CONTROL_PLANE_URL")?
            .trim_end_matches('/')
            .to_owned();
        let mcp_base_url = required(get, "CODEXK8S_MCP_BASE_URL")?;
        let run_token = SecretString::from(required(get, "CODEXK8S_MCP_BEARER_TOKEN")?);
        let bot_username = required(get, "CODEXK8S_GIT_BOT_USERNAME")?;
        let bot_mail = required(get, "CODEXK8S_GIT_BOT_MAIL")?;
        let git = GitSettings::load(get)?;
        let adapter = match optional(get, "CODEXK8S_AGENT_ADAPTER").as_deref() {
            None | Some("codex") => AdapterKind::Codex,
            Some("script") => AdapterKind::Script,
            Some(other) => {
                return Err(AgentError::Setting {
                    name: "CODEXK8S_AGENT_ADAPTER",
                    reason: format!("\"{other}\" is neither codex nor script"),
                });
            }
        };
        let secrets = [
            "OPENAI_API_KEY",
            "CONTEXT7_API_KEY",
            "GIT_BOT_TOKEN",
            "MCP_BEARER_TOKEN",
        ]
        .into_iter()
        .filter_map(|name| optional(get, &format!("CODEXK8S_{name}")))
        .map(SecretString::from)
        .collect();
        Ok(Self {
            run_id,
            correlation_id,
            agent_key,
            runtime_mode: optional(get, "CODEXK8S_RUNTIME_MODE")
                .unwrap_or_else(|| "code-only".to_owned()),
            trigger_kind: optional(get, "CODEXK8S_RUN_TRIGGER_KIND").unwrap_or_default(),
            trigger_label: optional(get, "CODEXK8S_RUN_TRIGGER_LABEL").unwrap_or_default(),
            template_kind: optional(get, "CODEXK8S_PROMPT_TEMPLATE_KIND")
                .unwrap_or_else(|| "work".to_owned()),
            model: optional(get, "CODEXK8S_AGENT_MODEL"),
            reasoning_effort: optional(get, "CODEXK8S_AGENT_REASONING_EFFORT"),
            issue_number: number(get, "CODEXK8S_ISSUE_NUMBER")?,
            target_branch: optional(get, "CODEXK8S_RUN_TARGET_BRANCH"),
            base_branch: optional(get, "CODEXK8S_AGENT_BASE_BRANCH")
                .unwrap_or_else(|| DEFAULT_BASE_BRANCH.to_owned()),
            locale: Locale::from_configuration(
                &optional(get, "CODEXK8S_PROMPT_TEMPLATE_LOCALE").unwrap_or_default(),
            ),
            discussion_poll_interval: number(get, "CODEXK8S_DISCUSSION_POLL_INTERVAL_MS")?
                .map_or(DEFAULT_DISCUSSION_POLL_INTERVAL, Duration::from_millis),
            existing_pr_number: number(get, "CODEXK8S_EXISTING_PR_NUMBER")?,
            control_plane_url,
            run_token,
            mcp_base_url,
            openai_base_url: base_url(get, "CODEXK8S_OPENAI_BASE_URL", DEFAULT_OPENAI_BASE_URL),
            bot_username,
            bot_mail,
            api_base_url: base_url(get, "CODEXK8S_GITHUB_API_BASE_URL", DEFAULT_API_BASE_URL),
            git,
            adapter,
            script: optional(get, "CODEXK8S_AGENT_SCRIPT")
                .unwrap_or_else(|| DEFAULT_SCRIPT.to_owned())
                .into(),
            service_account_dir: optional(get, "KUBERNETES_SERVICE_ACCOUNT_DIR")
                .unwrap_or_else(|| SERVICE_ACCOUNT_DIR.to_owned())
                .into(),
            secrets,
        })
    }

    /// First 12 characters of the run id, as names use it.
    pub(super) fn run12(&self) -> String {
        shorten(&self.run_id)
    }

    /// Whether the tree was prepared by the `source` step.
    pub(super) fn is_full_env(&self) -> bool {
        self.runtime_mode == "full-env"
    }

    /// Whether the run revises an existing pull request.
    pub(super) fn is_revise(&self) -> bool {
        self.template_kind == "revise"
    }

    /// Whether the run goes on after a wait.
    pub(super) fn is_resume(&self) -> bool {
        domain::waits::is_resume_correlation(&self.correlation_id)
    }

    /// Whether the run talks under its Issue and changes nothing (L-109).
    pub(super) fn is_discussion(&self) -> bool {
        self.template_kind == "discussion"
    }

    /// Whether the report must hold a diagnosis: self-improvement, but not its revise (L-110).
    pub(super) fn needs_diagnosis(&self) -> bool {
        self.trigger_kind == "self_improve" && !self.is_discussion()
    }

    /// Whether the run works on the base branch itself (L-113).
    pub(super) fn is_repair(&self) -> bool {
        self.trigger_kind == "ai_repair" && !self.is_discussion()
    }
}

fn optional(get: Lookup<'_>, name: &str) -> Option<String> {
    get(name)
        .map(|value| value.trim().to_owned())
        .filter(|value| !value.is_empty())
}

fn required(get: Lookup<'_>, name: &'static str) -> Result<String, AgentError> {
    optional(get, name).ok_or_else(|| AgentError::Setting {
        name,
        reason: "it is required".to_owned(),
    })
}

fn number(get: Lookup<'_>, name: &'static str) -> Result<Option<u64>, AgentError> {
    optional(get, name)
        .map(|text| {
            text.parse().map_err(|_| AgentError::Setting {
                name,
                reason: format!("\"{text}\" is not a number"),
            })
        })
        .transpose()
}

fn base_url(get: Lookup<'_>, name: &str, default: &str) -> String {
    optional(get, name)
        .unwrap_or_else(|| default.to_owned())
        .trim_end_matches('/')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn environment() -> HashMap<&'static str, &'static str> {
        HashMap::from([
            ("CODEXK8S_RUN_ID", "0198aaaa-bbbb-7ccc-8ddd-eeeeffff0000"),
            ("CODEXK8S_CORRELATION_ID", "c"),
            ("CODEXK8S_REPOSITORY_FULL_NAME", "acme/shop"),
            ("CODEXK8S_AGENT_KEY", "dev"),
            ("CODEXK8S_CONTROL_PLANE_URL", "http://cp:9090/"),
            ("CODEXK8S_MCP_BASE_URL", "http://cp:8081"),
            ("CODEXK8S_MCP_BEARER_TOKEN", "run-token"),
            ("CODEXK8S_GIT_BOT_USERNAME", "codex-bot"),
            ("CODEXK8S_GIT_BOT_MAIL", "bot@example.test"),
            ("CODEXK8S_GIT_BOT_TOKEN", "bot-token"),
        ])
    }

    fn load(environment: &HashMap<&'static str, &'static str>) -> Result<AgentConfig, AgentError> {
        AgentConfig::load(&|name| environment.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn every_required_setting_is_required() {
        let complete = load(&environment()).expect("complete");
        assert_eq!(complete.control_plane_url, "http://cp:9090");
        assert_eq!(
            complete.git.remote_url(),
            "https://github.com/acme/shop.git"
        );
        for name in environment().keys() {
            let mut reduced = environment();
            reduced.remove(name);
            let error = load(&reduced).expect_err("incomplete");
            assert!(error.to_string().contains(name), "{error} names {name}");
            assert_eq!(error.exit_code(), 1);
        }
    }

    #[test]
    fn unusable_values_are_refused() {
        for (name, value) in [
            ("CODEXK8S_REPOSITORY_FULL_NAME", "acme"),
            ("CODEXK8S_REPOSITORY_FULL_NAME", "../shop"),
            ("CODEXK8S_ISSUE_NUMBER", "x"),
            ("CODEXK8S_AGENT_ADAPTER", "other"),
        ] {
            let mut changed = environment();
            changed.insert(name, value);
            assert!(load(&changed).is_err(), "{name}={value}");
        }
    }
}
