//! All SQL of the platform, one file per aggregate; callers own the transactions.
pub mod agents;
pub mod clock;
mod database;
pub mod deliveries;
pub mod deploy_tasks;
pub mod effects;
pub mod errors;
pub mod events;
pub mod links;
pub mod migrations;
pub mod namespace_leases;
pub mod projects;
pub mod repositories;
pub mod run_inserts;
pub mod sessions;
pub mod slots;
pub mod snapshots;
pub mod staff_sign_in;
pub mod thread_states;
pub mod tokens;
pub mod users;
pub mod wakeups;
pub mod worker_instances;

pub use database::{is_unavailable, pool};
