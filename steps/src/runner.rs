//! Plays the selected scenarios: those before all, the rest side by side, those after all.

use std::{
    collections::{BTreeSet, HashSet},
    path::PathBuf,
    sync::Arc,
};

use anyhow::Context;
use chrono::Utc;
use cucumber::World as _;
use reports::evidence::{ScenarioKey, ScenarioResult, ScenarioState};

use crate::{
    definitions::special_runs,
    null::{NullPlay, Turning},
    selection::{self, Eligibility, Listed},
    world::{Gate, GateWorld, install, uninstall},
    writer::{EvidenceWriter, OnEnd, key_of},
};

/// Scenarios that must be over before any other begins, and those that begin when all others are over.
const BEFORE_ALL: &str = "before-all";
const AFTER_ALL: &str = "after-all";

/// What to play.
#[derive(Clone, Debug)]
pub struct Options {
    /// A folder of feature files, or one file.
    pub features: PathBuf,
    /// A tag expression such as `@p0 and not @set-d`.
    pub tags: Option<String>,
    /// Scenarios played side by side.
    pub jobs: usize,
    /// How often each scenario is played (E-9).
    pub repeat: u32,
    /// Capabilities that the probe of the target found, without the `needs-` of their tags.
    pub capabilities: BTreeSet<String>,
    /// Of what is selected only these ([`Listed::key`]).
    pub only: Option<BTreeSet<String>>,
}

/// Lists what `options` select, before anything is brought up.
///
/// # Errors
/// As [`selection::list`].
pub fn plan(options: &Options) -> anyhow::Result<Vec<Listed>> {
    let mut listed = selection::list(
        &options.features,
        options.tags.as_deref(),
        &options.capabilities,
    )?;
    if let Some(only) = &options.only {
        listed.retain(|scenario| only.contains(&scenario.key()));
    }
    Ok(listed)
}

/// Plays the selection and records every result. The future is not `Send`: block on it.
///
/// # Errors
/// When nothing is selected, a feature file is broken, or a selected scenario was never played.
pub async fn run(options: &Options, gate: Arc<Gate>, on_end: OnEnd) -> anyhow::Result<()> {
    let listed = plan(options)?;
    install(gate.clone())?;
    let outcome = play_all(options, &gate, &listed, on_end).await;
    uninstall();
    outcome
}

async fn play_all(
    options: &Options,
    gate: &Arc<Gate>,
    listed: &[Listed],
    on_end: OnEnd,
) -> anyhow::Result<()> {
    for scenario in listed
        .iter()
        .filter(|scenario| scenario.verdict != Eligibility::Runs)
    {
        let result = not_played(scenario);
        on_end(&result);
        gate.recorder
            .scenario_finished(result)
            .context("failed to keep a result")?;
    }
    let runnable: Vec<&Listed> = listed
        .iter()
        .filter(|scenario| scenario.verdict == Eligibility::Runs)
        .collect();
    let tagged = |scenario: &Listed, tag: &str| scenario.tags.iter().any(|found| found == tag);
    for attempt in 1..=options.repeat.max(1) {
        let phases: [Box<dyn Fn(&Listed) -> bool>; 3] = [
            Box::new(|scenario| tagged(scenario, BEFORE_ALL)),
            Box::new(|scenario| !tagged(scenario, BEFORE_ALL) && !tagged(scenario, AFTER_ALL)),
            Box::new(|scenario| tagged(scenario, AFTER_ALL)),
        ];
        for phase in phases {
            let selected: HashSet<(String, usize)> = runnable
                .iter()
                .filter(|scenario| phase(scenario))
                .map(|scenario| (scenario.feature.clone(), scenario.line))
                .collect();
            if !selected.is_empty() {
                play(options, gate, attempt, selected, on_end.clone()).await?;
            }
        }
    }
    let played: HashSet<ScenarioKey> = gate
        .recorder
        .scenarios()
        .into_iter()
        .map(|result| result.key)
        .collect();
    for scenario in listed {
        let line = u32::try_from(scenario.line).unwrap_or(u32::MAX);
        if !played
            .iter()
            .any(|key| key.scenario == scenario.id && key.line == line)
        {
            anyhow::bail!(
                "{} ({}:{}) was selected and never played (E-7)",
                scenario.id,
                scenario.file,
                scenario.line
            );
        }
    }
    Ok(())
}

async fn play(
    options: &Options,
    gate: &Arc<Gate>,
    attempt: u32,
    selected: HashSet<(String, usize)>,
    on_end: OnEnd,
) -> anyhow::Result<()> {
    let writer = EvidenceWriter::new(gate.clone(), attempt, on_end);
    let parse_errors = writer.parse_errors.clone();
    let turns = gate
        .null
        .as_ref()
        .is_some_and(|null| matches!(null, NullPlay::FromTheTurn(_)));
    GateWorld::cucumber::<PathBuf>()
        .with_parser(Turning::new(turns))
        .max_concurrent_scenarios(options.jobs)
        .before(move |feature, _, scenario, world| {
            world.key = key_of(feature, scenario, attempt);
            Box::pin(async {})
        })
        .after(|_, _, _, _, world| Box::pin(give_back(world)))
        .with_writer(writer)
        .with_default_cli()
        .filter_run(options.features.clone(), move |feature, _, scenario| {
            let name = feature
                .path
                .as_deref()
                .map(selection::feature_name)
                .unwrap_or_default();
            selected.contains(&(name, scenario.position.line))
        })
        .await;
    let errors = parse_errors
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(error) = errors.first() {
        anyhow::bail!("a feature file is not valid: {error}");
    }
    Ok(())
}

/// Ends what a scenario leaves running, and the platforms that it leased.
pub(crate) async fn give_back(world: Option<&mut GateWorld>) {
    let Some(world) = world else { return };
    let gate = world.gate.clone();
    if gate.null.is_none() {
        world.cancel_the_rest().await;
        if let Err(error) = special_runs::remove_live_environment(world).await {
            tracing::warn!(%error, "a live environment of a scenario stays");
        }
    }
    for platform in world.leased() {
        // What a null leaves goes down with its target.
        if gate.null.is_some() {
            platform.close().await;
        } else {
            gate.platforms.give_back(platform).await;
        }
    }
}

fn not_played(scenario: &Listed) -> ScenarioResult {
    let (state, reason) = match &scenario.verdict {
        Eligibility::Runs => (ScenarioState::Skipped, "it was not played".to_owned()),
        Eligibility::Waiting(tag) => (
            ScenarioState::Waiting,
            format!("@{tag}: its subject is not built yet"),
        ),
        Eligibility::NotProvableHere(tag) => (
            ScenarioState::NotProvableHere,
            format!("@{tag}: this target cannot show it"),
        ),
    };
    let now = Utc::now();
    ScenarioResult {
        key: ScenarioKey::new(
            scenario.id.clone(),
            u32::try_from(scenario.line).unwrap_or(u32::MAX),
        ),
        feature: scenario.feature.clone(),
        file: scenario.file.clone(),
        name: scenario.name.clone(),
        tags: scenario.tags.clone(),
        state,
        reason: Some(reason),
        steps: Vec::new(),
        runs: Vec::new(),
        repositories: Vec::new(),
        instance: String::new(),
        kept: Vec::new(),
        announced: Vec::new(),
        started_at: now,
        finished_at: now,
    }
}
