//! Health of the platform's processes, and what the edge may hold.

use anyhow::Context;
use cucumber::{given, then, when};
use reports::evidence::ObservationSource::{Gate, Orchestrator, Process};

use crate::world::{GateWorld, Step};

#[given("a target that is up")]
async fn target_is_up(world: &mut GateWorld) -> Step {
    world.platform();
    Ok(())
}

#[given("all other features have ended")]
async fn features_have_ended(world: &mut GateWorld) -> Step {
    world.platform();
    Ok(())
}

#[when("the health of every process is read")]
async fn health_is_read(world: &mut GateWorld) -> Step {
    let lines = world.platform().health().await?;
    world
        .remembered
        .insert("health".to_owned(), lines.join("\n"));
    Ok(())
}

#[then("every process is alive and ready and reports the checked out revision")]
async fn all_healthy(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let health = world
        .remembered
        .get("health")
        .cloned()
        .context("the health was not read")?;
    let state = format!("200 200 {} dirty={}", world.gate.revision, world.gate.dirty);
    for process in ["gateway", "control-plane", "worker"] {
        let seen: Vec<_> = health
            .lines()
            .filter(|line| line.starts_with(process))
            .map(|line| line.split_once(": ").map_or("-", |(_, state)| state))
            .collect();
        let ok = !seen.is_empty() && seen.iter().all(|line| *line == state);
        world.holds(
            &["R-163", "R-178", "R-179", "E-43"],
            Orchestrator,
            &format!("health of every {process}"),
            "GET /healthz, /readyz",
            &state,
            seen.join("; "),
            ok,
        )?;
    }
    Ok(())
}

#[then("every restart in between was announced by a scenario")]
async fn restarts_announced(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let restarts = world
        .platform()
        .unannounced_exits(&world.gate.announced_restarts());
    world.equal(
        &["E-13", "R-163"],
        Process,
        "exits of the common platform's processes",
        "process supervision of the gate",
        "none unannounced",
        if restarts.is_empty() {
            "none unannounced".to_owned()
        } else {
            restarts.join(", ")
        },
    )?;
    Ok(())
}

#[when("the gateway's environment and connections are read")]
async fn gateway_is_read(world: &mut GateWorld) -> Step {
    let platform = world.platform();
    for process in ["gateway", "control-plane"] {
        let facts = platform.process_facts(process).await?;
        world.remembered.insert(process.to_owned(), facts);
    }
    Ok(())
}

#[then(
    "it holds no database credential and no connection to Postgres, though the control plane does"
)]
async fn thin_edge(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let facts = |process: &str| {
        world
            .remembered
            .get(process)
            .cloned()
            .context("the process was not read")
    };
    world.equal(
        &["DU-12", "D-1"],
        Process,
        "gateway",
        "/proc/<pid>/environ, /proc/<pid>/net/tcp",
        "database credential: false, connections to Postgres: false",
        facts("gateway")?,
    )?;
    world.equal(
        &["DU-12"],
        Process,
        "control plane",
        "/proc/<pid>/environ, /proc/<pid>/net/tcp",
        "database credential: true, connections to Postgres: true",
        facts("control-plane")?,
    )?;
    Ok(())
}

#[then("the logs of the platform hold no secret, though the search finds a planted one")]
async fn no_secret_in_logs(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let platform = world.platform();
    let logs = platform.logs().await?;
    let canaries = platform.secret_values();
    let found: Vec<_> = canaries
        .iter()
        .filter(|(_, value)| logs.contains(value.as_str()))
        .map(|(name, _)| name.clone())
        .collect();
    world.holds(
        &["L-26"],
        Process,
        "logs of the platform",
        "all log files of the lane, searched for every secret handed to it",
        "no secret, and some text was searched",
        format!(
            "{} bytes searched for {} secrets; found: [{}]",
            logs.len(),
            canaries.len(),
            found.join(", ")
        ),
        found.is_empty() && !logs.is_empty() && !canaries.is_empty(),
    )?;
    let planted = canaries
        .first()
        .map(|(_, value)| format!("{logs} {value}"))
        .unwrap_or_default();
    let finds = canaries
        .first()
        .is_some_and(|(_, value)| planted.contains(value.as_str()));
    world.holds(
        &["E-24"],
        Gate,
        "search with a planted secret",
        "the same search over the same text with one secret added",
        "found",
        if finds { "found" } else { "not found" },
        finds,
    )?;
    Ok(())
}
