//! The control plane: intake of deliveries, decisions, the outbox, the periodic full pass, and the internal HTTP.
//!
//! It loads what `domain` may know, commits what `domain` decided, and performs what was committed. It decides nothing.
mod backoff;
mod clock_routes;
mod commit;
mod crew;
mod decider;
mod delivery_row;
pub mod edge;
mod effects;
mod executor;
mod intake;
mod label_drift;
mod lost_deliveries;
mod metrics;
mod named_risks;
mod outcomes;
mod parts;
mod person_steps;
mod pressure;
mod readiness;
mod reconcile;
mod router;
mod snapshot_loader;
mod thread_decisions;

pub(crate) use commit::{CommitError, write_consequences};
pub(crate) use crew::Crew;
pub use intake::{IntakeError, IntakeRequest};
pub use named_risks::name_risks;
pub use outcomes::{Answer, AnswerStatus};
pub(crate) use parts::pause_until;
pub use parts::{ControlPlane, prepare};
pub use person_steps::Asking;
pub(crate) use person_steps::apply_pending;
pub use readiness::failing_checks;
pub use thread_decisions::StepError;
