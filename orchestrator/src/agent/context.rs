//! What the control plane tells the runner about its run, in the shapes of the agent API.

use domain::stages::WriteScope;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Answer of `GET /internal/v1/runs/{run_id}/context`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct RunContext {
    pub(super) run: RunFacts,
    #[serde(default)]
    pub(super) issue: Option<IssueFacts>,
    #[serde(default)]
    pub(super) prompt: String,
    #[serde(default)]
    pub(super) session: Option<StoredSession>,
}

/// The run's own facts; what the Job's environment already says is not read again.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct RunFacts {
    #[serde(default)]
    pub(super) target_branch: Option<String>,
    pub(super) write_scope: WriteScope,
    #[serde(default)]
    pub(super) self_improve_paths: Vec<String>,
}

/// The Issue the run belongs to.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct IssueFacts {
    pub(super) number: u64,
    #[serde(default)]
    pub(super) title: String,
}

/// What one person said in a discussion.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Remark {
    pub(super) id: i64,
    pub(super) author: String,
    pub(super) body: String,
    #[serde(default)]
    pub(super) answered: bool,
}

/// Answer of `GET /internal/v1/runs/{run_id}/discussion`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct DiscussionNow {
    /// Present once the session has to end.
    #[serde(default)]
    pub(super) stop_reason: Option<String>,
    #[serde(default)]
    pub(super) comments: Vec<Remark>,
    #[serde(default)]
    pub(super) has_spoken: bool,
}

/// A stored snapshot.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct StoredSession {
    #[serde(default)]
    pub(super) snapshot_version: i64,
    #[serde(default)]
    pub(super) snapshot_checksum: Option<String>,
    #[serde(default)]
    pub(super) session_id: Option<String>,
    #[serde(default)]
    pub(super) agent_session_json: Option<Value>,
}

/// Body of `PUT /internal/v1/runs/{run_id}/session`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct SessionUpdate {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expected_version: Option<i64>,
    pub(super) status: &'static str,
    pub(super) branch: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pr_number: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pr_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) session_id: Option<String>,
    pub(super) session_json: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) agent_session_json: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_effort: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) error_paths: Vec<String>,
}

/// Answer to a stored snapshot.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct SavedSession {
    pub(super) snapshot_version: i64,
    #[serde(default)]
    pub(super) snapshot_checksum: Option<String>,
}
