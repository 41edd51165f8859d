//! What this target can really show (E-10): each capability is tried, none is assumed.

mod checks;
mod report;
mod run;
mod workloads;

pub use checks::program_on_path;
pub use report::{Capabilities, Capability};
pub use run::{probe, probe_disappearance};
