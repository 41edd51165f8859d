//! The delivery sweep from end to end (E-45): a healthy run to know which scenarios pass, two plays of each to know
//! its deliveries and its end state, the plays that the seed chooses, and the judgement.

use std::path::{Path, PathBuf};

use anyhow::Context;
use fixtures::github::EntryKind;
use reports::{
    delivery_algebra::{
        Cell, Comparison, JournaledDelivery, JudgedCell, Played, ScenarioBase, Sweep,
        SweptScenarios, cells, choose, compare, judge, sample,
    },
    evidence::{Recorder, ScenarioResult, ScenarioState},
    journals::GithubCertificate,
};
use steps::{
    Options,
    delivery_play::{Disturbance, Taken},
};

use super::{
    Failure, Interrupt, collect,
    healthy::Compared,
    session::{all_capabilities, capabilities_of},
    stage::{Stage, lower, raise},
    target::{Program, Running},
};
use crate::progress::Reporter;

/// What a sweep is asked for.
#[derive(Clone, Debug)]
pub struct SweepRequest {
    pub features: PathBuf,
    pub tags: Option<String>,
    pub jobs: usize,
    pub seed: u64,
    /// At most so many transformed plays; all when absent.
    pub plays: Option<usize>,
    /// Bundle of a healthy run of the same revision; one is played when absent.
    pub reference: Option<PathBuf>,
    /// Folder for all that is kept.
    pub out: PathBuf,
}

/// Plays and judges.
///
/// # Errors
/// When the sweep could not do its work.
pub async fn sweep_deliveries(
    request: &SweepRequest,
    reporter: &Reporter,
) -> Result<Sweep, Failure> {
    let mut options = Options {
        features: request.features.clone(),
        tags: request.tags.clone(),
        jobs: request.jobs,
        repeat: 1,
        capabilities: all_capabilities(),
        only: None,
    };
    let Compared {
        results, mut stop, ..
    } = Compared::with_healthy(
        &options,
        request.reference.as_deref(),
        &request.out,
        reporter,
    )
    .await?;
    let (passed, others): (Vec<_>, Vec<_>) = results
        .into_iter()
        .partition(|result| result.state == ScenarioState::Passed);
    // What waits or cannot be proven here has no end to compare with.
    let mut left_out: Vec<String> = others
        .iter()
        .filter(|result| {
            !matches!(
                result.state,
                ScenarioState::Waiting | ScenarioState::NotProvableHere
            )
        })
        .map(|result| format!("{}: {}", name(result), result.state.title()))
        .collect();

    let (not_swept, passed): (Vec<_>, Vec<_>) = passed
        .into_iter()
        .partition(|result| why_not_swept(result).is_some());
    let not_swept = not_swept
        .iter()
        .filter_map(|result| Some(format!("{}: {}", name(result), why_not_swept(result)?)))
        .collect();
    let scenarios = passed.len();
    let most = request.plays.unwrap_or(scenarios);
    let passed = sample(passed, request.seed, most, |result| {
        format!("{}:{}", result.key.scenario, result.key.line)
    });
    let sample = SweptScenarios {
        scenarios,
        sampled: passed.len(),
        not_swept,
    };

    let recorder = Recorder::create(&request.out.join("plays"), &bootstrap::runs::new_run_id())
        .context("failed to open a folder for the journals of the sweep")?;
    let running = raise(&recorder, Program::Product, reporter, &mut stop).await?;
    options.capabilities = capabilities_of(&running);
    let stage = Stage {
        running: &running,
        options: &options,
        reporter,
    };
    let swept = sweep(request, &stage, &passed, &mut left_out, &mut stop).await;
    match collect::journals(&running, &recorder).await {
        Ok(_) => left_out.extend(doubts(&running, &request.out.join("plays"))),
        Err(error) => left_out.push(format!("evidence: the journals are incomplete: {error:#}")),
    }
    let down = lower(running, reporter).await;
    let swept = swept?;
    down?;
    let sweep = Sweep::new(
        request.seed,
        sample,
        swept.possible,
        (left_out, swept.unsteady),
        swept.judged,
    );
    let text = serde_json::to_string_pretty(&sweep).context("failed to encode the sweep")?;
    std::fs::write(request.out.join("delivery-sweep.json"), text)
        .context("failed to write delivery-sweep.json")?;
    Ok(sweep)
}

/// Steps of scenarios that have no end state to compare, and why.
const NOT_SWEPT: [(&str, &str); 4] = [
    (
        "everybody who takes part in the",
        "each move of a walk presumes what came of the one before",
    ),
    (
        "hours pass",
        "what the passed time brings about is on record only when it is done",
    ),
    (
        "whose agent talks",
        "a discussion listens until somebody ends it",
    ),
    (
        "GitHub has failed once and",
        "an effect waits for the time that the scenario lets pass",
    ),
];

fn why_not_swept(result: &ScenarioResult) -> Option<&'static str> {
    let says = |words: &str| result.steps.iter().any(|step| step.text.contains(words));
    NOT_SWEPT
        .iter()
        .find(|(words, _)| says(words))
        .map(|(_, why)| *why)
}

/// What a scenario does when nothing happens to its deliveries.
struct Known {
    feature: String,
    base: ScenarioBase,
    cells: Vec<Cell>,
    /// Deliveries that only one of its two plays had.
    unsteady: Vec<String>,
}

/// What a sweep found.
struct Swept {
    possible: usize,
    unsteady: Vec<String>,
    judged: Vec<JudgedCell>,
}

async fn sweep(
    request: &SweepRequest,
    stage: &Stage<'_>,
    passed: &[ScenarioResult],
    left_out: &mut Vec<String>,
    stop: &mut Interrupt,
) -> Result<Swept, Failure> {
    let twice = passed.iter().flat_map(|result| [result, result]);
    let wanted = twice.map(|result| {
        (
            result.feature.as_str(),
            result.key.line,
            Disturbance::Nothing,
        )
    });
    let plays = stage.play("without a transform", wanted, 1, stop).await?;
    let mut known = Vec::new();
    for (result, two) in passed.iter().zip(plays.chunks(2)) {
        match base(result, two) {
            Ok(found) => known.push(found),
            Err(why) => left_out.push(format!("{}: {why}", name(result))),
        }
    }
    let all: Vec<Cell> = known.iter().flat_map(|found| found.cells.clone()).collect();
    let possible = all.len();
    let chosen = choose(all, request.seed, request.plays.unwrap_or(possible));
    let of = |cell: &Cell| {
        known
            .iter()
            .find(|found| found.base.scenario == cell.scenario && found.base.line == cell.line)
            .expect("a play is of a scenario that is known")
    };
    let wanted = chosen.iter().map(|cell| {
        (
            of(cell).feature.as_str(),
            cell.line,
            Disturbance::Delivery(cell.transform, cell.delivery.clone()),
        )
    });
    let first = u32::try_from(plays.len()).unwrap_or(u32::MAX) + 1;
    let played = stage.play("transformed", wanted, first, stop).await?;
    let judged = chosen
        .iter()
        .zip(played)
        .map(|(cell, played)| judge(cell, request.seed, &of(cell).base, &of_play(played)))
        .collect();
    let unsteady = known
        .iter()
        .flat_map(|found| {
            let id = &found.base.scenario;
            found
                .unsteady
                .iter()
                .map(move |what| format!("{id} {what}"))
        })
        .collect();
    Ok(Swept {
        possible,
        unsteady,
        judged,
    })
}

/// What GitHub would not have answered, or was asked and does not know here: plays on it prove nothing (E-46, E-6).
fn doubts(running: &Running, plays: &Path) -> Vec<String> {
    let certificate = std::fs::read(plays.join("github-certificate.json"))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<GithubCertificate>(&bytes).ok());
    let Some(certificate) = certificate else {
        return vec!["evidence: the stand-in's certificate cannot be read".to_owned()];
    };
    let problems = certificate.problems.iter().map(|problem| {
        format!(
            "evidence: {} {}: {}",
            problem.place, problem.pointer, problem.message
        )
    });
    let routes = certificate.unverified.routes.iter();
    let unverified = routes
        .filter(|route| route.used_by_the_platform())
        .map(|route| format!("evidence: nothing describes {}", route.title()));
    let unknown = running
        .stand_in
        .handle()
        .journal(|entry| entry.kind == EntryKind::UnknownRoute)
        .into_iter()
        .map(|entry| {
            format!(
                "evidence: the stand-in does not know {} {}",
                entry.method.unwrap_or_default(),
                entry.path.unwrap_or_default()
            )
        });
    problems.chain(unverified).chain(unknown).collect()
}

/// The end state that two plays agree on, and the deliveries that both have.
fn base(result: &ScenarioResult, plays: &[Result<Taken, String>]) -> Result<Known, String> {
    let [first, second] = plays else {
        return Err("it was not played twice".to_owned());
    };
    let taken = |play: &Result<Taken, String>| {
        play.clone()
            .map_err(|why| format!("it broke without a transform: {why}"))
    };
    let (first, second) = (taken(first)?, taken(second)?);
    if let Comparison::Different { differences } = compare(&first.end, &second.end) {
        return Err(format!(
            "two plays without a transform end differently: {}",
            differences.join("; ")
        ));
    }
    let odd = second
        .deliveries
        .iter()
        .filter(|delivery| !first.deliveries.contains(delivery));
    let mut unsteady: Vec<String> = odd.map(ToString::to_string).collect();
    let (common, odd): (Vec<JournaledDelivery>, Vec<JournaledDelivery>) = first
        .deliveries
        .into_iter()
        .partition(|delivery| second.deliveries.contains(delivery));
    unsteady.extend(odd.iter().map(ToString::to_string));
    if common.is_empty() {
        return Err("its two plays without a transform have no delivery in common".to_owned());
    }
    Ok(Known {
        feature: result.feature.clone(),
        base: ScenarioBase {
            scenario: result.key.scenario.clone(),
            line: result.key.line,
            expected: first.end,
        },
        cells: cells(&result.key, &common),
        unsteady,
    })
}

fn of_play(play: Result<Taken, String>) -> Played {
    match play {
        Ok(taken) => Played::Ended {
            met: taken.met,
            came_about: taken.came_about,
            before: taken.before,
            end: Box::new(taken.end),
        },
        Err(why) => Played::Broke(why),
    }
}

fn name(result: &ScenarioResult) -> String {
    format!(
        "{} {} ({}.feature:{})",
        result.key.scenario, result.name, result.feature, result.key.line
    )
}
