//! Routing, guards and runs, by the scenarios of the chapter.

mod support;

use domain::audit::AuditEvent;
use domain::decide::{Outcome, ThreadStateChange, Undecided};
use domain::effects::Effect;
use domain::events::Thread;
use domain::ids::RunId;
use domain::runs::{RunStatus, TriggerSource};
use domain::snapshot::{Grant, Preflight, Read, ThreadState, WebhookRuntime};
use domain::stages::{RuntimeMode, Stage, TargetEnv, TriggerKind, WriteScope};
use serde_json::json;
use support::*;

fn accepted(decision: &domain::decide::Decision) -> &domain::decide::NewRun {
    match &decision.outcome {
        Outcome::Accepted(run) => run,
        other => panic!("expected a run, got {other:?}"),
    }
}

#[test]
fn sl_01_an_intake_label_starts_a_code_only_run() {
    let world = World::with_issue(&["run:intake"]);
    let decision = world.decide(&world.labeled("run:intake"));
    let run = accepted(&decision);
    assert_eq!(
        run.agent.as_ref().map(|agent| agent.key.as_str()),
        Some("pm")
    );
    assert_eq!(
        (run.runtime.mode, run.write_scope),
        (RuntimeMode::CodeOnly, WriteScope::MarkdownOnly)
    );
    assert_eq!(
        (
            run.trigger.kind.to_string().as_str(),
            run.trigger.label.as_str()
        ),
        ("intake", "run:intake")
    );
    assert_eq!(run.target_branch.as_deref(), Some("codex/issue-5"));
    assert_eq!(
        event_types(&decision),
        ["webhook.received", "run.enqueued", "label.applied"]
    );
    assert_eq!(
        effects(&decision.consequences.effects),
        ["status created issue#5", "reaction eyes"]
    );
    let payload = decision.consequences.audit[0].payload();
    assert_eq!(payload["inserted"], true);
    assert_eq!(payload["run_kind"], "intake");
    assert_eq!(payload["issue_number"], 5);
    for key in [
        "source",
        "delivery_id",
        "repository",
        "sender",
        "project",
        "agent",
        "issue",
        "trigger",
        "runtime",
    ] {
        assert!(!run.payload[key].is_null(), "{key}");
    }
}

#[test]
fn sl_07_a_dev_label_starts_a_candidate() {
    let world = World::with_issue(&["run:dev"]);
    let decision = world.decide(&world.labeled("run:dev"));
    let run = accepted(&decision);
    assert_eq!(run.runtime.target_env, Some(TargetEnv::Ai));
    assert_eq!(run.runtime.access_profile.as_str(), "candidate");
    assert_eq!(
        (
            run.runtime.namespace.is_none(),
            run.runtime.build_ref.as_deref()
        ),
        (true, Some("main"))
    );
    assert_eq!(run.correlation_id.as_str(), "delivery-1");
    assert_eq!(run.write_scope, WriteScope::Any);
}

#[test]
fn sl_08_a_second_dev_continues_the_candidate() {
    let world = World::with_issue(&["run:dev", "state:in-review"])
        .with_pull_request(run(TriggerKind::Work(Stage::Dev), RunStatus::Succeeded));
    let decision = world.decide(&world.labeled("run:dev"));
    let run = accepted(&decision);
    assert_eq!(
        run.runtime.namespace.as_ref().map(|name| name.as_str()),
        Some("codex-issue-p-i5-r1")
    );
    assert_eq!(run.runtime.build_ref, Some("a".repeat(40)));
    assert_eq!(run.pr_number, Some(9));
    // L-74
    assert!(
        effects(&decision.consequences.effects).contains(&"-state:in-review issue#5".to_owned())
    );
}

#[test]
fn sl_13_qa_without_a_candidate_asks_for_input() {
    let world = World::with_issue(&["run:qa"]);
    let decision = world.decide(&world.labeled("run:qa"));
    assert_eq!(
        reason(&decision).as_deref(),
        Some("issue_trigger_candidate_not_found")
    );
    assert_eq!(
        effects(&decision.consequences.effects),
        ["+need:input issue#5", "comment issue#5"]
    );
    assert_eq!(decision.consequences.effects[1].after, Some(0));
    let body = comment_body(&decision).expect("a comment");
    assert!(body.contains("`run:dev`, `run:dev:revise`"), "{body}");
    assert!(matches!(
        &decision.consequences.thread_states[..],
        [ThreadStateChange::NeedInputSet { .. }]
    ));
}

#[test]
fn sl_14_a_pull_request_that_cannot_be_read_refuses_qa_but_holds_dev() {
    let mut world = World::with_issue(&["run:qa"])
        .with_pull_request(run(TriggerKind::Work(Stage::Dev), RunStatus::Succeeded));
    world.issue_labels.push("state:approved".to_owned());
    world.unreadable.insert(Read::PullRequest(9));
    assert_eq!(
        reason(&world.decide(&world.labeled("run:qa"))).as_deref(),
        Some("issue_trigger_candidate_not_found")
    );
    world.issue_labels = owned(&["run:dev"]);
    assert!(matches!(
        world.try_decide(&world.labeled("run:dev")),
        Err(Undecided::Unreadable { .. })
    ));
}

#[test]
fn sl_16_and_sl_11_closed_issues() {
    let mut world = World::with_issue(&["run:intake"]);
    world.issue_closed = true;
    let refused = world.decide(&world.labeled("run:intake"));
    assert_eq!(reason(&refused).as_deref(), Some("issue_closed"));
    assert!(
        comment_body(&refused)
            .expect("a comment")
            .contains("`issue_closed`")
    );
    world.issue_labels = owned(&["run:postdeploy"]);
    let decision = world.decide(&world.labeled("run:postdeploy"));
    let run = accepted(&decision);
    assert_eq!(run.runtime.target_env, Some(TargetEnv::Staging));
    assert_eq!(run.runtime.access_profile.as_str(), "production-readonly");
    assert_eq!(
        run.runtime.namespace.as_ref().map(|name| name.as_str()),
        Some("shop-ai-staging")
    );
    assert_eq!(run.runtime.build_ref.as_deref(), Some("main"));
}

#[test]
fn sl_19_and_sl_20_order_and_gate() {
    let finished = |stage| vec![run(TriggerKind::Work(stage), RunStatus::Succeeded)];
    let mut world = World::with_issue(&["run:intake"]);
    world.issue_history = finished(Stage::Plan);
    assert_eq!(
        reason(&world.decide(&world.labeled("run:intake"))).as_deref(),
        Some("stage_transition_not_allowed")
    );
    world.user = Some(user(Some("admin")));
    let decision = world.decide(&world.labeled("run:intake"));
    assert!(event_types(&decision).contains(&"run.stage.skipped"));
    accepted(&decision);

    let mut world = World::with_issue(&["run:plan", "state:in-review"]);
    world.issue_history = finished(Stage::Design);
    assert_eq!(
        reason(&world.decide(&world.labeled("run:plan"))).as_deref(),
        Some("stage_gate_not_passed")
    );
    world.user = Some(user(Some("admin")));
    let decision = world.decide(&world.labeled("run:plan"));
    accepted(&decision);
    assert_eq!(
        effects(&decision.consequences.effects),
        [
            "+state:approved issue#5",
            "-state:in-review issue#5",
            "-state:superseded issue#5",
            "-state:abandoned issue#5",
            "-state:approved issue#5",
            "status created issue#5",
            "reaction eyes"
        ]
    );
    world.user = Some(user(Some("read_write")));
    world.issue_labels = owned(&["run:plan", "state:approved"]);
    accepted(&world.decide(&world.labeled("run:plan")));
}

#[test]
fn sl_21_sl_22_and_preflight() {
    let mut world = World::with_issue(&["run:plan"]);
    world.issue_history = vec![run(
        TriggerKind::Revise(Stage::Design),
        RunStatus::WaitingMcp,
    )];
    assert_eq!(
        reason(&world.decide(&world.labeled("run:plan"))).as_deref(),
        Some("issue_active_run_exists")
    );
    let mut world = World::with_issue(&["run:arch"]);
    if let Some(agent) = world
        .binding
        .as_mut()
        .and_then(|binding| binding.agents.get_mut("sa"))
    {
        agent.is_active = false;
    }
    assert_eq!(
        reason(&world.decide(&world.labeled("run:arch"))).as_deref(),
        Some("agent_not_configured")
    );
    let mut world = World::with_issue(&["run:dev"]);
    world.binding.as_mut().expect("bound").preflight = Preflight::Failed;
    assert_eq!(
        reason(&world.decide(&world.labeled("run:dev"))).as_deref(),
        Some("repository_preflight_failed")
    );
    assert!(world.reads.borrow().iter().all(|read| !read.is_live()));
}

#[test]
fn sl_24_pushes() {
    let world = World::default();
    let push = |reference: &str, after: &str| {
        let mut payload = world.payload("", None);
        payload["ref"] = json!(reference);
        payload["after"] = json!(after);
        payload["deleted"] = json!(after.starts_with("000"));
        world.event("push", payload)
    };
    let sha = "b".repeat(40);
    let decision = world.decide(&push("refs/heads/main", &sha));
    let run = accepted(&decision);
    assert!(run.runtime.deploy_only && run.agent.is_none());
    assert_eq!(run.runtime.build_ref.as_deref(), Some(sha.as_str()));
    assert!(decision.consequences.effects.is_empty());
    for (reference, after) in [
        ("refs/heads/feature", sha.as_str()),
        ("refs/heads/master", sha.as_str()),
        (
            "refs/heads/main",
            "0000000000000000000000000000000000000000",
        ),
        ("refs/tags/main", sha.as_str()),
    ] {
        assert_eq!(
            world.decide(&push(reference, after)).outcome,
            Outcome::Received,
            "{reference}"
        );
    }
    let unbound = World {
        binding: None,
        ..World::default()
    };
    let decision = unbound.decide(&push("refs/heads/main", &sha));
    assert_eq!(
        reason(&decision).as_deref(),
        Some("repository_not_bound_for_push_main")
    );
    assert!(decision.consequences.effects.is_empty() && decision.consequences.journal.is_empty());
}

#[test]
fn lc_01_to_lc_07_conflicts() {
    let world = World::with_issue(&["run:dev", "RUN:Vision ", "run:foo"]);
    let decision = world.decide(&world.labeled("RUN:Vision "));
    assert_eq!(
        reason(&decision).as_deref(),
        Some("issue_trigger_label_conflict")
    );
    let ignored = match &decision.outcome {
        Outcome::Ignored(ignored) => ignored,
        other => panic!("{other:?}"),
    };
    assert_eq!(ignored.conflicting_labels, ["run:dev", "run:vision"]);
    assert_eq!(effects(&decision.consequences.effects), ["comment issue#5"]);
    assert!(matches!(
        &decision.consequences.effects[0].effect,
        Effect::CreateComment {
            record: domain::effects::CommentRecord::TriggerConflict {
                issue_number: 5,
                ..
            },
            ..
        }
    ));
    let both = World::with_issue(&["run:dev", "run:dev:revise"]);
    assert_eq!(
        reason(&both.decide(&both.labeled("run:dev:revise"))).as_deref(),
        Some("issue_trigger_label_conflict")
    );
    let talk = World::with_issue(&["run:dev", "run:plan", "mode:discussion"]);
    let decision = talk.decide(&talk.labeled("mode:discussion"));
    assert_eq!(
        reason(&decision).as_deref(),
        Some("discussion_mode_trigger_label_conflict")
    );
    for other in [
        "run:debug",
        "run:foo",
        "state:superseded",
        "[ai-model-gpt-5.2]",
    ] {
        let world = World::with_issue(&["run:dev", other]);
        accepted(&world.decide(&world.labeled("run:dev")));
    }
    let mut renamed = World::with_issue(&["stage:build", "run:dev"]);
    let renames = [("run:dev".to_owned(), "stage:build".to_owned())].into();
    renamed.policy.labels =
        domain::labels::Catalogue::with_renames(&renames).expect("a valid rename");
    assert_eq!(
        accepted(&renamed.decide(&renamed.labeled("stage:build")))
            .trigger
            .label,
        "stage:build"
    );
    assert_eq!(
        reason(&renamed.decide(&renamed.labeled("run:dev"))).as_deref(),
        Some("issue_event_not_trigger_label")
    );
}

#[test]
fn wh_06_and_wh_11_and_wh_13_what_starts_nothing() {
    let world = World::with_issue(&["bug"]);
    for (action, label) in [
        ("opened", None),
        ("edited", None),
        ("labeled", Some("bug")),
        ("reopened", None),
    ] {
        let mut payload = world.payload(action, label);
        payload["issue"]["title"] = json!("a\u{0}b");
        let event = world.event("issues", payload);
        let decision = world.decide(&event);
        assert_eq!(
            reason(&decision).as_deref(),
            Some("issue_event_not_trigger_label"),
            "{action}"
        );
        assert!(!event.raw_payload.to_string().contains("\\u0000"));
        assert!(decision.consequences.effects.is_empty());
    }
    let pull_request = world.pull_request_event("pull_request", "labeled", Some("run:dev"), None);
    assert_eq!(world.decide(&pull_request).outcome, Outcome::Received);
    for event_type in ["ping", "pull_request_review_comment"] {
        let decision = world.decide(&world.event(event_type, world.payload("created", None)));
        assert_eq!(decision.outcome, Outcome::Received);
        assert_eq!(event_types(&decision), ["webhook.received"]);
    }
    for state in ["commented", "dismissed"] {
        assert_eq!(
            world.decide(&world.review(state)).outcome,
            Outcome::Received
        );
    }
}

#[test]
fn wh_07_and_wh_08_outsiders() {
    let unbound = World {
        binding: None,
        ..World::with_issue(&["run:dev"])
    };
    let decision = unbound.decide(&unbound.labeled("run:dev"));
    assert_eq!(
        reason(&decision).as_deref(),
        Some("repository_not_bound_for_issue_label")
    );
    assert_eq!(effects(&decision.consequences.effects), ["comment issue#5"]);

    let sender = |login: &str, kind: &str| json!({"id": 1, "login": login, "type": kind});
    let cases = [
        (
            sender("robot", "Bot"),
            Some(user(Some("admin"))),
            "sender_type_bot_not_permitted",
        ),
        (
            sender("codex-bot", "User"),
            Some(user(Some("admin"))),
            "sender_type_bot_not_permitted",
        ),
        (sender("", "User"), None, "sender_login_missing"),
        (sender("mallory", "User"), None, "sender_not_allowed"),
        (
            sender("alice", "User"),
            Some(user(None)),
            "sender_not_project_member",
        ),
        (
            sender("alice", "User"),
            Some(user(Some("read"))),
            "sender_role_read_not_permitted",
        ),
        (
            sender("alice", "User"),
            Some(user(Some(""))),
            "sender_role_not_permitted",
        ),
    ];
    for (who, known, expected) in cases {
        // The conflict on the Issue stays unmentioned: the sender is judged first (L-29).
        let world = World {
            user: known,
            ..World::with_issue(&["run:dev", "run:plan"])
        };
        let mut payload = world.payload("labeled", Some("run:dev"));
        payload["sender"] = who;
        let decision = world.decide(&world.event("issues", payload));
        assert_eq!(reason(&decision).as_deref(), Some(expected));
        assert_eq!(effects(&decision.consequences.effects), ["comment issue#5"]);
        assert_eq!(decision.consequences.journal.len(), 1);
        assert!(
            world.reads.borrow().iter().all(|read| !read.is_live()),
            "{expected} read GitHub"
        );
    }
}

#[test]
fn wh_09_an_owner_needs_no_membership() {
    let mut owner = user(None);
    (owner.is_platform_owner, owner.is_platform_admin) = (true, true);
    let world = World {
        user: Some(owner),
        ..World::with_issue(&["run:dev"])
    };
    accepted(&world.decide(&world.labeled("run:dev")));
}

#[test]
fn wh_10_an_outsider_review_leaves_no_stage_event() {
    let mut world = World {
        user: None,
        ..World::default()
    };
    world.pull_request_labels = owned(&["run:dev", "run:plan"]);
    let decision = world.decide(&world.review("changes_requested"));
    assert_eq!(event_types(&decision), ["webhook.ignored"]);
    assert_eq!(effects(&decision.consequences.effects), ["comment pr#9"]);
}

#[test]
fn wh_05_unreadable_labels_leave_the_decision_open() {
    let mut world = World::with_issue(&["run:dev"]);
    world.unreadable.insert(Read::IssueLabels(5));
    assert!(matches!(
        world.try_decide(&world.labeled("run:dev")),
        Err(Undecided::Unreadable { .. })
    ));
}

#[test]
fn nd_01_and_nd_02_need_input() {
    let mut world = World::with_issue(&["run:plan", "need:input"]);
    assert_eq!(
        reason(&world.decide(&world.labeled("run:plan"))).as_deref(),
        Some("issue_need_input_open")
    );
    let state = ThreadState {
        need_input_reason: Some("x".to_owned()),
        ..ThreadState::default()
    };
    world.states.insert(Read::IssueState(5), state);
    let decision = world.decide(&world.labeled("run:plan"));
    accepted(&decision);
    assert_eq!(
        effects(&decision.consequences.effects)[0],
        "-need:input issue#5"
    );
    let thread = Thread::issue(REPOSITORY, 5);
    assert_eq!(
        decision.consequences.thread_states,
        [ThreadStateChange::NeedInputCleared { thread }]
    );
}

#[test]
fn states_refuse_and_rethink_passes_all_but_abandoned() {
    for (label, expected) in [
        ("state:blocked", "issue_state_blocked"),
        ("state:abandoned", "issue_state_abandoned"),
    ] {
        let world = World::with_issue(&["run:dev", label]);
        assert_eq!(
            reason(&world.decide(&world.labeled("run:dev"))).as_deref(),
            Some(expected)
        );
    }
    let world = World::with_issue(&["run:rethink", "state:blocked", "need:input"]);
    let decision = world.decide(&world.labeled("run:rethink"));
    let branch = accepted(&decision).target_branch.clone().expect("a branch");
    assert_eq!(branch, format!("codex/issue-5-r{}", RunId(uuid(1)).short()));
    let world = World::with_issue(&["run:rethink", "state:abandoned"]);
    assert_eq!(
        reason(&world.decide(&world.labeled("run:rethink"))).as_deref(),
        Some("issue_state_abandoned")
    );
}

#[test]
fn rv_20_a_revise_without_a_pull_request_is_left_to_the_claim() {
    let world = World::with_issue(&["run:dev:revise"]);
    let decision = world.decide(&world.labeled("run:dev:revise"));
    assert_eq!(
        (
            accepted(&decision).pr_number,
            accepted(&decision).trigger.kind.is_revise()
        ),
        (None, true)
    );
}

#[test]
fn rv_07_a_revise_by_label_works_on_the_open_pull_request() {
    let world = World::with_issue(&["run:plan:revise"])
        .with_pull_request(run(TriggerKind::Work(Stage::Plan), RunStatus::Succeeded));
    let decision = world.decide(&world.labeled("run:plan:revise"));
    let run = accepted(&decision);
    assert_eq!(
        (run.pr_number, run.target_branch.as_deref()),
        (Some(9), Some("codex/issue-5"))
    );
    assert_eq!(run.runtime.build_ref, Some("a".repeat(40)));
}

#[test]
fn reviews_resolve_their_stage() {
    // RV-01: by the label of the pull request.
    let mut world = World::default()
        .with_pull_request(run(TriggerKind::Work(Stage::Intake), RunStatus::Succeeded));
    world.pull_request_labels = owned(&["run:intake"]);
    let decision = world.decide(&world.review("changes_requested"));
    let made = accepted(&decision);
    assert_eq!(
        (
            made.trigger.kind.to_string().as_str(),
            made.trigger.label.as_str()
        ),
        ("intake_revise", "run:intake:revise")
    );
    assert_eq!(
        (made.issue_number, made.pr_number, made.trigger.source),
        (Some(5), Some(9), TriggerSource::PullRequestReview)
    );
    assert_eq!(
        event_types(&decision),
        [
            "run.review.changes_requested.received",
            "run.revise.stage_resolved",
            "webhook.received",
            "run.enqueued"
        ]
    );
    assert!(
        !effects(&decision.consequences.effects)
            .iter()
            .any(|line| line.starts_with('+'))
    );
    assert!(effects(&decision.consequences.effects).contains(&"status created pr#9".to_owned()));
    // RV-26
    let mut headless = world.review("changes_requested");
    if let domain::events::EventKind::ReviewSubmitted { pull_request, .. } = &mut headless.kind {
        pull_request.head_sha.clear();
    }
    assert_eq!(
        accepted(&world.decide(&headless))
            .runtime
            .build_ref
            .as_deref(),
        Some("codex/issue-5")
    );

    let source = |world: &World| {
        let decision = world.decide(&world.review("changes_requested"));
        let found = decision
            .consequences
            .audit
            .iter()
            .find_map(|record| match &record.event {
                AuditEvent::RunReviseStageResolved(payload) => payload
                    .resolver_source
                    .clone()
                    .zip(payload.trigger_label.clone()),
                _ => None,
            });
        found.map(|(source, label)| format!("{source} {label}"))
    };
    // RV-04, RV-05
    let mut world = World::default()
        .with_pull_request(run(TriggerKind::Work(Stage::Design), RunStatus::Succeeded));
    assert_eq!(
        source(&world).as_deref(),
        Some("last_run_context run:design:revise")
    );
    world.issue_labels = owned(&["run:arch:revise"]);
    assert_eq!(
        source(&world).as_deref(),
        Some("issue_labels run:arch:revise")
    );
    // RV-06: the branch of L-50 names the Issue.
    let issue_history = vec![run(TriggerKind::Work(Stage::Plan), RunStatus::Succeeded)];
    let world = World {
        issue_history,
        ..World::default()
    };
    assert_eq!(
        source(&world).as_deref(),
        Some("issue_history run:plan:revise")
    );
    // RV-18
    let mut world = World::default()
        .with_pull_request(run(TriggerKind::Work(Stage::Plan), RunStatus::Succeeded));
    let mut reviewer = run(TriggerKind::Work(Stage::Dev), RunStatus::Succeeded);
    reviewer.trigger_source = TriggerSource::PullRequestLabel;
    reviewer.agent_key = Some("reviewer".to_owned());
    world.pull_request_history.insert(0, reviewer);
    assert_eq!(
        source(&world).as_deref(),
        Some("last_run_context run:plan:revise")
    );
}

#[test]
fn reviews_that_do_not_resolve() {
    // RV-14
    let world = World {
        pull_request_labels: owned(&["run:dev", "run:plan"]),
        ..World::default()
    };
    let decision = world.decide(&world.review("changes_requested"));
    assert_eq!(
        reason(&decision).as_deref(),
        Some("pull_request_review_stage_ambiguous")
    );
    assert_eq!(
        effects(&decision.consequences.effects),
        ["+need:input pr#9", "comment pr#9"]
    );
    assert_eq!(
        event_types(&decision),
        [
            "run.review.changes_requested.received",
            "run.revise.stage_ambiguous",
            "webhook.ignored"
        ]
    );
    // RV-16
    let mut world = World::default()
        .with_pull_request(run(TriggerKind::Work(Stage::Plan), RunStatus::Succeeded));
    let mut other = world.pull_request_history[0].clone();
    other.issue_number = Some(2);
    world.pull_request_history.push(other);
    let decision = world.decide(&world.review("changes_requested"));
    assert!(
        matches!(&decision.outcome, Outcome::Ignored(ignored) if ignored.conflicting_labels == ["issue#2", "issue#5"])
    );
    // RV-17
    let decision = World::default().decide(&World::default().review("changes_requested"));
    assert_eq!(
        reason(&decision).as_deref(),
        Some("pull_request_review_stage_not_resolved")
    );
    assert!(
        matches!(&decision.outcome, Outcome::Ignored(ignored) if ignored.suggested_labels.len() == 26)
    );
    // RV-19
    let world = World::default()
        .with_pull_request(run(TriggerKind::Work(Stage::Rethink), RunStatus::Succeeded));
    let decision = world.decide(&world.review("changes_requested"));
    assert_eq!(
        reason(&decision).as_deref(),
        Some("pull_request_review_stage_not_resolved")
    );
}

#[test]
fn rv_25_an_active_revise_of_the_same_stage_needs_no_comment() {
    let mut world = World::default()
        .with_pull_request(run(TriggerKind::Revise(Stage::Dev), RunStatus::Running));
    let decision = world.decide(&world.review("changes_requested"));
    assert_eq!(
        reason(&decision).as_deref(),
        Some("issue_active_run_exists")
    );
    assert!(decision.consequences.effects.is_empty());
    world.issue_history[0].trigger_kind = TriggerKind::Work(Stage::Dev);
    world.pull_request_history[0].trigger_kind = TriggerKind::Work(Stage::Dev);
    let decision = world.decide(&world.review("changes_requested"));
    assert_eq!(effects(&decision.consequences.effects), ["comment pr#9"]);
}

#[test]
fn reviewer_runs_are_keyed_by_the_label_event() {
    let world = World::default()
        .with_pull_request(run(TriggerKind::Work(Stage::Dev), RunStatus::Succeeded));
    let event = world.pull_request_event("pull_request", "labeled", Some("need:reviewer"), None);
    let decision = world.decide(&event);
    let made = accepted(&decision);
    assert_eq!(
        (made.trigger.kind.to_string().as_str(), made.write_scope),
        ("dev", WriteScope::NoRepoChanges)
    );
    assert!(
        made.correlation_id
            .as_str()
            .starts_with("pr-label-reviewer-")
    );
    let mut again = event.clone();
    again.delivery_id = domain::ids::DeliveryId::from("delivery-2");
    assert_eq!(
        accepted(&world.decide(&again)).correlation_id,
        made.correlation_id
    );
    if let domain::events::EventKind::PullRequestLabeled { pull_request, .. } = &mut again.kind {
        pull_request.updated_at = Some(now() + chrono::TimeDelta::seconds(1));
    }
    assert_ne!(
        accepted(&world.decide(&again)).correlation_id,
        made.correlation_id
    );
}

/// L-7.
#[test]
fn services_yaml_chooses_the_mode_of_a_kind() {
    let plan = TriggerKind::Work(Stage::Plan);
    let listed = WebhookRuntime {
        trigger_modes: [(plan, RuntimeMode::CodeOnly)].into(),
        ..WebhookRuntime::default()
    };
    let by_default = WebhookRuntime {
        default_mode: Some(RuntimeMode::CodeOnly),
        ..WebhookRuntime::default()
    };
    let cases = [
        (
            "run:plan",
            WebhookRuntime::default(),
            "full-env",
            "trigger_default",
        ),
        ("run:plan", listed.clone(), "code-only", "services_yaml"),
        ("run:dev", listed, "full-env", "trigger_default"),
        (
            "run:dev",
            by_default.clone(),
            "code-only",
            "services_yaml_default",
        ),
        ("run:ai-repair", by_default, "code-only", "trigger_default"),
    ];
    for (label, webhook_runtime, mode, source) in cases {
        let mut world = World::with_issue(&[label]);
        world.webhook_runtime = webhook_runtime;
        let decision = world.decide(&world.labeled(label));
        let runtime = &accepted(&decision).runtime;
        assert_eq!(
            (runtime.mode.as_str(), runtime.source.as_str()),
            (mode, source),
            "{label}"
        );
    }
}

/// kept with the run, so that its lease does not depend on what becomes of the file.
#[test]
fn services_yaml_says_how_long_a_namespace_is_leased() {
    let runtime = WebhookRuntime {
        namespace_ttl_by_role: [("dev".to_owned(), 7_200)].into(),
        default_namespace_ttl: Some(600),
        ..WebhookRuntime::default()
    };
    for (label, ttl) in [
        ("run:dev", Some(7_200)),
        ("run:plan", Some(600)),
        ("mode:discussion", Some(7_200)),
        ("run:ai-repair", None),
    ] {
        let mut world = World::with_issue(&[label]);
        world.webhook_runtime = runtime.clone();
        let decision = world.decide(&world.labeled(label));
        let run = accepted(&decision);
        assert_eq!(run.runtime.namespace_ttl_seconds, ttl, "{label}");
        let kept = &run.payload["runtime"]["namespace_ttl_seconds"];
        assert_eq!(kept.as_i64(), ttl, "{label}");
    }
}

/// L-32: without the file's word nothing is decided; what is refused before needs it not.
#[test]
fn an_unreadable_services_yaml_holds_up_what_would_start() {
    let mut world = World::with_issue(&["run:plan"]);
    world.unreadable.insert(Read::WebhookRuntime);
    assert!(matches!(
        world.try_decide(&world.labeled("run:plan")),
        Err(Undecided::Unreadable {
            read: Read::WebhookRuntime,
            ..
        })
    ));
    world.issue_labels.push("state:blocked".to_owned());
    assert_eq!(
        reason(&world.decide(&world.labeled("run:plan"))).as_deref(),
        Some("issue_state_blocked")
    );
}

#[test]
fn discussions_start_stop_and_are_preempted() {
    let world = World::with_issue(&["mode:discussion", "run:plan"]);
    let decision = world.decide(&world.labeled("mode:discussion"));
    let made = accepted(&decision);
    assert!(made.discussion_mode && made.runtime.mode == RuntimeMode::CodeOnly);
    assert_eq!(
        made.agent.as_ref().map(|agent| agent.key.as_str()),
        Some("em")
    );

    let mut talk = run(TriggerKind::Work(Stage::Dev), RunStatus::Running);
    talk.discussion_mode = true;
    let mut world = World::with_issue(&["mode:discussion"]);
    world.issue_history = vec![talk.clone()];
    assert_eq!(
        reason(&world.decide(&world.labeled("mode:discussion"))).as_deref(),
        Some("issue_event_not_trigger_label")
    );
    let mut comment = world.payload("created", None);
    comment["comment"] =
        json!({"id": 1, "body": "hello", "user": {"login": "alice", "type": "User"}});
    assert_eq!(
        world
            .decide(&world.event("issue_comment", comment.clone()))
            .outcome,
        Outcome::Received
    );
    let removed = world.decide(&world.event(
        "issues",
        world.payload("unlabeled", Some("mode:discussion")),
    ));
    assert_eq!(
        effects(&removed.consequences.effects),
        ["cancel discussion discussion_label_removed"]
    );
    let closed = world.decide(&world.event("issues", world.payload("closed", None)));
    assert_eq!(
        effects(&closed.consequences.effects),
        [
            "cancel discussion issue_closed_or_deleted",
            "delete namespaces issue#5 issue_closed"
        ]
    );
    // A namespace that an ended discussion left goes with the one at work.
    let mut stale = run(TriggerKind::Work(Stage::Dev), RunStatus::Failed);
    stale.run_id = RunId(uuid(99));
    stale.discussion_mode = true;
    stale.namespace = Some("codex-issue-x".parse().expect("a name"));
    world.issue_history.push(stale);
    world.issue_labels.push("run:intake".to_owned());
    let decision = world.decide(&world.labeled("run:intake"));
    accepted(&decision);
    let stopped = effects(&decision.consequences.effects)
        .into_iter()
        .filter(|effect| effect == "cancel discussion run_label_detected")
        .count();
    assert_eq!(stopped, 2);

    world.issue_history.clear();
    world.issue_labels.pop();
    accepted(&world.decide(&world.event("issue_comment", comment.clone())));
    world.user = None;
    let refused = world.decide(&world.event("issue_comment", comment));
    assert_eq!(reason(&refused).as_deref(), Some("sender_not_allowed"));
    assert!(refused.consequences.effects.is_empty());
}

#[test]
fn a_grant_lets_the_bot_label_for_a_person() {
    let mut world = World::with_issue(&["run:qa"]);
    world.issue_labels = owned(&["run:plan"]);
    world.grant = Some(Grant {
        user: user(Some("read_write")),
        request_id: Some(3),
    });
    let mut payload = world.payload("labeled", Some("run:plan"));
    payload["sender"] = json!({"id": 2, "login": "codex-bot", "type": "User"});
    let decision = world.decide(&world.event("issues", payload));
    accepted(&decision);
    assert!(event_types(&decision).contains(&"label.grant.consumed"));
    assert_eq!(
        decision
            .consequences
            .consumed_grant
            .map(|grant| grant.label)
            .as_deref(),
        Some("run:plan")
    );
}

/// A grant that outlived a refusal would let the bot start the run later by itself (L-18).
#[test]
fn a_grant_is_used_up_by_a_refusal_too() {
    let mut world = World::with_issue(&["run:plan", "state:blocked"]);
    world.grant = Some(Grant {
        user: user(Some("read_write")),
        request_id: None,
    });
    let mut payload = world.payload("labeled", Some("run:plan"));
    payload["sender"] = json!({"id": 2, "login": "codex-bot", "type": "User"});
    let refused = world.decide(&world.event("issues", payload.clone()));
    assert_eq!(reason(&refused).as_deref(), Some("issue_state_blocked"));
    assert!(event_types(&refused).contains(&"label.grant.consumed"));
    assert!(refused.consequences.consumed_grant.is_some());
    // A person's own label leaves it alone.
    payload["sender"] = json!({"id": 11, "login": "alice", "type": "User"});
    let refused = world.decide(&world.event("issues", payload));
    assert_eq!(refused.consequences.consumed_grant, None);
}

/// A rethink has a branch and a pull request of its own (L-50); later runs of the Issue do not work there.
#[test]
fn a_labelled_run_does_not_take_over_the_pull_request_of_a_rethink() {
    let mut world = World::with_issue(&["run:plan"])
        .with_pull_request(run(TriggerKind::Work(Stage::Rethink), RunStatus::Succeeded));
    if let Some(pull_request) = &mut world.pull_request {
        pull_request.head_ref = "codex/issue-5-r1".to_owned();
    }
    world.issue_labels = owned(&["run:plan", "state:approved"]);
    let decision = world.decide(&world.labeled("run:plan"));
    assert_eq!(accepted(&decision).pr_number, None);
    assert_eq!(
        accepted(&decision).target_branch.as_deref(),
        Some("codex/issue-5")
    );
}

/// The pull request linked to an Issue is that of its newest stage-run; a later reviewer-run of an older one does not
/// change that (L-84).
#[test]
fn an_answered_need_input_leaves_the_pull_request_of_the_newest_stage_run() {
    let mut plan = run(TriggerKind::Work(Stage::Plan), RunStatus::Succeeded);
    plan.pr_number = Some(9);
    let mut reviewer = run(TriggerKind::Work(Stage::Dev), RunStatus::Succeeded);
    (reviewer.trigger_source, reviewer.pr_number) = (TriggerSource::PullRequestLabel, Some(8));
    let mut world = World::with_issue(&["mode:discussion"]);
    world.issue_history = vec![reviewer, plan];
    let owned = domain::snapshot::ThreadState {
        need_input_reason: Some("pull_request_review_stage_ambiguous".to_owned()),
        ..Default::default()
    };
    world.states.insert(Read::PullRequestState(9), owned);
    let decision = world.decide(&world.labeled("mode:discussion"));
    assert!(
        effects(&decision.consequences.effects).contains(&"-need:input pr#9".to_owned()),
        "{:?}",
        effects(&decision.consequences.effects)
    );
}
