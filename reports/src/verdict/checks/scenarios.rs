//! Results of scenarios, and whether their `Then`s recorded what they read.
use super::{Effect, Finding, Input, Severity, finding, rerun};
use crate::evidence::{CapabilityState, ScenarioResult, ScenarioState, StepState};
use crate::journals::Line;

/// The closed set of waiting tags (E-2).
const WAITING_TAGS: [&str; 10] = [
    "waits-mcp",
    "waits-approvals",
    "waits-console",
    "waits-deploy",
    "waits-images",
    "waits-onboarding",
    "waits-docset",
    "waits-selfdeploy",
    "waits-crossproject",
    "waits-bootstrap",
];

/// The check that a step has exactly one definition.
const UNDEFINED: &str = "step_undefined";

pub(super) fn findings(input: &Input<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for line in &input.journals.scenarios {
        let result = &line.value;
        let known = input.specification.scenario(&result.key.scenario);
        let severity = match known.map(|scenario| input.specification.severity(scenario)) {
            Some("p2") => Severity::P2,
            Some("p1") => Severity::P1,
            _ => Severity::P0,
        };
        let mut add = |mut item: Finding| {
            item.rerun = rerun(&input.journals.gate_run.target, &result.key.scenario);
            // A sentence that means nothing is a fault of the gate, wherever it stands (E-7).
            let outside = !in_scope(input, result) || severity == Severity::P2;
            if outside && item.check != UNDEFINED {
                item.effect = Effect::Reported;
            }
            found.push(item);
        };
        if known.is_none() {
            add(of_result(
                "unknown_scenario",
                line,
                (severity, Effect::NoGo),
                "an id that the specification lists",
                format!("{:?}", result.key.scenario),
            ));
        }
        if let Some(item) = state(line, severity) {
            add(item);
        }
        if let Some(item) = waiting(input, line, severity) {
            add(item);
        }
        if result.state == ScenarioState::NotProvableHere {
            for name in result
                .tags
                .iter()
                .filter_map(|tag| tag.strip_prefix("needs-"))
                .filter(|name| is_missing(result, name))
            {
                if input
                    .criteria
                    .demanded_capabilities
                    .iter()
                    .any(|wanted| wanted == name)
                {
                    add(of_result(
                        "capability_missing",
                        line,
                        (severity, Effect::Inconclusive),
                        format!("the capability {name}, which the criteria demand"),
                        result.reason.clone().unwrap_or_default(),
                    ));
                }
            }
        }
        if result.state == ScenarioState::Passed {
            for item in unobserved(input, line, severity) {
                add(item);
            }
        }
    }
    found
}

/// A scenario may need what is there and what is not; its reason names the one that is not.
fn is_missing(result: &ScenarioResult, capability: &str) -> bool {
    result
        .reason
        .as_deref()
        .is_none_or(|reason| reason.starts_with(&format!("@needs-{capability}:")))
}

/// A result counts when its feature is in scope, or when it binds a row in scope.
fn in_scope(input: &Input<'_>, result: &ScenarioResult) -> bool {
    let scope = &input.criteria.scope;
    scope.features.contains(&result.feature)
        || input
            .specification
            .rows_of(&result.key.scenario)
            .iter()
            .any(|row| scope.rows.iter().any(|wanted| wanted == row))
}

fn of_result(
    check: &str,
    line: &Line<ScenarioResult>,
    weight: (Severity, Effect),
    expected: impl Into<String>,
    seen: impl Into<String>,
) -> Finding {
    finding(
        check,
        line.value.key.scenario.clone(),
        weight,
        expected,
        seen,
        vec![
            line.pointer(),
            format!("scenarios/{}/", line.value.key.scenario),
        ],
    )
}

fn state(line: &Line<ScenarioResult>, severity: Severity) -> Option<Finding> {
    let result = &line.value;
    let (check, seen) = match result.state {
        ScenarioState::Failed => ("scenario_failed", failed_step(result)),
        ScenarioState::Undefined => (UNDEFINED, failed_step(result)),
        ScenarioState::Skipped => (
            "scenario_skipped",
            result.reason.clone().unwrap_or_else(|| "no reason".into()),
        ),
        ScenarioState::Flaky => ("scenario_flaky", "passed and failed".to_owned()),
        ScenarioState::Passed | ScenarioState::Waiting | ScenarioState::NotProvableHere => {
            return None;
        }
    };
    Some(of_result(
        check,
        line,
        (severity, Effect::NoGo),
        result.name.clone(),
        seen,
    ))
}

fn failed_step(result: &ScenarioResult) -> String {
    let step = result
        .steps
        .iter()
        .find(|step| !matches!(step.state, StepState::Passed | StepState::Skipped));
    match step {
        Some(step) => format!(
            "{} {}: {}",
            step.keyword.trim(),
            step.text,
            step.error.as_deref().unwrap_or("no definition matches")
        ),
        None => result.reason.clone().unwrap_or_else(|| "no step".into()),
    }
}

fn waiting(input: &Input<'_>, line: &Line<ScenarioResult>, severity: Severity) -> Option<Finding> {
    let tag = line.value.waiting_tag()?;
    let capability = tag.trim_start_matches("waits-");
    let built = input
        .journals
        .capabilities
        .iter()
        .flatten()
        .any(|probe| probe.name == capability && probe.state == CapabilityState::Present);
    let seen = if !WAITING_TAGS.contains(&tag) {
        "it is none"
    } else if built {
        "the probe finds that it is built"
    } else {
        return None;
    };
    Some(of_result(
        "waiting_tag",
        line,
        (severity, Effect::NoGo),
        format!("@{tag} is a waiting tag of E-2 whose subject is not built"),
        seen,
    ))
}

/// `Then` steps of a passed scenario without an observation (E-21), and observations that disagree.
fn unobserved(input: &Input<'_>, line: &Line<ScenarioResult>, severity: Severity) -> Vec<Finding> {
    let result = &line.value;
    let of_scenario: Vec<_> = input
        .journals
        .observations
        .iter()
        .filter(|observation| observation.value.key == result.key)
        .collect();
    let mut found: Vec<Finding> = of_scenario
        .iter()
        .filter(|observation| !observation.value.ok)
        .map(|observation| {
            let mut item = of_result(
                "observation_disagrees",
                line,
                (severity, Effect::NoGo),
                observation.value.expected.clone(),
                observation.value.seen.clone(),
            );
            item.evidence.insert(0, observation.pointer());
            item
        })
        .collect();
    let mut judging = false;
    for step in &result.steps {
        match step.keyword.trim() {
            "Then" => judging = true,
            "Given" | "When" => judging = false,
            _ => {}
        }
        let observed = of_scenario
            .iter()
            .any(|observation| observation.value.step.ends_with(&step.text));
        if judging && !observed {
            found.push(of_result(
                "then_without_observation",
                line,
                (severity, Effect::NoGo),
                format!("{:?} records what it read", step.text),
                "no observation",
            ));
        }
    }
    found
}
