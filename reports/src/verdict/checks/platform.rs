//! Capability probe, phases of the target, self-check, crash sweep, risks.
use chrono::TimeDelta;

use super::{Effect, Finding, Input, Severity, finding};
use crate::evidence::CapabilityState;

pub(super) fn findings(input: &Input<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    probe(input, &mut found);
    phases(input, &mut found);
    self_check(input, &mut found);
    crash_sweep(input, &mut found);
    risks(input, &mut found);
    found
}

fn probe(input: &Input<'_>, found: &mut Vec<Finding>) {
    let weight = (Severity::P0, Effect::Inconclusive);
    let Some(capabilities) = &input.journals.capabilities else {
        found.push(finding(
            "probe_absent",
            "capabilities.json",
            weight,
            "the capability probe ran (E-10)",
            "it did not",
            Vec::new(),
        ));
        return;
    };
    for capability in capabilities {
        let demanded = input
            .criteria
            .demanded_capabilities
            .contains(&capability.name);
        let defect = match capability.state {
            CapabilityState::Present => continue,
            CapabilityState::Unknown => "the probe could not tell",
            CapabilityState::Absent if demanded => "absent, although the criteria demand it",
            CapabilityState::Absent => continue,
        };
        found.push(finding(
            "capability",
            capability.name.clone(),
            weight,
            "the probe knows",
            format!("{defect}: {}", capability.reason),
            vec!["capabilities.json".into()],
        ));
    }
    for wanted in &input.criteria.demanded_capabilities {
        if !capabilities.iter().any(|probe| probe.name == *wanted) {
            found.push(finding(
                "capability",
                wanted.clone(),
                weight,
                "probed",
                "the probe says nothing of it",
                vec!["capabilities.json".into()],
            ));
        }
    }
}

fn phases(input: &Input<'_>, found: &mut Vec<Finding>) {
    for phase in &input.journals.gate_run.phases {
        let bad: Vec<String> = phase
            .facts
            .iter()
            .filter(|fact| !fact.ok)
            .map(|fact| format!("{}: {}", fact.subject, fact.result))
            .collect();
        if phase.ok && bad.is_empty() {
            continue;
        }
        // What is left after `down` is a leak; a target that does not come up proves nothing.
        let effect = match phase.name.as_str() {
            "down" | "sweep" => Effect::NoGo,
            _ => Effect::Inconclusive,
        };
        found.push(finding(
            "phase",
            phase.name.clone(),
            (Severity::P0, effect),
            "the phase does what it should (E-13)",
            bad.join("; "),
            vec!["environment.json".into()],
        ));
    }
    let run = &input.journals.gate_run;
    if run.finished_at.is_some() && !run.phases.iter().any(|phase| phase.name == "down") {
        found.push(finding(
            "phase",
            "down",
            (Severity::P0, Effect::Inconclusive),
            "proof that nothing is left (E-13)",
            "the target was not taken down",
            vec!["environment.json".into()],
        ));
    }
}

fn self_check(input: &Input<'_>, found: &mut Vec<Finding>) {
    let demand = &input.criteria.self_check;
    let run = &input.journals.gate_run;
    let inconclusive = (Severity::P0, Effect::Inconclusive);
    let (weight, seen) = match &input.journals.self_check {
        None if demand.required => (inconclusive, "none".to_owned()),
        None => return,
        Some(check) if !check.passed => (
            (Severity::P0, Effect::NoGo),
            format!("it failed; vacuous: {}", check.vacuous.join(" ")),
        ),
        Some(check)
            if run.started_at - check.at > TimeDelta::hours(demand.most_age_hours.into()) =>
        {
            (inconclusive, format!("the last one is of {}", check.at))
        }
        Some(_) => return,
    };
    found.push(finding(
        "self_check",
        "selfcheck.json",
        weight,
        format!(
            "a self-check that passed, at most {} h old",
            demand.most_age_hours
        ),
        seen,
        vec!["selfcheck.json".into()],
    ));
}

fn crash_sweep(input: &Input<'_>, found: &mut Vec<Finding>) {
    let Some(sweep) = &input.journals.crash_sweep else {
        return;
    };
    let (effect, seen) = match (sweep.kills, sweep.red) {
        (0, _) => (Effect::Inconclusive, "nobody was killed".to_owned()),
        (_, 0) => return,
        (kills, red) => (Effect::NoGo, format!("{red} of {kills} kills are red")),
    };
    found.push(finding(
        "crash_sweep",
        "crash-sweep.json",
        (Severity::P0, effect),
        "after every death another process goes on, and nothing is lost, doubled or left (E-44)",
        seen,
        vec!["crash-sweep.json".into(), "crash-matrix.html".into()],
    ));
}

fn risks(input: &Input<'_>, found: &mut Vec<Finding>) {
    for risk in &input.journals.risks {
        let grave = matches!(risk.severity.as_str(), "P0" | "P1");
        if grave && risk.decision.is_none() {
            found.push(finding(
                "risk_undecided",
                risk.id.clone(),
                (Severity::P0, Effect::NoGo),
                format!("a decision of the owner on {:?}", risk.title),
                "open",
                vec!["risks.json".into()],
            ));
        }
    }
}
