//! Names that the specification makes from the id of a run or a project, and kinds of events that it groups.

use serde_json::Value;

/// Characters of an id that a name holds.
const LENGTH: usize = 12;

/// The first characters of an id without its separators, as namespaces and Secrets hold it (R-32, G-12).
#[must_use]
pub fn short(id: &str) -> String {
    id.to_lowercase()
        .replace(['-', '_', '.'], "")
        .chars()
        .take(LENGTH)
        .collect()
}

/// The Secret with a run's credentials (G-12).
#[must_use]
pub fn credentials_secret(run_id: &str) -> String {
    format!("codex-run-credentials-{}", short(run_id))
}

/// The kinds of those events that end a run (D-17), in their order.
#[must_use]
pub fn terminal_events(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| event["event_type"].as_str())
        .filter(|kind| {
            matches!(*kind, "run.succeeded" | "run.canceled") || kind.starts_with("run.failed")
        })
        .collect()
}
