//! Deciding what a delivery means: routing L-27, guards L-29 to L-41, reactions L-42, run creation L-44.

mod approval;
mod creation;
mod decision;
mod facts;
mod guards;
mod launch_profile;
mod lineage;
mod new_run;
mod next_step;
mod order;
mod outcome;
mod reason;
mod records;
mod step_request;
mod thread_events;
mod trigger;

pub use decision::{
    Consequences, ConsumedGrant, Decision, Ignored, JournalEntry, NewGrant, NewLink, Outcome,
    RunCancellation, ThreadStateChange, Undecided,
};
pub use launch_profile::{
    FlowDecision, FlowFacts, FlowInput, FlowRequest, ShorterPath, change_flow, escalate_flow,
    read_flow,
};
pub use new_run::{NewRun, ProfileHints, RunRuntime, RunTrigger};
pub use next_step::{LabelDiff, StepDecision, StepMode, StepRefusal, decide_step};
pub use reason::{Actor, IgnoreReason, Reaction};
pub use records::duplicate as webhook_duplicate;
pub use step_request::{InvalidField, StepAction, StepInput, StepRequest, read_step};

use chrono::{DateTime, Utc};

use crate::events::Event;
use crate::policy::Policy;
use crate::snapshot::Snapshot;
use facts::Context;
use trigger::Route;

/// Decides what a delivery means.
///
/// Called again with more facts while it answers [`Undecided::Missing`]; the answer depends on nothing
/// but the arguments. No rule of today looks at `now`: what expires (grants, recorded changes) is left
/// out of the snapshot by the loader, which asks by platform time.
pub fn decide(
    snapshot: &Snapshot,
    event: &Event,
    policy: &Policy,
    _now: DateTime<Utc>,
) -> Result<Decision, Undecided> {
    let context = Context {
        snapshot,
        event,
        policy,
    };
    let mut decision = match trigger::route(&context)? {
        Route::Trigger(trigger) => outcome::trigger(&context, &trigger)?,
        Route::Push(push) => outcome::push(&context, push)?,
        Route::NotATrigger => outcome::ignored(&context, IgnoreReason::IssueEventNotTriggerLabel)?,
        Route::Received => outcome::received(&context),
    };
    outcome::use_up_grant(&context, &mut decision);
    decision
        .consequences
        .extend(thread_events::consequences(&context)?);
    Ok(decision)
}
