//! One run of the features against a null orchestrator: up, play, keep the journals, down. Nothing is judged here.

use std::{path::Path, sync::Arc, time::Instant};

use anyhow::Context;
use reports::{
    evidence::{Recorder, ScenarioResult},
    null_check::Null,
};
use steps::Options;

use super::{
    Failure, collect,
    interrupt::Interrupt,
    session::capabilities_of,
    stage::{lower, raise},
    target::{Program, Running},
};
use crate::progress::Reporter;

/// Plays the selection against `null` and returns how each scenario ended.
///
/// # Errors
/// When the target does not come up or leaves something behind, when a scenario was not played, or when the person
/// stops it.
pub async fn play(
    null: Null,
    options: &Options,
    folder: &Path,
    reporter: &Reporter,
    stop: &mut Interrupt,
) -> Result<Vec<ScenarioResult>, Failure> {
    let recorder = Recorder::create(folder, &bootstrap::runs::new_run_id())
        .context("failed to open a folder for the journals of the null check")?;
    let running = raise(&recorder, Program::Null(null), reporter, stop).await?;
    let began = Instant::now();
    let played = play_on(&running, options, reporter, stop).await;
    let took = began.elapsed().as_secs_f64();
    // The journals are for people who look into a finding; without them the check still says what it says.
    if let Err(error) = collect::journals(&running, &recorder).await {
        reporter.line(&format!("  journals are incomplete: {error:#}"));
    }
    let down = lower(running, reporter).await;
    played?;
    down?;
    reporter.line(&format!("  ({}) played in {took:.0} s", null.letter()));
    Ok(recorder.scenarios())
}

async fn play_on(
    running: &Running,
    options: &Options,
    reporter: &Reporter,
    stop: &mut Interrupt,
) -> Result<(), Failure> {
    let options = Options {
        capabilities: capabilities_of(running),
        ..options.clone()
    };
    let tell = {
        let reporter = reporter.clone();
        Arc::new(move |result: &ScenarioResult| reporter.played(result))
    };
    let played = tokio::select! {
        played = steps::run(&options, running.gate.clone(), tell) => played.map_err(Failure::from),
        _ = stop.asked() => Err(Failure::Interrupted),
        error = running.target.ended() => Err(anyhow::Error::from(error).into()),
    };
    if played.is_err() {
        steps::world::uninstall();
    }
    played?;
    running.target.check_space().map_err(super::failure)
}
