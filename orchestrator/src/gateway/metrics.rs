//! What the edge counts (L-26). Labels come from closed sets: anybody can send any event name.
use std::time::Duration;

/// Events that get a label of their own; any other counts as `other`.
const EVENTS: [&str; 7] = [
    "push",
    "pull_request",
    "issues",
    "issue_comment",
    "pull_request_review",
    "pull_request_review_comment",
    "ping",
];

/// Counts one webhook request.
pub fn count(event: Option<&str>, result: &'static str, took: Duration) {
    let event = event.map_or("missing", |event| {
        EVENTS
            .into_iter()
            .find(|known| *known == event)
            .unwrap_or("other")
    });
    metrics::counter!("codexk8s_webhook_requests_total", "result" => result, "event" => event)
        .increment(1);
    metrics::histogram!("codexk8s_webhook_duration_seconds", "result" => result, "event" => event)
        .record(took.as_secs_f64());
}
