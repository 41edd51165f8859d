//! What a caller chooses about a lane, and the secrets a lane is given.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::canary::{canary, remember};

/// How the orchestrator is cut into processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processes {
    /// Each part a process of its own, as deployed.
    Split,
    /// One process with all parts.
    All,
}

/// One of the programs' subcommands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProcessKind {
    Gateway,
    ControlPlane,
    Worker,
    WebConsole,
    All,
}

impl ProcessKind {
    /// The subcommand's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::ControlPlane => "control-plane",
            Self::Worker => "worker",
            Self::WebConsole => "web-console",
            Self::All => "all",
        }
    }
}

/// How the lane reaches GitHub, or what stands in for it.
#[derive(Clone)]
pub struct GithubAccess {
    pub api_base_url: String,
    pub git_base_url: String,
    pub platform_token: String,
    pub bot_token: String,
    pub bot_username: String,
    pub bot_mail: String,
}

/// A lane as wanted.
#[derive(Clone)]
pub struct LaneSpec {
    /// Instance name: a DNS label of at most 20 characters.
    pub instance: String,
    pub processes: Processes,
    pub gateways: usize,
    pub control_planes: usize,
    pub workers: usize,
    pub web_consoles: usize,
    /// The program under test.
    pub orchestrator: PathBuf,
    pub github: GithubAccess,
    pub owner_login: String,
    pub owner_email: String,
    /// `script` or `codex`.
    pub agent_adapter: String,
    /// Settings on top, for every process.
    pub extra_env: BTreeMap<String, String>,
}

impl LaneSpec {
    /// One process of each kind.
    #[must_use]
    pub fn new(instance: &str, orchestrator: PathBuf, github: GithubAccess) -> Self {
        Self {
            instance: instance.to_owned(),
            processes: Processes::Split,
            gateways: 1,
            control_planes: 1,
            workers: 1,
            web_consoles: 1,
            orchestrator,
            github,
            owner_login: "owner".to_owned(),
            owner_email: "owner@example.com".to_owned(),
            agent_adapter: "script".to_owned(),
            extra_env: BTreeMap::new(),
        }
    }

    /// Kinds of the processes wanted, in the order they are numbered.
    pub(super) fn kinds(&self) -> Vec<(ProcessKind, usize)> {
        match self.processes {
            Processes::All => vec![(ProcessKind::All, 1)],
            Processes::Split => vec![
                (ProcessKind::ControlPlane, self.control_planes),
                (ProcessKind::Gateway, self.gateways),
                (ProcessKind::Worker, self.workers),
                (ProcessKind::WebConsole, self.web_consoles),
            ],
        }
    }

    /// A default name with the instance's suffix.
    pub(super) fn suffixed(&self, name: &str) -> String {
        if self.instance == "main" {
            name.to_owned()
        } else {
            format!("{name}-{}", self.instance)
        }
    }
}

/// The platform's own secrets, one set per lane; each is a canary.
#[derive(Clone)]
pub struct LaneSecrets {
    /// Token of the platform owner for the staff API.
    pub staff_owner_token: String,
    /// Key of the tokens by which internal processes, and the gate, authenticate.
    pub service_token_key: String,
    pub github_webhook_secret: String,
    pub token_encryption_key: String,
    pub mcp_token_signing_key: String,
    pub secret_derivation_key: String,
    pub openai_api_key: String,
    pub context7_api_key: String,
}

impl LaneSecrets {
    pub(super) fn generate(spec: &LaneSpec) -> Self {
        let named = |name: &str| canary(&format!("{name} of {}", spec.instance));
        remember(
            &format!("GitHub platform token of {}", spec.instance),
            &spec.github.platform_token,
        );
        remember(
            &format!("GitHub bot token of {}", spec.instance),
            &spec.github.bot_token,
        );
        Self {
            staff_owner_token: named("staff owner token"),
            service_token_key: named("service token key"),
            github_webhook_secret: named("webhook secret"),
            token_encryption_key: named("token encryption key"),
            mcp_token_signing_key: named("run token signing key"),
            secret_derivation_key: named("secret derivation key"),
            openai_api_key: named("OpenAI API key"),
            context7_api_key: named("Context7 API key"),
        }
    }
}
