//! Puts the checks together.
use serde::Serialize;

use super::finding::{Effect, Finding, Outcome};
use super::{Criteria, checks, headline};
use crate::coverage::{self, CellState, Coverage, Overall, RowState, RuleState};
use crate::journals::Journals;
use crate::ledger::{self, Ledger};
use crate::spec::Specification;
use crate::timeline::{self, Timelines};

/// Version of the form of `verdict.json`; its schema is `verdict.schema.json`.
pub const SCHEMA_VERSION: u32 = 1;

/// Everything that is computed from the journals.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Coverage of scenarios, rows, labels, rules.
    pub coverage: Coverage,
    /// The ledger.
    pub ledger: Ledger,
    /// Timelines of all runs.
    pub timelines: Timelines,
}

/// `verdict.json`. Rows outside the scope come before anything else (E-30).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Version of the form.
    pub schema_version: u32,
    /// Rows that the verdict does not speak of: not proven.
    pub rows_outside_scope: Vec<String>,
    /// The answer.
    pub verdict: Outcome,
    /// The answer in one line.
    pub headline: String,
    /// Exit code that goes with it.
    pub exit_code: u8,
    /// The journals are made up.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sample: bool,
    /// Run that it judges.
    pub gate_run_id: String,
    /// Target.
    pub target: String,
    /// Host system and release.
    pub host: String,
    /// Commit.
    pub revision: String,
    /// Whether the work tree differed from it.
    pub dirty: bool,
    /// Digest of the judged binary.
    pub binary_digest: String,
    /// Numbers.
    pub counts: Counts,
    /// All rows.
    pub rows: Vec<RowVerdict>,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// What the criteria demand less than the specification.
    pub lowered: Vec<String>,
}

/// Numbers of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Rows of the specification.
    pub rows: usize,
    /// Rows in scope.
    pub rows_in_scope: usize,
    /// Rows proven whole.
    pub rows_proven: usize,
    /// Rows proven in part.
    pub rows_proven_in_part: usize,
    /// Scenarios of the specification.
    pub scenarios: usize,
    /// Of these, passed.
    pub passed: usize,
    /// Failed or flaky.
    pub failed: usize,
    /// Waiting.
    pub waiting: usize,
    /// Not provable on this target.
    pub not_provable_here: usize,
    /// Without a result: not written yet, or not selected.
    pub not_run: usize,
    /// Observations recorded.
    pub observations: usize,
    /// Label cells of the catalogue.
    pub label_cells: usize,
    /// Of these, proven.
    pub label_cells_proven: usize,
    /// Rules of the specification.
    pub rules: usize,
    /// Of these, proven by the world.
    pub rules_proven: usize,
    /// Rules that nothing proves and a waiting scenario bears.
    pub rules_waiting: usize,
    /// Objects booked.
    pub booked: usize,
    /// Of these, leaked.
    pub leaked: usize,
    /// Runs seen.
    pub runs: usize,
}

/// One row in the verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowVerdict {
    /// Id.
    pub id: String,
    /// Whether the verdict speaks of it.
    pub in_scope: bool,
    /// State.
    pub state: RowState,
    /// Words that go with it (E-43).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// Scenarios passed, of all that bind it.
    pub passed: usize,
    /// Scenarios that bind it.
    pub bound: usize,
}

/// Judges a run.
pub fn compute(
    journals: &Journals,
    criteria: &Criteria,
    specification: &Specification,
) -> Judgement {
    let coverage = coverage::compute(journals, specification);
    let ledger = ledger::compute(journals);
    let timelines = timeline::compute(journals);
    let mut findings = checks::all(&checks::Input {
        journals,
        criteria,
        specification,
        coverage: &coverage,
        ledger: &ledger,
        timelines: &timelines,
    });
    for finding in &mut findings {
        finding.since = journals.baseline.as_ref().map(|baseline| {
            if baseline.findings.contains(&finding.subject) {
                format!("at least {}", baseline.gate_run_id)
            } else {
                "new".to_owned()
            }
        });
    }
    findings.sort_by(|a, b| {
        let key = |finding: &'_ Finding| (finding.effect, rank(&finding.check), finding.severity);
        key(a)
            .cmp(&key(b))
            .then_with(|| (&a.check, &a.subject).cmp(&(&b.check, &b.subject)))
    });
    // What a run that was cut off shows as broken may be broken by the cut: it establishes nothing (gate.md 8).
    let cut_off = findings
        .iter()
        .any(|finding| finding.check == "run_interrupted");
    let outcome = if cut_off {
        Outcome::Inconclusive
    } else if findings
        .iter()
        .any(|finding| finding.effect == Effect::NoGo)
    {
        Outcome::NoGo
    } else if findings
        .iter()
        .any(|finding| finding.effect == Effect::Inconclusive)
    {
        Outcome::Inconclusive
    } else {
        Outcome::Go
    };
    let rows: Vec<RowVerdict> = coverage
        .rows
        .iter()
        .map(|row| RowVerdict {
            id: row.id.clone(),
            in_scope: criteria.scope.rows.contains(&row.id),
            state: row.state,
            words: row.words.clone(),
            passed: row.passed.len(),
            bound: row.bound(),
        })
        .collect();
    let counts = counts(journals, criteria, &coverage, &ledger, &timelines);
    let run = &journals.gate_run;
    let verdict = Verdict {
        schema_version: SCHEMA_VERSION,
        rows_outside_scope: rows
            .iter()
            .filter(|row| !row.in_scope)
            .map(|row| row.id.clone())
            .collect(),
        verdict: outcome,
        headline: headline::text(outcome, &counts, &rows),
        exit_code: outcome.exit_code(),
        sample: run.sample,
        gate_run_id: run.gate_run_id.clone(),
        target: run.target.clone(),
        host: run.host.clone(),
        revision: run.revision.clone(),
        dirty: run.dirty,
        binary_digest: run.binary_digest.clone(),
        counts,
        rows,
        findings,
        lowered: criteria.lowered.clone(),
    };
    Judgement {
        verdict,
        coverage,
        ledger,
        timelines,
    }
}

/// What a reader must know first: that the run was cut off, then what people see fail.
fn rank(check: &str) -> u8 {
    match check {
        "run_interrupted" => 0,
        "scenario_failed" | "scenario_flaky" | "step_undefined" | "contradiction" => 1,
        "row_not_proven" => 3,
        _ => 2,
    }
}

fn counts(
    journals: &Journals,
    criteria: &Criteria,
    coverage: &Coverage,
    ledger: &Ledger,
    timelines: &Timelines,
) -> Counts {
    let scenarios = |wanted: &[Overall]| {
        coverage
            .scenarios
            .iter()
            .filter(|status| wanted.contains(&status.state))
            .count()
    };
    // A row outside the scope is not proven by a verdict that does not speak of it (E-30).
    let rows = |wanted| {
        coverage
            .rows
            .iter()
            .filter(|row| row.state == wanted && criteria.scope.rows.contains(&row.id))
            .count()
    };
    Counts {
        rows: coverage.rows.len(),
        rows_in_scope: criteria.scope.rows.len(),
        rows_proven: rows(RowState::Proven),
        rows_proven_in_part: rows(RowState::ProvenInPart),
        scenarios: coverage.scenarios.len(),
        passed: scenarios(&[Overall::Passed]),
        failed: scenarios(&[Overall::Failed, Overall::Flaky]),
        waiting: scenarios(&[Overall::Waiting]),
        not_provable_here: scenarios(&[Overall::NotProvableHere]),
        not_run: scenarios(&[Overall::NotWritten]),
        observations: journals.observations.len(),
        label_cells: coverage.labels.cells,
        label_cells_proven: coverage
            .labels
            .labels
            .iter()
            .flat_map(|label| &label.cells)
            .filter(|cell| cell.state == CellState::Proven)
            .count(),
        rules: coverage.rules.len(),
        rules_proven: coverage
            .rules
            .iter()
            .filter(|rule| rule.state == RuleState::Proven)
            .count(),
        rules_waiting: coverage
            .rules
            .iter()
            .filter(|rule| rule.state == RuleState::Waiting)
            .count(),
        booked: ledger.entries.len(),
        leaked: ledger.leaks().count(),
        runs: timelines.runs.len(),
    }
}
