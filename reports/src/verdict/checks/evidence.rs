//! Ledger, contradictions, canaries, timelines, unknown routes, the stand-in's certificate.
use super::{Effect, Finding, Input, Severity, finding, rerun};

pub(super) fn findings(input: &Input<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    ledger(input, &mut found);
    contradictions(input, &mut found);
    canaries(input, &mut found);
    timelines(input, &mut found);
    unknown_routes(input, &mut found);
    certificate(input, &mut found);
    found
}

fn ledger(input: &Input<'_>, found: &mut Vec<Finding>) {
    if input.journals.audit.is_none() {
        found.push(finding(
            "ledger_not_established",
            "journals/audit.ndjson",
            (Severity::P0, Effect::Inconclusive),
            "the Kubernetes audit log",
            "absent",
            Vec::new(),
        ));
    }
    let effect = if input.journals.gate_run.kept {
        Effect::Inconclusive
    } else {
        Effect::NoGo
    };
    let lost_namespaces: Vec<&str> = input
        .ledger
        .leaks()
        .filter(|entry| entry.kind == "Namespace")
        .map(|entry| entry.name.as_str())
        .collect();
    let inside = |name: &str| -> Option<&str> {
        let (namespace, _) = name.split_once('/')?;
        lost_namespaces
            .iter()
            .find(|lost| **lost == namespace)
            .copied()
    };
    for entry in input.ledger.leaks() {
        if inside(&entry.name).is_some() {
            continue; // told with its namespace
        }
        let content = input
            .ledger
            .leaks()
            .filter(|other| {
                entry.kind == "Namespace" && inside(&other.name) == Some(entry.name.as_str())
            })
            .count();
        let with_content = match content {
            0 => String::new(),
            number => format!(" with {number} objects in it"),
        };
        let mut item = finding(
            "ledger_leak",
            format!("{} {}", entry.kind, entry.name),
            (Severity::P0, effect),
            "deleted, or kept with a named reason",
            format!(
                "still there{with_content}; made by {} for {}",
                entry.created_by, entry.account
            ),
            vec![entry.created.clone(), "ledger.json".into()],
        );
        if input.specification.scenario(&entry.account).is_some() {
            item.rerun = rerun(&input.journals.gate_run.target, &entry.account);
        }
        found.push(item);
    }
}

fn contradictions(input: &Input<'_>, found: &mut Vec<Finding>) {
    for line in input
        .journals
        .observations
        .iter()
        .filter(|line| line.value.contradiction)
    {
        let observation = &line.value;
        let mut item = finding(
            "contradiction",
            observation.key.scenario.clone(),
            (Severity::P0, Effect::NoGo),
            format!("{}: {}", observation.subject, observation.expected),
            format!(
                "the world and the orchestrator's event disagree: {}",
                observation.seen
            ),
            vec![line.pointer()],
        );
        item.rerun = rerun(&input.journals.gate_run.target, &observation.key.scenario);
        found.push(item);
    }
}

fn canaries(input: &Input<'_>, found: &mut Vec<Finding>) {
    let weight = (Severity::P0, Effect::Inconclusive);
    match &input.journals.canaries {
        None if input.criteria.canary_search => found.push(finding(
            "canary_search_absent",
            "canaries.json",
            weight,
            "a search for planted secrets",
            "none was made",
            Vec::new(),
        )),
        None => {}
        Some(search) => {
            if !search.planted_found {
                found.push(finding(
                    "canary_search_void",
                    "canaries.json",
                    weight,
                    "the planted leak is found",
                    "it was not",
                    vec!["canaries.json".into()],
                ));
            }
            for hit in &search.hits {
                found.push(finding(
                    "canary_found",
                    format!("{} in {}", hit.canary, hit.name),
                    (Severity::P0, Effect::NoGo),
                    "no secret in any sink",
                    format!(
                        "{} form at byte {} of {} ({})",
                        hit.form, hit.offset, hit.name, hit.sink
                    ),
                    vec!["canaries.json".into()],
                ));
            }
        }
    }
}

/// E-27 calls these findings; E-30 does not make GO depend on them.
fn timelines(input: &Input<'_>, found: &mut Vec<Finding>) {
    let weight = (Severity::P1, Effect::Reported);
    for run in input
        .timelines
        .runs
        .iter()
        .filter(|run| !run.gaps.is_empty())
    {
        found.push(finding(
            "timeline_gap",
            format!("run {}", run.run_id),
            weight,
            "every point of a run of its kind",
            format!("nothing shows: {}", run.gaps.join(", ")),
            run.hops
                .last()
                .map(|hop| hop.source.clone())
                .into_iter()
                .collect(),
        ));
    }
    for pointer in &input.timelines.orphans {
        found.push(finding(
            "orphan_event",
            pointer.clone(),
            weight,
            "a run that the event belongs to",
            "no such run",
            vec![pointer.clone()],
        ));
    }
}

fn unknown_routes(input: &Input<'_>, found: &mut Vec<Finding>) {
    for line in input
        .journals
        .github
        .iter()
        .filter(|line| line.value.kind == "unknown_route")
    {
        let record = &line.value;
        found.push(finding(
            "unknown_route",
            format!(
                "{} {}",
                record.method.as_deref().unwrap_or("?"),
                record.path.as_deref().unwrap_or("?")
            ),
            (Severity::P0, Effect::NoGo),
            "only routes that the stand-in knows (E-6)",
            "an unknown one was asked for",
            vec![line.pointer()],
        ));
    }
}

/// What an answer proves that GitHub would not have given is nothing (E-46).
fn certificate(input: &Input<'_>, found: &mut Vec<Finding>) {
    let mut inconclusive = |check: &str, subject: &str, expected: &str, seen: &str| {
        found.push(finding(
            check,
            subject,
            (Severity::P0, Effect::Inconclusive),
            expected,
            seen,
            vec!["github-certificate.json".into()],
        ));
    };
    let Some(certificate) = &input.journals.certificate else {
        inconclusive(
            "certificate_absent",
            "github-certificate.json",
            "the stand-in held against GitHub's description of its API",
            "it was not",
        );
        return;
    };
    if !certificate.speaks_of_the_platform() {
        inconclusive(
            "certificate_void",
            "github-certificate.json",
            "answers to the platform and webhooks that were held against a schema",
            "there are none",
        );
    }
    for problem in &certificate.problems {
        inconclusive(
            "stand_in_wrong",
            &format!("{} {}", problem.place, problem.pointer),
            "what GitHub's description says",
            &problem.message,
        );
    }
    for webhook in &certificate.unverified.webhooks {
        inconclusive(
            "stand_in_unverified",
            &format!("webhook {webhook}"),
            "a schema for every webhook that the platform is sent",
            "nothing describes it",
        );
    }
    for route in &certificate.unverified.routes {
        if route.used_by_the_platform() {
            inconclusive(
                "stand_in_unverified",
                &route.title(),
                "a schema for every answer that the platform reads",
                "nothing describes it",
            );
        }
    }
}
