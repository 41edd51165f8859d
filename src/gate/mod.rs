//! One run of the gate from end to end: up, play, collect, down, judge.

mod bundle_folder;
mod collect;
mod crash_sweep;
mod delivery_sweep;
mod failure;
mod healthy;
mod interrupt;
mod null_check;
mod null_run;
mod proofs;
mod revision;
mod session;
mod stage;
mod target;

pub use crash_sweep::{CrashRequest, sweep_crashes};
pub use delivery_sweep::{SweepRequest, sweep_deliveries};
pub use failure::Failure;
pub use interrupt::{Interrupt, asked_to_stop};
pub use null_check::{NullRequest, check_nulls};
pub use session::{Request, Verdict, clean_up_after, run, take_down};
pub use target::{Agent, Running, Wanted, bring_up, failure};
