//! Coverage of labels (E-25), rules (E-26) and rows (gate.md 1), computed from what was observed.
mod labels;
mod rows;
mod rules;
mod scenarios;

#[cfg(test)]
mod tests;

pub use labels::{CellState, LabelCoverage, LabelRow, ReportedCell};
pub use rows::{RowCoverage, RowState};
pub use rules::{RuleCoverage, RuleState};
pub use scenarios::{Overall, ScenarioStatus};

use serde::Serialize;

use crate::journals::Journals;
use crate::spec::Specification;

/// All coverage of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Every scenario of the specification with its state in this run.
    pub scenarios: Vec<ScenarioStatus>,
    /// Every row.
    pub rows: Vec<RowCoverage>,
    /// Every label.
    pub labels: LabelCoverage,
    /// Every rule.
    pub rules: Vec<RuleCoverage>,
}

/// Computes all coverage.
pub fn compute(journals: &Journals, specification: &Specification) -> Coverage {
    let scenarios = scenarios::compute(journals, specification);
    Coverage {
        rows: rows::compute(journals, specification, &scenarios),
        labels: labels::compute(journals, specification),
        rules: rules::compute(journals, specification, &scenarios),
        scenarios,
    }
}
