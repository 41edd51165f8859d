//! The real agent CLI, seen from the model that it asks.

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use cucumber::{given, then};
use fixtures::{
    model::ModelRequest,
    stories::{self, ModelFault},
};
use reports::evidence::ObservationSource::Model;
use serde_json::Value;

use crate::{
    definitions::setup::{bind, configured},
    world::{GateWorld, Step, text},
};

const JOURNAL: &str = "journal of the model's stand-in: requests of the run";

#[given("a platform with the real agent")]
async fn with_the_real_agent(world: &mut GateWorld) -> Step {
    configured(world, [("CODEXK8S_AGENT_ADAPTER", "codex")]).await
}

#[given(expr = "a bound repository whose model {string} {int} time(s), with an open Issue")]
async fn model_fails(world: &mut GateWorld, how: String, times: u32) -> Step {
    let fault = match how.as_str() {
        "limits the rate" => ModelFault::RateLimited,
        "has an error" => ModelFault::ServerError,
        "breaks off" => ModelFault::CutStream,
        "reports nothing" => ModelFault::NoReport,
        other => return Err(anyhow::anyhow!("no model {other:?}").into()),
    };
    world
        .remembered
        .insert("model fault".to_owned(), fault_in_journal(fault).to_owned());
    Ok(bind(world, stories::develops_despite(fault, times)).await?)
}

/// How the journal tells of a fault.
fn fault_in_journal(fault: ModelFault) -> &'static str {
    match fault {
        ModelFault::RateLimited => "429 Rate limit reached",
        ModelFault::ServerError => "500 The server had an error",
        ModelFault::CutStream => "200 a stream that breaks off",
        ModelFault::NoReport => "200 words that are no report",
    }
}

/// What the model was asked in the turns of a run, oldest first. The first request of a turn comes before the stand-in
/// knows the run, so turns are what belongs together.
fn requests_of(world: &GateWorld, run: &Value) -> anyhow::Result<Vec<ModelRequest>> {
    let id = text(run, "id")?;
    let mut all = world.gate.model.requests();
    let turn = |request: &ModelRequest| (request.session.clone(), request.turns);
    let turns: BTreeSet<_> = all
        .iter()
        .filter(|request| request.run_id.as_deref() == Some(id.as_str()))
        .map(turn)
        .collect();
    if turns.is_empty() {
        bail!("the model was never asked by run {id}");
    }
    all.retain(|request| turns.contains(&turn(request)));
    Ok(all)
}

#[then(expr = "every request to the model asked for {string} with {string} reasoning")]
async fn asked_for(
    world: &mut GateWorld,
    model: String,
    effort: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let run = crate::definitions::outcome::current_run(world).await?;
    let requests = requests_of(world, &run)?;
    let mut seen: Vec<String> = requests
        .iter()
        .map(|request| {
            let effort = request.effort.as_deref().unwrap_or("none");
            format!("{} with {effort} reasoning", request.model)
        })
        .collect();
    seen.dedup();
    world.equal(
        &["R-77", "R-78", "L-14"],
        Model,
        &format!("{} requests", requests.len()),
        JOURNAL,
        format!("{model} with {effort} reasoning"),
        seen.join(", "),
    )?;
    Ok(())
}

#[then("the model was asked in the session of the run before, which then had two turns")]
async fn same_session(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let previous = world
        .previous_run
        .clone()
        .context("there is no run before")?;
    let run = crate::definitions::outcome::current_run(world).await?;
    let words = |request: Option<ModelRequest>| match request {
        Some(request) => format!(
            "session {}, turn {}",
            request.session.as_deref().unwrap_or("-"),
            request.turns
        ),
        None => "no request".to_owned(),
    };
    let before = requests_of(world, &previous)?.into_iter().next();
    let wanted = before.map(|request| ModelRequest {
        turns: request.turns + 1,
        ..request
    });
    let seen = requests_of(world, &run)?.into_iter().next();
    world.equal(
        &["R-92", "L-51"],
        Model,
        "session of the run's first request",
        JOURNAL,
        words(wanted),
        words(seen),
    )?;
    Ok(())
}

#[then(expr = "the model failed {int} time(s) and was asked again")]
async fn asked_again(world: &mut GateWorld, times: usize, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = crate::definitions::outcome::current_run(world).await?;
    let fault = world
        .remembered
        .get("model fault")
        .cloned()
        .context("no model fails here")?;
    let answers: Vec<String> = requests_of(world, &run)?
        .iter()
        .map(|request| format!("{} {}", request.status, request.answer))
        .collect();
    // A missing report is the runner's to ask for, a failing provider the CLI's.
    let rule = match fault == fault_in_journal(ModelFault::NoReport) {
        true => "R-80",
        false => "R-77",
    };
    let failed = answers.iter().filter(|answer| **answer == fault).count();
    let last = answers.last().cloned().unwrap_or_default();
    world.equal(
        &[rule],
        Model,
        "answers of the model to the run",
        JOURNAL,
        format!("{times} times {fault:?}, at last \"200 message\""),
        format!("{failed} times {fault:?}, at last {last:?}"),
    )?;
    Ok(())
}
