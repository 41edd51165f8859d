//! The audit of every platform of the run is whole (G-129 to G-131).
use serde_json::Value;

use super::{Effect, Finding, Input, Severity, finding};
use crate::audit_trail::{Flaw, ends, off_catalogue};

pub(super) fn findings(input: &Input<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for lane in input.journals.lanes.values() {
        let events: Vec<&Value> = lane.events.iter().map(|line| &line.value).collect();
        let mut tell = |check: &str, expected: &str, flaws: Vec<Flaw>| {
            for flaw in flaws {
                let place = lane.events.get(flaw.index).map(|line| line.pointer());
                found.push(finding(
                    check,
                    flaw.subject,
                    (Severity::P1, Effect::NoGo),
                    expected,
                    flaw.problem,
                    place.into_iter().collect(),
                ));
            }
        };
        tell(
            "audit_event",
            "what the catalogue says of its type",
            off_catalogue(&events, input.specification),
        );
        // A run that was kept, or stopped, leaves what is under way.
        let run = &input.journals.gate_run;
        if !run.kept && run.interrupted.is_none() {
            tell(
                "audit_end",
                "an end for all that was begun, once",
                ends(&events).flaws,
            );
        }
    }
    found
}
