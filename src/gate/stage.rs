//! A target that is up, and plays on it: what the sweeps have in common.

use std::{sync::Arc, time::Instant};

use reports::evidence::{Recorder, ScenarioResult, ScenarioState};
use steps::{
    Options,
    delivery_play::{self, Disturbance, Play, Plays, Taken},
};

use super::{
    Failure, Interrupt,
    session::{clean_up_after, take_down},
    target::{Running, Wanted, bring_up},
};
use crate::progress::Reporter;

/// Brings a target up for plays. What was begun of one that does not come up is cleaned up.
///
/// # Errors
/// When it does not come up, or the person asks to stop.
pub async fn raise(
    recorder: &Recorder,
    wanted: impl Into<Wanted>,
    reporter: &Reporter,
    stop: &mut Interrupt,
) -> Result<Running, Failure> {
    let run_id = recorder.gate_run_id();
    let running = tokio::select! {
        running = bring_up(run_id, recorder.clone(), reporter, wanted.into()) => running,
        _ = stop.asked() => Err(Failure::Interrupted),
    };
    if running.is_err() {
        clean_up_after(run_id).await;
    }
    running
}

/// Takes down what was raised.
///
/// # Errors
/// When something of it is left.
pub async fn lower(running: Running, reporter: &Reporter) -> Result<(), Failure> {
    let recorder = running.gate.recorder.clone();
    let down = take_down(running, reporter).await;
    if down.is_err() {
        clean_up_after(recorder.gate_run_id()).await;
    }
    if !down?.ok {
        return Err(Failure::from(anyhow::anyhow!(
            "failed to take the target down: something is left; run `gonogo cleanup`"
        )));
    }
    Ok(())
}

/// A target that is up, and how plays are made on it.
pub struct Stage<'a> {
    pub running: &'a Running,
    pub options: &'a Options,
    pub reporter: &'a Reporter,
}

impl Stage<'_> {
    /// Plays all that is wanted, numbered from `first`; what each left, or why it broke off.
    ///
    /// # Errors
    /// When the plays could not be made, or the person asks to stop.
    pub async fn play<'b>(
        &self,
        what: &str,
        wanted: impl Iterator<Item = (&'b str, u32, Disturbance)>,
        first: u32,
        stop: &mut Interrupt,
    ) -> Result<Vec<Result<Taken, String>>, Failure> {
        let list: Vec<Play> = wanted
            .zip(first..)
            .map(|((feature, line, disturbance), number)| Play {
                number,
                feature: feature.to_owned(),
                line: line as usize,
                disturbance,
            })
            .collect();
        if list.is_empty() {
            return Ok(Vec::new());
        }
        let count = list.len();
        self.reporter.line(&format!("{count} plays {what}"));
        self.reporter.expect_scenarios(count);
        let plays = Arc::new(Plays::new(list));
        let tell = {
            let reporter = self.reporter.clone();
            let plays = plays.clone();
            Arc::new(move |result: &ScenarioResult| {
                reporter.played(result);
                if result.state == ScenarioState::Failed {
                    let disturbance = plays.disturbance(result.key.attempt);
                    let what = disturbance.map(ToString::to_string).unwrap_or_default();
                    let why = result.reason.as_deref().unwrap_or("no reason is known");
                    reporter.line(&format!("      {what}: {why}"));
                }
            })
        };
        let began = Instant::now();
        let gate = self.running.gate.clone();
        let played = tokio::select! {
            played = delivery_play::run(self.options, gate, plays.clone(), tell) => played.map_err(Failure::from),
            _ = stop.asked() => Err(Failure::Interrupted),
            error = self.running.target.ended() => Err(anyhow::Error::from(error).into()),
        };
        if played.is_err() {
            steps::world::uninstall();
        }
        played?;
        self.running.target.check_space().map_err(super::failure)?;
        self.reporter.line(&format!(
            "  {count} plays in {:.0} s",
            began.elapsed().as_secs_f64()
        ));
        let results = self.running.gate.recorder.scenarios();
        Ok((first..)
            .take(count)
            .map(|number| {
                plays.taken(number).ok_or_else(|| {
                    results
                        .iter()
                        .find(|result| result.key.attempt == number)
                        .and_then(|result| result.reason.clone())
                        .unwrap_or_else(|| "it left nothing".to_owned())
                })
            })
            .collect())
    }
}
