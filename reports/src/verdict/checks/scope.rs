//! Rows, features and label cells in scope; the run as a whole.
use super::{Effect, Finding, Input, Severity, finding};
use crate::coverage::{CellState, RowState};

pub(super) fn findings(input: &Input<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    run(input, &mut found);
    rows(input, &mut found);
    features(input, &mut found);
    labels(input, &mut found);
    baseline(input, &mut found);
    found
}

fn run(input: &Input<'_>, found: &mut Vec<Finding>) {
    let run = &input.journals.gate_run;
    let cut_off = match (&run.interrupted, run.finished_at) {
        (Some(reason), _) => Some(reason.clone()),
        (None, None) => Some("the run was cut off".to_owned()),
        (None, Some(_)) => None,
    };
    if let Some(reason) = cut_off {
        found.push(finding(
            "run_interrupted",
            run.gate_run_id.clone(),
            (Severity::P0, Effect::Inconclusive),
            "the run came to its end",
            reason,
            vec!["environment.json".into()],
        ));
    }
    if input.journals.scenarios.is_empty() || input.journals.observations.is_empty() {
        found.push(finding(
            "vacuous_run",
            run.gate_run_id.clone(),
            (Severity::P0, Effect::Inconclusive),
            "scenarios with observations",
            format!(
                "{} results, {} observations",
                input.journals.scenarios.len(),
                input.journals.observations.len()
            ),
            vec!["journals/".into()],
        ));
    }
}

fn rows(input: &Input<'_>, found: &mut Vec<Finding>) {
    for row in &input.coverage.rows {
        if !input.criteria.scope.rows.contains(&row.id) {
            continue;
        }
        let (effect, seen) = match row.state {
            RowState::Proven | RowState::ProvenInPart => continue,
            RowState::Failed => (Effect::NoGo, format!("failed: {}", row.failed.join(" "))),
            RowState::NotProven => {
                let part = |name: &str, ids: &[String]| {
                    (!ids.is_empty()).then(|| format!("{name}: {}", ids.join(" ")))
                };
                let parts: Vec<String> = [
                    part("waiting", &row.waiting),
                    part("not run", &row.not_run),
                    part("not provable here", &row.not_provable_here),
                ]
                .into_iter()
                .flatten()
                .collect();
                (Effect::Inconclusive, parts.join("; "))
            }
        };
        found.push(finding(
            "row_not_proven",
            row.id.clone(),
            (Severity::P0, effect),
            row.must_show.clone(),
            seen,
            vec!["coverage/rows.json".into()],
        ));
    }
}

fn features(input: &Input<'_>, found: &mut Vec<Finding>) {
    for feature in &input.criteria.scope.features {
        let results = input
            .journals
            .scenarios
            .iter()
            .any(|line| line.value.feature == *feature);
        if results {
            continue;
        }
        let selected = input.journals.gate_run.features.contains(feature);
        found.push(finding(
            "feature_without_scenario",
            format!("{feature}.feature"),
            (
                Severity::P0,
                // E-7: a selected file that yields nothing is a failure; one left out was not established.
                if selected {
                    Effect::NoGo
                } else {
                    Effect::Inconclusive
                },
            ),
            "at least one scenario",
            if selected {
                "selected, but yielded none"
            } else {
                "not part of this run"
            },
            vec!["journals/scenarios.ndjson".into()],
        ));
    }
}

fn labels(input: &Input<'_>, found: &mut Vec<Finding>) {
    for label in &input.coverage.labels.labels {
        for cell in &label.cells {
            if cell.state != CellState::Open
                || !input.criteria.demands_cell(&label.label, cell.kind)
            {
                continue;
            }
            found.push(finding(
                "label_cell_open",
                format!("{}: {}", label.label, cell.kind.title()),
                (Severity::P1, Effect::Inconclusive),
                format!("the journals show it ({})", cell.rule),
                cell.reason.clone().unwrap_or_default(),
                vec!["coverage/labels.json".into()],
            ));
        }
    }
}

fn baseline(input: &Input<'_>, found: &mut Vec<Finding>) {
    let Some(baseline) = &input.journals.baseline else {
        return;
    };
    let scope = &input.criteria.scope;
    let lost_rows = baseline
        .scope
        .rows
        .iter()
        .filter(|row| !scope.rows.contains(row));
    let lost_features = baseline
        .scope
        .features
        .iter()
        .filter(|feature| !scope.features.contains(feature));
    for lost in lost_rows.chain(lost_features) {
        found.push(finding(
            "scope_shrunk",
            lost.clone(),
            (Severity::P0, Effect::NoGo),
            format!("in scope, as in {}", baseline.gate_run_id),
            "no longer in scope",
            vec!["gate.yaml".into(), "baseline.json".into()],
        ));
    }
}
