//! Which rules a recorded observation of a passed scenario proves (E-26).
use serde::{Deserialize, Serialize};

use super::{Overall, ScenarioStatus};
use crate::evidence::ScenarioState;
use crate::journals::Journals;
use crate::spec::Specification;

/// State of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleState {
    /// Observed in the world (E-22).
    Proven,
    /// Observed, but only by the orchestrator's own word or by the gate: not enough for an effect.
    OwnWordOnly,
    /// Nothing proves it yet, and a scenario that bears its tag waits for what is not built (E-2).
    Waiting,
    /// Nothing proves it yet.
    Open,
}

/// One rule in this run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleCoverage {
    /// Id.
    pub id: String,
    /// File that defines it.
    pub chapter: String,
    /// Begin of its text.
    pub title: String,
    /// State.
    pub state: RuleState,
    /// Tags of the waiting scenarios that bear the rule, such as `waits-mcp`; empty in any other state.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<String>,
    /// Journal lines of the observations.
    pub observations: Vec<String>,
}

/// A rule is as proven by three observations as by three hundred.
const MOST_POINTERS: usize = 5;

pub(super) fn compute(
    journals: &Journals,
    specification: &Specification,
    scenarios: &[ScenarioStatus],
) -> Vec<RuleCoverage> {
    let passed = |id: &str| {
        scenarios
            .iter()
            .any(|status| status.id == id && status.state == Overall::Passed)
    };
    specification
        .rules
        .iter()
        .map(|rule| {
            let mut proofs: Vec<(bool, String)> = journals
                .observations
                .iter()
                .filter(|line| {
                    let observation = &line.value;
                    observation.ok
                        && !observation.contradiction
                        && !observation.expected.is_empty()
                        && !observation.seen.is_empty()
                        && observation.rules.contains(&rule.id)
                        && passed(&observation.key.scenario)
                })
                .map(|line| {
                    let observation = &line.value;
                    (
                        !observation.source.is_world(&observation.query),
                        line.pointer(),
                    )
                })
                .collect();
            proofs.sort_by_key(|(own_word, _)| *own_word);
            let waits = match proofs.is_empty() {
                true => waits(journals, &rule.id),
                false => Vec::new(),
            };
            RuleCoverage {
                id: rule.id.clone(),
                chapter: rule.chapter.clone(),
                title: rule.title.clone(),
                state: match proofs.first() {
                    Some((false, _)) => RuleState::Proven,
                    Some((true, _)) => RuleState::OwnWordOnly,
                    None if !waits.is_empty() => RuleState::Waiting,
                    None => RuleState::Open,
                },
                waits,
                observations: proofs
                    .into_iter()
                    .take(MOST_POINTERS)
                    .map(|(_, pointer)| pointer)
                    .collect(),
            }
        })
        .collect()
}

fn waits(journals: &Journals, rule: &str) -> Vec<String> {
    let mut tags: Vec<String> = journals
        .scenarios
        .iter()
        .map(|line| &line.value)
        .filter(|result| result.state == ScenarioState::Waiting)
        .filter(|result| result.tags.iter().any(|tag| tag == rule))
        .flat_map(|result| &result.tags)
        .filter(|tag| tag.starts_with("waits-"))
        .cloned()
        .collect();
    tags.sort();
    tags.dedup();
    tags
}
