//! State of every scenario of the specification: one id may be written as several Gherkin scenarios or examples.
use serde::{Deserialize, Serialize};

use crate::evidence::{ScenarioResult, ScenarioState};
use crate::journals::Journals;
use crate::spec::Specification;

/// State of a scenario id over all its parts and repetitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overall {
    /// Every part passed, each time.
    Passed,
    /// A part failed, or had undefined steps, or did not run without an accepted reason.
    Failed,
    /// A part passed and failed among its repetitions (E-9).
    Flaky,
    /// A part waits (E-2).
    Waiting,
    /// A part is not provable here (E-10); the others passed.
    NotProvableHere,
    /// No feature file holds it yet.
    NotWritten,
}

impl Overall {
    /// The words used in reports.
    pub fn title(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Flaky => "flaky",
            Self::Waiting => "waiting",
            Self::NotProvableHere => "not provable here",
            Self::NotWritten => "not run",
        }
    }
}

/// One scenario of the specification in this run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScenarioStatus {
    /// Id.
    pub id: String,
    /// Feature name.
    pub feature: String,
    /// `p0`, `p1` or `p2`.
    pub severity: &'static str,
    /// State over all parts.
    pub state: Overall,
    /// Why it did not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Number of parts that were played or reported.
    pub parts: usize,
}

pub(super) fn compute(journals: &Journals, specification: &Specification) -> Vec<ScenarioStatus> {
    specification
        .scenarios
        .iter()
        .map(|scenario| {
            let results: Vec<&ScenarioResult> = journals.results_of(&scenario.id).collect();
            let state = overall(&results);
            ScenarioStatus {
                id: scenario.id.clone(),
                feature: scenario.feature.clone(),
                severity: specification.severity(scenario),
                state,
                reason: results
                    .iter()
                    .filter(|result| result.state != ScenarioState::Passed)
                    .find_map(|result| result.reason.clone()),
                parts: results.len(),
            }
        })
        .collect()
}

fn overall(results: &[&ScenarioResult]) -> Overall {
    let any = |state| results.iter().any(|result| result.state == state);
    if results.is_empty() {
        return Overall::NotWritten;
    }
    let broken = [
        ScenarioState::Failed,
        ScenarioState::Undefined,
        ScenarioState::Skipped,
    ]
    .into_iter()
    .any(any);
    let mixed = results.iter().any(|one| {
        one.state == ScenarioState::Passed
            && results.iter().any(|other| {
                other.key.line == one.key.line
                    && other.key.attempt != one.key.attempt
                    && other.state == ScenarioState::Failed
            })
    });
    if any(ScenarioState::Flaky) || mixed {
        Overall::Flaky
    } else if broken {
        Overall::Failed
    } else if any(ScenarioState::Waiting) {
        Overall::Waiting
    } else if any(ScenarioState::NotProvableHere) {
        Overall::NotProvableHere
    } else {
        Overall::Passed
    }
}
