//! Residual risks (gate.md 6).
use serde::{Deserialize, Serialize};

/// A known risk that the verdict must not hide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Risk {
    /// Stable id.
    pub id: String,
    /// What may happen.
    pub title: String,
    /// `P0` to `P3`.
    pub severity: String,
    /// Who looks after it.
    pub owner: String,
    /// Date after which it must be looked at again, `YYYY-MM-DD`.
    #[serde(default)]
    pub expires: Option<String>,
    /// Scenario that trips when it comes true.
    #[serde(default)]
    pub scenario: Option<String>,
    /// The owner's decision, when there is one.
    #[serde(default)]
    pub decision: Option<String>,
}
