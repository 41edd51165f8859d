//! A target that is up, and plays on it: what the sweeps have in common.

use std::{sync::Arc, time::Instant};

use reports::evidence::{ScenarioResult, ScenarioState};
use steps::{
    Options,
    delivery_play::{self, Disturbance, Play, Plays, Taken},
};

use super::{Failure, Interrupt, target::Running};
use crate::progress::Reporter;

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
