//! One completed request of the Kubernetes audit log.
use chrono::{DateTime, Utc};
use serde_json::Value;

/// A completed write, as far as the ledger needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// When the API server answered.
    pub at: DateTime<Utc>,
    /// `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// Who asked.
    pub user: String,
    /// Plural resource name.
    pub resource: String,
    /// Namespace, empty for cluster-wide objects.
    pub namespace: String,
    /// Object name.
    pub name: String,
    /// Subresource, empty for the object itself.
    pub subresource: String,
    /// HTTP status of the answer.
    pub code: u16,
    /// `dryRun` was asked for.
    pub dry_run: bool,
}

impl AuditRecord {
    /// Reads one line of the log; nothing for stages other than `ResponseComplete`.
    pub fn from_json(value: &Value) -> Option<Self> {
        if value["stage"] != "ResponseComplete" {
            return None;
        }
        let reference = &value["objectRef"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        // A generateName object is named in the response alone (E-20).
        let name = [
            &reference["name"],
            &value["responseObject"]["metadata"]["name"],
        ]
        .into_iter()
        .find_map(|name| name.as_str().filter(|name| !name.is_empty()))
        .unwrap_or_default();
        let resource = text(&reference["resource"]);
        let namespace = if resource == "namespaces" {
            String::new()
        } else {
            text(&reference["namespace"])
        };
        Some(Self {
            at: value["stageTimestamp"].as_str()?.parse().ok()?,
            verb: text(&value["verb"]),
            user: text(&value["user"]["username"]),
            name: name.to_owned(),
            namespace,
            subresource: text(&reference["subresource"]),
            resource,
            code: u16::try_from(value["responseStatus"]["code"].as_u64().unwrap_or(0)).ok()?,
            dry_run: value["requestURI"]
                .as_str()
                .is_some_and(|uri| uri.contains("dryRun=All")),
        })
    }

    /// The object came into being: 201 is the answer to a create and to an apply that makes it.
    pub fn created(&self) -> bool {
        self.subresource.is_empty() && self.code == 201 && !self.dry_run
    }

    /// The object was deleted.
    pub fn deleted(&self) -> bool {
        self.subresource.is_empty()
            && self.verb == "delete"
            && (200..300).contains(&self.code)
            && !self.dry_run
    }

    /// The namespace's finalisation ended, so its content is gone (E-20).
    pub fn finalised_namespace(&self) -> bool {
        self.resource == "namespaces" && self.subresource == "finalize" && self.code == 200
    }
}
