//! What the parts of a control plane or worker share. The gateway has no such thing: it holds no database credential
//! and no key but its service token (design invariant 6).
use std::sync::Arc;

use domain::policy::Policy;
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::conduct::{Acting, Conduct};
use crate::config::{Config, ConfigError};
use crate::credentials::{RunTokenKeys, ServiceTokenKey, TokenFallback};
use crate::github::GithubClients;
use crate::policy;
use crate::secrets::{ColumnCipher, ColumnCipherError};
use crate::store;
use crate::wakeups::Wakeups;

/// Shared by every part of the process.
pub type SharedApp = Arc<App>;

/// Why a process could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("failed to read the address of the database")]
    Database(#[from] sqlx::Error),
    #[error("failed to use CODEXK8S_TOKEN_ENCRYPTION_KEY")]
    Cipher(#[from] ColumnCipherError),
    #[error(transparent)]
    Policy(#[from] policy::PolicyError),
    #[error("failed to set up the client for GitHub")]
    Github(#[from] crate::github::GithubError),
}

/// State and clients of one process that works on runs.
pub struct App {
    pub config: Arc<Config>,
    /// The configuration as decisions see it.
    pub policy: Arc<Policy>,
    pub pool: PgPool,
    pub wakeups: Arc<Wakeups>,
    pub github: GithubClients,
    /// Absent where no cluster is configured; what needs one then fails as if it were unreachable.
    pub kube: Option<kube::Client>,
    pub metrics: PrometheusHandle,
    /// How far this process goes.
    pub conduct: Arc<dyn Conduct>,
    /// Cancelled when the process shall end.
    pub shutdown: CancellationToken,
    pub service_token: ServiceTokenKey,
    /// Absent in a worker, which may read no token.
    pub cipher: Option<ColumnCipher>,
    /// Absent in a worker, which may mint no run token.
    pub run_tokens: Option<RunTokenKeys>,
}

impl App {
    /// Sets up clients; nothing is connected yet.
    pub async fn new(
        config: Config,
        metrics: PrometheusHandle,
        conduct: Arc<dyn Conduct>,
        shutdown: CancellationToken,
    ) -> Result<SharedApp, AppError> {
        let url = config.database.url.as_ref().ok_or(ConfigError::Missing {
            name: "DATABASE_URL",
        })?;
        let pool = store::pool(
            url,
            config.database.max_connections,
            config.process.as_str(),
        )?;
        let service_key = config
            .keys
            .service_token
            .as_ref()
            .ok_or(ConfigError::Missing {
                name: "SERVICE_TOKEN_KEY",
            })?;
        let keys = &config.keys;
        let cipher = keys
            .token_encryption
            .as_ref()
            .map(|key| ColumnCipher::new(key, keys.token_encryption_previous.as_ref()))
            .transpose()?;
        Ok(Arc::new(Self {
            pool,
            policy: Arc::new(policy::from_config(&config)?),
            wakeups: Arc::new(Wakeups::default()),
            github: GithubClients::new(&config.github)?,
            kube: kube_client().await,
            metrics,
            conduct,
            shutdown,
            service_token: ServiceTokenKey::new(service_key),
            cipher,
            run_tokens: keys
                .mcp_token_signing
                .as_ref()
                .map(|key| RunTokenKeys::new(key, keys.mcp_token_signing_previous.as_ref())),
            config: Arc::new(config),
        }))
    }

    /// Whether GitHub and Kubernetes are changed for `owner/name`.
    pub fn acts_on(&self, repository_full_name: &str) -> bool {
        self.conduct.acting(repository_full_name) == Acting::InTheWorld
    }

    /// The platform's tokens of the configuration (D-23).
    pub fn token_fallback(&self) -> TokenFallback {
        TokenFallback {
            management: self.config.github.platform_token.clone(),
            bot: self.config.github.bot_token.clone(),
        }
    }
}

/// From `KUBECONFIG` or the pod's service account.
async fn kube_client() -> Option<kube::Client> {
    let connected = async {
        let config = kube::Config::infer()
            .await
            .map_err(kube::Error::InferConfig)?;
        let builder = kube::client::ClientBuilder::try_from(config)?;
        #[cfg(feature = "failpoints")]
        let builder = builder.with_layer(&crate::transition::TransitionLayer);
        Ok::<_, kube::Error>(builder.build())
    };
    match connected.await {
        Ok(client) => Some(client),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "no Kubernetes cluster is configured"
            );
            None
        }
    }
}
