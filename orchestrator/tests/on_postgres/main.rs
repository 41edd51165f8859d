//! The orchestrator's store and its services on a real PostgreSQL, one topic per module. One program, so that they
//! share a server.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod control_plane_support;
mod data_rules;
mod intake;
mod key_rotation;
mod lost_deliveries;
mod migrations;
mod outbox;
mod published_events;
mod retention;
mod run_waits;
mod self_improve;
mod staff_api;
mod staff_next_steps;
mod staff_support;
mod store_support;
mod worker_store;
