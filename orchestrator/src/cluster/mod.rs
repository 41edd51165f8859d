//! Kubernetes as the worker sees it: manifests built by pure functions, applied create-first and converged,
//! and watches that turn cluster changes into observations.
//!
//! It stands apart from `worker` so that what is written into a cluster can be read and snapshot without a run,
//! a database or a server.

mod apply;
mod job;
mod names;
mod namespace;
mod network;
mod observation;
mod pods;
mod quota;
mod rbac;
mod volume;
mod watch;

pub use apply::{ApplyError, Cluster, EnsuredNamespace, JobCreated, RunObjects};
pub use job::{JobSpecInput, PodResources, PodVolume, build_job, build_pod, job_name};
pub use names::{InstanceNames, is_of_platform, keys};
pub use namespace::{NamespaceView, build_namespace, lease_patch};
pub use network::NetworkPlan;
pub use observation::{PodFailure, RunObservation, observe};
pub use rbac::{AgentAccount, RunAccounts};
pub use watch::{ClusterView, start_watches};
