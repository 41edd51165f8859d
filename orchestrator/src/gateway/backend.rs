//! Where checked requests go: over internal HTTP, or by a function call when the control plane lives in this process.
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::config::{Config, ConfigError};
use crate::control_plane::ControlPlane;
use crate::credentials::{Service, ServiceTokenError, ServiceTokenKey};

/// The control plane waits two seconds for an outcome (L-22); GitHub gives up after ten.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(8);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("failed to set up the client for the control plane")]
    Client(#[from] reqwest::Error),
}

/// Shared by every route.
#[derive(Clone)]
pub struct Gateway(pub(super) Arc<State>);

pub(super) struct State {
    pub webhook_secret: SecretString,
    pub webhook_max_body_bytes: usize,
    pub backend: Backend,
}

pub(super) enum Backend {
    Remote(Remote),
    Local(Box<ControlPlane>),
}

pub(super) struct Remote {
    /// Without a limit on the whole answer: streams go through it too.
    pub client: reqwest::Client,
    pub base_url: String,
    key: ServiceTokenKey,
}

impl Remote {
    pub fn token(&self) -> Result<SecretString, ServiceTokenError> {
        self.key.mint(Service::Gateway, Service::ControlPlane)
    }

    pub fn webhook_timeout(&self) -> Duration {
        WEBHOOK_TIMEOUT
    }
}

impl Gateway {
    /// A gateway that forwards to another process.
    pub fn remote(config: &Config) -> Result<Self, GatewayError> {
        let key = config
            .keys
            .service_token
            .as_ref()
            .ok_or(ConfigError::Missing {
                name: "SERVICE_TOKEN_KEY",
            })?;
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        let remote = Remote {
            client,
            base_url: config.peers.control_plane_url.clone(),
            key: ServiceTokenKey::new(key),
        };
        Self::new(config, Backend::Remote(remote))
    }

    /// A gateway in the process of its control plane.
    pub fn local(config: &Config, control_plane: ControlPlane) -> Result<Self, GatewayError> {
        Self::new(config, Backend::Local(Box::new(control_plane)))
    }

    fn new(config: &Config, backend: Backend) -> Result<Self, GatewayError> {
        let webhook_secret = config
            .github
            .webhook_secret
            .clone()
            .ok_or(ConfigError::Missing {
                name: "GITHUB_WEBHOOK_SECRET",
            })?;
        Ok(Self(Arc::new(State {
            webhook_secret,
            webhook_max_body_bytes: config.webhook_max_body_bytes,
            backend,
        })))
    }

    /// Whether the control plane can be used.
    pub(super) async fn failing_checks(&self) -> Vec<&'static str> {
        let ready = match &self.0.backend {
            Backend::Remote(remote) => {
                let probe = remote
                    .client
                    .get(format!("{}/readyz", remote.base_url))
                    .timeout(CONNECT_TIMEOUT)
                    .send()
                    .await;
                probe.is_ok_and(|response| response.status().is_success())
            }
            Backend::Local(control_plane) => control_plane.is_ready().await,
        };
        if ready {
            Vec::new()
        } else {
            vec!["control-plane"]
        }
    }
}
