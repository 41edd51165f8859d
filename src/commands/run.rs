//! `gonogo run`.

use bootstrap::{CacheFolder, runs::take_name};
use reports::{
    evidence::ScenarioResult,
    verdict::{Finding, Outcome},
};

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
            // What an interrupted run lacks follows from that.
            if verdict.interrupted.is_none() {
                for line in reasons(&verdict.findings) {
                    tell_line(&line);
                }
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

/// Why the verdict is not GO, a line for each check, but for what [`troubles`] has told: who has only the log can see
/// what to look for.
fn reasons(findings: &[Finding]) -> Vec<String> {
    let mut checks: Vec<Vec<&Finding>> = Vec::new();
    for finding in findings {
        if finding.check.starts_with("scenario_") {
            continue;
        }
        match checks
            .iter_mut()
            .find(|group| group.iter().any(|other| other.check == finding.check))
        {
            Some(group) => group.push(finding),
            None => checks.push(vec![finding]),
        }
    }
    checks
        .iter()
        .filter_map(|group| {
            let (first, others) = group.split_first()?;
            let more = match others.len() {
                0 => String::new(),
                number => format!(" (and {number} more)"),
            };
            Some(format!(
                "{} {}: expected {}, seen: {}{more}",
                first.check, first.subject, first.expected, first.seen
            ))
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
        proofs: arguments.proof.clone(),
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

#[cfg(test)]
mod tests {
    use reports::verdict::{Effect, Severity};

    use super::*;

    fn finding(check: &str, subject: &str) -> Finding {
        Finding {
            check: check.to_owned(),
            subject: subject.to_owned(),
            severity: Severity::P0,
            effect: Effect::Inconclusive,
            expected: "a schema".to_owned(),
            seen: "none".to_owned(),
            evidence: Vec::new(),
            since: None,
            rerun: None,
        }
    }

    #[test]
    fn what_the_verdict_rests_on_is_told_once_for_each_check() {
        let told = reasons(&[
            finding("scenario_failed", "SL-01"),
            finding("stand_in_unverified", "GET /meta"),
            finding("row_not_proven", "S2-1"),
            finding("stand_in_unverified", "GET /user"),
        ]);
        assert_eq!(
            told,
            [
                "stand_in_unverified GET /meta: expected a schema, seen: none (and 1 more)",
                "row_not_proven S2-1: expected a schema, seen: none",
            ]
        );
    }
}
