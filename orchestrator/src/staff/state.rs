//! What the staff and internal routes work with: the app, and what only they need of it.
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::Duration as ChronoDuration;
use domain::redaction::Redactor;
use secrecy::ExposeSecret;
use sqlx::PgPool;
use uuid::Uuid;

use super::attempts::Brake;
use super::cookies::CookieForm;
use crate::app::SharedApp;
use crate::config::Config;
use crate::credentials::RunTokenKeys;
use crate::secrets::{ColumnCipher, hash_token};

/// DU-10: this many wrong tokens in a minute block an address for a minute.
const FAILED_SIGN_INS: usize = 5;
/// DA-22: requests of one principal in a minute.
const STAFF_REQUESTS: usize = 600;
/// DA-22: sign-in requests of one address in a minute.
const SIGN_IN_REQUESTS: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);

/// Shared by every route of the control plane; cheap to clone.
#[derive(Clone)]
pub struct Services {
    pub app: SharedApp,
    redactor: Arc<Redactor>,
    pub(super) local_token_hash: Option<Vec<u8>>,
    pub(super) cookies: CookieForm,
    pub(super) failed_sign_ins: Arc<Brake<IpAddr>>,
    pub(super) sign_ins: Arc<Brake<IpAddr>>,
    pub(super) requests: Arc<Brake<Uuid>>,
}

impl Services {
    /// For the app of a control plane, which holds the keys.
    pub fn new(app: SharedApp) -> Self {
        let config = &app.config;
        let known = [
            &config.github.platform_token,
            &config.github.bot_token,
            &config.github.webhook_secret,
            &config.agent.openai_api_key,
            &config.agent.context7_api_key,
            &config.staff.local_token,
        ];
        let redactor = Redactor::new(
            known
                .into_iter()
                .flatten()
                .map(|secret| secret.expose_secret()),
        );
        Self {
            redactor: Arc::new(redactor),
            local_token_hash: app
                .config
                .staff
                .local_token
                .as_ref()
                .map(|token| hash_token(token.expose_secret())),
            cookies: CookieForm::for_public_url(&app.config.public_base_url),
            failed_sign_ins: Arc::new(Brake::new(FAILED_SIGN_INS, MINUTE)),
            sign_ins: Arc::new(Brake::new(SIGN_IN_REQUESTS, MINUTE)),
            requests: Arc::new(Brake::new(STAFF_REQUESTS, MINUTE)),
            app,
        }
    }

    /// The database.
    pub fn pool(&self) -> &PgPool {
        &self.app.pool
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.app.config
    }

    /// The encryption of columns.
    pub fn cipher(&self) -> &ColumnCipher {
        self.app
            .cipher
            .as_ref()
            .expect("the configuration of a control plane requires the encryption key")
    }

    /// The keys of run tokens.
    pub fn run_tokens(&self) -> &RunTokenKeys {
        self.app
            .run_tokens
            .as_ref()
            .expect("the configuration of a control plane requires the signing key")
    }

    /// Knows the platform's own secrets and the forms of others (G-123).
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    pub(super) fn session_life(&self) -> ChronoDuration {
        ChronoDuration::from_std(self.config().staff.session_ttl)
            .unwrap_or(ChronoDuration::hours(12))
    }

    pub(super) fn session_idle(&self) -> ChronoDuration {
        ChronoDuration::from_std(self.config().staff.session_idle_ttl)
            .unwrap_or(ChronoDuration::hours(1))
    }
}
