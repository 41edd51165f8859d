//! Scenarios with their steps, each with what it observed.
use super::words;
use crate::evidence::{Observation, ScenarioResult, ScenarioState, StepState};
use crate::journals::{Journals, Line};
use crate::spec::Specification;

/// One feature file.
pub(super) struct Feature {
    pub name: String,
    pub passed: usize,
    pub scenarios: Vec<Scenario>,
    pub not_run: Vec<String>,
}

/// One played scenario.
pub(super) struct Scenario {
    pub id: String,
    pub name: String,
    pub place: String,
    pub state: &'static str,
    pub class: &'static str,
    pub severity: &'static str,
    pub reason: String,
    pub duration: String,
    pub rows: Vec<String>,
    pub runs: Vec<String>,
    pub steps: Vec<Step>,
    pub observations: usize,
    pub open: bool,
}

/// One step.
pub(super) struct Step {
    pub keyword: String,
    pub text: String,
    pub class: &'static str,
    pub glyph: &'static str,
    pub error: String,
    pub duration: String,
    pub observations: Vec<Seen>,
}

/// One observation.
pub(super) struct Seen {
    pub subject: String,
    pub expected: String,
    pub seen: String,
    pub same: bool,
    pub ok: bool,
    pub source: &'static str,
    pub query: String,
    pub rules: String,
    pub pointer: String,
    pub file: String,
}

pub(super) fn features(journals: &Journals, specification: &Specification) -> Vec<Feature> {
    specification
        .features
        .iter()
        .filter_map(|file| {
            let mut scenarios: Vec<Scenario> = journals
                .scenarios
                .iter()
                .map(|line| &line.value)
                .filter(|result| result.feature == file.name)
                .map(|result| scenario(result, journals, specification))
                .collect();
            scenarios.sort_by(|a, b| (&a.id, &a.place).cmp(&(&b.id, &b.place)));
            let not_run = specification
                .scenarios
                .iter()
                .filter(|listed| listed.feature == file.name)
                .filter(|listed| !scenarios.iter().any(|played| played.id == listed.id))
                .map(|listed| listed.id.clone())
                .collect();
            (!scenarios.is_empty()).then(|| Feature {
                name: file.name.clone(),
                passed: scenarios
                    .iter()
                    .filter(|played| played.class == "passed")
                    .count(),
                scenarios,
                not_run,
            })
        })
        .collect()
}

fn scenario(
    result: &ScenarioResult,
    journals: &Journals,
    specification: &Specification,
) -> Scenario {
    let observations: Vec<&Line<Observation>> = journals
        .observations
        .iter()
        .filter(|line| line.value.key == result.key)
        .collect();
    let class = match result.state {
        ScenarioState::Passed => "passed",
        ScenarioState::Waiting => "waiting",
        ScenarioState::NotProvableHere => "elsewhere",
        _ => "failed",
    };
    let id = &result.key.scenario;
    Scenario {
        id: id.clone(),
        name: result.name.clone(),
        place: format!("{}:{}", result.file, result.key.line),
        state: result.state.title(),
        class,
        severity: specification
            .scenario(id)
            .map_or("", |scenario| specification.severity(scenario)),
        reason: result.reason.clone().unwrap_or_default(),
        duration: words::duration(result.duration_ms()),
        rows: specification
            .rows_of(id)
            .into_iter()
            .map(ToOwned::to_owned)
            .collect(),
        runs: result.runs.clone(),
        steps: steps(result, &observations),
        observations: observations.len(),
        open: class == "failed",
    }
}

fn steps(result: &ScenarioResult, observations: &[&Line<Observation>]) -> Vec<Step> {
    result
        .steps
        .iter()
        .map(|step| {
            let (class, glyph) = match step.state {
                StepState::Passed => ("passed", "✓"),
                StepState::Skipped => ("skipped", "·"),
                _ => ("failed", "✕"),
            };
            Step {
                keyword: step.keyword.trim().to_owned(),
                text: step.text.clone(),
                class,
                glyph,
                error: step.error.clone().unwrap_or_default(),
                duration: words::duration(step.duration_ms),
                observations: observations
                    .iter()
                    .filter(|line| line.value.step.ends_with(&step.text))
                    .map(|line| seen(line))
                    .collect(),
            }
        })
        .collect()
}

fn seen(line: &Line<Observation>) -> Seen {
    let observation = &line.value;
    Seen {
        subject: observation.subject.clone(),
        expected: observation.expected.clone(),
        seen: observation.seen.clone(),
        same: observation.expected == observation.seen,
        ok: observation.ok && !observation.contradiction,
        source: observation.source.title(),
        query: observation.query.clone(),
        rules: observation.rules.join(" "),
        pointer: line.pointer(),
        file: line.file.clone(),
    }
}
