//! What a gate run leaves behind while it runs: results, observations and its own event stream.
//! Separate from the verdict, because the steps only write evidence and the verdict only reads it.
mod gate_run;
mod observation;
mod recorder;
mod redaction;
mod scenario;

pub use gate_run::{Capability, CapabilityState, GateRun, LaneFacts, PhaseFacts, TargetPhase};
pub use observation::{Observation, ObservationSource};
pub use recorder::{EvidenceError, GateEvent, Recorder};
pub use redaction::{Redactor, SecretValue};
pub use scenario::{
    AnnouncedLog, KeptObject, ScenarioKey, ScenarioResult, ScenarioState, StepResult, StepState,
};
