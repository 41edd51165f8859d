//! Requests that need somebody's word (governance 3): decided by people, expired by time, told to the run that waits.
//!
//! What is asked comes in through `mcp`; what was approved is carried out by the executor (`control_plane::effects`).
mod decision;
mod expiry;
mod resume;

pub use decision::{DecideError, Decided, Decider, Through, decide};
pub use expiry::run as expire_overdue;
pub use resume::resume;
