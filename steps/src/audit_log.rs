//! Reading the API server's audit log: what was really created and deleted, by whom (E-20, E-22).

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

/// The accounts of the platform's processes begin so (runtime 0).
const PLATFORM_USER: &str = "codex-k8s-";

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

    /// What the platform's own accounts asked to be written of a namespace and into it, oldest first, each as
    /// `verb resource status`; what was refused is among it.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn by_platform_in(&self, namespace: &str) -> anyhow::Result<Vec<String>> {
        let text = tokio::fs::read_to_string(&self.path)
            .await
            .with_context(|| format!("failed to read the audit log {}", self.path.display()))?;
        Ok(text
            .lines()
            .filter(|line| line.contains(namespace))
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|entry| {
                let object = &entry["objectRef"];
                entry["stage"] == "ResponseComplete"
                    && entry["user"]["username"]
                        .as_str()
                        .is_some_and(|user| user.starts_with(PLATFORM_USER))
                    && (object["namespace"] == namespace
                        || (object["resource"] == "namespaces" && object["name"] == namespace))
            })
            .map(|entry| {
                let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
                format!(
                    "{} {} {}",
                    word(&entry["verb"]),
                    word(&entry["objectRef"]["resource"]),
                    entry["responseStatus"]["code"]
                )
            })
            .collect())
    }
}
