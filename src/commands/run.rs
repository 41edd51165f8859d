//! `gonogo run`.

use bootstrap::{CacheFolder, runs::take_name};
use reports::{evidence::ScenarioResult, verdict::Outcome};

use super::target;
use crate::{
    cli::{Output, RunArguments},
    exit_code::ExitStatus,
    gate::{self, Failure, Request, Verdict, failure},
    output::{print_line, tell_line},
    progress::Reporter,
};

/// Runs the gate and prints the headline, or the verdict as JSON.
///
/// # Errors
/// When the gate could not do its work.
pub async fn run(arguments: RunArguments) -> Result<ExitStatus, Failure> {
    let request = request(&arguments);
    let name = match &arguments.keep {
        Some(name) => {
            let cache = CacheFolder::from_environment().map_err(failure)?;
            let taken = take_name(&cache, name, &request.run_id);
            Some((name, taken.map_err(target::failure_of_name)?))
        }
        None => None,
    };
    let reporter = Reporter::new(false);
    let verdict = gate::run(
        &request,
        &reporter,
        |_| {},
        |running, verdict| {
            reporter.finish();
            print(verdict, arguments.output);
            if let Some((name, _)) = &name {
                let access = target::open_to_people(running)?;
                for line in target::lines(name, &request.run_id, Some(&access)) {
                    tell_line(&line);
                }
                tell_line(&format!("Ctrl-C or `gonogo down {name}` takes it down"));
            }
            Ok(())
        },
    )
    .await;
    reporter.finish();
    let verdict = verdict?;
    if !verdict.kept {
        print(&verdict, arguments.output);
    }
    Ok(status_of(verdict.outcome))
}

fn print(verdict: &Verdict, output: Output) {
    match output {
        Output::Json => {
            print_line(&serde_json::to_string_pretty(&verdict.document).unwrap_or_default());
        }
        Output::Text => {
            if let Some(reason) = &verdict.interrupted {
                print_line(reason);
            }
            for line in troubles(&verdict.results) {
                print_line(&line);
            }
            print_line(&verdict.headline);
            print_line(&format!(
                "report: {}",
                verdict.bundle.join("index.html").display()
            ));
        }
    }
}

/// What did not pass, once more beside the verdict: among hundreds of lines nobody finds it again.
fn troubles(results: &[ScenarioResult]) -> Vec<String> {
    results
        .iter()
        .filter(|result| result.state.is_trouble())
        .map(|result| {
            format!(
                "{} {} {} ({}): {}",
                result.state.title(),
                result.key.scenario,
                result.name,
                result.file,
                result.reason.as_deref().unwrap_or("no reason given")
            )
        })
        .collect()
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
        baseline: arguments.baseline.clone(),
        keep: arguments.keep.is_some(),
        agent: arguments.agent,
        ..Request::default()
    }
}

fn status_of(outcome: Outcome) -> ExitStatus {
    match outcome {
        Outcome::Go => ExitStatus::Go,
        Outcome::NoGo => ExitStatus::NoGo,
        Outcome::Inconclusive => ExitStatus::Inconclusive,
    }
}
