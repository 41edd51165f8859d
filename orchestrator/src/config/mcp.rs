//! Which revisions of MCP are spoken, and who may call from a browser.
use super::{ConfigError, Environment};

/// Revisions this program knows, newest first (G-2, G-3).
const REVISIONS: [&str; 3] = ["2026-07-28", "2025-11-25", "2025-06-18"];

/// The MCP server of the control plane.
#[derive(Debug, Clone)]
pub struct McpConfig {
    /// Revisions that are served; the older ones for CLIs that do not know the newest (G-3).
    pub supported_versions: Vec<String>,
    /// Values of `Origin` that are let in; agents send none (G-4).
    pub allowed_origins: Vec<String>,
}

impl McpConfig {
    pub(super) fn load(environment: &Environment) -> Result<Self, ConfigError> {
        let list = |text: &str| -> Vec<String> {
            text.split(',')
                .map(|entry| entry.trim().to_owned())
                .filter(|entry| !entry.is_empty())
                .collect()
        };
        let supported_versions =
            list(&environment.text_or("MCP_SUPPORTED_VERSIONS", &REVISIONS.join(",")));
        let known = |version: &String| REVISIONS.contains(&version.as_str());
        if supported_versions.is_empty() || !supported_versions.iter().all(known) {
            return Err(ConfigError::Invalid {
                name: "MCP_SUPPORTED_VERSIONS".to_owned(),
                reason: format!("expected some of {}", REVISIONS.join(", ")),
            });
        }
        Ok(Self {
            supported_versions,
            allowed_origins: list(&environment.text_or("MCP_ALLOWED_ORIGINS", "")),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn load(versions: &str) -> Result<McpConfig, ConfigError> {
        let name = format!("{}MCP_SUPPORTED_VERSIONS", super::super::PREFIX);
        McpConfig::load(&Environment::from_pairs([(name, versions.to_owned())]).unwrap())
    }

    #[test]
    fn older_revisions_can_be_switched_off_and_unknown_ones_are_refused() {
        let newest = load("2026-07-28").unwrap();
        assert_eq!(newest.supported_versions, ["2026-07-28"]);
        assert!(load("2026-07-28, 2024-11-05").is_err());
        let all = McpConfig::load(&Environment::from_pairs([]).unwrap()).unwrap();
        assert_eq!(all.supported_versions, REVISIONS);
        assert!(all.allowed_origins.is_empty());
    }
}
