//! One line of the GitHub stand-in's journal.
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A request received, a delivery sent or a change of state. Fields beyond these are kept in `rest`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GithubRecord {
    /// Own sequence of the journal.
    #[serde(default)]
    pub seq: u64,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// `request`, `delivery`, `change`, `fault` or `unknown_route`.
    pub kind: String,
    /// Login that acted.
    #[serde(default)]
    pub actor: Option<String>,
    /// HTTP method.
    #[serde(default)]
    pub method: Option<String>,
    /// HTTP path.
    #[serde(default)]
    pub path: Option<String>,
    /// HTTP status: of our answer for a request, of the receiver's answer for a delivery.
    #[serde(default)]
    pub status: Option<u16>,
    /// Full name of the repository.
    #[serde(default)]
    pub repository: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: serde_json::Map<String, Value>,
}

impl GithubRecord {
    /// Full name of the repository, from its field or from the path.
    pub fn repository_name(&self) -> Option<String> {
        if let Some(name) = &self.repository {
            return Some(name.clone());
        }
        let path = self.path.as_deref()?;
        if let Some((_, tail)) = path.split_once("/repos/") {
            let mut parts = tail.split('/');
            return Some(format!("{}/{}", parts.next()?, parts.next()?));
        }
        let (head, _) = path.split_once(".git/")?;
        Some(head.trim_start_matches('/').to_owned())
    }

    /// Value of a field at the top, in the detail or in the body.
    pub fn field(&self, pointer: &str) -> Option<&Value> {
        let nested = |root: &str| self.rest.get(root).and_then(|value| value.pointer(pointer));
        let top = pointer
            .strip_prefix('/')
            .filter(|key| !key.contains('/'))
            .and_then(|key| self.rest.get(key));
        top.or_else(|| nested("detail")).or_else(|| nested("body"))
    }

    /// Text of a field.
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.field(pointer).and_then(Value::as_str)
    }

    /// A label that was set or removed on a thread.
    pub fn label_change(&self) -> Option<(LabelChange, &str)> {
        if self.kind != "change" {
            return None;
        }
        let change = match self.text("/event")? {
            "label_added" => LabelChange::Added,
            "label_removed" => LabelChange::Removed,
            _ => return None,
        };
        Some((change, self.text("/label")?))
    }
}

/// What happened to a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelChange {
    /// It was set.
    Added,
    /// It was removed.
    Removed,
}
