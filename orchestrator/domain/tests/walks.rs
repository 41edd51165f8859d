//! Seeded walks through labels, reviews, comments, merges and cancels: the domain against a second opinion, step by
//! step.

mod walking;

use std::collections::BTreeSet;

use reference::{Model, Walk};
use walking::{NO_MUTATION, SEEDED_ERRORS, first_divergence, report};

/// Walks, and moves of each.
const WALKS: u64 = 2_000;
const LENGTH: usize = 30;
/// Divergences that a failing test shows.
const SHOWN: usize = 5;

#[test]
fn the_domain_and_the_reference_agree_on_every_walk() {
    let fresh = Model::default();
    let mut found = Vec::new();
    let mut diverging = 0;
    for seed in 0..WALKS {
        let walk = Walk::of_seed(seed, LENGTH, &fresh);
        if first_divergence(&walk.moves, &fresh, &NO_MUTATION).is_some() {
            diverging += 1;
            if found.len() < SHOWN {
                found.push(report(seed, &walk.moves, &fresh, &NO_MUTATION));
            }
        }
    }
    assert!(
        found.is_empty(),
        "{diverging} of {WALKS} walks diverge\n{}",
        found.join("\n")
    );
}

#[test]
fn every_seeded_error_is_found() {
    let fresh = Model::default();
    let walks: Vec<Walk> = (0..WALKS)
        .map(|seed| Walk::of_seed(seed, LENGTH, &fresh))
        .collect();
    let unseen: Vec<&str> = SEEDED_ERRORS
        .iter()
        .filter(|error| {
            walks
                .iter()
                .all(|walk| first_divergence(&walk.moves, &fresh, error).is_none())
        })
        .map(|error| error.name)
        .collect();
    assert_eq!(unseen, [""; 0], "no walk notices");
}

/// A walk that never gets somewhere proves nothing about it.
#[test]
fn the_walks_reach_every_reason_and_every_kind_of_run() {
    let fresh = Model::default();
    let mut answers = BTreeSet::new();
    let mut ends = BTreeSet::new();
    let mut stages = BTreeSet::new();
    for seed in 0..WALKS {
        let mut model = fresh.clone();
        for step in Walk::of_seed(seed, LENGTH, &fresh).moves {
            answers.extend(model.play(&step).answers);
        }
        ends.extend(model.runs.iter().map(|run| run.status.clone()));
        stages.extend(model.runs.iter().map(|run| (run.stage.clone(), run.revise)));
    }
    // Pushes are no part of a walk; a conflict of a discussion is one of the reasons.
    let of_pushes = [
        "push_main_versions_autobumped",
        "repository_not_bound_for_push_main",
    ];
    for reason in fresh.tables.reactions.keys() {
        let reached = answers
            .iter()
            .any(|answer| answer.contains(reason.as_str()));
        assert!(
            reached || of_pushes.contains(&reason.as_str()),
            "no walk meets {reason}"
        );
    }
    for source in [
        "issue_label",
        "issue_comment",
        "pull_request_label",
        "pull_request_review",
    ] {
        let started = format!(" from {source} ");
        let reached = answers.iter().any(|answer| answer.contains(&started));
        assert!(reached, "no run starts from {source}");
    }
    assert_eq!(stages.len(), 28, "kinds of runs: {stages:?}");
    let expected = [
        "active",
        "canceled: canceled_by_staff",
        "canceled: canceled_by_state_abandoned",
        "canceled: discussion_stopped",
        "failed",
        "succeeded",
    ];
    assert_eq!(ends, expected.map(str::to_owned).into());
}
