//! Runs plays side by side, as the runner runs scenarios.
use std::{path::PathBuf, sync::Arc};

use cucumber::World as _;

use super::{Plays, parser::Replaying};
use crate::{
    crash_play,
    runner::{Options, give_back},
    world::{Gate, GateWorld, install, uninstall},
    writer::{EvidenceWriter, OnEnd, key_of},
};

/// Plays everything once and records each result under the number of its play as the attempt. The future is not
/// `Send`: block on it.
///
/// # Errors
/// When a feature file is broken, or a play was never played.
pub async fn run(
    options: &Options,
    gate: Arc<Gate>,
    plays: Arc<Plays>,
    on_end: OnEnd,
) -> anyhow::Result<()> {
    install(gate.clone())?;
    gate.set_plays(Some(plays.clone()));
    let before = gate.recorder.scenarios().len();
    let played = play(options, &gate, plays.clone(), on_end).await;
    gate.set_plays(None);
    uninstall();
    played?;
    let played = gate.recorder.scenarios().len() - before;
    anyhow::ensure!(
        played == plays.len(),
        "{} plays were asked for and {played} were played (E-7)",
        plays.len()
    );
    Ok(())
}

async fn play(
    options: &Options,
    gate: &Arc<Gate>,
    plays: Arc<Plays>,
    on_end: OnEnd,
) -> anyhow::Result<()> {
    let writer = EvidenceWriter::new(gate.clone(), 1, on_end);
    let parse_errors = writer.parse_errors.clone();
    GateWorld::cucumber::<PathBuf>()
        .with_parser(Replaying::new(plays))
        .max_concurrent_scenarios(options.jobs)
        .before(|feature, _, scenario, world| {
            world.key = key_of(feature, scenario, 1);
            Box::pin(async {
                crash_play::begin(world)
                    .await
                    .expect("a play with a death has a platform of its own");
            })
        })
        .after(|_, _, _, _, world| Box::pin(give_back(world)))
        .with_writer(writer)
        .with_default_cli()
        .filter_run(options.features.clone(), |_, _, _| true)
        .await;
    let errors = parse_errors
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(error) = errors.first() {
        anyhow::bail!("a feature file is not valid: {error}");
    }
    Ok(())
}
