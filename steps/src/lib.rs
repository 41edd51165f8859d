//! The steps of the gate: what the sentences under `features/` do and what they look at.
//!
//! Steps reach the orchestrator by protocol only: GitHub's API and webhooks through the stand-in, the staff API,
//! the Kubernetes API and its audit log, and read-only SQL. What they expect comes from `docs/spec` and the
//! fixtures, never from the orchestrator's code (invariant 7).

pub mod agent_tools;
pub mod audit_log;
pub mod crash_play;
pub mod database;
pub mod definitions;
pub mod delivery_play;
pub mod expected;
pub mod github;
pub mod hub;
mod names;
pub mod null;
pub mod place;
pub mod platform;
mod rest;
pub mod runner;
pub mod selection;
pub mod staff;
pub mod wait;
pub mod walks;
pub mod world;
pub mod writer;

pub use runner::{Options, run};
pub use world::{Gate, GateWorld};
