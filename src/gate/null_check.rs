//! The null check from end to end (E-40): a healthy run to know what each scenario reads, three runs against null
//! orchestrators, and the judgement.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context;
use chrono::Utc;
use reports::{
    evidence::{Observation, ScenarioResult},
    journals::{Journals, SelfCheck},
    null_check::{Null, NullCheck, Problem, judge},
};
use steps::Options;

use super::{Failure, Interrupt, Request, null_run, session};
use crate::progress::Reporter;

/// Scenarios played side by side against the orchestrator itself, as `gonogo run` does by default.
const HEALTHY_JOBS: usize = 6;

/// And against (a), which does no work that they could slow: its scenarios only wait.
const WAITING_JOBS: usize = 64;

/// What a null check is asked for.
#[derive(Clone, Debug)]
pub struct NullRequest {
    pub features: PathBuf,
    pub tags: Option<String>,
    /// Scenarios played side by side against (b) and (c): most of the time they wait for a deadline.
    pub jobs: usize,
    /// Bundle of a healthy run of the same revision; one is played when absent.
    pub reference: Option<PathBuf>,
    /// Folder for all that is kept.
    pub out: PathBuf,
}

/// Plays what is missing and judges.
///
/// # Errors
/// When the check could not do its work.
pub async fn check_nulls(request: &NullRequest, reporter: &Reporter) -> Result<NullCheck, Failure> {
    let options = Options {
        features: request.features.clone(),
        tags: request.tags.clone(),
        jobs: request.jobs,
        repeat: 1,
        capabilities: session::all_capabilities(),
    };
    let planned =
        steps::runner::plan(&options).map_err(|error| Failure::Usage(format!("{error:#}")))?;
    let mut stop = Interrupt::listen().context("failed to listen for signals")?;
    let healthy = match &request.reference {
        Some(bundle) => {
            let healthy = read(bundle).map_err(|error| Failure::Usage(format!("{error:#}")))?;
            same_revision(&healthy, bundle).await?;
            healthy
        }
        None => play_healthy(request, reporter).await?,
    };
    if stop.asked_already().is_some() {
        return Err(Failure::Interrupted);
    }
    let results = selected(&healthy, &planned)?;
    let mut nulls = BTreeMap::new();
    for null in Null::ALL {
        reporter.line(&format!(
            "against ({}), an orchestrator that {}",
            null.letter(),
            null.does()
        ));
        reporter.expect_scenarios(planned.len());
        let folder = request.out.join(null.letter());
        let options = Options {
            jobs: match null {
                Null::A => WAITING_JOBS,
                Null::B | Null::C => request.jobs,
            },
            ..options.clone()
        };
        nulls.insert(
            null,
            null_run::play(null, &options, &folder, reporter, &mut stop).await?,
        );
    }
    let check = judge(&results, &healthy.observations, &nulls);
    keep(&request.out, &healthy.revision, &check)?;
    Ok(check)
}

/// What is known of a healthy run.
struct Healthy {
    revision: String,
    dirty: bool,
    results: Vec<ScenarioResult>,
    observations: Vec<Observation>,
}

async fn play_healthy(request: &NullRequest, reporter: &Reporter) -> Result<Healthy, Failure> {
    reporter.line("against the orchestrator itself");
    let out = request.out.join("healthy");
    let run = Request {
        features: request.features.clone(),
        tags: request.tags.clone(),
        jobs: HEALTHY_JOBS,
        out: Some(out.clone()),
        ..Request::default()
    };
    session::run(&run, reporter, |_| {}, |_, _| Ok(())).await?;
    Ok(read(&out)?)
}

fn read(bundle: &Path) -> anyhow::Result<Healthy> {
    let journals = Journals::read(bundle)
        .with_context(|| format!("failed to read the bundle {}", bundle.display()))?;
    if let Some(reason) = &journals.gate_run.interrupted {
        anyhow::bail!("the healthy run did not come to its end: {reason}");
    }
    Ok(Healthy {
        revision: journals.gate_run.revision,
        dirty: journals.gate_run.dirty,
        results: journals
            .scenarios
            .into_iter()
            .map(|line| line.value)
            .collect(),
        observations: journals
            .observations
            .into_iter()
            .map(|line| line.value)
            .collect(),
    })
}

/// Results of another revision say nothing about what the scenarios of this one read.
async fn same_revision(healthy: &Healthy, bundle: &Path) -> Result<(), Failure> {
    let workspace = bootstrap::orchestrator::workspace()
        .context("failed to find the checkout that the reference is compared with")?;
    let (revision, dirty) = bootstrap::orchestrator::revision(&workspace).await;
    let (revision, dirty) = (revision.unwrap_or_default(), dirty.unwrap_or_default());
    let state = |revision: &str, dirty: bool| {
        format!("{revision}{}", if dirty { " with changes" } else { "" })
    };
    if (healthy.revision.as_str(), healthy.dirty) == (revision.as_str(), dirty) {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "the reference {} was played on {}, this checkout is {}; play it again, or leave --reference away",
        bundle.display(),
        state(&healthy.revision, healthy.dirty),
        state(&revision, dirty)
    )))
}

/// The healthy results of what is planned.
fn selected(
    healthy: &Healthy,
    planned: &[steps::selection::Listed],
) -> Result<Vec<ScenarioResult>, Failure> {
    planned
        .iter()
        .map(|scenario| {
            let line = u32::try_from(scenario.line).unwrap_or(u32::MAX);
            healthy
                .results
                .iter()
                .find(|result| {
                    result.key.scenario == scenario.id
                        && result.key.line == line
                        && result.key.attempt == 1
                })
                .cloned()
                .ok_or_else(|| {
                    Failure::Usage(format!(
                        "the healthy run has no result of {} ({}:{}): its selection is narrower than this one",
                        scenario.id, scenario.file, scenario.line
                    ))
                })
        })
        .collect()
}

/// The whole result, and the line that a verdict reads (E-30).
fn keep(folder: &Path, revision: &str, check: &NullCheck) -> Result<(), Failure> {
    let summary = SelfCheck {
        at: Utc::now(),
        revision: revision.to_owned(),
        passed: check.findings.is_empty(),
        vacuous: check
            .findings
            .iter()
            .filter(|finding| matches!(finding.problem, Problem::Vacuous { .. }))
            .map(|finding| format!("{}:{}", finding.key.scenario, finding.key.line))
            .collect(),
    };
    let write = |name: &str, text: serde_json::Result<String>| -> anyhow::Result<()> {
        let text = text.with_context(|| format!("failed to encode {name}"))?;
        std::fs::write(folder.join(name), text).with_context(|| format!("failed to write {name}"))
    };
    write("null-check.json", serde_json::to_string_pretty(check))?;
    write("selfcheck.json", serde_json::to_string_pretty(&summary))?;
    Ok(())
}
