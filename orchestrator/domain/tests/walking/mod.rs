//! The domain walked beside the reference: a world that does what is decided, errors seeded into it, and the
//! comparison.

#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]

mod compare;
mod deciding;
mod doing;
mod facts;
mod mutation;
mod telling;
mod world;

pub use compare::{Divergence, first_divergence, report, shrunk};
pub use mutation::{Mutation, NO_MUTATION, SEEDED_ERRORS};
pub use world::World;
