//! `gonogo selfcheck`: the gate proves itself.

use std::path::PathBuf;

use reports::null_check::{Cell, Draw, Null, NullCheck, Row};

use crate::{
    cli::{Output, SelfcheckArguments},
    exit_code::ExitStatus,
    gate::{Failure, NullRequest, check_nulls},
    output::print_line,
    progress::Reporter,
};

/// Plays the features against the null orchestrators and prints what stayed green.
///
/// # Errors
/// When the check could not do its work.
pub async fn selfcheck(arguments: SelfcheckArguments) -> Result<ExitStatus, Failure> {
    if !arguments.null {
        return Err(Failure::Usage(
            "say what to check: `gonogo selfcheck --null`".to_owned(),
        ));
    }
    let request = NullRequest {
        features: arguments.selection.features,
        tags: arguments.selection.tags,
        jobs: usize::from(arguments.jobs),
        reference: arguments.reference,
        draw: arguments
            .draw
            .map_or(Draw::Every, |seed| Draw::One { seed }),
        out: PathBuf::from("target/selfcheck").join(bootstrap::runs::new_run_id()),
    };
    let reporter = Reporter::new(false);
    let checked = check_nulls(&request, &reporter).await;
    reporter.finish();
    let check = checked?;
    match arguments.output {
        Output::Json => print_line(&serde_json::to_string_pretty(&check).unwrap_or_default()),
        Output::Text => {
            print_line(&text(&check));
            if request.draw != Draw::Every {
                print_line(
                    "each was played against one orchestrator only; without --draw it is played against all three",
                );
            }
            print_line(&format!("journals: {}", request.out.display()));
        }
    }
    Ok(if check.findings.is_empty() {
        ExitStatus::Go
    } else {
        ExitStatus::NoGo
    })
}

/// The table of scenarios and nulls, and below it what must be mended.
fn text(check: &NullCheck) -> String {
    let mut text = format!(
        "{:<6} {:>5}  {:<6} {:<6} {:<6} scenario\n",
        "id", "line", "(a)", "(b)", "(c)"
    );
    for row in &check.rows {
        let [a, b, c] = Null::ALL.map(|null| word(row, null));
        let left_out = row
            .left_out
            .as_ref()
            .map(|reason| format!(" (left out: {reason})"))
            .unwrap_or_default();
        text.push_str(&format!(
            "{:<6} {:>5}  {a:<6} {b:<6} {c:<6} {}{left_out}\n",
            row.key.scenario, row.key.line, row.name
        ));
    }
    text.push_str("red: failed at a When or Then, as it must; -: reads nothing that this null takes away; given: stopped at a Given\n");
    let judged = check
        .rows
        .iter()
        .filter(|row| row.left_out.is_none())
        .count();
    if check.findings.is_empty() {
        text.push_str(&format!("none of {judged} scenarios is vacuous"));
        return text;
    }
    text.push_str(&format!(
        "findings: {}, scenarios judged: {judged}\n",
        check.findings.len()
    ));
    let findings: Vec<_> = check
        .findings
        .iter()
        .map(|finding| {
            format!(
                "{} {} ({}.feature:{}): {}",
                finding.key.scenario,
                finding.name,
                finding.feature,
                finding.key.line,
                finding.problem
            )
        })
        .collect();
    text + &findings.join("\n")
}

fn word(row: &Row, null: Null) -> &'static str {
    row.cells.get(&null).copied().map_or(" ", Cell::word)
}
