//! Listeners, peers, database and the agent's defaults.
use std::net::SocketAddr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::{ConfigError, Environment, ProcessKind};

/// Where this process listens; each process opens only its own.
#[derive(Debug, Clone)]
pub struct ListenConfig {
    /// Public HTTP of gateway, web console and `all`.
    pub http: SocketAddr,
    /// Internal HTTP of the control plane.
    pub internal: SocketAddr,
    /// MCP of the control plane.
    pub mcp: SocketAddr,
    /// Health and metrics of the worker, metrics of the gateway; never public.
    pub health: SocketAddr,
}

impl ListenConfig {
    pub(super) fn load(environment: &Environment) -> Result<Self, ConfigError> {
        let any = |port| SocketAddr::from(([0, 0, 0, 0], port));
        Ok(Self {
            http: environment.parsed("HTTP_LISTEN", any(8080))?,
            internal: environment.parsed("INTERNAL_LISTEN", any(9090))?,
            mcp: environment.parsed("MCP_LISTEN", any(8081))?,
            health: environment.parsed("HEALTH_LISTEN", any(9091))?,
        })
    }
}

/// Where the other processes are.
#[derive(Debug, Clone)]
pub struct PeerConfig {
    /// Base URL of the internal HTTP, without a trailing slash.
    pub control_plane_url: String,
    pub control_plane_mcp_base_url: String,
}

impl PeerConfig {
    pub(super) fn load(environment: &Environment) -> Self {
        let url = |name, default| {
            environment
                .text_or(name, default)
                .trim_end_matches('/')
                .to_owned()
        };
        Self {
            control_plane_url: url("CONTROL_PLANE_URL", "http://codex-k8s-control-plane:9090"),
            control_plane_mcp_base_url: url(
                "CONTROL_PLANE_MCP_BASE_URL",
                "http://codex-k8s-control-plane:8081/mcp",
            ),
        }
    }
}

/// How to reach PostgreSQL.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// Absent in processes that must not hold it.
    pub url: Option<SecretString>,
    pub max_connections: u32,
}

/// Intake, deciders, executors, deploy reconcilers and routes of one process together seldom use more.
const MAX_CONNECTIONS: u32 = 16;

impl DatabaseConfig {
    pub(super) fn load(
        process: ProcessKind,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let given = environment.secret("DATABASE_URL");
        let derived = environment
            .secret("POSTGRES_PASSWORD")
            .and_then(|password| {
                let database = environment.text_or("POSTGRES_DB", "codex_k8s");
                let user = environment.text_or("POSTGRES_USER", "codex_k8s");
                let host = environment.text_or("POSTGRES_HOST", "postgres");
                let port = environment.text_or("POSTGRES_PORT", "5432");
                derived_url(&user, &password, &format!("{host}:{port}/{database}"))
            });
        let url = if process.holds_state() {
            Some(given.or(derived).ok_or(ConfigError::Missing {
                name: "DATABASE_URL",
            })?)
        } else {
            None
        };
        Ok(Self {
            url,
            max_connections: environment.parsed("DATABASE_MAX_CONNECTIONS", MAX_CONNECTIONS)?,
        })
    }
}

fn derived_url(user: &str, password: &SecretString, place: &str) -> Option<SecretString> {
    let mut url = reqwest::Url::parse(&format!("postgres://{place}")).ok()?;
    url.set_username(user).ok()?;
    url.set_password(Some(password.expose_secret())).ok()?;
    Some(SecretString::from(String::from(url)))
}

/// What an agent gets unless labels or a project say otherwise.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    pub default_model: String,
    pub default_reasoning_effort: String,
    pub default_locale: String,
    pub base_branch: String,
    pub gpt_5_3_enabled: bool,
    /// `codex` or `script`.
    pub adapter: String,
    /// How often a discussion looks at its thread (L-108).
    pub discussion_poll_interval: Duration,
    /// Responses API of the model's provider.
    pub openai_base_url: String,
    pub openai_api_key: Option<SecretString>,
    pub context7_api_key: Option<SecretString>,
}

impl AgentConfig {
    pub(super) fn load(
        process: ProcessKind,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let secret = |name| {
            environment
                .secret(name)
                .filter(|_| matches!(process, ProcessKind::ControlPlane | ProcessKind::All))
        };
        Ok(Self {
            default_model: environment.text_or("AGENT_DEFAULT_MODEL", "gpt-5.4"),
            default_reasoning_effort: environment.text_or("AGENT_DEFAULT_REASONING_EFFORT", "high"),
            default_locale: environment.text_or("AGENT_DEFAULT_LOCALE", "ru"),
            base_branch: environment.text_or("AGENT_BASE_BRANCH", "main"),
            gpt_5_3_enabled: environment.parsed("AGENT_GPT_5_3_ENABLED", true)?,
            adapter: environment.text_or("AGENT_ADAPTER", "codex"),
            discussion_poll_interval: environment
                .duration("DISCUSSION_POLL_INTERVAL", Duration::from_secs(15))?,
            openai_base_url: environment.text_or("OPENAI_BASE_URL", "https://api.openai.com/v1"),
            openai_api_key: secret("OPENAI_API_KEY"),
            context7_api_key: secret("CONTEXT7_API_KEY"),
        })
    }
}
