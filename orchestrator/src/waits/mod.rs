//! Waits of runs with their events: opened, answered while the agent lives, or continued by another run,
//! and GitHub's rate limits as one cause. Callers own the transactions.
mod github_limit;
mod run_wait;

pub use github_limit::{LimitMet, LimitSignal, attempt, let_go_on, meet, settle};
pub use run_wait::{WaitEnd, WaitOutcome, end_wait, open_wait};
