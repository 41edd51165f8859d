//! The rest of the platform that a transform is judged at.
use std::time::Duration;

use crate::{
    crash_play,
    platform::Platform,
    rest::Rest,
    wait::{Reading, until},
    world::GateWorld,
};

/// Longest wait for all that a person's act leads to, on a machine that plays many scenarios at once.
const REST_DEADLINE: Duration = Duration::from_secs(240);

/// Waits until the platform rests, with what a transform keeps left out. A death that comes meanwhile is overcome first.
pub(crate) async fn rest(world: &mut GateWorld) -> anyhow::Result<()> {
    loop {
        if let Err(error) = at_rest(world).await {
            let circumstances = crash_play::circumstances(world).await;
            return Err(error.context(circumstances));
        }
        if !crash_play::has_recovered_meanwhile(world).await? {
            return Ok(());
        }
    }
}

async fn at_rest(world: &mut GateWorld) -> anyhow::Result<()> {
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
    rest.reached(REST_DEADLINE).await?;
    if world.deadly.is_some() {
        swept(&platform).await?;
        // A sweep tells of itself, on GitHub too.
        rest.reached(REST_DEADLINE).await?;
    }
    Ok(())
}

/// Waits until what is past its lease was swept: an end state tells nothing of namespaces, but deaths come there too.
async fn swept(platform: &Platform) -> anyhow::Result<()> {
    let due = "SELECT to_jsonb(namespace) FROM namespace_leases WHERE state <> 'cleaned' AND expires_at <= platform_now()";
    until("the sweep of what is due", REST_DEADLINE, async || {
        let left = platform.database.rows(due, &[]).await?;
        Ok(if left.is_empty() {
            Reading::Reached(())
        } else {
            Reading::NotYet(format!("{left:?}"))
        })
    })
    .await
}
