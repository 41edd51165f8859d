//! What is known of a healthy run of the same revision: the gate's proofs of itself compare their own plays with it.

use std::path::Path;

use anyhow::Context;
use reports::{
    evidence::{Observation, ScenarioResult},
    journals::Journals,
};
use steps::{Options, selection::Listed};

use super::{Failure, Interrupt, Request, revision::Revision, session};
use crate::progress::Reporter;

/// Scenarios played side by side against the orchestrator itself, as `gonogo run` does by default.
pub const HEALTHY_JOBS: usize = 6;

/// A healthy run.
pub struct Healthy {
    pub revision: Revision,
    results: Vec<ScenarioResult>,
    pub observations: Vec<Observation>,
}

/// What the gate's proofs of itself begin with.
pub struct Compared {
    /// Scenarios that are played.
    pub planned: Vec<Listed>,
    pub healthy: Healthy,
    /// Their results in the healthy run, in the same order.
    pub results: Vec<ScenarioResult>,
    /// Received signals since before the healthy run.
    pub stop: Interrupt,
}

impl Compared {
    /// Plans what the options select, and gets the healthy run that it is compared with.
    ///
    /// # Errors
    /// When the selection is wrong, there is no healthy run of it, or the person asks to stop.
    pub async fn with_healthy(
        options: &Options,
        reference: Option<&Path>,
        out: &Path,
        reporter: &Reporter,
    ) -> Result<Self, Failure> {
        let planned =
            steps::runner::plan(options).map_err(|error| Failure::Usage(format!("{error:#}")))?;
        let mut stop = Interrupt::listen().context("failed to listen for signals")?;
        let selection = (options.features.as_path(), options.tags.as_deref());
        let healthy = Healthy::get(reference, selection, out, reporter).await?;
        if stop.asked_already().is_some() {
            return Err(Failure::Interrupted);
        }
        let results = healthy.of(&planned)?;
        Ok(Self {
            planned,
            healthy,
            results,
            stop,
        })
    }
}

impl Healthy {
    /// The run that `reference` holds, which must be one of this revision; without a reference one is played.
    ///
    /// # Errors
    /// When the reference cannot be read or belongs to another revision, or the run could not do its work.
    async fn get(
        reference: Option<&Path>,
        (features, tags): (&Path, Option<&str>),
        out: &Path,
        reporter: &Reporter,
    ) -> Result<Self, Failure> {
        match reference {
            Some(bundle) => {
                let healthy =
                    Self::read(bundle).map_err(|error| Failure::Usage(format!("{error:#}")))?;
                healthy.is_of_this_revision(bundle).await?;
                Ok(healthy)
            }
            None => {
                reporter.line("against the orchestrator itself");
                let out = out.join("healthy");
                let run = Request {
                    features: features.to_owned(),
                    tags: tags.map(str::to_owned),
                    jobs: HEALTHY_JOBS,
                    out: Some(out.clone()),
                    ..Request::default()
                };
                session::run(&run, reporter, |_| {}, |_, _| Ok(())).await?;
                Ok(Self::read(&out)?)
            }
        }
    }

    fn read(bundle: &Path) -> anyhow::Result<Self> {
        let journals = Journals::read(bundle)
            .with_context(|| format!("failed to read the bundle {}", bundle.display()))?;
        if let Some(reason) = &journals.gate_run.interrupted {
            anyhow::bail!("the healthy run did not come to its end: {reason}");
        }
        Ok(Self {
            revision: Revision {
                commit: journals.gate_run.revision,
                dirty: journals.gate_run.dirty,
            },
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

    /// Results of another revision say nothing about what the scenarios of this one do.
    async fn is_of_this_revision(&self, bundle: &Path) -> Result<(), Failure> {
        let checked_out = Revision::checked_out().await?;
        if self.revision == checked_out {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "the reference {} was played on {}, this checkout is {checked_out}; play it again, or leave --reference away",
            bundle.display(),
            self.revision
        )))
    }

    /// The healthy results of what is planned.
    ///
    /// # Errors
    /// When one is missing.
    fn of(&self, planned: &[Listed]) -> Result<Vec<ScenarioResult>, Failure> {
        planned
            .iter()
            .map(|scenario| {
                let line = u32::try_from(scenario.line).unwrap_or(u32::MAX);
                self.results
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
}
