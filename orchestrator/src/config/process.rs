//! The whole configuration of one process.
use std::collections::BTreeMap;
use std::time::Duration;

use super::{
    AgentConfig, ConfigError, DatabaseConfig, Environment, GithubConfig, GovernanceConfig,
    KeyConfig, ListenConfig, McpConfig, PeerConfig, RetentionConfig, StaffConfig, WorkerConfig,
};

/// Which Deployment this process is (runtime section 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessKind {
    Gateway,
    ControlPlane,
    Worker,
    WebConsole,
    /// The first four in one process, for lanes of the gate and development.
    All,
}

impl ProcessKind {
    /// The name of the subcommand.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::ControlPlane => "control-plane",
            Self::Worker => "worker",
            Self::WebConsole => "web-console",
            Self::All => "all",
        }
    }

    /// Gateway and web console hold no database credential, no key and no GitHub token.
    pub fn holds_state(self) -> bool {
        matches!(self, Self::ControlPlane | Self::Worker | Self::All)
    }
}

/// Everything a process was told.
#[derive(Debug, Clone)]
pub struct Config {
    pub process: ProcessKind,
    pub instance: String,
    pub platform_env: String,
    pub public_base_url: String,
    pub test_mode: bool,
    /// Largest webhook body in bytes (L-21).
    pub webhook_max_body_bytes: usize,
    pub versions_autobump_enabled: bool,
    /// Renamed labels by key without the prefix, e.g. `RUN_DEV_LABEL`.
    pub label_names: BTreeMap<String, String>,
    /// How often a listener looks without having been woken.
    pub poll_interval: Duration,
    pub listen: ListenConfig,
    pub peers: PeerConfig,
    pub database: DatabaseConfig,
    pub github: GithubConfig,
    pub keys: KeyConfig,
    pub mcp: McpConfig,
    pub governance: GovernanceConfig,
    /// Base URL under which adapters call back, without a trailing slash (G-133).
    pub interaction_callback_base_url: String,
    /// How long somebody may decide a request (G-83).
    pub approvals_ttl: Duration,
    pub retention: RetentionConfig,
    pub staff: StaffConfig,
    pub worker: WorkerConfig,
    pub agent: AgentConfig,
}

/// Default of `WORKER_POLL_INTERVAL`.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// Default of `APPROVALS_TTL` (G-83).
const APPROVALS_TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// 1 MiB, GitHub's own payloads are mostly far below (L-21).
const WEBHOOK_MAX_BODY_BYTES: usize = 1_048_576;
/// a DNS label short enough to be a suffix of every name.
const INSTANCE_MAX_LENGTH: usize = 20;

impl Config {
    /// Reads what this kind of process may know.
    pub fn load(process: ProcessKind, environment: &Environment) -> Result<Self, ConfigError> {
        let instance = environment.text_or("INSTANCE", "main");
        if !is_instance_name(&instance) {
            return Err(ConfigError::Invalid {
                name: "INSTANCE".to_owned(),
                reason: format!(
                    "expected a DNS label of at most {INSTANCE_MAX_LENGTH} characters (R-187)"
                ),
            });
        }
        let public_base_url = environment
            .text_or("PUBLIC_BASE_URL", "http://localhost:8080")
            .trim_end_matches('/')
            .to_owned();
        Ok(Self {
            process,
            platform_env: environment.text_or("PLATFORM_ENV", "staging"),
            interaction_callback_base_url: environment
                .text_or("INTERACTION_CALLBACK_BASE_URL", &public_base_url)
                .trim_end_matches('/')
                .to_owned(),
            public_base_url,
            test_mode: environment.parsed("TEST_MODE", false)?,
            webhook_max_body_bytes: environment
                .parsed("WEBHOOK_MAX_BODY_BYTES", WEBHOOK_MAX_BODY_BYTES)?,
            versions_autobump_enabled: environment.parsed("VERSIONS_AUTOBUMP_ENABLED", false)?,
            label_names: environment.with_suffix("_LABEL"),
            poll_interval: environment.duration("WORKER_POLL_INTERVAL", POLL_INTERVAL)?,
            listen: ListenConfig::load(environment)?,
            peers: PeerConfig::load(environment),
            database: DatabaseConfig::load(process, environment)?,
            github: GithubConfig::load(process, environment)?,
            keys: KeyConfig::load(process, environment)?,
            mcp: McpConfig::load(environment)?,
            governance: GovernanceConfig::load(process, environment)?,
            approvals_ttl: environment.duration("APPROVALS_TTL", APPROVALS_TTL)?,
            retention: RetentionConfig::load(environment)?,
            staff: StaffConfig::load(process, environment)?,
            worker: WorkerConfig::load(&instance, environment)?,
            agent: AgentConfig::load(process, environment)?,
            instance,
        })
    }
}

fn is_instance_name(name: &str) -> bool {
    name.len() <= INSTANCE_MAX_LENGTH
        && name.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && !name.ends_with('-')
        && name.chars().all(|character| {
            character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-'
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_is_given_no_credential_it_must_not_hold() {
        let pairs = [
            "DATABASE_URL",
            "GITHUB_PAT",
            "GIT_BOT_TOKEN",
            "TOKEN_ENCRYPTION_KEY",
            "MCP_TOKEN_SIGNING_KEY",
            "SECRET_DERIVATION_KEY",
            "STAFF_LOCAL_TOKEN",
            "SERVICE_TOKEN_KEY",
            "GITHUB_WEBHOOK_SECRET",
        ]
        .map(|name| (format!("{PREFIX}{name}"), "ab".repeat(32)));
        let environment = Environment::from_pairs(pairs).expect("pairs without files load");
        let config =
            Config::load(ProcessKind::Gateway, &environment).expect("a gateway needs only these");
        assert!(config.database.url.is_none());
        assert!(config.github.platform_token.is_none() && config.github.bot_token.is_none());
        assert!(
            config.keys.token_encryption.is_none()
                && config.keys.mcp_token_signing.is_none()
                && config.keys.secret_derivation.is_none()
        );
        assert!(config.staff.local_token.is_none());
        assert!(config.github.webhook_secret.is_some() && config.keys.service_token.is_some());
    }

    #[test]
    fn an_instance_is_a_short_dns_label() {
        assert!(is_instance_name("gate-7") && is_instance_name("main"));
        assert!(
            !is_instance_name("Main")
                && !is_instance_name("-a")
                && !is_instance_name("")
                && !is_instance_name(&"a".repeat(21))
        );
    }

    use super::super::PREFIX;
}
