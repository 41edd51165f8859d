//! Preparation of run environments as tasks (runtime 4.2).
//!
//! A reconciler of any control-plane replica takes a task, fixes its source to one commit, and brings
//! the environment to what that commit says. Separate from the routes, because a task outlives the
//! request and the process that made it.
mod reconciler;
mod source;

pub use reconciler::run;
