//! The platform's keys; each process holds only those of its role.
use secrecy::{ExposeSecret, SecretString};

use super::{ConfigError, Environment, ProcessKind};

/// Keys of runtime 6.2; `None` where the process must not hold one.
#[derive(Debug, Clone)]
pub struct KeyConfig {
    pub service_token: Option<SecretString>,
    pub token_encryption: Option<SecretString>,
    pub mcp_token_signing: Option<SecretString>,
    pub secret_derivation: Option<SecretString>,
    /// Opens what was stored before a rotation (G-122).
    pub token_encryption_previous: Option<SecretString>,
    /// Accepts run tokens that were signed before a rotation (G-11).
    pub mcp_token_signing_previous: Option<SecretString>,
}

impl KeyConfig {
    pub(super) fn load(
        process: ProcessKind,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let decides = matches!(process, ProcessKind::ControlPlane | ProcessKind::All);
        let required = |name: &'static str, wanted: bool| match environment.secret(name) {
            _ if !wanted => Ok(None),
            Some(secret) => Ok(Some(secret)),
            None => Err(ConfigError::Missing { name }),
        };
        let optional = |name| environment.secret(name).filter(|_| decides);
        let keys = Self {
            service_token: required("SERVICE_TOKEN_KEY", process != ProcessKind::WebConsole)?,
            token_encryption: required("TOKEN_ENCRYPTION_KEY", decides)?,
            mcp_token_signing: required("MCP_TOKEN_SIGNING_KEY", decides)?,
            secret_derivation: required("SECRET_DERIVATION_KEY", decides)?,
            token_encryption_previous: optional("TOKEN_ENCRYPTION_KEY_PREVIOUS"),
            mcp_token_signing_previous: optional("MCP_TOKEN_SIGNING_KEY_PREVIOUS"),
        };
        keys.all_different()?;
        Ok(keys)
    }

    /// G-11: a key that serves two purposes turns one leak into two.
    fn all_different(&self) -> Result<(), ConfigError> {
        let present: Vec<&SecretString> = [
            &self.service_token,
            &self.token_encryption,
            &self.mcp_token_signing,
            &self.secret_derivation,
            &self.token_encryption_previous,
            &self.mcp_token_signing_previous,
        ]
        .into_iter()
        .flatten()
        .collect();
        let repeated = present.iter().enumerate().any(|(index, key)| {
            present
                .iter()
                .skip(index + 1)
                .any(|other| key.expose_secret() == other.expose_secret())
        });
        if repeated && present.len() > 1 {
            return Err(ConfigError::Invalid {
                name: "*_KEY".to_owned(),
                reason: "the platform keys must all be different (G-11)".to_owned(),
            });
        }
        Ok(())
    }
}
