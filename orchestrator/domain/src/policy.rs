//! How the platform is configured, as far as decisions depend on it.

use std::collections::BTreeMap;

use crate::ids::NamespaceName;
use crate::labels::Catalogue;
use crate::stages::{Role, TargetEnv, spelled};

/// Instance name of an installation that shares its cluster with none.
pub const DEFAULT_INSTANCE: &str = "main";

/// Model when no label and no earlier run says otherwise (L-13).
pub const DEFAULT_MODEL: &str = "gpt-5.4";

/// Reasoning effort when no label and no earlier run says otherwise (L-13).
pub const DEFAULT_REASONING_EFFORT: &str = "high";

/// Namespace TTL when no policy gives one, in seconds: 24 hours.
pub const DEFAULT_NAMESPACE_TTL_SECONDS: i64 = 24 * 60 * 60;

/// Budget of unpaused running time, in seconds.
pub const DEFAULT_RUN_TIMEOUT_SECONDS: i64 = 18_000;

spelled!(
    /// Languages of the platform's comments and prompts (L-13, L-42).
    Locale {
        /// Russian, the default.
        Ru = "ru",
        /// English, also for anything unsupported.
        En = "en",
    }
);

impl Locale {
    /// An unsupported locale becomes English (L-13).
    pub fn from_configuration(text: &str) -> Self {
        match text.trim().to_lowercase().as_str() {
            "" | "ru" => Locale::Ru,
            _ => Locale::En,
        }
    }
}

/// Configuration that decisions depend on.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Label names.
    pub labels: Catalogue,
    /// GitHub login the platform writes with.
    pub bot_login: String,
    /// Instance in a shared cluster.
    pub instance: String,
    /// Environment that receives the default branch.
    pub live_env: TargetEnv,
    /// Platform namespace of LIVE_ENV: LIVE_NS of the platform repository.
    pub platform_namespace: NamespaceName,
    /// Base of links in comments; none leaves links out (L-90).
    pub public_base_url: Option<String>,
    /// Language of comments (L-42).
    pub locale: Locale,
    /// Model of last resort.
    pub default_model: String,
    /// Reasoning effort of last resort.
    pub default_reasoning_effort: String,
    /// The `gpt-5.3-*` family may be used (L-15).
    pub gpt_5_3_enabled: bool,
    /// Platform's TTL per role, seconds.
    pub namespace_ttl_by_role: BTreeMap<Role, i64>,
    /// Platform's TTL otherwise, seconds.
    pub default_namespace_ttl: Option<i64>,
    /// Paths that `self_improve_only` adds to Markdown (L-9); one ending in `/` is a directory.
    pub self_improve_paths: Vec<String>,
}

impl Default for Policy {
    /// The documented defaults of every setting.
    fn default() -> Self {
        Self {
            labels: Catalogue::default(),
            bot_login: "codex-bot".to_owned(),
            instance: DEFAULT_INSTANCE.to_owned(),
            live_env: TargetEnv::Staging,
            platform_namespace: "codex-k8s-staging".parse().expect("a literal DNS label"),
            public_base_url: None,
            locale: Locale::Ru,
            default_model: DEFAULT_MODEL.to_owned(),
            default_reasoning_effort: DEFAULT_REASONING_EFFORT.to_owned(),
            gpt_5_3_enabled: true,
            namespace_ttl_by_role: BTreeMap::new(),
            default_namespace_ttl: None,
            self_improve_paths: Vec::new(),
        }
    }
}

impl Policy {
    /// Whether an account is the platform's own bot.
    pub fn is_bot(&self, login: &str) -> bool {
        !login.is_empty() && login.eq_ignore_ascii_case(&self.bot_login)
    }
}
