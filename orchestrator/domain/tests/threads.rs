//! States, needs and label audit on threads, and labels after a run.

mod support;

use chrono::TimeDelta;
use domain::decide::{Consequences, ThreadStateChange};
use domain::events::Thread;
use domain::runs::{FinishReason, RunEnd, RunStatus, TriggerSource};
use domain::snapshot::{Read, ThreadState};
use domain::stages::{Stage, TriggerKind};
use domain::transitions::{EndedRun, after_ended_run, after_run};
use serde_json::json;
use support::*;

#[test]
fn a_label_change_is_recorded_once() {
    let mut world = World::with_issue(&["bug", "need:pm"]);
    let decision = world.decide(&world.labeled("NEED:pm"));
    let payload = decision
        .consequences
        .audit
        .last()
        .expect("an event")
        .payload();
    assert_eq!(payload["op"], "add");
    assert_eq!(payload["label"], "need:pm");
    assert_eq!(
        (payload["before"].clone(), payload["after"].clone()),
        (json!(["bug"]), json!(["bug", "need:pm"]))
    );
    assert_eq!(
        (payload["source"].clone(), payload["thread_kind"].clone()),
        (json!("human"), json!("issue"))
    );
    assert_eq!(
        decision
            .consequences
            .audit
            .last()
            .map(|record| record.actor_type()),
        Some("human")
    );
    world.recorded = true;
    assert_eq!(
        event_types(&world.decide(&world.labeled("NEED:pm"))),
        ["webhook.ignored"]
    );
    world.recorded = false;
    assert_eq!(
        event_types(&world.decide(&world.labeled("bug"))),
        ["webhook.ignored"]
    );
}

#[test]
fn approval_needs_an_approver_and_a_pre_review() {
    let mut world = World::with_issue(&["state:approved", "state:in-review"])
        .with_pull_request(run(TriggerKind::Work(Stage::Dev), RunStatus::Succeeded));
    let decision = world.decide(&world.labeled("state:approved"));
    assert_eq!(
        effects(&decision.consequences.effects),
        ["-state:approved issue#5", "comment issue#5"]
    );
    assert!(
        comment_body(&decision)
            .expect("a comment")
            .contains("`state_approval_not_permitted`")
    );
    world.user = Some(user(Some("admin")));
    let decision = world.decide(&world.labeled("state:approved"));
    assert_eq!(
        effects(&decision.consequences.effects),
        [
            "-state:approved issue#5",
            "+state:in-review issue#5",
            "comment issue#5"
        ]
    );
    assert!(
        comment_body(&decision)
            .expect("a comment")
            .contains("`pre_review_missing`")
    );
    world.reviews = vec![domain::events::Review {
        state: "commented".to_owned(),
        commit_id: "a".repeat(40),
        user: domain::events::Account {
            id: 4,
            login: "bob".to_owned(),
            account_type: "User".to_owned(),
        },
        ..domain::events::Review::default()
    }];
    let lines = effects(
        &world
            .decide(&world.labeled("state:approved"))
            .consequences
            .effects,
    );
    assert!(
        lines.contains(&"+state:approved pr#9".to_owned())
            && lines.contains(&"-state:in-review pr#9".to_owned())
    );
    world.pull_request_labels = owned(&["need:qa"]);
    let decision = world.decide(&world.labeled("state:approved"));
    assert!(
        comment_body(&decision)
            .expect("a comment")
            .contains("`need_label_open`")
    );
}

#[test]
fn abandoning_cancels_the_active_run() {
    let mut world = World::with_issue(&["state:abandoned", "state:in-review"]);
    world.issue_history = vec![run(TriggerKind::Work(Stage::Plan), RunStatus::Running)];
    let decision = world.decide(&world.labeled("state:abandoned"));
    // As a cancel by staff: the trigger label leaves as well, and the status comment ends (L-72, L-82).
    assert_eq!(
        effects(&decision.consequences.effects),
        [
            "-state:in-review issue#5",
            "stop run",
            "-run:plan issue#5",
            "+state:abandoned issue#5",
            "-state:approved issue#5",
            "-state:superseded issue#5",
            "status finished issue#5",
        ]
    );
    assert_eq!(
        decision
            .consequences
            .cancellations
            .iter()
            .map(|cancel| cancel.reason)
            .collect::<Vec<_>>(),
        [FinishReason::CanceledByStateAbandoned]
    );
}

/// GitHub tells times in whole seconds and by its own clock: comments are compared with what it told, not with the
/// moment of the decision, which may come late.
#[test]
fn a_role_label_is_set_when_github_says() {
    let world = World::with_issue(&["need:sa"]);
    let mut payload = world.payload("labeled", Some("need:sa"));
    payload["issue"]["updated_at"] = "2026-11-22T03:39:06Z".into();
    let decision = world.decide(&world.event("issues", payload));
    assert_eq!(
        decision.consequences.thread_states,
        [ThreadStateChange::RoleLabelSet {
            thread: Thread::issue(REPOSITORY, 5),
            label: "need:sa".to_owned(),
            at: "2026-11-22T03:39:06Z".parse().ok(),
        }]
    );
}

/// One exclusive state at a time, on whichever thread the platform sets it (L-75).
#[test]
fn states_that_the_platform_sets_displace_the_others() {
    let plan = run(TriggerKind::Work(Stage::Plan), RunStatus::Succeeded);
    let mut world = World::with_issue(&["state:abandoned"]).with_pull_request(plan);
    let abandoned = lines(&world.decide(&world.labeled("state:abandoned")).consequences);
    for line in ["+state:abandoned pr#9", "-state:in-review pr#9"] {
        assert!(abandoned.contains(&line.to_owned()), "{abandoned:?}");
    }
    world.user = Some(user(Some("admin")));
    world.issue_labels = owned(&["state:approved", "state:abandoned", "need:pm"]);
    assert_eq!(
        lines(&world.decide(&world.labeled("state:approved")).consequences),
        [
            "-state:approved issue#5",
            "+state:in-review issue#5",
            "-state:abandoned issue#5",
            "comment issue#5"
        ]
    );
    world.issue_labels = owned(&["state:in-review", "run:dev"]);
    let going_on = lines(&world.decide(&world.labeled("run:dev")).consequences);
    for line in ["+state:approved pr#9", "-state:superseded pr#9"] {
        assert!(going_on.contains(&line.to_owned()), "{going_on:?}");
    }
}

/// Whoever sets `need:input` by hand sets one that was not there: it is none of the platform's any more (L-84).
#[test]
fn a_need_input_that_others_change_is_not_the_platforms() {
    let mut world = World::with_issue(&["need:input"]);
    let cleared = [ThreadStateChange::NeedInputCleared {
        thread: Thread::issue(REPOSITORY, 5),
    }];
    let set = world.decide(&world.labeled("need:input"));
    assert_eq!(set.consequences.thread_states, []);
    let owned = ThreadState {
        need_input_reason: Some("issue_trigger_candidate_not_found".to_owned()),
        ..ThreadState::default()
    };
    world.states.insert(Read::IssueState(5), owned);
    let set = world.decide(&world.labeled("need:input"));
    assert_eq!(set.consequences.thread_states, cleared);
    let mut payload = world.payload("unlabeled", Some("need:input"));
    payload["sender"]["login"] = "codex-bot".into();
    let removed = world.event("issues", payload);
    assert_eq!(world.decide(&removed).consequences.thread_states, cleared);
    world.recorded = true;
    assert_eq!(world.decide(&removed).consequences.thread_states, []);
}

#[test]
fn a_role_label_returns_without_evidence() {
    let mut world = World::default();
    let mut state = ThreadState::default();
    let since = now() - TimeDelta::minutes(5);
    state.role_label_set_at.insert("need:sa".to_owned(), since);
    world.states.insert(Read::IssueState(5), state);
    let event = world.event("issues", world.payload("unlabeled", Some("need:sa")));
    let decision = world.decide(&event);
    assert_eq!(
        effects(&decision.consequences.effects),
        ["+need:sa issue#5", "comment issue#5"]
    );
    world.evidence = 1;
    assert!(world.decide(&event).consequences.effects.is_empty());
}

#[test]
fn a_merge_accepts_only_what_a_stage_made() {
    let mut world = World::default()
        .with_pull_request(run(TriggerKind::Work(Stage::Plan), RunStatus::Succeeded));
    if let Some(pull_request) = &mut world.pull_request {
        (pull_request.merged, pull_request.state) = (true, "closed".to_owned());
    }
    let merged = world.pull_request_event("pull_request", "closed", None, None);
    let lines = effects(&world.decide(&merged).consequences.effects);
    assert_eq!(lines[0], "delete namespaces pr#9 pull_request_closed");
    assert!(
        lines.contains(&"+state:approved issue#5".to_owned())
            && lines.contains(&"+state:approved pr#9".to_owned())
    );
    world.pull_request_history.clear();
    assert_eq!(
        effects(&world.decide(&merged).consequences.effects).len(),
        1
    );
}

/// The delivery of a merge may come when a revise of another pull request has long put the Issue back into review.
#[test]
fn a_merge_that_is_told_late_leaves_an_issue_alone_that_has_gone_on() {
    let mut world = World::default()
        .with_pull_request(run(TriggerKind::Work(Stage::Plan), RunStatus::Succeeded));
    if let Some(pull_request) = &mut world.pull_request {
        (pull_request.merged, pull_request.state) = (true, "closed".to_owned());
    }
    let merged = world.pull_request_event("pull_request", "closed", None, None);
    let mut newer = run(TriggerKind::Revise(Stage::Plan), RunStatus::Succeeded);
    newer.pr_number = Some(10);
    world.issue_history.insert(0, newer.clone());
    let lines = effects(&world.decide(&merged).consequences.effects);
    assert!(
        lines.contains(&"+state:approved pr#9".to_owned()),
        "{lines:?}"
    );
    assert!(
        !lines.iter().any(|line| line.contains("issue#5")),
        "{lines:?}"
    );
    newer.status = RunStatus::Failed;
    world.issue_history[0] = newer;
    let lines = effects(&world.decide(&merged).consequences.effects);
    assert!(
        lines.contains(&"+state:approved issue#5".to_owned()),
        "{lines:?}"
    );
}

fn lines(consequences: &Consequences) -> Vec<String> {
    effects(&consequences.effects)
}

#[test]
fn after_a_succeeded_stage_both_threads_wait_for_review() {
    let world = World::default();
    let mut ended = run(TriggerKind::Work(Stage::Dev), RunStatus::Running);
    ended.pr_number = Some(9);
    let after = after_run(&ended, RunEnd::Succeeded, &world.policy);
    let expected = [
        "-run:dev issue#5",
        "-run:dev pr#9",
        "+state:in-review issue#5",
        "-state:approved issue#5",
        "-state:superseded issue#5",
        "-state:abandoned issue#5",
        "+state:in-review pr#9",
        "-state:approved pr#9",
        "-state:superseded pr#9",
        "-state:abandoned pr#9",
        "status finished issue#5",
    ];
    assert_eq!(lines(&after), expected);
    assert_eq!(after, after_run(&ended, RunEnd::Succeeded, &world.policy));
    ended.pr_number = None;
    assert!(
        !lines(&after_run(&ended, RunEnd::Succeeded, &world.policy))
            .iter()
            .any(|line| line.contains("pr#"))
    );
}

#[test]
fn after_other_ends() {
    let policy = World::default().policy;
    let mut ended = run(TriggerKind::Revise(Stage::Dev), RunStatus::Running);
    ended.pr_number = Some(9);
    let failed = after_run(
        &ended,
        RunEnd::Because(FinishReason::FailedPrecondition),
        &policy,
    );
    assert_eq!(
        lines(&failed),
        [
            "-run:dev:revise issue#5",
            "-run:dev:revise pr#9",
            "status finished issue#5"
        ]
    );
    let continued = after_run(
        &ended,
        RunEnd::Because(FinishReason::ContinuedInResumeRun),
        &policy,
    );
    assert_eq!(continued, Consequences::default());
    let canceled = RunEnd::Because(FinishReason::CanceledByStaff);
    assert!(
        lines(&after_run(&ended, canceled, &policy)).contains(&"+state:abandoned pr#9".to_owned())
    );
    let kept = EndedRun {
        run: &ended,
        end: canceled,
        abandon: false,
        other_open_pull_requests: &[],
    };
    assert!(
        !lines(&after_ended_run(&kept, &policy))
            .iter()
            .any(|line| line.starts_with('+'))
    );
    let mut reviewer = ended.clone();
    (reviewer.trigger_source, reviewer.agent_key) =
        (TriggerSource::PullRequestLabel, Some("reviewer".to_owned()));
    let done = lines(&after_run(&reviewer, RunEnd::Succeeded, &policy));
    assert!(
        done.contains(&"-need:reviewer pr#9".to_owned())
            && done.contains(&"status finished pr#9".to_owned())
    );
    let lost = lines(&after_run(
        &reviewer,
        RunEnd::Because(FinishReason::KubernetesJobFailed),
        &policy,
    ));
    assert_eq!(lost, ["status finished pr#9"]);
    let mut rethink = run(TriggerKind::Work(Stage::Rethink), RunStatus::Running);
    rethink.pr_number = Some(12);
    let ended = EndedRun {
        run: &rethink,
        end: RunEnd::Succeeded,
        abandon: true,
        other_open_pull_requests: &[9, 12],
    };
    let superseded = lines(&after_ended_run(&ended, &policy));
    assert!(superseded.contains(&"+state:superseded pr#9".to_owned()));
    assert!(superseded.contains(&"+state:in-review pr#12".to_owned()));
    assert!(superseded.contains(&"-run:plan issue#5".to_owned()));
}
