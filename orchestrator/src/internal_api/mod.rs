//! Routes under `/internal/v1` for the worker, the runner in a Job, the gateway and the gate.
//!
//! Separate from `staff`, because other credentials open it (DU-11, DU-12) and it never faces people.
mod callers;
mod context;
mod credentials;
mod deliveries;
mod discussion;
mod environment;
mod prompt;
mod risk_signals;
mod router;
mod run_events;
mod run_logs;
mod seeds;
mod session;
mod session_checksum;
mod threads;
mod waits;

pub use callers::{RunCaller, ServiceCaller};
pub use router::{ROUTES, router};
