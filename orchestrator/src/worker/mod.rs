//! The worker: claims runs, prepares where they work, launches their Jobs, sees them end, and sweeps what is left.
//!
//! A process of its own so that the cluster account that makes namespaces and Jobs never shares a process with the
//! GitHub tokens and the encryption key: what it needs of those it asks the control plane (runtime section 0).
//! Every step can be repeated from what is stored, so any worker can go on where another one died.

mod agent_env;
mod context;
mod control_plane;
mod debug_hold;
mod environment;
pub mod finish;
mod github_waits;
mod hygiene;
mod in_flight;
pub mod journal;
pub mod launch;
mod launch_pod;
mod leases;
pub mod namespace;
mod pod_run;
pub mod profile;
mod reconcile;
mod service;
pub mod start;
mod sweep;
mod tick;

pub use context::{WorkerContext, WorkerError};
pub use control_plane::{PullRequestThread, Thread, Threads};
pub use hygiene::{Finding, HygieneReport};
pub use launch::LaunchError;
pub use service::{cleanup_once, hygiene_once, run};
pub use sweep::Swept;
