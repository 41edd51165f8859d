//! Platform time, moved forward (D-7, E-4).

use cucumber::when;

use crate::world::{GateWorld, Step};

#[when(expr = "{int} hours pass")]
async fn hours_pass(world: &mut GateWorld, hours: u64) -> Step {
    Ok(world.platform().advance_clock(hours * 60 * 60).await?)
}

#[when(expr = "{int} minutes pass")]
async fn minutes_pass(world: &mut GateWorld, minutes: u64) -> Step {
    Ok(world.platform().advance_clock(minutes * 60).await?)
}

#[when(expr = "{int} hours pass on the first platform only")]
async fn hours_pass_on_first(world: &mut GateWorld, hours: u64) -> Step {
    Ok(world.platform().advance_clock(hours * 60 * 60).await?)
}
