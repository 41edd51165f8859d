//! `gonogo crash-sweep`: whether the platform survives the death of a process at each of its persisted transitions.

use std::path::PathBuf;

use reports::crash_matrix::{CellResult, CrashSweep, matrix_text};

use crate::{
    cli::{CrashSweepArguments, Output},
    exit_code::ExitStatus,
    gate::{CrashRequest, Failure, sweep_crashes},
    output::print_line,
    progress::Reporter,
};

/// Kills processes and prints what became of their work.
///
/// # Errors
/// When the sweep could not do its work.
pub async fn crash_sweep(arguments: CrashSweepArguments) -> Result<ExitStatus, Failure> {
    let request = CrashRequest {
        features: arguments.features,
        tags: arguments.tags,
        jobs: usize::from(arguments.jobs),
        seed: arguments.seed,
        kills: (!arguments.all).then_some(arguments.kills),
        point: arguments.point,
        out: PathBuf::from("target/crash-sweep").join(bootstrap::runs::new_run_id()),
    };
    let reporter = Reporter::new(false);
    let swept = sweep_crashes(&request, &reporter).await;
    reporter.finish();
    let sweep = swept?;
    match arguments.output {
        Output::Json => print_line(&serde_json::to_string_pretty(&sweep).unwrap_or_default()),
        Output::Text => {
            print_line(&text(&sweep));
            print_line(&format!(
                "matrix: {}",
                request.out.join("crash-matrix.html").display()
            ));
        }
    }
    Ok(status_of(&sweep))
}

/// Red is disproven; what could not be played, or died nowhere, establishes nothing.
fn status_of(sweep: &CrashSweep) -> ExitStatus {
    if sweep.red > 0 {
        ExitStatus::NoGo
    } else if sweep.kills == 0 || !sweep.left_out.is_empty() {
        ExitStatus::Inconclusive
    } else {
        ExitStatus::Go
    }
}

fn text(sweep: &CrashSweep) -> String {
    let mut text = matrix_text(&sweep.cells);
    for cell in &sweep.cells {
        if cell.result == CellResult::Red {
            text.push_str(&format!(
                "red: {}:{} {} {} {} killed {} while {}\n",
                cell.scenario,
                cell.line,
                cell.phase,
                cell.point,
                cell.count,
                cell.process,
                cell.state
            ));
            for fault in &cell.faults {
                text.push_str(&format!("       {fault}\n"));
            }
        }
    }
    for point in &sweep.not_reached {
        text.push_str(&format!("not reached: {point}\n"));
    }
    for reason in &sweep.left_out {
        text.push_str(&format!("left out: {reason}\n"));
    }
    let milliseconds =
        |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value} ms"));
    text + &format!(
        "seed {}: {} of {} kills, {} red; {} takeovers, p50 {}, p99 {}, longest {}",
        sweep.seed,
        sweep.kills,
        sweep.possible,
        sweep.red,
        sweep.takeover.count,
        milliseconds(sweep.takeover.p50_ms),
        milliseconds(sweep.takeover.p99_ms),
        milliseconds(sweep.takeover.max_ms)
    )
}
