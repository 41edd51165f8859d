//! The null check from end to end (E-40): a healthy run to know what each scenario reads, three runs against null
//! orchestrators, and the judgement.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::Context;
use chrono::Utc;
use reports::{
    evidence::{Observation, ScenarioResult},
    journals::SelfCheck,
    null_check::{Draw, Null, NullCheck, Problem, judge},
};
use steps::{Options, selection::Listed};

use super::{
    Failure,
    healthy::{Compared, Healthy},
    null_run, session,
};
use crate::progress::Reporter;

/// Scenarios played side by side against (a), which does no work that they could slow: its scenarios only wait.
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
    /// Which nulls each scenario is played against.
    pub draw: Draw,
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
        only: None,
    };
    let Compared {
        planned,
        healthy,
        results,
        mut stop,
    } = Compared::with_healthy(
        &options,
        request.reference.as_deref(),
        &request.out,
        reporter,
    )
    .await?;
    let mut nulls = BTreeMap::new();
    for null in Null::ALL {
        let only = match request.draw {
            Draw::Every => None,
            Draw::One { .. } => Some(drawn(
                null,
                request.draw,
                &planned,
                &results,
                &healthy.observations,
            )),
        };
        let count = only.as_ref().map_or(planned.len(), BTreeSet::len);
        if count == 0 {
            continue;
        }
        reporter.line(&format!(
            "against ({}), an orchestrator that {}",
            null.letter(),
            null.does()
        ));
        reporter.expect_scenarios(count);
        let folder = request.out.join(null.letter());
        let options = Options {
            jobs: match null {
                Null::A => WAITING_JOBS,
                Null::B | Null::C => request.jobs,
            },
            only,
            ..options.clone()
        };
        nulls.insert(
            null,
            null_run::play(null, &options, &folder, reporter, &mut stop).await?,
        );
    }
    let check = judge(request.draw, &results, &healthy.observations, &nulls);
    keep(&request.out, &healthy, request.draw, &check)?;
    Ok(check)
}

/// Keys of the planned scenarios that are played against `null`.
fn drawn(
    null: Null,
    draw: Draw,
    planned: &[Listed],
    results: &[ScenarioResult],
    observations: &[Observation],
) -> BTreeSet<String> {
    planned
        .iter()
        .zip(results)
        .filter(|(_, result)| {
            let own: Vec<_> = observations
                .iter()
                .filter(|observation| observation.key == result.key)
                .collect();
            draw.nulls_of(&result.key, &own).contains(&null)
        })
        .map(|(scenario, _)| scenario.key())
        .collect()
}

/// The whole result, and the line that a verdict reads (E-30): a drawn check is no proof of all scenarios and has none.
fn keep(folder: &Path, healthy: &Healthy, draw: Draw, check: &NullCheck) -> Result<(), Failure> {
    let summary = SelfCheck {
        at: Utc::now(),
        revision: healthy.revision.commit.clone(),
        dirty: healthy.revision.dirty,
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
    if draw == Draw::Every {
        write("selfcheck.json", serde_json::to_string_pretty(&summary))?;
    }
    Ok(())
}
