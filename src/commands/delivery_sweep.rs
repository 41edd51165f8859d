//! `gonogo delivery-sweep`: what becomes of a scenario when GitHub loses, repeats, reorders or delays a webhook.

use std::path::PathBuf;

use reports::delivery_algebra::{JudgedCell, Result as CellResult, Sweep};

use crate::{
    cli::{DeliverySweepArguments, Output},
    exit_code::ExitStatus,
    gate::{Failure, SweepRequest, sweep_deliveries},
    output::print_line,
    progress::Reporter,
};

/// Plays scenarios again with transformed deliveries and prints what became of them.
///
/// # Errors
/// When the sweep could not do its work.
pub async fn delivery_sweep(arguments: DeliverySweepArguments) -> Result<ExitStatus, Failure> {
    let request = SweepRequest {
        features: arguments.features,
        tags: Some(arguments.tags),
        jobs: usize::from(arguments.jobs),
        seed: arguments.seed,
        plays: (!arguments.all).then_some(arguments.plays),
        reference: arguments.reference,
        out: PathBuf::from("target/delivery-sweep").join(bootstrap::runs::new_run_id()),
    };
    let reporter = Reporter::new(false);
    let swept = sweep_deliveries(&request, &reporter).await;
    reporter.finish();
    let sweep = swept?;
    match arguments.output {
        Output::Json => print_line(&serde_json::to_string_pretty(&sweep).unwrap_or_default()),
        Output::Text => {
            print_line(&text(&sweep));
            print_line(&format!("journals: {}", request.out.display()));
        }
    }
    Ok(status_of(&sweep))
}

/// Red is disproven; a scenario that could not be swept, or a sweep that says little, establishes nothing.
fn status_of(sweep: &Sweep) -> ExitStatus {
    if sweep.red > 0 {
        ExitStatus::NoGo
    } else if sweep.judged == 0 || sweep.judged * 2 < sweep.plays || !sweep.left_out.is_empty() {
        ExitStatus::Inconclusive
    } else {
        ExitStatus::Go
    }
}

fn text(sweep: &Sweep) -> String {
    let mut text = format!(
        "{:<6} {:>5}  {:<9} {:<21} delivery\n",
        "id", "line", "transform", "end state"
    );
    for cell in &sweep.cells {
        text.push_str(&format!(
            "{:<6} {:>5}  {:<9} {:<21} {}\n",
            cell.scenario,
            cell.line,
            cell.transform,
            cell.result.name(),
            cell.delivery
        ));
        for line in details(cell) {
            text.push_str(&format!("{:14}{line}\n", ""));
        }
    }
    for reason in &sweep.sample.not_swept {
        text.push_str(&format!("not swept: {reason}\n"));
    }
    for reason in &sweep.left_out {
        text.push_str(&format!("left out: {reason}\n"));
    }
    for delivery in &sweep.unsteady {
        text.push_str(&format!("only one of two plays had: {delivery}\n"));
    }
    text + &format!(
        "seed {}: {} of {} plays of {} of {} scenarios, {} judged, {} red",
        sweep.seed,
        sweep.plays,
        sweep.possible,
        sweep.sample.sampled,
        sweep.sample.scenarios,
        sweep.judged,
        sweep.red
    )
}

/// What a person needs beside the name of a result.
fn details(cell: &JudgedCell) -> Vec<String> {
    match &cell.result {
        CellResult::Different { differences } => differences.clone(),
        CellResult::Broke { why } | CellResult::NotApplicable { why } => vec![why.clone()],
        CellResult::Refused { reasons } => reasons.clone(),
        CellResult::Same | CellResult::SameAfterRedelivery { .. } => Vec::new(),
    }
}
