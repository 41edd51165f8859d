//! The one place that decides (design invariant 1).
//!
//! Synchronous and without IO: what may be known comes in as a [`snapshot::Snapshot`], what woke the
//! system as an [`events::Event`], how the platform is configured as a [`policy::Policy`], and time and
//! fresh identifiers as arguments. What shall happen goes out as data: a [`decide::Decision`].
//! It is a crate of its own so that the compiler keeps every IO crate out of reach.

pub mod approvals;
pub mod audit;
pub mod comments;
pub mod databases;
pub mod decide;
pub mod deploy;
pub mod discussion;
pub mod effects;
pub mod events;
pub mod fingerprint;
pub mod ids;
pub mod labels;
pub mod launch_profiles;
pub mod namespaces;
pub mod next_steps;
pub mod notifications;
pub mod policy;
pub mod profile;
pub mod recovery;
pub mod redaction;
pub mod resolver;
pub mod runs;
pub mod secret_sync;
pub mod snapshot;
pub mod stages;
pub mod tools;
pub mod transitions;
pub mod waits;
pub mod write_scope;
