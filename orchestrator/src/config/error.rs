//! Why a configuration is refused.

/// Names the key, never its value.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("failed to read CODEXK8S_{name}: {reason}")]
    Invalid { name: String, reason: String },
    #[error("failed to start: CODEXK8S_{name} is required by this process")]
    Missing { name: &'static str },
    #[error("failed to read the file that CODEXK8S_{name}_FILE names")]
    SecretFile {
        name: String,
        #[source]
        source: std::io::Error,
    },
}
