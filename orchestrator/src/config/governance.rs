//! What the tools that write outside may touch (governance 2.3, 2.4).
use secrecy::SecretString;

use super::{ConfigError, Environment, ProcessKind};

/// Environments of the control tools.
const ALLOWED_ENVIRONMENTS: &str = "dev,staging,ai-staging,prod";

/// Settings of `secret.sync.github_k8s` and `database.lifecycle`.
#[derive(Debug, Clone)]
pub struct GovernanceConfig {
    /// `governance.allowed_envs`, in lower case.
    pub allowed_environments: Vec<String>,
    /// Where the databases of projects are; none in processes that make no databases.
    pub project_databases: Option<ProjectDatabaseConfig>,
}

/// An account that may make and remove databases.
#[derive(Debug, Clone)]
pub struct ProjectDatabaseConfig {
    /// Name, address, or the folder of a unix socket.
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Option<SecretString>,
    /// One of libpq's words.
    pub ssl_mode: String,
    /// Database that is connected to.
    pub database: String,
}

impl GovernanceConfig {
    pub(super) fn load(
        process: ProcessKind,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let allowed_environments: Vec<String> = environment
            .text_or("GOVERNANCE_ALLOWED_ENVS", ALLOWED_ENVIRONMENTS)
            .split(',')
            .map(|name| name.trim().to_lowercase())
            .filter(|name| !name.is_empty())
            .collect();
        let decides = matches!(process, ProcessKind::ControlPlane | ProcessKind::All);
        let password = environment.secret("PROJECT_DB_ADMIN_PASSWORD");
        let platform_password = environment.secret("POSTGRES_PASSWORD");
        let platform_user = environment.text_or("POSTGRES_USER", "codex_k8s");
        let project_databases = ProjectDatabaseConfig {
            host: environment.text_or("PROJECT_DB_ADMIN_HOST", "postgres"),
            port: environment.parsed("PROJECT_DB_ADMIN_PORT", 5432)?,
            user: environment.text_or("PROJECT_DB_ADMIN_USER", &platform_user),
            password: password.or(platform_password),
            ssl_mode: environment.text_or("PROJECT_DB_ADMIN_SSLMODE", "disable"),
            database: environment.text_or("PROJECT_DB_ADMIN_DATABASE", "postgres"),
        };
        Ok(Self {
            allowed_environments,
            project_databases: decides.then_some(project_databases),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_who_decides_may_make_databases() {
        let load = |process, pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| {
                (format!("{}{name}", super::super::PREFIX), value.to_string())
            });
            let environment = Environment::from_pairs(pairs).unwrap();
            GovernanceConfig::load(process, &environment).unwrap()
        };
        let config = load(ProcessKind::ControlPlane, &[]);
        assert_eq!(
            config.allowed_environments,
            ["dev", "staging", "ai-staging", "prod"]
        );
        let databases = config.project_databases.unwrap();
        assert_eq!(
            (databases.user.as_str(), databases.port),
            ("codex_k8s", 5432)
        );
        let config = load(
            ProcessKind::Worker,
            &[("GOVERNANCE_ALLOWED_ENVS", " QA , prod,")],
        );
        assert_eq!(config.allowed_environments, ["qa", "prod"]);
        assert!(config.project_databases.is_none());
    }
}
