//! What the platform logged: panics, and `ERROR` lines that no scenario announced (E-8).
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{Effect, Finding, Input, Severity, finding};
use crate::evidence::ScenarioResult;

/// Characters of a log line that a finding quotes.
const LONGEST_EXCERPT: usize = 300;

pub(super) fn findings(input: &Input<'_>) -> Vec<Finding> {
    let mut scenarios: BTreeMap<&str, Vec<&ScenarioResult>> = BTreeMap::new();
    for line in &input.journals.scenarios {
        let instance = line.value.instance.as_str();
        scenarios.entry(instance).or_default().push(&line.value);
    }
    let mut found = Vec::new();
    for (file, text) in &input.journals.logs {
        let instance = file.rsplit('/').nth(1).unwrap_or_default();
        let on_it = scenarios.get(instance).map_or(&[][..], Vec::as_slice);
        for (index, line) in text.lines().enumerate() {
            let panicked = line.contains("panicked at");
            let error = line.contains("\"level\":\"ERROR\"") || line.contains(" ERROR ");
            if !panicked && (!error || is_announced(line, on_it)) {
                continue;
            }
            found.push(finding(
                if panicked { "log_panic" } else { "log_error" },
                format!("{file}:{}", index + 1),
                (Severity::P0, Effect::NoGo),
                "no panic, and no ERROR line that a scenario did not announce",
                line.chars().take(LONGEST_EXCERPT).collect::<String>(),
                vec![format!("{file}:{}", index + 1)],
            ));
        }
    }
    found
}

/// An announcement covers its own platform only. Where other scenarios play too, it also names a text and covers the time
/// and the runs of its scenario: one that breaks the database would else excuse every error of the run.
fn is_announced(line: &str, scenarios: &[&ScenarioResult]) -> bool {
    if let [alone] = scenarios {
        return alone
            .announced
            .iter()
            .any(|announced| line.contains(&announced.contains));
    }
    let at = written_at(line);
    let covers = |scenario: &ScenarioResult| {
        let lasted = scenario.started_at..=scenario.finished_at;
        at.is_some_and(|at| lasted.contains(&at))
            || scenario.runs.iter().any(|run| line.contains(run))
    };
    scenarios
        .iter()
        .filter(|scenario| covers(scenario))
        .flat_map(|scenario| &scenario.announced)
        .any(|announced| !announced.contains.is_empty() && line.contains(&announced.contains))
}

fn written_at(line: &str) -> Option<DateTime<Utc>> {
    let record: serde_json::Value = serde_json::from_str(line).ok()?;
    record["timestamp"].as_str()?.parse().ok()
}
