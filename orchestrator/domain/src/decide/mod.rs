//! Deciding what a delivery means: routing L-27, guards L-29 to L-41, reactions L-42, run creation L-44.

mod decision;
mod new_run;
mod reason;

pub use decision::{
    Consequences, ConsumedGrant, Decision, Ignored, JournalEntry, NewLink, Outcome,
    RunCancellation, ThreadStateChange, Undecided,
};
pub use new_run::{NewRun, ProfileHints, RunRuntime, RunTrigger};
pub use reason::{Actor, IgnoreReason, Reaction};

use chrono::{DateTime, Utc};

use crate::events::Event;
use crate::policy::Policy;
use crate::snapshot::Snapshot;

/// Decides what a delivery means.
///
/// Called again with more facts while it answers [`Undecided::Missing`].
pub fn decide(
    snapshot: &Snapshot,
    event: &Event,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<Decision, Undecided> {
    let _ = (snapshot, event, policy, now);
    Ok(Decision::received(event))
}
