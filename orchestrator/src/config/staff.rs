//! Sign-in of people and the bootstrap owner.
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;

use super::{ConfigError, Environment, ProcessKind};

/// DU-1..DU-6 and DM-8.
#[derive(Debug, Clone)]
pub struct StaffConfig {
    pub local_token: Option<SecretString>,
    pub session_ttl: Duration,
    pub session_idle_ttl: Duration,
    /// Where the headers of a sign-in proxy may come from (DU-4).
    pub trusted_proxies: Vec<IpNet>,
    pub owner_email: Option<String>,
    pub owner_github_login: Option<String>,
    pub allowed_emails: Vec<String>,
    pub platform_admin_emails: Vec<String>,
    pub run_token_ttl: Duration,
}

const HOUR: Duration = Duration::from_secs(3600);

impl StaffConfig {
    pub(super) fn load(
        process: ProcessKind,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let decides = matches!(process, ProcessKind::ControlPlane | ProcessKind::All);
        let list = |name| -> Vec<String> {
            environment
                .text(name)
                .unwrap_or_default()
                .split(',')
                .map(|entry| entry.trim().to_owned())
                .filter(|entry| !entry.is_empty())
                .collect()
        };
        Ok(Self {
            local_token: environment.secret("STAFF_LOCAL_TOKEN").filter(|_| decides),
            session_ttl: environment.duration("STAFF_SESSION_TTL", 12 * HOUR)?,
            session_idle_ttl: environment.duration("STAFF_SESSION_IDLE_TTL", HOUR)?,
            trusted_proxies: list("TRUSTED_PROXY_CIDRS")
                .iter()
                .map(|entry| {
                    entry.parse().map_err(|_| ConfigError::Invalid {
                        name: "TRUSTED_PROXY_CIDRS".to_owned(),
                        reason: format!("{entry:?} is no network such as 10.0.0.0/8"),
                    })
                })
                .collect::<Result<_, _>>()?,
            owner_email: environment.text("BOOTSTRAP_OWNER_EMAIL"),
            owner_github_login: environment.text("BOOTSTRAP_OWNER_GITHUB_LOGIN"),
            allowed_emails: list("BOOTSTRAP_ALLOWED_EMAILS"),
            platform_admin_emails: list("BOOTSTRAP_PLATFORM_ADMIN_EMAILS"),
            run_token_ttl: environment.duration("MCP_TOKEN_TTL", 24 * HOUR)?,
        })
    }
}
