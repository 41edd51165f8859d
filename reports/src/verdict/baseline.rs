//! What is taken over from the bundle that a run is compared with (E-31, E-33).
use serde::{Deserialize, Serialize};

use super::Scope;

/// Scope and findings of an earlier bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// Run that made it.
    pub gate_run_id: String,
    /// Its scope.
    pub scope: Scope,
    /// Its headline.
    pub headline: String,
    /// Subjects of its findings, to tell what is new.
    pub findings: Vec<String>,
}
