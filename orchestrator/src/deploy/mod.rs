//! Preparation of run environments as tasks (runtime 4.2).
//!
//! A reconciler of any control-plane replica takes a task, fixes its source to one commit, and brings
//! the environment to what that commit says. Separate from the routes, because a task outlives the
//! request and the process that made it.
mod apply;
mod fault;
mod plan;
mod reconciler;
mod source;
mod stack_file;
mod task_log;

pub use fault::Fault;
pub use plan::{Plan, plan};
pub use reconciler::run;
