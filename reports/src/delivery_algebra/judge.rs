//! What two end states tell of each other: the same, refused with a reason on record, or different.
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{EndState, Refusal, RunEnd, Thread};

/// How an end state stands to the one that was expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Comparison {
    /// Nothing differs.
    Same,
    /// Runs are missing, and for each the records hold a refusal of its trigger that the expected play does not have.
    Refused {
        /// The reasons.
        reasons: Vec<String>,
    },
    /// Something differs for no reason on record.
    Different {
        /// What, a line each.
        differences: Vec<String>,
    },
}

/// Compares what a play left with what was expected of it.
#[must_use]
pub fn compare(expected: &EndState, seen: &EndState) -> Comparison {
    if expected == seen {
        return Comparison::Same;
    }
    let missing = without(&expected.runs, &seen.runs);
    let more = without(&seen.runs, &expected.runs);
    let refused = without(&seen.refusals, &expected.refusals);
    // A refusal that is expected and lacking is no reason for anything.
    if more.is_empty()
        && !missing.is_empty()
        && without(&expected.refusals, &seen.refusals).is_empty()
        && let Some(reasons) = explained(expected, seen, &missing, &refused)
    {
        return Comparison::Refused { reasons };
    }
    Comparison::Different {
        differences: differences(expected, seen, &missing, &more, &refused),
    }
}

/// The reasons, when each missing run has a refusal of its own trigger and nothing but its threads differs.
fn explained(
    expected: &EndState,
    seen: &EndState,
    missing: &[&RunEnd],
    refused: &[&Refusal],
) -> Option<Vec<String>> {
    let mut left = refused.to_vec();
    let mut reasons = BTreeSet::new();
    let mut threads = BTreeSet::new();
    for run in missing {
        let own = left.iter().position(|refusal| is_of(refusal, run))?;
        reasons.insert(left.remove(own).reason.clone());
        threads.extend(run.issue.into_iter().chain(run.pull_request));
    }
    let numbers: BTreeSet<&u64> = expected.threads.keys().chain(seen.threads.keys()).collect();
    let elsewhere = numbers.into_iter().any(|number| {
        !threads.contains(number) && expected.threads.get(number) != seen.threads.get(number)
    });
    (left.is_empty() && !elsewhere).then(|| reasons.into_iter().collect())
}

/// Whether the refused delivery is the one that would have started the run.
fn is_of(refusal: &Refusal, run: &RunEnd) -> bool {
    let thread = if run.source == "issue_label" {
        run.issue
    } else {
        run.pull_request
    };
    let told = if run.source == "pull_request_review" {
        refusal.delivery.starts_with("pull_request_review.")
    } else {
        refusal.delivery.ends_with(&format!(" {}", run.label))
    };
    // What the platform gave up it did not refuse.
    let given_up = refusal.reason.starts_with("effect.given_up");
    told && !given_up && refusal.thread.is_some() && refusal.thread == thread
}

fn differences(
    expected: &EndState,
    seen: &EndState,
    missing: &[&RunEnd],
    more: &[&RunEnd],
    refused: &[&Refusal],
) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(
        missing
            .iter()
            .map(|run| format!("no run {}", run.summary())),
    );
    lines.extend(
        more.iter()
            .map(|run| format!("a run more: {}", run.summary())),
    );
    let told = |refusal: &&Refusal| format!("{}: {}", refusal.delivery, refusal.reason);
    lines.extend(
        refused
            .iter()
            .map(|refusal| format!("a refusal more: {}", told(refusal))),
    );
    lines.extend(
        without(&expected.refusals, &seen.refusals)
            .iter()
            .map(|refusal| format!("no refusal {}", told(refusal))),
    );
    let numbers: BTreeSet<&u64> = expected.threads.keys().chain(seen.threads.keys()).collect();
    for number in numbers {
        match (expected.threads.get(number), seen.threads.get(number)) {
            (Some(expected), Some(seen)) => lines.extend(
                thread_differences(expected, seen)
                    .into_iter()
                    .map(|line| format!("#{number}: {line}")),
            ),
            (Some(_), None) => lines.push(format!("#{number} does not exist")),
            (None, Some(_)) => lines.push(format!("#{number} exists")),
            (None, None) => {}
        }
    }
    lines
}

fn thread_differences(expected: &Thread, seen: &Thread) -> Vec<String> {
    let mut lines = Vec::new();
    if expected.state != seen.state {
        lines.push(format!("{} instead of {}", seen.state, expected.state));
    }
    if expected.labels != seen.labels {
        let words =
            |labels: &BTreeSet<String>| labels.iter().cloned().collect::<Vec<_>>().join(", ");
        lines.push(format!(
            "labels [{}] instead of [{}]",
            words(&seen.labels),
            words(&expected.labels)
        ));
    }
    if expected.head != seen.head {
        lines.push(format!(
            "head {:?} instead of {:?}",
            seen.head, expected.head
        ));
    }
    for (name, expected, seen) in [
        ("comment", &expected.comments, &seen.comments),
        ("reaction", &expected.reactions, &seen.reactions),
    ] {
        lines.extend(
            without(expected, seen)
                .iter()
                .map(|said| format!("no {name} {said:?}")),
        );
        lines.extend(
            without(seen, expected)
                .iter()
                .map(|said| format!("a {name} more: {said:?}")),
        );
    }
    lines
}

/// What `all` holds more often than `others`.
fn without<'a, T: PartialEq>(all: &'a [T], others: &[T]) -> Vec<&'a T> {
    let mut others: Vec<&T> = others.iter().collect();
    all.iter()
        .filter(|item| match others.iter().position(|other| other == item) {
            Some(position) => {
                others.swap_remove(position);
                false
            }
            None => true,
        })
        .collect()
}
