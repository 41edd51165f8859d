//! Which rows are proven, in part or not, and what is missing (gate.md 1, E-43).
use serde::{Deserialize, Serialize};

use super::{Overall, ScenarioStatus};
use crate::journals::Journals;
use crate::spec::Specification;

/// State of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowState {
    /// Every scenario bound to it passed in this run.
    Proven,
    /// All that this target can show passed (E-43).
    ProvenInPart,
    /// Something failed.
    Failed,
    /// Something waits or did not run.
    NotProven,
}

/// One row in this run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowCoverage {
    /// Id.
    pub id: String,
    /// What must be shown.
    pub must_show: String,
    /// State.
    pub state: RowState,
    /// Words without which it is never shown (E-43).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// Scenarios that passed.
    pub passed: Vec<String>,
    /// Scenarios that failed or were flaky.
    pub failed: Vec<String>,
    /// Scenarios that wait.
    pub waiting: Vec<String>,
    /// Scenarios that this target cannot prove.
    pub not_provable_here: Vec<String>,
    /// Scenarios without a result in this run.
    pub not_run: Vec<String>,
}

impl RowCoverage {
    /// Number of scenarios that bind the row.
    pub fn bound(&self) -> usize {
        self.passed.len()
            + self.failed.len()
            + self.waiting.len()
            + self.not_provable_here.len()
            + self.not_run.len()
    }
}

/// Row whose half about Deployments a target without them cannot show (E-43).
const HEALTH_ROW: &str = "S2-13";
/// Row that is proven on one system only (E-43).
const HOST_ROW: &str = "S3-1";
/// That system.
const PROVING_HOST: &str = "Ubuntu 24.04";

pub(super) fn compute(
    journals: &Journals,
    specification: &Specification,
    scenarios: &[ScenarioStatus],
) -> Vec<RowCoverage> {
    specification
        .rows
        .iter()
        .map(|row| {
            let with = |wanted: &[Overall]| -> Vec<String> {
                row.scenarios
                    .iter()
                    .filter(|id| {
                        scenarios
                            .iter()
                            .any(|status| status.id == **id && wanted.contains(&status.state))
                    })
                    .cloned()
                    .collect()
            };
            let mut coverage = RowCoverage {
                id: row.id.clone(),
                must_show: row.must_show.clone(),
                state: RowState::Proven,
                words: None,
                passed: with(&[Overall::Passed]),
                failed: with(&[Overall::Failed, Overall::Flaky]),
                waiting: with(&[Overall::Waiting]),
                not_provable_here: with(&[Overall::NotProvableHere]),
                not_run: with(&[Overall::NotWritten]),
            };
            coverage.state = state(&coverage);
            own_words(&mut coverage, journals);
            coverage
        })
        .collect()
}

fn state(row: &RowCoverage) -> RowState {
    if !row.failed.is_empty() {
        RowState::Failed
    } else if !row.waiting.is_empty() || !row.not_run.is_empty() || row.passed.is_empty() {
        RowState::NotProven
    } else if !row.not_provable_here.is_empty() {
        RowState::ProvenInPart
    } else {
        RowState::Proven
    }
}

fn own_words(row: &mut RowCoverage, journals: &Journals) {
    let shown = matches!(row.state, RowState::Proven | RowState::ProvenInPart);
    let run = &journals.gate_run;
    if row.id == HEALTH_ROW && run.target == "embedded" {
        row.words = Some("processes only".to_owned());
        if shown {
            row.state = RowState::ProvenInPart;
        }
    }
    if row.id == HOST_ROW && shown && run.host != PROVING_HOST {
        row.words = Some(format!("proven on {}", run.host));
        row.state = RowState::ProvenInPart;
    }
}
