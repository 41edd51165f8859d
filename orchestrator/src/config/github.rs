//! GitHub's addresses, tokens and the webhook.
use secrecy::SecretString;

use super::{ConfigError, Environment, ProcessKind};

/// Events the webhook subscribes to (L-20).
const WEBHOOK_EVENTS: &str =
    "push,pull_request,issues,issue_comment,pull_request_review,pull_request_review_comment";

/// How the platform speaks with GitHub.
#[derive(Debug, Clone)]
pub struct GithubConfig {
    pub api_base_url: String,
    /// Clone addresses are `<git base>/<owner>/<name>.git`.
    pub git_base_url: String,
    pub platform_token: Option<SecretString>,
    pub bot_token: Option<SecretString>,
    pub bot_username: String,
    pub bot_mail: String,
    pub webhook_secret: Option<SecretString>,
    pub webhook_url: String,
    pub webhook_events: Vec<String>,
}

impl GithubConfig {
    pub(super) fn load(
        process: ProcessKind,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let decides = matches!(process, ProcessKind::ControlPlane | ProcessKind::All);
        let webhook_secret = environment
            .secret("GITHUB_WEBHOOK_SECRET")
            .filter(|_| decides || process == ProcessKind::Gateway);
        if webhook_secret.is_none() && process == ProcessKind::Gateway {
            return Err(ConfigError::Missing {
                name: "GITHUB_WEBHOOK_SECRET",
            });
        }
        let public = environment.text_or("PUBLIC_BASE_URL", "http://localhost:8080");
        let url = |name, default: &str| {
            environment
                .text_or(name, default)
                .trim_end_matches('/')
                .to_owned()
        };
        Ok(Self {
            api_base_url: url("GITHUB_API_BASE_URL", "https://api.github.com"),
            git_base_url: url("GITHUB_GIT_BASE_URL", "https://github.com"),
            platform_token: environment.secret("GITHUB_PAT").filter(|_| decides),
            bot_token: environment.secret("GIT_BOT_TOKEN").filter(|_| decides),
            bot_username: environment.text_or("GIT_BOT_USERNAME", "codex-bot"),
            bot_mail: environment.text_or("GIT_BOT_MAIL", "codex-bot@codex-k8s.local"),
            webhook_secret,
            webhook_url: environment.text_or(
                "GITHUB_WEBHOOK_URL",
                &format!("{}/api/v1/webhooks/github", public.trim_end_matches('/')),
            ),
            webhook_events: environment
                .text_or("GITHUB_WEBHOOK_EVENTS", WEBHOOK_EVENTS)
                .split(',')
                .map(|event| event.trim().to_owned())
                .filter(|event| !event.is_empty())
                .collect(),
        })
    }
}
