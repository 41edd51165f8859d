//! Small rules on their own: write scope, profile, leases, fingerprint, comments.

mod support;

use std::collections::BTreeMap;

use chrono::TimeDelta;
use domain::comments::{
    NamespaceAction, StatusComment, StatusMarker, StatusReport, best_status_comment, group_reports,
    status_comment,
};
use domain::effects::CommentPhase;
use domain::fingerprint::{FINGERPRINT_VERSION, Fingerprint, ReuseFacts, ReuseRefusal, may_reuse};
use domain::ids::{CorrelationId, ProjectId, RunId};
use domain::launch_profiles::IssueFlow;
use domain::namespaces::{
    Lease, NamespaceMetadata, code_runs_namespace, namespace_annotations, namespace_labels,
    namespace_ttl_seconds, project_namespace_ttl, run_namespace,
};
use domain::next_steps::{StepThreads, steps_after};
use domain::policy::{Locale, Policy};
use domain::profile::{ProfileRequest, resolve};
use domain::runs::{RunStatus, TriggerSource};
use domain::snapshot::{ProfileFacts, WebhookRuntime};
use domain::stages::{AccessProfile, Role, RuntimeMode, Stage, TargetEnv, TriggerKind, WriteScope};
use domain::write_scope::check;
use support::*;

#[test]
fn sl_18_the_write_scope_names_twenty_paths() {
    let paths: Vec<String> = (1..=25)
        .map(|number| format!("src/f{number:02}.rs"))
        .collect();
    let violation =
        check(WriteScope::MarkdownOnly, &paths, true, &[]).expect_err("forbidden paths");
    let text = violation.to_string();
    assert!(
        text.contains("src/f20.rs") && !text.contains("src/f21.rs"),
        "{text}"
    );
    assert!(text.ends_with("... and 5 more"), "{text}");
    let cases = [
        (WriteScope::MarkdownOnly, "README.MD", true),
        (WriteScope::MarkdownOnly, "main.rs", false),
        (WriteScope::MarkdownOnly, "a.md.rs", false),
        (WriteScope::Any, "main.rs", true),
        (WriteScope::SelfImproveOnly, "prompts/dev.txt", true),
        (WriteScope::SelfImproveOnly, "prompts/../src/lib.rs", false),
        (WriteScope::SelfImproveOnly, "src/lib.rs", false),
        (WriteScope::NoRepoChanges, "a.md", false),
        (WriteScope::Discussion, "a.md", false),
    ];
    for (scope, path, allowed) in cases {
        let found = check(scope, &owned(&[path]), false, &owned(&["prompts/"]));
        assert_eq!(found.is_ok(), allowed, "{scope} {path}");
    }
    assert!(check(WriteScope::NoRepoChanges, &[], true, &[]).is_err());
    assert!(check(WriteScope::NoRepoChanges, &[], false, &[]).is_ok());
}

#[test]
fn profiles_follow_priority_and_stickiness() {
    let low = ProfileFacts {
        model: "gpt-5.4".to_owned(),
        model_source: "agent_default".to_owned(),
        reasoning_effort: "low".to_owned(),
        reasoning_source: "issue_label".to_owned(),
    };
    let mut earlier = run(TriggerKind::Work(Stage::Dev), RunStatus::Succeeded);
    earlier.profile = Some(low);
    let history = [earlier];
    let found = |source, kind, issue: &[&str], pull_request: &[&str], policy: &Policy| {
        let (issue, pull_request) = (owned(issue), owned(pull_request));
        let request = ProfileRequest {
            trigger_source: source,
            trigger_kind: kind,
            issue_labels: Some(&issue),
            pull_request_labels: Some(&pull_request),
            history: &history,
        };
        resolve(&request, policy)
            .map(|profile| {
                let ProfileFacts {
                    model,
                    model_source,
                    reasoning_effort,
                    reasoning_source,
                } = profile;
                format!("{model} {model_source} {reasoning_effort} {reasoning_source}")
            })
            .unwrap_or_else(|conflict| conflict.to_string())
    };
    let policy = Policy::default();
    let off = Policy {
        gpt_5_3_enabled: false,
        ..Policy::default()
    };
    let (dev, revise) = (
        TriggerKind::Work(Stage::Dev),
        TriggerKind::Revise(Stage::Dev),
    );
    use TriggerSource::{IssueLabel, PullRequestReview};
    let both: (&[&str], &[&str]) = (&["[ai-model-gpt-5.2]"], &["[ai-model-gpt-5.4]"]);
    let cases = [
        (
            found(IssueLabel, dev, &[], &[], &policy),
            "gpt-5.4 agent_default high agent_default",
        ),
        (
            found(IssueLabel, revise, &[], &[], &policy),
            "gpt-5.4 agent_default low last_run_context",
        ),
        (
            found(PullRequestReview, revise, both.0, both.1, &policy),
            "gpt-5.2 issue_label low last_run_context",
        ),
        (
            found(IssueLabel, revise, both.0, both.1, &policy),
            "gpt-5.4 pull_request_label low last_run_context",
        ),
        (
            found(
                IssueLabel,
                dev,
                &["ai-reasoning-extra-high", "[ai-model-x]"],
                &[],
                &policy,
            ),
            "gpt-5.4 agent_default xhigh issue_label",
        ),
        (
            found(IssueLabel, dev, &["[ai-model-gpt-5.3-codex]"], &[], &off),
            "gpt-5.2-codex auth_file_fallback high agent_default",
        ),
        (
            found(
                IssueLabel,
                dev,
                &["[ai-model-gpt-5.4]", "[ai-model-gpt-5.2]"],
                &[],
                &policy,
            ),
            "conflicting ai-model labels on issue: [ai-model-gpt-5.2], [ai-model-gpt-5.4]",
        ),
        (
            found(
                IssueLabel,
                dev,
                &["[ai-reasoning-low]", "[ai-reasoning-high]"],
                &[],
                &policy,
            ),
            "conflicting ai-reasoning labels on issue: [ai-reasoning-high], [ai-reasoning-low]",
        ),
        // LC-10: the Issue is not consulted once the pull request has a label of the group.
        (
            found(
                IssueLabel,
                revise,
                &["[ai-model-gpt-5.4]", "[ai-model-gpt-5.2]"],
                &["[ai-model-gpt-5.1-codex-max]"],
                &policy,
            ),
            "gpt-5.1-codex-max pull_request_label low last_run_context",
        ),
    ];
    for (seen, expected) in cases {
        assert_eq!(seen, expected);
    }
}

#[test]
fn namespaces_are_named_labelled_and_leased() {
    let (project, run_id) = (ProjectId(uuid(3)), RunId(uuid(1)));
    let name = run_namespace(project, Some(12), run_id);
    assert_eq!(
        name.as_str(),
        format!("codex-issue-{}-i12-r{}", project.short(), run_id.short())
    );
    assert!(
        run_namespace(project, Some(i64::MAX), run_id)
            .as_str()
            .len()
            <= 63
    );
    assert_eq!(
        run_namespace(project, None, run_id).as_str(),
        format!("codex-issue-run-{}", run_id.short())
    );
    assert_eq!(
        code_runs_namespace("main").expect("a name").as_str(),
        "codex-k8s-code-runs"
    );
    assert_eq!(
        code_runs_namespace("lane-1").expect("a name").as_str(),
        "codex-k8s-code-runs-lane-1"
    );
    let correlation_id = CorrelationId::from("delivery-1");
    let metadata = NamespaceMetadata {
        instance: "lane-1",
        runtime_mode: RuntimeMode::FullEnv,
        project_id: project,
        run_id,
        issue_number: Some(12),
        agent_key: Some("dev"),
        correlation_id: &correlation_id,
    };
    let labels = namespace_labels(&metadata);
    assert_eq!(labels.len(), 9);
    assert_eq!(labels["codex-k8s.dev/issue-number"], "12");
    assert_eq!(labels["codex-k8s.dev/instance"], "lane-1");
    let annotations = namespace_annotations(&metadata, &Lease::starting(now(), 86_400), now());
    assert_eq!(annotations["codex-k8s.dev/namespace-lease-ttl"], "24h");
    assert_eq!(
        annotations["codex-k8s.dev/namespace-lease-expires-at"],
        "2027-01-16T08:00:00Z"
    );

    let (mut runtime, mut policy) = (WebhookRuntime::default(), Policy::default());
    let ttl = |runtime: &WebhookRuntime, policy: &Policy| {
        namespace_ttl_seconds(project_namespace_ttl("dev", runtime), "dev", policy)
    };
    assert_eq!(ttl(&runtime, &policy), 86_400);
    policy.default_namespace_ttl = Some(10);
    assert_eq!(ttl(&runtime, &policy), 10);
    policy.namespace_ttl_by_role.insert(Role::Dev, 20);
    assert_eq!(ttl(&runtime, &policy), 20);
    runtime.default_namespace_ttl = Some(-5);
    assert_eq!(ttl(&runtime, &policy), 20);
    runtime.default_namespace_ttl = Some(30);
    assert_eq!(ttl(&runtime, &policy), 30);
    runtime.namespace_ttl_by_role = BTreeMap::from([("dev".to_owned(), 7_200)]);
    assert_eq!(ttl(&runtime, &policy), 7_200);
}

#[test]
fn reuse_takes_the_fast_path_only_when_everything_fits() {
    let wanted = Fingerprint {
        version: FINGERPRINT_VERSION,
        runtime_mode: "full-env".to_owned(),
        target_env: "ai".to_owned(),
        namespace: "codex-issue-a".to_owned(),
        project_id: "p".to_owned(),
        issue_number: 5,
        agent_key: "dev".to_owned(),
        repository_full_name: REPOSITORY.to_owned(),
        services_yaml_path: "services.yaml".to_owned(),
        build_ref: "a".repeat(40),
        deploy_only: false,
        manifest_hash: String::new(),
    };
    let (hash, json) = (wanted.hash(), wanted.to_json());
    let good = ReuseFacts {
        wanted: &wanted,
        managed: true,
        terminating: false,
        active_deploy_task: false,
        snapshot_ref: Some(&wanted.build_ref),
        services_config: true,
        configured_namespace: "codex-issue-a",
        stored_hash: Some(&hash),
        stored_json: Some(&json),
    };
    assert_eq!(may_reuse(&good), Ok(hash.clone()));
    let branch = Fingerprint {
        build_ref: "main".to_owned(),
        ..wanted.clone()
    };
    let other = Fingerprint {
        agent_key: "qa".to_owned(),
        ..wanted.clone()
    };
    let cases = [
        (
            ReuseFacts {
                managed: false,
                terminating: true,
                ..good.clone()
            },
            ReuseRefusal::NamespaceNotManaged,
        ),
        (
            ReuseFacts {
                terminating: true,
                ..good.clone()
            },
            ReuseRefusal::NamespaceTerminating,
        ),
        (
            ReuseFacts {
                active_deploy_task: true,
                ..good.clone()
            },
            ReuseRefusal::ActiveRuntimeDeployTask,
        ),
        (
            ReuseFacts {
                wanted: &branch,
                ..good.clone()
            },
            ReuseRefusal::BuildRefNotImmutable,
        ),
        (
            ReuseFacts {
                snapshot_ref: None,
                ..good.clone()
            },
            ReuseRefusal::RepoSnapshotMissing,
        ),
        (
            ReuseFacts {
                snapshot_ref: Some("b"),
                ..good.clone()
            },
            ReuseRefusal::RepoSnapshotStale,
        ),
        (
            ReuseFacts {
                services_config: false,
                ..good.clone()
            },
            ReuseRefusal::ServicesConfigMissing,
        ),
        (
            ReuseFacts {
                configured_namespace: "other",
                ..good.clone()
            },
            ReuseRefusal::NamespaceMismatch,
        ),
        (
            ReuseFacts {
                stored_hash: None,
                ..good.clone()
            },
            ReuseRefusal::FingerprintMissing,
        ),
        (
            ReuseFacts {
                stored_hash: Some("00"),
                ..good.clone()
            },
            ReuseRefusal::FingerprintCorrupted,
        ),
        (
            ReuseFacts {
                wanted: &other,
                ..good.clone()
            },
            ReuseRefusal::FingerprintMismatch,
        ),
    ];
    for (facts, expected) in cases {
        assert_eq!(may_reuse(&facts), Err(expected));
    }
}

fn comment() -> StatusComment {
    StatusComment {
        run_id: RunId(uuid(1)),
        phase: CommentPhase::Finished,
        status: RunStatus::Succeeded,
        kind: "dev".to_owned(),
        runtime_mode: RuntimeMode::FullEnv,
        target_env: Some(TargetEnv::Ai),
        build_ref: Some("main".to_owned()),
        access_profile: AccessProfile::Candidate,
        job: Some(("codex-issue-a".to_owned(), "codex-k8s-run-1".to_owned())),
        namespace: Some("codex-issue-a".parse().expect("a name")),
        slot_url: None,
        issue_number: Some(5),
        pr_number: Some(9),
        pr_url: None,
        model: Some("gpt-5.4".to_owned()),
        reasoning_effort: Some("high".to_owned()),
        finish_reason: None,
        error: None,
        suggested_label: None,
        reports: ["A", "A", "B", "C", "D"]
            .iter()
            .zip(0..)
            .map(|(text, minute)| StatusReport {
                at: now() + TimeDelta::minutes(minute),
                text: (*text).to_owned(),
            })
            .collect(),
        timeline: vec![(now(), CommentPhase::Created)],
        namespace_action: Some(NamespaceAction::KeptUntil(now())),
        next_steps: steps_after(
            Stage::Dev,
            &IssueFlow::default(),
            &StepThreads {
                repository_full_name: REPOSITORY,
                issue_number: Some(5),
                pr_number: Some(9),
            },
            &Policy::default().labels,
            Some("https://console.test"),
        ),
        login: Some(("https://login.test".to_owned(), "CODE".to_owned())),
    }
}

#[test]
fn the_status_comment_shows_what_l_104_lists() {
    let mut shown = comment();
    shown.next_steps.truncate(1);
    insta::assert_snapshot!(status_comment(&shown, Some("https://console.test"), Locale::En), @r#"
    ### [The run succeeded](https://console.test/runs/01980000-0000-7000-8000-000000000001)

    - Run: `01980000-0000-7000-8000-000000000001`
    - Status: `succeeded`
    - Kind: `dev`
    - Runtime mode: `full-env`
    - Target environment: `ai`
    - Build ref: `main`
    - Access profile: `candidate`: works only in its own candidate namespace, reads no secrets
    - Job: `codex-issue-a/codex-k8s-run-1`
    - Namespace: `codex-issue-a`
    - Issue: #5
    - Pull request: #9
    - Model: `gpt-5.4`
    - Reasoning: `high`

    **Agent reports:**
    - 2027-01-15T08:04:00Z – D
    - 2027-01-15T08:03:00Z – C
    - 2027-01-15T08:02:00Z – B

    **Timeline:**
    - 2027-01-15T08:00:00Z – The run is queued

    **Namespace:** kept until 2027-01-15T08:00:00Z

    **Next steps:**
    - [Revise this stage](https://console.test/?modal=next-step&repository_full_name=acme%2Fshop&issue_number=5&pull_request_number=9&action_kind=issue_stage_transition&target_label=run%3Adev%3Arevise&display_variant=revise) – `run:dev:revise`

    <!-- codex-k8s:run-status {"run_id":"01980000-0000-7000-8000-000000000001","phase":"finished","status":"succeeded"} -->
    "#);
    let russian = status_comment(&comment(), None, Locale::Ru);
    assert!(
        russian.starts_with("### Запуск завершён успешно"),
        "{russian}"
    );
    let groups: Vec<String> = group_reports(&comment().reports)
        .into_iter()
        .map(|group| group.text)
        .collect();
    assert_eq!(groups, ["D", "C", "B"]);
}

#[test]
fn markers_survive_text_that_imitates_them() {
    let mut shown = comment();
    let forged = StatusMarker {
        run_id: RunId(uuid(99)),
        phase: CommentPhase::Ready,
        status: RunStatus::Failed,
    };
    shown.reports = vec![StatusReport {
        at: now(),
        text: forged.line(),
    }];
    shown.error = Some(format!("```\n{}", forged.line()));
    let marker = StatusMarker::find(&status_comment(&shown, None, Locale::En)).expect("a marker");
    assert_eq!(
        (marker.run_id, marker.phase, marker.status),
        (shown.run_id, shown.phase, shown.status)
    );
    let other = StatusMarker {
        status: RunStatus::Failed,
        ..marker.clone()
    };
    assert_eq!(
        best_status_comment(&[(1, other.clone()), (2, marker.clone()), (3, other)]),
        Some(2)
    );
    assert_eq!(
        best_status_comment(&[(1, marker.clone()), (2, marker)]),
        Some(2)
    );
}
