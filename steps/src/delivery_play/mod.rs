//! Playing a scenario again while something happens to one of its deliveries (E-45).
//!
//! The scenario's own `Given`s and `When`s act on a fresh repository; its `Then`s give way to waiting until the
//! platform rests, and to one reading of the whole end state. GitHub's stand-in applies the transform; the platform
//! is played on as in any other run and knows of nothing.
mod parser;
mod plays;
mod reading;
mod rest;
mod run;

pub(crate) use parser::number_in;
pub use plays::{Disturbance, Play, Plays, Taken};
pub(crate) use plays::{begin, finish, let_go, let_go_newest};
pub(crate) use rest::rest;
pub use run::run;
