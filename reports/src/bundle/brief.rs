//! `brief.md`: one page for the owner. Each sentence points into the bundle.
use std::fmt::Write;

use crate::coverage::RowState;
use crate::journals::Journals;
use crate::spec::Specification;
use crate::verdict::{Criteria, Effect, Judgement};

/// Findings that fit on the page; the rest is in `verdict.json`.
const MOST_FINDINGS: usize = 12;

pub(super) fn markdown(
    journals: &Journals,
    criteria: &Criteria,
    judgement: &Judgement,
    specification: &Specification,
) -> String {
    let verdict = &judgement.verdict;
    let counts = &verdict.counts;
    let run = &journals.gate_run;
    let mut lines: Vec<String> = vec![format!("# {}", verdict.headline)];
    if verdict.sample {
        lines.push("**Sample: these journals are made up.**".into());
    }
    lines.push(format!(
        "Run `{}`, target `{}` on {}, revision `{}`{} ([environment](environment.json), [verdict](verdict.json), [report](index.html)).",
        run.gate_run_id,
        run.target,
        run.host,
        run.revision,
        if run.dirty { " with local changes" } else { "" },
    ));
    lines.push("\n## Not proven".into());
    lines.push(format!(
        "- {} of {} rows are outside the scope of this verdict and not proven: {} ([rows](coverage/rows.json)).",
        verdict.rows_outside_scope.len(),
        counts.rows,
        verdict.rows_outside_scope.join(", "),
    ));
    lines.push(format!(
        "- {} of {} scenarios have no result, {} wait, {} are not provable on this target ([scenarios](coverage/scenarios.json)).",
        counts.not_run, counts.scenarios, counts.waiting, counts.not_provable_here
    ));
    lines.push(format!(
        "- {} of {} label cells are open ([labels](coverage/labels.json)); {} of {} rules lack a proof by the world, {} of them wait ([rules](coverage/rules.json)).",
        counts.label_cells - counts.label_cells_proven,
        counts.label_cells,
        counts.rules - counts.rules_proven,
        counts.rules,
        counts.rules_waiting
    ));
    for stand_in in &run.stand_ins {
        lines.push(format!(
            "- A stand-in was used for {stand_in} ([environment](environment.json))."
        ));
    }
    for lowered in &criteria.lowered {
        lines.push(format!(
            "- Demanded less than the specification: {lowered} ([criteria](gate.yaml))."
        ));
    }
    let blocking: Vec<_> = verdict
        .findings
        .iter()
        .filter(|finding| finding.effect != Effect::Reported)
        .collect();
    if !blocking.is_empty() {
        lines.push("\n## What stands in the way".into());
        for finding in blocking.iter().take(MOST_FINDINGS) {
            let mut line = format!(
                "- **{}** ({}): expected {}; seen {}",
                finding.subject, finding.check, finding.expected, finding.seen
            );
            if let Some(pointer) = finding.evidence.first() {
                let file = pointer.split(':').next().unwrap_or(pointer);
                // Writing to a String cannot fail.
                let _ = write!(line, " ([{pointer}]({file}))");
            }
            if let Some(rerun) = &finding.rerun {
                let _ = write!(line, "; again: `{rerun}`");
            }
            lines.push(line + ".");
        }
        if blocking.len() > MOST_FINDINGS {
            lines.push(format!(
                "- and {} more ([verdict](verdict.json)).",
                blocking.len() - MOST_FINDINGS
            ));
        }
    }
    lines.push("\n## Proven".into());
    for row in &judgement.coverage.rows {
        if !criteria.scope.rows.contains(&row.id) {
            continue;
        }
        let state = match (row.state, &row.words) {
            (RowState::Proven, None) => "proven".to_owned(),
            (RowState::Proven | RowState::ProvenInPart, Some(words)) => words.clone(),
            (RowState::ProvenInPart, None) => "proven in part".to_owned(),
            _ => continue,
        };
        lines.push(format!(
            "- {}, {state}: {} ({}).",
            row.id,
            row.must_show,
            row.passed
                .iter()
                .map(|id| format!("[{id}](scenarios/{id}/observations.json)"))
                .collect::<Vec<_>>()
                .join(" ")
        ));
    }
    lines.push(format!(
        "- {} of {} scenarios passed with {} observations; {} runs were followed ([timelines](timelines.json)).",
        counts.passed,
        specification.scenarios.len(),
        counts.observations,
        counts.runs
    ));
    lines.push(format!(
        "- {} objects were booked, {} of them leaked ([ledger](ledger.json)).",
        counts.booked, counts.leaked
    ));
    lines.push("\n## Risks to decide".into());
    let open: Vec<_> = journals
        .risks
        .iter()
        .filter(|risk| risk.decision.is_none())
        .collect();
    if open.is_empty() {
        lines.push("- None recorded ([risks](risks.json)).".into());
    }
    for risk in open {
        lines.push(format!(
            "- {} {}: {} ([risks](risks.json)).",
            risk.severity, risk.id, risk.title
        ));
    }
    lines.push("\n## Change and cost".into());
    lines.push(match &journals.baseline {
        Some(baseline) => format!(
            "- Compared with run `{}`: {} ([baseline](baseline.json)).",
            baseline.gate_run_id, baseline.headline
        ),
        None => "- No earlier bundle was given to compare with.".into(),
    });
    for phase in &run.phases {
        lines.push(format!(
            "- {}: {:.1} s ([environment](environment.json)).",
            phase.name,
            std::time::Duration::from_millis(phase.duration_ms).as_secs_f64()
        ));
    }
    lines.join("\n") + "\n"
}
