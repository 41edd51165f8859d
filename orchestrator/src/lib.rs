//! The orchestrator: gateway, control plane, worker, console and runner of one platform, in one program.
//!
//! `domain` decides; everything here carries out, stores, or speaks a protocol.
pub mod agent;
pub mod app;
pub mod approvals;
pub mod build_info;
pub mod cluster;
pub mod command_line;
pub mod conduct;
pub mod config;
pub mod control_plane;
pub mod credentials;
pub mod databases;
pub mod deploy;
pub mod gateway;
pub mod github;
pub mod http_api;
pub mod internal_api;
pub mod mcp;
pub mod notifications;
pub mod onboarding;
pub mod policy;
pub mod retention;
pub mod secret_sync;
pub mod secrets;
pub mod services_yaml;
pub mod staff;
pub mod startup;
pub mod store;
pub mod telemetry;
pub mod transition;
pub mod waits;
pub mod wakeups;
pub mod web_console;
pub mod worker;
