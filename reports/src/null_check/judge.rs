//! From results to findings.
use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::outcome::{Ended, concerns, end_of};
use super::{Draw, Null};
use crate::evidence::{Observation, ScenarioKey, ScenarioResult, ScenarioState};

/// Exempt: the subject of these is the gate, its bootstrap or the build.
const EXEMPT_TAG: &str = "subject-gate";

/// What a scenario showed against one null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// Failed at a `When` or `Then`, as it must.
    Red,
    /// Passed although it must not.
    Green,
    /// Stopped at a `Given`, which proves nothing.
    AtGiven,
    /// Its observations read nothing that this null takes away; however it ended.
    NotJudged,
    /// It did not come to an end that says anything.
    Unclear,
}

impl Cell {
    /// The word in the table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Red => "red",
            Self::Green => "GREEN",
            Self::AtGiven => "given",
            Self::NotJudged => "-",
            Self::Unclear => "?",
        }
    }
}

/// One scenario against the nulls.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Scenario and example line.
    #[serde(flatten)]
    pub key: ScenarioKey,
    /// Feature name.
    pub feature: String,
    /// Name of the scenario.
    pub name: String,
    /// Why it is not judged at all: it is exempt, waits or cannot be proven here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
    /// What it showed; empty when it is left out.
    pub cells: BTreeMap<Null, Cell>,
}

/// What is wrong with a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "problem")]
pub enum Problem {
    /// Green against a null that takes away what it reads.
    Vacuous {
        /// Which.
        null: Null,
    },
    /// A `Given` failed against a null under which every `Given` succeeds.
    GivenFailed {
        /// Which.
        null: Null,
        /// The step.
        step: String,
        /// Why.
        error: String,
    },
    /// No null can judge it.
    NeedsMutant {
        /// The `Given` of (a) at which it stops.
        step: String,
    },
    /// It failed against the orchestrator itself, so that its redness against a null means nothing.
    NotHealthy {
        /// Why.
        reason: String,
    },
    /// It was not played to an end that says anything.
    Unclear {
        /// Against which null.
        null: Null,
        /// What is known.
        reason: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vacuous { null } => write!(
                formatter,
                "vacuous: green against ({}), an orchestrator that {}; let a Then read what the rule brings about",
                null.letter(),
                null.does()
            ),
            Self::GivenFailed { null, step, error } => write!(
                formatter,
                "a Given failed against ({}), where every Given succeeds: {step}: {error}; let it set up and not assert",
                null.letter()
            ),
            Self::NeedsMutant { step } => write!(
                formatter,
                "needs a mutant: it stops against (a) at `{step}`, and its Thens read nothing that (b) or (c) takes away; \
                 let a Then read what a decision brings, or add a patch under tests/mutants"
            ),
            Self::NotHealthy { reason } => write!(
                formatter,
                "not judged: it is red against the orchestrator itself: {reason}; mend that first"
            ),
            Self::Unclear { null, reason } => write!(
                formatter,
                "not judged: it came to no clear end against ({}): {reason}; play it again",
                null.letter()
            ),
        }
    }
}

/// A problem and where it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Scenario and example line.
    #[serde(flatten)]
    pub key: ScenarioKey,
    /// Feature name.
    pub feature: String,
    /// Name of the scenario.
    pub name: String,
    /// What is wrong.
    #[serde(flatten)]
    pub problem: Problem,
}

/// The result of the check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NullCheck {
    /// Every scenario, in the order of the features.
    pub rows: Vec<Row>,
    /// What must be mended; the check passes without any.
    pub findings: Vec<Finding>,
}

/// Judges every scenario of the healthy run against the nulls that `draw` names for it.
pub fn judge(
    draw: Draw,
    healthy: &[ScenarioResult],
    observations: &[Observation],
    nulls: &BTreeMap<Null, Vec<ScenarioResult>>,
) -> NullCheck {
    let mut results: Vec<&ScenarioResult> = healthy.iter().collect();
    results.sort_by(|left, right| {
        (&left.feature, left.key.line).cmp(&(&right.feature, right.key.line))
    });
    let mut check = NullCheck {
        rows: Vec::new(),
        findings: Vec::new(),
    };
    for result in results {
        let own: Vec<&Observation> = observations
            .iter()
            .filter(|observation| observation.key == result.key)
            .collect();
        let (row, problems) = judge_one(draw, result, &own, nulls);
        check
            .findings
            .extend(problems.into_iter().map(|problem| Finding {
                key: row.key.clone(),
                feature: row.feature.clone(),
                name: row.name.clone(),
                problem,
            }));
        check.rows.push(row);
    }
    check
}

fn judge_one(
    draw: Draw,
    healthy: &ScenarioResult,
    observations: &[&Observation],
    nulls: &BTreeMap<Null, Vec<ScenarioResult>>,
) -> (Row, Vec<Problem>) {
    let mut row = Row {
        key: healthy.key.clone(),
        feature: healthy.feature.clone(),
        name: healthy.name.clone(),
        left_out: None,
        cells: BTreeMap::new(),
    };
    row.left_out = match healthy.state {
        _ if healthy.tags.iter().any(|tag| tag == EXEMPT_TAG) => Some(format!("@{EXEMPT_TAG}")),
        ScenarioState::Waiting | ScenarioState::NotProvableHere => Some(
            healthy
                .reason
                .clone()
                .unwrap_or_else(|| healthy.state.title().to_owned()),
        ),
        _ => None,
    };
    if row.left_out.is_some() {
        return (row, Vec::new());
    }
    if healthy.state != ScenarioState::Passed {
        let reason = healthy.reason.clone();
        let reason = reason.unwrap_or_else(|| healthy.state.title().to_owned());
        return (row, vec![Problem::NotHealthy { reason }]);
    }

    let mut problems = Vec::new();
    let mut stopped = None;
    for null in draw.nulls_of(&healthy.key, observations) {
        let must_be_red = observations
            .iter()
            .any(|observation| concerns(observation, null));
        let played = nulls
            .get(&null)
            .and_then(|results| results.iter().find(|result| result.key == healthy.key));
        let ended = played.map_or_else(|| Ended::Unclear("it was not played".to_owned()), end_of);
        let cell = match ended {
            Ended::Unclear(reason) => {
                problems.push(Problem::Unclear { null, reason });
                Cell::Unclear
            }
            Ended::AtGiven(step, _) if null == Null::A => {
                stopped = Some(step);
                Cell::AtGiven
            }
            Ended::AtGiven(step, error) => {
                problems.push(Problem::GivenFailed { null, step, error });
                Cell::AtGiven
            }
            // (a) judges whatever does not stop before it.
            Ended::Red(_) if must_be_red => Cell::Red,
            Ended::Green if must_be_red || null == Null::A => {
                problems.push(Problem::Vacuous { null });
                Cell::Green
            }
            Ended::Red(_) | Ended::Green => Cell::NotJudged,
        };
        row.cells.insert(null, cell);
    }
    let judged = [Null::B, Null::C].iter().any(|null| {
        row.cells
            .get(null)
            .is_some_and(|cell| *cell != Cell::NotJudged)
    });
    if let Some(step) = stopped.filter(|_| !judged) {
        problems.push(Problem::NeedsMutant { step });
    }
    (row, problems)
}
