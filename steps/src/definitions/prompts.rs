//! Which prompt an agent gets, and in which language.

use anyhow::Context;
use cucumber::{given, then};
use reports::evidence::ObservationSource::{Github, Postgres};
use serde_json::Value;

use crate::{
    definitions::{
        comments::{STATUS_MARKER, await_comment, body},
        outcome::await_event,
        setup,
    },
    world::{GateWorld, Step, text},
};

const ASSEMBLED: &str = "prompt.context.assembled";

#[given(expr = "a platform whose agents speak {string}")]
async fn speaks(world: &mut GateWorld, language: String) -> Step {
    setup::configured(
        world,
        [("CODEXK8S_AGENT_DEFAULT_LOCALE", language.as_str())],
    )
    .await
}

#[then(expr = "the prompt is {string} in {string}")]
async fn prompt_is(
    world: &mut GateWorld,
    seed: String,
    language: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let assembled = await_event(world, ASSEMBLED).await?;
    observe(world, &assembled, &seed, &language)
}

#[then(expr = "the prompt of the run before is {string} in {string}")]
async fn prompt_before_is(
    world: &mut GateWorld,
    seed: String,
    language: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let before = world
        .previous_run
        .clone()
        .context("there is no run before")?;
    let database = &world.platform().database;
    let events = database.events_of_run(&text(&before, "id")?).await?;
    let assembled = events
        .into_iter()
        .find(|event| event["event_type"] == ASSEMBLED)
        .unwrap_or_default();
    observe(world, &assembled, &seed, &language)
}

fn observe(world: &mut GateWorld, assembled: &Value, seed: &str, language: &str) -> Step {
    let part = |name: &str| {
        assembled["payload"][name]
            .as_str()
            .unwrap_or("-")
            .to_owned()
    };
    world.equal(
        &["R-79", "L-13"],
        Postgres,
        "seed and language of the prompt",
        "flow_events prompt.context.assembled of the run",
        format!("repo_seed:{seed}_{language} in {language}"),
        format!("{} in {}", part("template_source"), part("template_locale")),
    )?;
    Ok(())
}

#[then(expr = "the status comment is written in {string}")]
async fn comment_in(world: &mut GateWorld, language: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let issue = world.place()?.issue;
    let comments = await_comment(world, issue, "the status comment", |body| {
        body.contains(STATUS_MARKER)
    })
    .await?;
    let visible: String = comments
        .iter()
        .flat_map(|comment| body(comment).lines())
        .filter(|line| !line.starts_with("<!--"))
        .collect();
    let is_russian = visible.chars().any(|letter| ('а'..='я').contains(&letter));
    world.equal(
        &["L-13", "L-104"],
        Github,
        "language of what people read in the status comment",
        "GET /repos/…/issues/…/comments",
        language,
        if is_russian { "ru" } else { "en" }.to_owned(),
    )?;
    Ok(())
}
