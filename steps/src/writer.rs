//! Turns cucumber's events into evidence: one result per played scenario, and the rule that a `Then` which recorded
//! no observation has failed (E-21). The built-in writers report retries and outlines wrongly.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use cucumber::{
    Event, Writer, cli,
    event::{Cucumber, Feature, Hook, HookType, Rule, Scenario, Step, StepError},
    parser,
};
use gherkin::StepType;
use reports::evidence::{ScenarioKey, ScenarioResult, ScenarioState, StepResult, StepState};

use crate::{
    selection::{feature_name, scenario_id},
    world::{Gate, GateWorld},
};

/// Called when a scenario has ended, for progress.
pub type OnEnd = Arc<dyn Fn(&ScenarioResult) + Send + Sync>;

/// What the writer keeps of a scenario while it runs.
struct Playing {
    result: ScenarioResult,
    step_began: DateTime<Utc>,
}

pub struct EvidenceWriter {
    gate: Arc<Gate>,
    attempt: u32,
    on_end: OnEnd,
    playing: HashMap<ScenarioKey, Playing>,
    /// Feature files that could not be parsed.
    pub parse_errors: Arc<std::sync::Mutex<Vec<String>>>,
}

impl EvidenceWriter {
    #[must_use]
    pub fn new(gate: Arc<Gate>, attempt: u32, on_end: OnEnd) -> Self {
        Self {
            gate,
            attempt,
            on_end,
            playing: HashMap::new(),
            parse_errors: Arc::default(),
        }
    }

    fn scenario(
        &mut self,
        feature: &gherkin::Feature,
        scenario: &gherkin::Scenario,
        event: Scenario<GateWorld>,
    ) {
        let key = key_of(feature, scenario, self.attempt);
        match event {
            Scenario::Started => {
                let result = begin(feature, scenario, key.clone());
                self.playing.insert(
                    key,
                    Playing {
                        result,
                        step_began: Utc::now(),
                    },
                );
            }
            Scenario::Background(step, event) | Scenario::Step(step, event) => {
                self.step(&key, &step, event)
            }
            Scenario::Hook(kind, Hook::Failed(_, info)) => {
                if let Some(playing) = self.playing.get_mut(&key) {
                    let when = if matches!(kind, HookType::Before) {
                        "before"
                    } else {
                        "after"
                    };
                    let message = StepError::Panic(info).to_string();
                    playing.result.state = ScenarioState::Failed;
                    playing
                        .result
                        .reason
                        .get_or_insert(format!("failed {when} its steps: {message}"));
                }
            }
            Scenario::Hook(..) | Scenario::Log(_) => {}
            Scenario::Finished => self.finish(&key),
        }
    }

    fn step(&mut self, key: &ScenarioKey, step: &gherkin::Step, event: Step<GateWorld>) {
        let Some(playing) = self.playing.get_mut(key) else {
            return;
        };
        let (state, error) = match event {
            Step::Started => {
                playing.step_began = Utc::now();
                return;
            }
            Step::Skipped => (
                StepState::Undefined,
                Some("no definition matches this step".to_owned()),
            ),
            Step::Passed(..) => {
                let silent = step.ty == StepType::Then
                    && self.gate.recorder.observations_of_step(key, &step.value) == 0;
                if silent {
                    (
                        StepState::Failed,
                        Some("this step recorded no observation (E-21)".to_owned()),
                    )
                } else {
                    (StepState::Passed, None)
                }
            }
            Step::Failed(_, _, _, StepError::NotFound) => (
                StepState::Undefined,
                Some("no definition matches this step".to_owned()),
            ),
            Step::Failed(_, _, _, StepError::AmbiguousMatch(error)) => {
                (StepState::Ambiguous, Some(error.to_string()))
            }
            Step::Failed(_, _, _, StepError::Panic(info)) => {
                let text = StepError::Panic(info).to_string();
                let text = text
                    .strip_prefix("Step panicked. Captured output: ")
                    .unwrap_or(&text)
                    .to_owned();
                (StepState::Failed, Some(text))
            }
        };
        if let Some(error) = &error {
            let failed = if state == StepState::Failed {
                ScenarioState::Failed
            } else {
                ScenarioState::Undefined
            };
            if playing.result.state == ScenarioState::Passed {
                playing.result.state = failed;
                playing.result.reason = Some(format!("{}{}: {error}", step.keyword, step.value));
            }
        }
        let took = Utc::now() - playing.step_began;
        playing.result.steps.push(StepResult {
            keyword: step.keyword.trim().to_owned(),
            text: step.value.clone(),
            state,
            error,
            line: u32::try_from(step.position.line).unwrap_or(u32::MAX),
            started_at: playing.step_began,
            duration_ms: u64::try_from(took.num_milliseconds()).unwrap_or(0),
        });
    }

    fn finish(&mut self, key: &ScenarioKey) {
        let Some(Playing { mut result, .. }) = self.playing.remove(key) else {
            return;
        };
        let facts = self.gate.with_facts(key, |facts| facts.clone());
        result.runs = facts.runs;
        result.repositories = facts.repositories;
        result.instance = facts.instance;
        result.announced = facts.announced;
        result.finished_at = Utc::now();
        if result.steps.is_empty() && result.state == ScenarioState::Passed {
            result.state = ScenarioState::Failed;
            result.reason = Some("the scenario has no steps".to_owned());
        }
        (self.on_end)(&result);
        if let Err(error) = self.gate.recorder.scenario_finished(result) {
            tracing::error!(%error, "the result of a scenario could not be kept");
        }
    }
}

/// Identity of a played scenario.
#[must_use]
pub fn key_of(
    feature: &gherkin::Feature,
    scenario: &gherkin::Scenario,
    attempt: u32,
) -> ScenarioKey {
    let tags: Vec<String> = feature.tags.iter().chain(&scenario.tags).cloned().collect();
    ScenarioKey {
        scenario: scenario_id(&tags).unwrap_or_else(|| scenario.name.clone()),
        line: u32::try_from(scenario.position.line).unwrap_or(u32::MAX),
        attempt: crate::delivery_play::number_in(&scenario.tags).unwrap_or(attempt),
    }
}

fn begin(
    feature: &gherkin::Feature,
    scenario: &gherkin::Scenario,
    key: ScenarioKey,
) -> ScenarioResult {
    let path = feature.path.clone().unwrap_or_default();
    let now = Utc::now();
    ScenarioResult {
        key,
        feature: feature_name(&path),
        file: path.display().to_string(),
        name: scenario.name.clone(),
        tags: feature.tags.iter().chain(&scenario.tags).cloned().collect(),
        state: ScenarioState::Passed,
        reason: None,
        steps: Vec::new(),
        runs: Vec::new(),
        repositories: Vec::new(),
        instance: String::new(),
        kept: Vec::new(),
        announced: Vec::new(),
        started_at: now,
        finished_at: now,
    }
}

impl Writer<GateWorld> for EvidenceWriter {
    type Cli = cli::Empty;

    async fn handle_event(
        &mut self,
        event: parser::Result<Event<Cucumber<GateWorld>>>,
        _: &Self::Cli,
    ) {
        match event.map(Event::into_inner) {
            Ok(Cucumber::Feature(feature, Feature::Scenario(scenario, event))) => {
                self.scenario(&feature, &scenario, event.event);
            }
            Ok(Cucumber::Feature(feature, Feature::Rule(_, Rule::Scenario(scenario, event)))) => {
                self.scenario(&feature, &scenario, event.event);
            }
            Ok(_) => {}
            Err(error) => {
                let mut errors = self
                    .parse_errors
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                errors.push(error.to_string());
            }
        }
    }
}

impl cucumber::writer::NonTransforming for EvidenceWriter {}

/// Events are kept by scenario, so that their order across scenarios does not matter.
impl cucumber::writer::Normalized for EvidenceWriter {}
