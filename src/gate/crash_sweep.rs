//! The crash sweep from end to end (E-44): two plays of each story to know its points and its end state, a play for
//! each kill that the seed chooses, and the judgement.

use std::path::PathBuf;

use anyhow::Context;
use reports::{
    crash_matrix::{CrashPoint, CrashSweep, DeathPlay, choose, judge, matrix_html, points},
    delivery_algebra::{Comparison, EndState, compare},
    evidence::Recorder,
};
use steps::{
    Options,
    delivery_play::{Disturbance, Taken},
    selection::{Eligibility, Listed},
};

use super::{
    Failure, Interrupt,
    revision::Revision,
    session::{all_capabilities, capabilities_of},
    stage::{Stage, lower, raise},
    target::Program,
};
use crate::progress::Reporter;

/// What a sweep is asked for.
#[derive(Clone, Debug)]
pub struct CrashRequest {
    pub features: PathBuf,
    pub tags: String,
    pub jobs: usize,
    pub seed: u64,
    /// At most so many kills; all when absent.
    pub kills: Option<usize>,
    /// Part of the names of transitions to kill at; any when absent.
    pub point: Option<String>,
    /// Folder for all that is kept.
    pub out: PathBuf,
}

/// Plays, kills and judges.
///
/// # Errors
/// When the sweep could not do its work.
pub async fn sweep_crashes(
    request: &CrashRequest,
    reporter: &Reporter,
) -> Result<CrashSweep, Failure> {
    let mut options = Options {
        features: request.features.clone(),
        tags: Some(request.tags.clone()),
        jobs: request.jobs,
        repeat: 1,
        capabilities: all_capabilities(),
        only: None,
    };
    let stories =
        steps::runner::plan(&options).map_err(|error| Failure::Usage(format!("{error:#}")))?;
    let revision = Revision::checked_out().await?;
    let mut stop = Interrupt::listen().context("failed to listen for signals")?;
    let recorder = Recorder::create(&request.out.join("plays"), &bootstrap::runs::new_run_id())
        .context("failed to open a folder for the journals of the sweep")?;
    let running = raise(&recorder, Program::Failpoints, reporter, &mut stop).await?;
    options.capabilities = capabilities_of(&running);
    let stage = Stage {
        running: &running,
        options: &options,
        reporter,
    };
    let swept = sweep(request, &stage, &stories, &mut stop).await;
    let down = lower(running, reporter).await;
    let swept = swept?.played_on(&revision.commit, revision.dirty);
    down?;
    let text = serde_json::to_string_pretty(&swept).context("failed to encode the sweep")?;
    std::fs::write(request.out.join("crash-sweep.json"), text)
        .and_then(|()| std::fs::write(request.out.join("crash-matrix.html"), matrix_html(&swept)))
        .context("failed to write what became of the kills")?;
    Ok(swept)
}

/// A story whose two plays without a death agree.
struct Known<'a> {
    story: &'a Listed,
    expected: EndState,
    points: Vec<CrashPoint>,
}

async fn sweep(
    request: &CrashRequest,
    stage: &Stage<'_>,
    stories: &[Listed],
    stop: &mut Interrupt,
) -> Result<CrashSweep, Failure> {
    let line_of = |story: &Listed| u32::try_from(story.line).unwrap_or(u32::MAX);
    let runs = |story: &&Listed| story.verdict == Eligibility::Runs;
    let mut left_out: Vec<String> = stories
        .iter()
        .filter(|story| !runs(story))
        .map(|story| format!("{} ({}) cannot be played here", story.id, story.key()))
        .collect();
    let stories: Vec<&Listed> = stories.iter().filter(runs).collect();
    let twice = stories.iter().flat_map(|story| [story, story]);
    let wanted = twice.map(|story| {
        (
            story.feature.as_str(),
            line_of(story),
            Disturbance::Death(None),
        )
    });
    let plays = stage.play("without a death", wanted, 1, stop).await?;
    let mut known = Vec::new();
    for (story, two) in stories.iter().zip(plays.chunks(2)) {
        match base(story, two) {
            Ok(found) => known.push(found),
            Err(why) => left_out.push(format!("{} ({}): {why}", story.id, story.key())),
        }
    }
    let all: Vec<(String, CrashPoint)> = known
        .iter()
        .flat_map(|found| {
            let key = found.story.key();
            found
                .points
                .iter()
                .filter(|point| {
                    let part = request.point.as_deref().unwrap_or_default();
                    point.transition.contains(part)
                })
                .map(move |point| (key.clone(), point.clone()))
        })
        .collect();
    let possible = all.len();
    let chosen = choose(all, request.seed, request.kills.unwrap_or(possible));
    let of = |key: &str| {
        known
            .iter()
            .find(|found| found.story.key() == key)
            .expect("a kill is of a story that is known")
    };
    let wanted = chosen.iter().map(|(key, point)| {
        let story = of(key).story;
        (
            story.feature.as_str(),
            line_of(story),
            Disturbance::Death(Some(point.clone())),
        )
    });
    let first = u32::try_from(plays.len()).unwrap_or(u32::MAX) + 1;
    let played = stage.play("with a death", wanted, first, stop).await?;
    let (mut cells, mut not_reached) = (Vec::new(), Vec::new());
    for ((key, point), played) in chosen.into_iter().zip(played) {
        let found = of(&key);
        match death_of(played) {
            Some(play) => cells.push(judge(
                (&found.story.id, line_of(found.story)),
                &point,
                &found.expected,
                play,
            )),
            None => not_reached.push((found.story.id.clone(), point)),
        }
    }
    Ok(CrashSweep::new(
        request.seed,
        possible,
        cells,
        not_reached,
        left_out,
    ))
}

/// What a story comes to and by which points, when its two plays agree and the oracle finds nothing in them.
fn base<'a>(story: &'a Listed, plays: &[Result<Taken, String>]) -> Result<Known<'a>, String> {
    let [first, second] = plays else {
        return Err("it was not played twice".to_owned());
    };
    let taken = |play: &Result<Taken, String>| {
        play.clone()
            .map_err(|why| format!("it broke without a death: {why}"))
    };
    let (first, second) = (taken(first)?, taken(second)?);
    if let Comparison::Different { differences } = compare(&first.end, &second.end) {
        return Err(format!(
            "two plays without a death end differently: {}",
            differences.join("; ")
        ));
    }
    let death = first.death.ok_or("its play had no failpoints".to_owned())?;
    let faults: Vec<String> = second
        .death
        .into_iter()
        .flat_map(|second| second.faults)
        .chain(death.faults)
        .collect();
    if !faults.is_empty() {
        return Err(format!(
            "without a death something is wrong: {}",
            faults.join("; ")
        ));
    }
    let points = points(&death.journal);
    if points.is_empty() {
        return Err("its play came by no point".to_owned());
    }
    Ok(Known {
        story,
        expected: first.end,
        points,
    })
}

/// What a play with a death left; none when it came to its end and nobody died.
fn death_of(played: Result<Taken, String>) -> Option<DeathPlay> {
    match played {
        Err(why) => Some(DeathPlay {
            process: "unknown".to_owned(),
            state: "unknown".to_owned(),
            takeover_ms: None,
            faults: Vec::new(),
            end: Err(why),
        }),
        Ok(taken) => {
            let left = taken.death?;
            let death = left.death?;
            Some(DeathPlay {
                process: death.process,
                state: death.state,
                takeover_ms: death.takeover_ms,
                faults: left.faults,
                end: Ok(taken.end),
            })
        }
    }
}
