//! What takes the place of `Then`s when a scenario is played again (E-45); no feature file says it.

use cucumber::given;

use crate::{
    delivery_play::{finish, rest},
    world::{GateWorld, Step},
};

#[given("the platform has come to rest")]
async fn at_rest(world: &mut GateWorld) -> Step {
    Ok(rest(world).await?)
}

#[given("the end state is taken")]
async fn end_state(world: &mut GateWorld) -> Step {
    Ok(finish(world).await?)
}
