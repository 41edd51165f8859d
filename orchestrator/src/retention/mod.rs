//! Empties and removes what is older than its retention, hourly and on one replica at a time (D-29).
//!
//! Separate from the sweeps of the worker because it touches nothing but Postgres. Runs, events and references stay.
mod job;
mod rules;

pub use job::{pass, run};
