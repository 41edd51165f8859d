//! The environment of each process: what its Deployment would be given (runtime section 0), and no more.

use std::net::SocketAddr;
use std::path::Path;

use super::spec::{LaneSecrets, LaneSpec, ProcessKind};
use crate::embedded::LaneAddresses;

/// What the environment of a lane's processes is made from.
pub(super) struct Setting<'a> {
    pub(super) spec: &'a LaneSpec,
    pub(super) secrets: &'a LaneSecrets,
    pub(super) addresses: LaneAddresses,
    pub(super) database_url: &'a str,
    /// Where databases of projects are made, by whom.
    pub(super) project_databases: (SocketAddr, &'a str, Option<&'a str>),
    pub(super) kubeconfig_control_plane: &'a Path,
    pub(super) kubeconfig_worker: &'a Path,
}

/// Listeners of one process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listeners {
    pub(super) http: SocketAddr,
    pub(super) internal: SocketAddr,
    pub(super) mcp: SocketAddr,
    pub(super) health: SocketAddr,
}

impl Listeners {
    pub(super) fn of(addresses: LaneAddresses, number: u16) -> Self {
        Self {
            http: addresses.process(number, 0),
            internal: addresses.process(number, 1),
            mcp: addresses.process(number, 2),
            health: addresses.process(number, 3),
        }
    }

    /// Where this kind of process answers health and readiness.
    pub(super) fn readiness(self, kind: ProcessKind) -> SocketAddr {
        match kind {
            ProcessKind::Gateway | ProcessKind::WebConsole => self.http,
            ProcessKind::ControlPlane | ProcessKind::All => self.internal,
            ProcessKind::Worker => self.health,
        }
    }
}

impl Setting<'_> {
    pub(super) fn of(
        &self,
        kind: ProcessKind,
        name: &str,
        listeners: Listeners,
    ) -> Vec<(String, String)> {
        let (spec, secrets) = (self.spec, self.secrets);
        let mut variables: Vec<(&str, String)> = vec![
            ("INSTANCE", spec.instance.clone()),
            ("PLATFORM_ENV", "staging".to_owned()),
            ("TEST_MODE", "true".to_owned()),
            (
                "PUBLIC_BASE_URL",
                format!("http://{}", self.addresses.public()),
            ),
            (
                "CONTROL_PLANE_URL",
                format!("http://{}", self.addresses.internal()),
            ),
            (
                "CONTROL_PLANE_MCP_BASE_URL",
                format!("http://{}/mcp", self.addresses.mcp()),
            ),
        ];
        let holds_state = matches!(
            kind,
            ProcessKind::ControlPlane | ProcessKind::Worker | ProcessKind::All
        );
        let decides = matches!(kind, ProcessKind::ControlPlane | ProcessKind::All);
        let works = matches!(kind, ProcessKind::Worker | ProcessKind::All);
        if matches!(
            kind,
            ProcessKind::Gateway | ProcessKind::WebConsole | ProcessKind::All
        ) {
            variables.push(("HTTP_LISTEN", listeners.http.to_string()));
        }
        if kind != ProcessKind::WebConsole {
            variables.push(("SERVICE_TOKEN_KEY", secrets.service_token_key.clone()));
        }
        variables.push(("HEALTH_LISTEN", listeners.health.to_string()));
        if kind == ProcessKind::Gateway || decides {
            variables.push((
                "GITHUB_WEBHOOK_SECRET",
                secrets.github_webhook_secret.clone(),
            ));
        }
        if holds_state {
            variables.push(("DATABASE_URL", self.database_url.to_owned()));
            variables.push(("GITHUB_API_BASE_URL", spec.github.api_base_url.clone()));
            variables.push(("GITHUB_GIT_BASE_URL", spec.github.git_base_url.clone()));
            variables.push(("GIT_BOT_USERNAME", spec.github.bot_username.clone()));
            variables.push(("GIT_BOT_MAIL", spec.github.bot_mail.clone()));
            variables.push(("AGENT_ADAPTER", spec.agent_adapter.clone()));
        }
        if decides {
            variables.extend([
                ("INTERNAL_LISTEN", listeners.internal.to_string()),
                ("MCP_LISTEN", listeners.mcp.to_string()),
                ("GITHUB_PAT", spec.github.platform_token.clone()),
                ("GIT_BOT_TOKEN", spec.github.bot_token.clone()),
                (
                    "GITHUB_WEBHOOK_URL",
                    format!("http://{}/api/v1/webhooks/github", self.addresses.public()),
                ),
                ("STAFF_LOCAL_TOKEN", secrets.staff_owner_token.clone()),
                // The gate stands in for the sign-in proxy, so that scenarios can act as any member of the staff.
                ("TRUSTED_PROXY_CIDRS", "127.0.0.0/8".to_owned()),
                ("TOKEN_ENCRYPTION_KEY", secrets.token_encryption_key.clone()),
                (
                    "MCP_TOKEN_SIGNING_KEY",
                    secrets.mcp_token_signing_key.clone(),
                ),
                (
                    "SECRET_DERIVATION_KEY",
                    secrets.secret_derivation_key.clone(),
                ),
                (
                    "PROJECT_DB_ADMIN_HOST",
                    self.project_databases.0.ip().to_string(),
                ),
                (
                    "PROJECT_DB_ADMIN_PORT",
                    self.project_databases.0.port().to_string(),
                ),
                ("PROJECT_DB_ADMIN_USER", self.project_databases.1.to_owned()),
                (
                    "PROJECT_DB_ADMIN_PASSWORD",
                    self.project_databases.2.unwrap_or_default().to_owned(),
                ),
                ("OPENAI_API_KEY", secrets.openai_api_key.clone()),
                ("CONTEXT7_API_KEY", secrets.context7_api_key.clone()),
                ("BOOTSTRAP_OWNER_EMAIL", spec.owner_email.clone()),
                ("BOOTSTRAP_OWNER_GITHUB_LOGIN", spec.owner_login.clone()),
            ]);
        }
        if works {
            variables.push(("WORKER_ID", format!("{}-{name}", spec.instance)));
        }
        let mut environment: Vec<(String, String)> = variables
            .into_iter()
            .map(|(name, value)| (format!("CODEXK8S_{name}"), value))
            .collect();
        if holds_state {
            let kubeconfig = if decides {
                self.kubeconfig_control_plane
            } else {
                self.kubeconfig_worker
            };
            environment.push(("KUBECONFIG".to_owned(), kubeconfig.display().to_string()));
        }
        environment.push(("RUST_LOG".to_owned(), "info".to_owned()));
        environment.push(("RUST_BACKTRACE".to_owned(), "1".to_owned()));
        environment.extend(spec.extra_env.clone());
        environment
    }
}
