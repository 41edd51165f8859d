//! A lane: one orchestrator with a database, a clock, an instance label, namespaces and Kubernetes
//! identities of its own, on the shared target. What it talks to is behind proxies that can fail.

mod admission;
mod cluster;
mod environment;
mod process;
mod running;
mod spec;
mod template;

pub use process::LaneProcess;
pub use running::Lane;
pub use spec::{GithubAccess, LaneSecrets, LaneSpec, ProcessKind, Processes};
