//! Reading the API server's audit log: what was really created and deleted, by whom (E-20, E-22).

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

/// The audit log of the target's API server.
#[derive(Clone, Debug)]
pub struct AuditLog {
    path: PathBuf,
}

impl AuditLog {
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// Successful writes of `verb` on `resource` whose object name is `name`, oldest first.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn writes(
        &self,
        verb: &str,
        resource: &str,
        name: &str,
    ) -> anyhow::Result<Vec<Value>> {
        let text = tokio::fs::read_to_string(&self.path)
            .await
            .with_context(|| format!("failed to read the audit log {}", self.path.display()))?;
        Ok(text
            .lines()
            .filter(|line| line.contains(name))
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|entry| {
                entry["verb"] == verb
                    && entry["objectRef"]["resource"] == resource
                    && (entry["objectRef"]["name"] == name
                        || entry["responseObject"]["metadata"]["name"] == name)
                    && entry["objectRef"].get("subresource").is_none()
                    && entry["responseStatus"]["code"]
                        .as_u64()
                        .is_some_and(|code| code < 300)
            })
            .collect())
    }
}

impl AuditLog {
    /// How many successful writes of `verb` on `resource` name an object that ends with `suffix`.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn mentions(
        &self,
        verb: &str,
        resource: &str,
        suffix: &str,
    ) -> anyhow::Result<usize> {
        let text = tokio::fs::read_to_string(&self.path)
            .await
            .with_context(|| format!("failed to read the audit log {}", self.path.display()))?;
        Ok(text
            .lines()
            .filter(|line| line.contains(suffix))
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|entry| {
                entry["verb"] == verb
                    && entry["objectRef"]["resource"] == resource
                    && entry["objectRef"]["name"]
                        .as_str()
                        .is_some_and(|name| name.ends_with(suffix))
            })
            .count())
    }
}
