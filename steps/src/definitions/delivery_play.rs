//! What a scenario that is played again says in place of its `Then`s (E-45) and before its first `When` (E-44); no
//! feature file says it.

use cucumber::given;

use crate::{
    crash_play,
    delivery_play::{finish, rest},
    world::{GateWorld, Step},
};

#[given("the platform has come to rest")]
async fn at_rest(world: &mut GateWorld) -> Step {
    Ok(rest(world).await?)
}

#[given("a process may die from now on")]
async fn armed(world: &mut GateWorld) -> Step {
    Ok(crash_play::arm(world).await?)
}

#[given("the end state is taken")]
async fn end_state(world: &mut GateWorld) -> Step {
    Ok(finish(world).await?)
}
