//! The judgement of a whole sweep: every chosen play with what was expected, what was seen, and what that means.
use serde::{Deserialize, Serialize};

use super::{Cell, Comparison, EndState, TransformKind, compare};

/// What the gate knows of a play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Played {
    /// It came to its end.
    Ended {
        /// Whether the delivery was sent at all in this play.
        met: bool,
        /// Whether the stand-in's journal shows the transform.
        came_about: bool,
        /// The end state, before a dropped delivery was asked for again.
        before: Option<EndState>,
        /// The end state.
        end: Box<EndState>,
    },
    /// A step failed: which, and why.
    Broke(String),
}

/// Two plays without any transform: how a scenario's end state looks, and whether it always looks so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScenarioBase {
    /// Scenario id.
    pub scenario: String,
    /// Its line.
    pub line: u32,
    /// Its end state.
    pub expected: EndState,
}

/// What a play means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Result {
    /// The end state is the expected one.
    Same,
    /// It is so after GitHub was asked to send the lost delivery again; until then something was missing.
    SameAfterRedelivery {
        /// What was missing.
        without: Vec<String>,
    },
    /// Explicitly refused, with reasons on record.
    Refused {
        /// The reasons.
        reasons: Vec<String>,
    },
    /// The end state differs for no reason on record.
    Different {
        /// What, a line each.
        differences: Vec<String>,
    },
    /// The play did not come to its end.
    Broke {
        /// Which step, and why.
        why: String,
    },
    /// This play had no such delivery, or nothing that it could be swapped with.
    NotApplicable {
        /// Which of both.
        why: String,
    },
}

impl Result {
    /// Its name in tables.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::SameAfterRedelivery { .. } => "same after redelivery",
            Self::Refused { .. } => "refused",
            Self::Different { .. } => "different",
            Self::Broke { .. } => "broke",
            Self::NotApplicable { .. } => "not applicable",
        }
    }

    /// Whether the sweep fails for it.
    #[must_use]
    pub fn is_red(&self) -> bool {
        matches!(self, Self::Different { .. } | Self::Broke { .. })
    }
}

/// A play and its judgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgedCell {
    /// Scenario id.
    pub scenario: String,
    /// Its line.
    pub line: u32,
    /// The delivery, in words.
    pub delivery: String,
    /// What happened to it.
    pub transform: TransformKind,
    /// The seed that chose the play.
    pub seed: u64,
    /// The expected end state, in one line.
    pub expected: String,
    /// The end state, in one line; none when the play broke off.
    pub seen: Option<String>,
    /// What that means.
    pub result: Result,
}

/// The scenarios of a sweep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweptScenarios {
    /// How many passed and have an end state to compare.
    pub scenarios: usize,
    /// How many of them the seed chose.
    pub sampled: usize,
    /// Scenarios that have none, with the reason.
    pub not_swept: Vec<String>,
}

/// A sweep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    /// The seed.
    pub seed: u64,
    /// How many plays there are.
    pub possible: usize,
    /// How many the seed chose.
    pub plays: usize,
    /// How many of those say something.
    pub judged: usize,
    /// How many are red.
    pub red: usize,
    /// Which scenarios it is about.
    #[serde(flatten)]
    pub sample: SweptScenarios,
    /// Scenarios that could not be swept, with the reason.
    pub left_out: Vec<String>,
    /// Deliveries that only one of a scenario's two plays had, so that nothing was tried on them.
    pub unsteady: Vec<String>,
    /// The plays.
    pub cells: Vec<JudgedCell>,
}

impl Sweep {
    /// Counts what was judged.
    #[must_use]
    pub fn new(
        seed: u64,
        sample: SweptScenarios,
        possible: usize,
        (left_out, unsteady): (Vec<String>, Vec<String>),
        cells: Vec<JudgedCell>,
    ) -> Self {
        let count =
            |wanted: fn(&Result) -> bool| cells.iter().filter(|cell| wanted(&cell.result)).count();
        Self {
            seed,
            sample,
            possible,
            plays: cells.len(),
            judged: count(|result| !matches!(result, Result::NotApplicable { .. })),
            red: count(Result::is_red),
            left_out,
            unsteady,
            cells,
        }
    }
}

/// Judges one play.
#[must_use]
pub fn judge(cell: &Cell, seed: u64, base: &ScenarioBase, played: &Played) -> JudgedCell {
    let (seen, result) = match played {
        Played::Broke(why) => (None, Result::Broke { why: why.clone() }),
        Played::Ended {
            met,
            came_about,
            before,
            end,
        } => (
            Some(end.summary()),
            result_of(
                cell,
                &base.expected,
                (*met, *came_about),
                before.as_ref(),
                end,
            ),
        ),
    };
    JudgedCell {
        scenario: cell.scenario.clone(),
        line: cell.line,
        delivery: cell.delivery.to_string(),
        transform: cell.transform,
        seed,
        expected: base.expected.summary(),
        seen,
        result,
    }
}

fn result_of(
    cell: &Cell,
    expected: &EndState,
    (met, came_about): (bool, bool),
    before: Option<&EndState>,
    end: &EndState,
) -> Result {
    let comparison = compare(expected, end);
    // A play that went wrong is a finding, whether or not the transform did it.
    if let Comparison::Different { differences } = comparison {
        return Result::Different { differences };
    }
    if !met {
        let why = "this play had no such delivery".to_owned();
        return Result::NotApplicable { why };
    }
    if !came_about {
        return match cell.transform {
            TransformKind::Swap | TransformKind::Late => Result::NotApplicable {
                why: "nothing was sent that could overtake it".to_owned(),
            },
            // These need nobody else: the stand-in did not do what it was told.
            other => Result::Broke {
                why: format!("the journal does not show the transform {other}"),
            },
        };
    }
    match (comparison, before.map(|before| compare(expected, before))) {
        (Comparison::Refused { reasons }, _) => Result::Refused { reasons },
        (_, Some(Comparison::Different { differences })) => Result::SameAfterRedelivery {
            without: differences,
        },
        (_, Some(Comparison::Refused { reasons })) => Result::Refused { reasons },
        _ => Result::Same,
    }
}
