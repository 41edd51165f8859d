//! Next steps that people take, and the path of an Issue (L-89 to L-101, L-18).

mod support;

use std::collections::BTreeSet;

use domain::audit::Actor;
use domain::decide::{
    FlowFacts, FlowInput, LabelDiff, StepDecision, StepInput, StepMode, StepRefusal,
    ThreadStateChange, change_flow, escalate_flow, read_flow, read_step,
};
use domain::effects::Effect;
use domain::events::Thread;
use domain::ids::{CorrelationId, ProjectId, RunId};
use domain::labels::Catalogue;
use domain::launch_profiles::{IssueFlow, LaunchProfile, RiskSignal};
use domain::next_steps::{NextStep, StepThreads, matrix_row, offered_after_run, steps_after};
use domain::policy::Policy;
use domain::runs::{RunStatus, TriggerSource};
use domain::snapshot::{Grant, Read, ThreadState, UserFacts};
use domain::stages::{MAIN_PATH, Stage, TriggerKind};
use serde_json::json;
use support::{REPOSITORY, World, effects, event_types, owned, reason, run, user, uuid};

use StepMode::{Execute, Preview};

fn to(label: &str) -> StepInput {
    StepInput {
        repository_full_name: Some(REPOSITORY.to_owned()),
        action_kind: Some("issue_stage_transition".to_owned()),
        target_label: Some(label.to_owned()),
        issue_number: Some(5),
        ..StepInput::default()
    }
}

fn reviewer() -> StepInput {
    StepInput {
        action_kind: Some("pull_request_label_add".to_owned()),
        target_label: Some("need:reviewer".to_owned()),
        pull_request_number: Some(9),
        ..to("need:reviewer")
    }
}

fn done(stage: Stage) -> World {
    let mut world = World::with_issue(&["state:approved"]);
    world.issue_history = vec![run(TriggerKind::Work(stage), RunStatus::Succeeded)];
    world
}

fn owner() -> UserFacts {
    UserFacts {
        is_platform_owner: true,
        ..user(None)
    }
}

fn diff(decision: &StepDecision) -> (Vec<&str>, Vec<&str>, Vec<&str>) {
    let LabelDiff {
        removed,
        added,
        final_labels,
        ..
    } = decision.outcome.as_ref().expect("the step is taken");
    let texts = |labels: &'_ [String]| labels.iter().map(String::len).sum::<usize>();
    assert!(texts(final_labels) > 0);
    (
        removed.iter().map(String::as_str).collect(),
        added.iter().map(String::as_str).collect(),
        final_labels.iter().map(String::as_str).collect(),
    )
}

fn types(decision: &StepDecision) -> Vec<&'static str> {
    let audit = &decision.consequences.audit;
    audit.iter().map(|record| record.event_type()).collect()
}

fn guarded_by(decision: &StepDecision) -> Option<String> {
    match &decision.outcome {
        Err(StepRefusal::Guarded { reason, .. }) => Some(reason.to_string()),
        _ => None,
    }
}

fn shown(stage: Stage, flow: &IssueFlow, pr_number: Option<i64>) -> Vec<String> {
    let threads = StepThreads {
        repository_full_name: REPOSITORY,
        issue_number: Some(5),
        pr_number,
    };
    steps_after(stage, flow, &threads, &Catalogue::default(), None)
        .into_iter()
        .map(|step| format!("{}={}", step.target_label, step.display_variant))
        .collect()
}

fn flow(profile: Option<LaunchProfile>, signals: &[RiskSignal]) -> IssueFlow {
    IssueFlow {
        profile,
        signals: signals.iter().copied().collect(),
    }
}

#[test]
fn each_request_that_makes_no_sense_names_its_member() {
    let cases: [(&str, StepInput); 14] = [
        (
            "repository_full_name",
            StepInput {
                repository_full_name: None,
                ..to("run:qa")
            },
        ),
        (
            "repository_full_name",
            StepInput {
                repository_full_name: Some(" ".into()),
                ..to("run:qa")
            },
        ),
        (
            "action_kind",
            StepInput {
                action_kind: None,
                ..to("run:qa")
            },
        ),
        (
            "action_kind",
            StepInput {
                action_kind: Some("merge".into()),
                ..to("run:qa")
            },
        ),
        (
            "target_label",
            StepInput {
                target_label: None,
                ..to("run:qa")
            },
        ),
        ("target_label", to("run:ai-repair")),
        ("target_label", to("run:debug")),
        ("target_label", to("mode:discussion")),
        ("target_label", to("run:foo")),
        (
            "target_label",
            StepInput {
                target_label: Some("run:qa".into()),
                ..reviewer()
            },
        ),
        (
            "issue_number",
            StepInput {
                issue_number: None,
                ..to("run:qa")
            },
        ),
        (
            "issue_number",
            StepInput {
                issue_number: Some(0),
                ..to("run:qa")
            },
        ),
        (
            "pull_request_number",
            StepInput {
                pull_request_number: Some(-1),
                ..reviewer()
            },
        ),
        (
            "display_variant",
            StepInput {
                display_variant: Some("fast".into()),
                ..to("run:qa")
            },
        ),
    ];
    for (field, input) in cases {
        let refused = read_step(&input, &Catalogue::default()).expect_err("no sense");
        assert_eq!(refused.field, field, "{input:?}");
    }
    let catalogue = Catalogue::default();
    let targets = TriggerKind::all_labelled()
        .filter(|kind| {
            let name = catalogue.name(domain::labels::CatalogueLabel::Trigger(*kind));
            read_step(&to(name), &catalogue).is_ok()
        })
        .count();
    assert_eq!(targets, 27);
}

#[test]
fn a_preview_tells_and_writes_nothing_but_that_it_was_asked() {
    let mut world = done(Stage::Dev);
    world.issue_labels = owned(&["run:plan", "bug", "run:debug", "state:approved"]);
    let preview = world.step(&to("run:qa"), Preview);
    assert_eq!(
        diff(&preview),
        (
            vec!["run:plan"],
            vec!["run:qa"],
            vec!["bug", "run:debug", "run:qa", "state:approved"]
        )
    );
    assert_eq!(types(&preview), ["run.next_step.preview_requested"]);
    assert!(preview.consequences.effects.is_empty() && preview.consequences.grants.is_empty());
    // It answers even where the step would be refused (L-98).
    world.issue_labels = owned(&["run:plan", "run:dev", "state:blocked"]);
    assert_eq!(
        diff(&world.step(&to("run:qa"), Preview)).0,
        ["run:dev", "run:plan"]
    );
}

#[test]
fn a_step_moves_labels_under_a_grant_and_only_once() {
    let mut world = World::with_issue(&["run:plan", "run:foo", "run:debug"]);
    let taken = world.step(&to("RUN:dev "), Execute);
    assert_eq!(
        effects(&taken.consequences.effects),
        ["-run:plan issue#5", "+run:dev issue#5"]
    );
    assert_eq!(taken.consequences.effects[1].after, Some(0));
    for planned in &taken.consequences.effects {
        let (Effect::AddLabel { origin, .. } | Effect::RemoveLabel { origin, .. }) =
            &planned.effect
        else {
            panic!("a label change");
        };
        assert_eq!(
            (origin.source.as_str(), origin.requested_by.as_str()),
            ("ui", user(None).id.to_string().as_str())
        );
    }
    let grants: Vec<(&str, &Thread)> = taken
        .consequences
        .grants
        .iter()
        .map(|grant| (grant.label.as_str(), &grant.thread))
        .collect();
    assert_eq!(grants, [("run:dev", &Thread::issue(REPOSITORY, 5))]);
    assert_eq!(types(&taken), ["run.next_step.executed"]);

    world.issue_labels = owned(&["run:dev", "run:foo", "run:debug"]);
    // The same click again, with what the person saw before the first.
    let expected = Some(owned(&["run:plan"]));
    let again = world.step(
        &StepInput {
            expected_run_labels: expected,
            ..to("run:dev")
        },
        Execute,
    );
    assert_eq!(diff(&again).0.len() + diff(&again).1.len(), 0);
    assert_eq!(again.consequences, Default::default());
}

#[test]
fn what_the_person_saw_must_still_be_there() {
    let world = World::with_issue(&["run:plan", "run:debug"]);
    for mode in [Preview, Execute] {
        let stale = world.step(
            &StepInput {
                expected_run_labels: Some(Vec::new()),
                ..to("run:dev")
            },
            mode,
        );
        let conflict = StepRefusal::Conflict {
            expected: Vec::new(),
            actual: owned(&["run:plan"]),
        };
        assert_eq!(stale.outcome, Err(conflict));
        assert_eq!(stale.consequences, Default::default());
        let seen = Some(owned(&["run:debug", "Run:Plan"]));
        let fresh = world.step(
            &StepInput {
                expected_run_labels: seen,
                ..to("run:dev")
            },
            mode,
        );
        assert!(fresh.outcome.is_ok());
    }
}

#[test]
fn a_step_is_refused_for_what_its_own_delivery_would_be_refused_for() {
    let approver = || user(Some("admin"));
    type Case = (
        &'static str,
        Stage,
        &'static [&'static str],
        &'static str,
        fn() -> UserFacts,
        Option<&'static str>,
    );
    let member = || user(Some("read_write"));
    let cases: [Case; 10] = [
        (
            "L-37 blocked",
            Stage::Dev,
            &["state:approved", "state:blocked"],
            "run:dev",
            member,
            Some("issue_state_blocked"),
        ),
        (
            "L-37 abandoned",
            Stage::Dev,
            &["state:abandoned"],
            "run:rethink",
            member,
            Some("issue_state_abandoned"),
        ),
        (
            "L-37 asked",
            Stage::Dev,
            &["state:approved", "need:input"],
            "run:dev",
            member,
            Some("issue_need_input_open"),
        ),
        (
            "L-37 exempt",
            Stage::Dev,
            &["state:blocked"],
            "run:rethink",
            member,
            None,
        ),
        (
            "L-70",
            Stage::Plan,
            &["state:approved"],
            "run:intake",
            member,
            Some("stage_transition_not_allowed"),
        ),
        (
            "L-70 approver",
            Stage::Plan,
            &["state:approved"],
            "run:intake",
            approver,
            None,
        ),
        (
            "L-71",
            Stage::Plan,
            &["state:in-review"],
            "run:dev",
            member,
            Some("stage_gate_not_passed"),
        ),
        (
            "L-71 approver",
            Stage::Plan,
            &["state:in-review"],
            "run:dev",
            approver,
            None,
        ),
        (
            "L-41",
            Stage::Dev,
            &["state:approved"],
            "run:qa",
            member,
            Some("issue_trigger_candidate_not_found"),
        ),
        (
            "in order",
            Stage::Plan,
            &["state:approved"],
            "run:dev",
            member,
            None,
        ),
    ];
    for (name, stage, labels, target, person, expected) in cases {
        let mut world = done(stage);
        world.issue_labels = owned(labels);
        world.user = Some(person());
        let decision = world.step(&to(target), Execute);
        assert_eq!(guarded_by(&decision).as_deref(), expected, "{name}");
        assert_eq!(decision.outcome.is_ok(), expected.is_none(), "{name}");
        if expected.is_some() {
            assert_eq!(decision.consequences, Default::default(), "{name}");
        }
    }
    let mut busy = done(Stage::Plan);
    let active = run(TriggerKind::Work(Stage::Dev), RunStatus::Running);
    busy.issue_history.insert(0, active);
    let refused = busy.step(&to("run:dev"), Execute);
    assert_eq!(
        guarded_by(&refused).as_deref(),
        Some("issue_active_run_exists")
    );
}

#[test]
fn an_unclear_stage_asks_people_and_asks_once() {
    let cases = [
        (
            vec!["run:dev", "run:plan"],
            true,
            "trigger_labels_ambiguous",
        ),
        (vec!["bug"], false, "stage_unknown"),
    ];
    for (labels, with_history, why) in cases {
        let mut world = World::with_issue(&labels);
        if with_history {
            world.issue_history = vec![run(TriggerKind::Work(Stage::Plan), RunStatus::Succeeded)];
        }
        let blocked = world.step(&to("run:dev"), Execute);
        let named: Vec<String> = labels
            .iter()
            .filter(|label| **label != "bug")
            .map(|label| (*label).to_owned())
            .collect();
        assert_eq!(
            blocked.outcome,
            Err(StepRefusal::Ambiguous {
                labels: named.clone()
            })
        );
        assert_eq!(types(&blocked), ["run.next_step.blocked_need_input"]);
        assert_eq!(
            effects(&blocked.consequences.effects),
            ["+need:input issue#5", "comment issue#5"]
        );
        assert_eq!(blocked.consequences.effects[1].after, Some(0));
        assert!(blocked.consequences.grants.is_empty());
        let Effect::CreateComment { body, .. } = &blocked.consequences.effects[1].effect else {
            panic!("a comment");
        };
        assert!(
            named
                .iter()
                .all(|label| body.contains(&format!("`{label}`"))),
            "{body}"
        );

        world.issue_labels.push("need:input".to_owned());
        let state = ThreadState {
            need_input_reason: Some(why.to_owned()),
            ..ThreadState::default()
        };
        world.states.insert(Read::IssueState(5), state);
        let again = world.step(&to("run:dev"), Execute);
        assert_eq!(types(&again), ["run.next_step.blocked_need_input"]);
        assert!(again.consequences.effects.is_empty() && again.outcome.is_err());
    }
    // No label but history is normal.
    let world = done(Stage::Plan);
    assert!(world.step(&to("run:dev"), Execute).outcome.is_ok());
}

#[test]
fn a_pre_review_is_only_added() {
    let mut world = World::with_issue(&[]);
    world.pull_request_labels = owned(&["run:dev", "bug"]);
    let mut world =
        world.with_pull_request(run(TriggerKind::Work(Stage::Dev), RunStatus::Succeeded));
    let taken = world.step(&reviewer(), Execute);
    assert_eq!(
        diff(&taken),
        (
            vec![],
            vec!["need:reviewer"],
            vec!["bug", "need:reviewer", "run:dev"]
        )
    );
    assert_eq!(
        effects(&taken.consequences.effects),
        ["+need:reviewer pr#9"]
    );
    assert_eq!(taken.consequences.grants.len(), 1);
    world.pull_request = None;
    let Err(StepRefusal::Invalid(field)) = world.step(&reviewer(), Preview).outcome else {
        panic!("refused");
    };
    assert_eq!(field.field, "pull_request_number");
}

#[test]
fn a_chosen_path_is_kept_and_only_an_owner_goes_back() {
    use LaunchProfile::{Feature, NewService, QuickFix};
    type Case = (
        Stage,
        &'static str,
        Option<LaunchProfile>,
        Option<LaunchProfile>,
    );
    let member = user(Some("admin"));
    // Stage, target, profile before, profile afterwards; none afterwards: refused.
    let cases: [Case; 9] = [
        (Stage::Intake, "run:vision", None, Some(NewService)),
        (Stage::Intake, "run:prd", None, Some(Feature)),
        (Stage::Intake, "run:plan", None, Some(QuickFix)),
        (Stage::Intake, "run:prd", Some(QuickFix), Some(Feature)),
        (Stage::Intake, "run:plan", Some(NewService), None),
        (Stage::Prd, "run:design", Some(NewService), None),
        (Stage::Vision, "run:prd", Some(QuickFix), Some(QuickFix)),
        (
            Stage::Rethink,
            "run:intake",
            Some(QuickFix),
            Some(NewService),
        ),
        (Stage::Rethink, "run:plan", Some(Feature), None),
    ];
    for (stage, target, before, after) in cases {
        let mut world = done(stage);
        world.user = Some(member.clone());
        let state = ThreadState {
            flow: flow(before, &[]),
            ..ThreadState::default()
        };
        world.states.insert(Read::IssueState(5), state);
        let set = |decision: &StepDecision| {
            decision
                .consequences
                .thread_states
                .iter()
                .find_map(|change| match change {
                    ThreadStateChange::FlowSet { flow, .. } => Some(flow.profile),
                    _ => None,
                })
        };
        let decision = world.step(&to(target), Execute);
        match after {
            Some(after) => {
                assert!(
                    decision.outcome.is_ok(),
                    "{stage} {target}: {:?}",
                    decision.outcome
                );
                let changed = (before != Some(after)).then_some(Some(after));
                assert_eq!(set(&decision), changed, "{stage} {target}");
                assert_eq!(
                    types(&decision).contains(&"stage.launch_profile.resolved"),
                    changed.is_some()
                );
            }
            None => {
                assert!(matches!(
                    decision.outcome,
                    Err(StepRefusal::ShorterPath { .. })
                ));
                world.user = Some(owner());
                let decision = world.step(&to(target), Execute);
                assert!(decision.outcome.is_ok() && set(&decision).is_some());
            }
        }
    }
    // What the step is called decides nothing: the matrix does.
    let mut world = done(Stage::Intake);
    world.user = Some(member);
    let named = StepInput {
        display_variant: Some("full_flow".to_owned()),
        ..to("run:plan")
    };
    let Err(StepRefusal::Invalid(field)) = world.step(&named, Execute).outcome else {
        panic!("a contradiction");
    };
    assert_eq!(field.field, "display_variant");
}

#[test]
fn a_risk_lengthens_the_path_and_hides_the_shortest() {
    use LaunchProfile::{Feature, NewService, QuickFix};
    assert_eq!(
        shown(Stage::Intake, &flow(Some(QuickFix), &[]), Some(9)),
        [
            "run:intake:revise=revise",
            "run:vision=full_flow",
            "run:prd=shortened_flow",
            "run:plan=very_short_flow",
            "need:reviewer=reviewer"
        ]
    );
    let escalated = flow(Some(QuickFix), &[]).escalated(&BTreeSet::from([RiskSignal::DbMigration]));
    assert_eq!(escalated.profile, Some(Feature));
    assert_eq!(
        shown(Stage::Intake, &escalated, None),
        [
            "run:intake:revise=revise",
            "run:vision=full_flow",
            "run:prd=shortened_flow"
        ]
    );
    for (signal, stage, target) in [
        (
            RiskSignal::ArchBoundaryChange,
            Stage::Prd,
            "run:arch=full_or_shortened_flow",
        ),
        (
            RiskSignal::NfrChange,
            Stage::Prd,
            "run:arch=full_or_shortened_flow",
        ),
        (
            RiskSignal::ProductStrategyChange,
            Stage::Intake,
            "run:vision=full_or_shortened_flow",
        ),
    ] {
        let flow = flow(Some(Feature), &[signal]);
        let offered = shown(stage, &flow, None);
        assert!(
            offered.contains(&target.to_owned()),
            "{signal}: {offered:?}"
        );
        assert!(
            offered
                .iter()
                .all(|step| !step.ends_with("very_short_flow"))
        );
    }
    assert_eq!(
        flow(None, &[])
            .escalated(&BTreeSet::from([RiskSignal::NfrChange]))
            .profile,
        Some(Feature)
    );
    assert_eq!(
        flow(Some(NewService), &[])
            .escalated(&BTreeSet::from([RiskSignal::NfrChange]))
            .profile,
        Some(NewService)
    );
    assert!(
        !flow(Some(QuickFix), &[RiskSignal::DbMigration]).hides_very_short(),
        "an owner went back"
    );
}

#[test]
fn the_stages_of_each_profile_are_those_of_l_94() {
    let stages = |profile: LaunchProfile| -> Vec<String> {
        MAIN_PATH
            .into_iter()
            .filter(|stage| profile.includes(*stage, &BTreeSet::new()))
            .map(|stage| stage.to_string())
            .collect()
    };
    let text = include_str!("../../../docs/spec/labels-and-stages.md");
    let rule = text
        .lines()
        .find(|line| line.starts_with("- **L-94**"))
        .expect("the rule");
    for profile in [LaunchProfile::QuickFix, LaunchProfile::Feature] {
        let listed = rule
            .split(&format!("`{profile}` = "))
            .nth(1)
            .and_then(|rest| rest.split(';').next())
            .expect("its stages");
        assert_eq!(stages(profile).join(", "), listed);
    }
    assert_eq!(stages(LaunchProfile::NewService).len(), MAIN_PATH.len());
    let rule = text
        .lines()
        .find(|line| line.starts_with("- **L-96**"))
        .expect("the rule");
    for signal in RiskSignal::ALL {
        assert!(rule.contains(&format!("`{signal}`")), "{signal}");
    }
}

#[test]
fn people_change_the_path_within_their_rights() {
    use LaunchProfile::{Feature, NewService, QuickFix};
    let issue = Thread::issue(REPOSITORY, 5);
    let history = [run(TriggerKind::Work(Stage::Intake), RunStatus::Succeeded)];
    let member = user(Some("read_write"));
    let ask = |before: &IssueFlow,
               signals: &[&str],
               profile: Option<LaunchProfile>,
               person: &UserFacts| {
        let request = read_flow(&FlowInput {
            issue_number: Some(5),
            risk_signals: Some(owned(signals)),
            launch_profile: profile.map(|profile| profile.to_string()),
            reason: Some("seen in review".to_owned()),
        })
        .expect("the request makes sense");
        let facts = FlowFacts {
            issue: &issue,
            project_id: ProjectId(uuid(3)),
            flow: before,
            history: &history,
        };
        change_flow(
            &facts,
            &request,
            person,
            &CorrelationId::new("staff-1"),
            "flow:1",
        )
    };
    let quick = flow(Some(QuickFix), &[]);
    let escalated = ask(&quick, &["db_migration"], None, &member).expect("permitted");
    assert_eq!(escalated.flow.profile, Some(Feature));
    let told: Vec<&str> = escalated
        .consequences
        .audit
        .iter()
        .map(|record| record.event_type())
        .collect();
    assert_eq!(
        told,
        ["run.stage.escalated", "stage.launch_profile.resolved"]
    );
    assert_eq!(
        effects(&escalated.consequences.effects),
        ["refresh issue#5"]
    );
    let again = ask(&escalated.flow, &["db_migration"], None, &member).expect("permitted");
    assert_eq!(again.consequences, Default::default());

    // A run says so in its report: the same, in the name of its agent and never back.
    let report = |before: &IssueFlow, signals: &[RiskSignal]| {
        let facts = FlowFacts {
            issue: &issue,
            project_id: ProjectId(uuid(3)),
            flow: before,
            history: &history,
        };
        escalate_flow(
            &facts,
            &signals.iter().copied().collect(),
            (RunId(uuid(9)), "pm"),
            &CorrelationId::new("delivery-1"),
            "flow:2",
        )
    };
    let agent = Actor::Agent("pm".to_owned());
    let reported = report(&quick, &[RiskSignal::DbMigration]);
    assert_eq!(reported.flow, escalated.flow);
    assert_eq!(
        reported
            .consequences
            .audit
            .iter()
            .map(|record| (record.event_type(), &record.actor, record.run_id))
            .collect::<Vec<_>>(),
        ["run.stage.escalated", "stage.launch_profile.resolved"].map(|event| (
            event,
            &agent,
            Some(RunId(uuid(9)))
        ))
    );
    for (before, signals) in [
        (&reported.flow, &[RiskSignal::DbMigration][..]),
        (&quick, &[]),
    ] {
        let same = report(before, signals);
        assert_eq!(
            (&same.flow, same.consequences),
            (before, Default::default())
        );
    }

    let whole = flow(Some(NewService), &[]);
    let refused = ask(&whole, &[], Some(Feature), &member).expect_err("not permitted");
    assert_eq!((refused.current, refused.wanted), (NewService, Feature));
    let shortened = ask(&whole, &[], Some(Feature), &owner()).expect("permitted");
    assert_eq!(shortened.flow.profile, Some(Feature));
    assert!(ask(&quick, &["nfr_change"], Some(QuickFix), &member).is_err());

    let cases = [
        (
            "issue_number",
            FlowInput {
                issue_number: None,
                ..FlowInput::default()
            },
        ),
        (
            "issue_number",
            FlowInput {
                issue_number: Some(0),
                ..FlowInput::default()
            },
        ),
        (
            "launch_profile",
            FlowInput {
                issue_number: Some(5),
                ..FlowInput::default()
            },
        ),
        (
            "launch_profile",
            FlowInput {
                issue_number: Some(5),
                launch_profile: Some("slow".into()),
                ..FlowInput::default()
            },
        ),
        (
            "risk_signals",
            FlowInput {
                issue_number: Some(5),
                risk_signals: Some(owned(&["fog"])),
                ..FlowInput::default()
            },
        ),
        (
            "reason",
            FlowInput {
                issue_number: Some(5),
                launch_profile: Some("feature".into()),
                ..FlowInput::default()
            },
        ),
    ];
    for (field, input) in cases {
        assert_eq!(
            read_flow(&input).expect_err("no sense").field,
            field,
            "{input:?}"
        );
    }
}

#[test]
fn steps_are_offered_after_success_unless_the_issue_is_held() {
    let policy = Policy::default();
    let offered = |run: &domain::snapshot::RunFacts, labels: &[&str]| -> Vec<NextStep> {
        offered_after_run(run, &owned(labels), &IssueFlow::default(), &policy)
    };
    let dev = run(TriggerKind::Work(Stage::Dev), RunStatus::Succeeded);
    assert_eq!(offered(&dev, &["state:in-review"]).len(), 4);
    for held in ["state:blocked", "state:abandoned"] {
        assert!(offered(&dev, &[held]).is_empty(), "{held}");
    }
    for status in [
        RunStatus::Failed,
        RunStatus::Canceled,
        RunStatus::Running,
        RunStatus::Pending,
    ] {
        assert!(
            offered(&run(TriggerKind::Work(Stage::Dev), status), &[]).is_empty(),
            "{status}"
        );
    }
    let mut reviewed = dev.clone();
    reviewed.trigger_source = TriggerSource::PullRequestLabel;
    let mut discussed = dev.clone();
    discussed.discussion_mode = true;
    let mut deployed = dev.clone();
    deployed.deploy_only = true;
    let repaired = run(TriggerKind::Work(Stage::AiRepair), RunStatus::Succeeded);
    for run in [reviewed, discussed, deployed, repaired] {
        assert!(offered(&run, &[]).is_empty());
    }
    assert!(matrix_row(Stage::AiRepair).is_none());
}

#[test]
fn blocking_and_unblocking_show_the_comment_anew() {
    for label in ["state:blocked", "state:abandoned"] {
        for action in ["labeled", "unlabeled"] {
            let mut world = done(Stage::Dev);
            world.issue_labels = owned(&["state:approved"]);
            let decision = world.decide(&world.event("issues", world.payload(action, Some(label))));
            let planned = effects(&decision.consequences.effects);
            assert!(
                planned.contains(&"refresh issue#5".to_owned()),
                "{label} {action}: {planned:?}"
            );
        }
    }
}

#[test]
fn a_grant_is_used_up_by_a_refusal_too() {
    let mut world = World::with_issue(&["run:plan"]);
    world.issue_closed = true;
    world.grant = Some(Grant {
        user: user(Some("read_write")),
        request_id: None,
    });
    let mut payload = world.payload("labeled", Some("run:plan"));
    payload["sender"] = json!({"id": 2, "login": "codex-bot", "type": "User"});
    let refused = world.decide(&world.event("issues", payload.clone()));
    assert_eq!(reason(&refused).as_deref(), Some("issue_closed"));
    assert!(refused.consequences.consumed_grant.is_some());
    assert!(event_types(&refused).contains(&"label.grant.consumed"));
    // A human's label leaves the grant alone.
    let by_human = world.decide(&world.labeled("run:plan"));
    assert!(by_human.consequences.consumed_grant.is_none());
    world.grant = None;
    let without = world.decide(&world.event("issues", payload));
    assert_eq!(
        reason(&without).as_deref(),
        Some("sender_type_bot_not_permitted")
    );
}
