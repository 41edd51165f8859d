//! The turn from the product to a null orchestrator (E-40); no feature file says it.

use anyhow::Context;
use cucumber::given;

use crate::world::{GateWorld, Step};

#[given("the orchestrator does less from here on")]
async fn turn(world: &mut GateWorld) -> Step {
    Ok(world
        .meet_null()
        .context("failed to turn to the null orchestrator")?)
}
