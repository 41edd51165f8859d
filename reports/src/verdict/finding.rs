//! What was found wrong, or could not be established.
use serde::{Deserialize, Serialize};

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// Everything in scope is proven.
    Go,
    /// Something could not be established.
    Inconclusive,
    /// Something is disproven.
    NoGo,
}

impl Outcome {
    /// As written in the headline.
    pub fn title(self) -> &'static str {
        match self {
            Self::Go => "GO",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::NoGo => "NO-GO",
        }
    }

    /// Exit code of the program (gate.md 5).
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Go => 0,
            Self::NoGo => 1,
            Self::Inconclusive => 3,
        }
    }
}

/// What a finding does to the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Disproven: NO-GO.
    NoGo,
    /// Not established: INCONCLUSIVE.
    Inconclusive,
    /// Reported only.
    Reported,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Stops the release.
    P0,
    /// Must be fixed.
    P1,
    /// Comfort and looks.
    P2,
}

/// One item of E-33.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Check that found it, such as `scenario_failed`.
    pub check: String,
    /// Scenario, row, object or file.
    pub subject: String,
    /// How bad it is.
    pub severity: Severity,
    /// What it does to the verdict.
    pub effect: Effect,
    /// What was expected.
    pub expected: String,
    /// What was seen.
    pub seen: String,
    /// Places in the bundle.
    pub evidence: Vec<String>,
    /// `new`, or the id of the baseline's run that already had it; absent without a baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Command that runs just this again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerun: Option<String>,
}
