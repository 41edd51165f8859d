//! The rest of the platform that a transform is judged at.
use std::time::Duration;

use crate::{rest::Rest, world::GateWorld};

/// Longest wait for all that a person's act leads to, on a machine that plays many scenarios at once.
const REST_DEADLINE: Duration = Duration::from_secs(240);

/// Waits until the platform rests, with what a transform keeps left out.
pub(crate) async fn rest(world: &mut GateWorld) -> anyhow::Result<()> {
    let repository = world.place()?.repository;
    let platform = world.platform();
    let gate = world.gate.clone();
    // An agent that waits for a word that was given is at work.
    let signal = world.remembered.get("signal");
    let agents_wait = signal.is_some_and(|file| !std::path::Path::new(file).exists());
    let rest = Rest {
        platform: &platform,
        github: &gate.github,
        repository: &repository,
        with_runs: false,
        agents_wait,
        held: &|| gate.plays()?.held(&gate.github, &repository),
    };
    rest.reached(REST_DEADLINE).await
}
