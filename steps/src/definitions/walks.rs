//! Whole walks of what people and agents do, beside the reference (ST-14).

use anyhow::Context;
use cucumber::{given, then, when};
use reference::{Model, Walk};

use crate::{
    walks::{Ground, Kind, Played},
    world::{GateWorld, Step},
};

#[given(
    expr = "a bound repository with two open Issues and everybody who takes part in the {int} moves of walk {int}"
)]
async fn prepared(world: &mut GateWorld, length: usize, seed: u64) -> Step {
    let walk = Walk::live(seed, length, &Model::of_a_running_system());
    let ground = Ground::prepare(world, &walk).await?;
    world.walk = Some(Played::new(ground, walk));
    Ok(())
}

#[when("they make their moves one after the other")]
async fn played(world: &mut GateWorld) -> Step {
    let walk = world.walk.as_mut().context("there is no walk")?;
    walk.play().await;
    let runs = walk.runs().await?;
    world
        .gate
        .with_facts(&world.key, |facts| facts.runs.extend(runs));
    Ok(())
}

#[then("after each move the platform has answered and commented as the rules say")]
async fn answered(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    Ok(observe(world, &[Kind::Answers, Kind::Comments])?)
}

#[then("the labels of both Issues and of every pull request were as the rules say")]
async fn labelled(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    Ok(observe(world, &[Kind::Labels, Kind::NeedInput])?)
}

#[then("every run had begun, gone on or ended as the rules say")]
async fn ran(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    Ok(observe(world, &[Kind::Runs])?)
}

fn observe(world: &GateWorld, kinds: &[Kind]) -> anyhow::Result<()> {
    let walk = world.walk.as_ref().context("there is no walk")?;
    let of_kinds = walk.compared().iter();
    for one in of_kinds.filter(|one| kinds.contains(&one.kind)) {
        world.equal(
            &one.rules,
            one.kind.source(),
            &one.subject,
            one.kind.query(),
            &one.expected,
            &one.seen,
        )?;
    }
    match walk.stopped() {
        Some(reason) => anyhow::bail!("the walk stopped at {reason}"),
        None => Ok(()),
    }
}
