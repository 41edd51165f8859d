//! One run of the gate from end to end: up, play, collect, down, judge.

mod collect;
mod failure;
mod interrupt;
mod session;
mod target;

pub use failure::Failure;
pub use interrupt::asked_to_stop;
pub use session::{Request, Verdict, run};
pub use target::{Running, bring_up, failure};
