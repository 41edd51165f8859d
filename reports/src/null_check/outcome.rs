//! How a scenario ended against a null, and what its observations oblige it to.
use crate::evidence::{Observation, ObservationSource, ScenarioResult, ScenarioState, StepState};

use super::Null;

/// How a scenario ended against a null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Every step passed.
    Green,
    /// A `When` or a `Then` failed: the step.
    Red(String),
    /// A `Given` failed: the step and why.
    AtGiven(String, String),
    /// It was not played to an end that says anything: the reason.
    Unclear(String),
}

/// How a played scenario ended. `And` and `But` mean what the keyword before them means.
pub fn end_of(result: &ScenarioResult) -> Ended {
    if result.state == ScenarioState::Passed {
        return Ended::Green;
    }
    let mut given = true;
    for step in &result.steps {
        match step.keyword.as_str() {
            "Given" => given = true,
            "When" | "Then" => given = false,
            _ => {}
        }
        let sentence = format!("{} {}", step.keyword, step.text);
        match step.state {
            StepState::Passed => {}
            StepState::Failed if given => {
                return Ended::AtGiven(sentence, step.error.clone().unwrap_or_default());
            }
            StepState::Failed => return Ended::Red(sentence),
            StepState::Skipped | StepState::Undefined | StepState::Ambiguous => break,
        }
    }
    Ended::Unclear(
        result
            .reason
            .clone()
            .unwrap_or_else(|| result.state.title().to_owned()),
    )
}

/// Whether an observation must turn out differently against a null.
pub(super) fn concerns(observation: &Observation, null: Null) -> bool {
    match (null, observation.source) {
        (Null::A, _) => true,
        (
            _,
            ObservationSource::Github
            | ObservationSource::Kubernetes
            | ObservationSource::JobLog
            | ObservationSource::Model
            | ObservationSource::Adapter,
        ) => true,
        // A delivery is stored before anything is decided, and a catalogue of the database is nobody's decision.
        (Null::B, ObservationSource::Postgres) => {
            !observation.query.contains("pg_")
                && !observation.query.starts_with("webhook_deliveries")
        }
        // "Received, no run" is also what an orchestrator answers that decides nothing.
        (
            Null::B | Null::C,
            ObservationSource::Answer
            | ObservationSource::Orchestrator
            | ObservationSource::Process
            | ObservationSource::Gate,
        )
        | (Null::C, ObservationSource::Postgres) => false,
    }
}
