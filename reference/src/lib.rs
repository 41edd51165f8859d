//! A second opinion on labels, runs and states, written from `docs/spec/labels-and-stages.md` alone.
//!
//! It shares no code with the orchestrator: plain strings and numbers, and tables that are read out of the
//! specification's own text, so a wrong table in the product cannot agree with itself. [`Walk`] draws what people,
//! agents and time do, [`Model`] says what must come of it, and [`View`] is what can be seen from outside after each
//! move. The domain's tests walk beside it in memory, the gate against the running system (ST-14); it needs the
//! standard library only.

mod delivery;
mod forge;
mod guards;
mod live;
mod model;
mod moves;
mod random;
mod states;
mod tables;
mod walk;

pub use forge::{Forge, Place, Pull};
pub use model::{Model, Run, View};
pub use moves::{BOT, Move, PEOPLE, Person, person};
pub use random::Random;
pub use tables::Tables;
pub use walk::Walk;
