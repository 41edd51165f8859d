//! `gonogo run`.

use reports::verdict::Outcome;

use crate::{
    cli::{Output, RunArguments},
    exit_code::ExitStatus,
    gate::{self, Failure, Request},
    output::print_line,
    progress::Reporter,
};

/// Runs the gate and prints the headline, or the verdict as JSON.
///
/// # Errors
/// When the gate could not do its work.
pub async fn run(arguments: RunArguments) -> Result<ExitStatus, Failure> {
    let reporter = Reporter::new(false);
    let verdict = gate::run(&request(&arguments), &reporter, |_| {}).await;
    reporter.finish();
    let verdict = verdict?;
    match arguments.output {
        Output::Json => {
            print_line(&serde_json::to_string_pretty(&verdict.document).unwrap_or_default());
        }
        Output::Text => {
            if let Some(reason) = &verdict.interrupted {
                print_line(reason);
            }
            print_line(&verdict.headline);
            print_line(&format!(
                "report: {}",
                verdict.bundle.join("index.html").display()
            ));
        }
    }
    Ok(status_of(verdict.outcome))
}

/// What the arguments ask for.
#[must_use]
pub fn request(arguments: &RunArguments) -> Request {
    Request {
        features: arguments.selection.features.clone(),
        tags: arguments.selection.tags.clone(),
        jobs: usize::from(arguments.jobs),
        repeat: arguments.repeat,
        out: arguments.out.clone(),
        criteria: arguments.criteria.clone(),
    }
}

fn status_of(outcome: Outcome) -> ExitStatus {
    match outcome {
        Outcome::Go => ExitStatus::Go,
        Outcome::NoGo => ExitStatus::NoGo,
        Outcome::Inconclusive => ExitStatus::Inconclusive,
    }
}
