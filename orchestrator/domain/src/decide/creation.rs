//! The run of an accepted trigger (L-44, L-50, L-58, L-65 to L-67, L-105).

use serde_json::{Value, json};
use uuid::Uuid;

use super::facts::Context;
use super::guards::Passed;
use super::lineage;
use super::new_run::{NewRun, ProfileHints, RunRuntime, RunTrigger};
use super::trigger::Trigger;
use crate::events::{Event, PullRequest};
use crate::ids::CorrelationId;
use crate::labels::{CatalogueLabel, LabelGroup, NeedLabel};
use crate::namespaces::live_namespace;
use crate::profile::ProfileSource;
use crate::runs::TriggerSource;
use crate::snapshot::{Binding, ProfileFacts, RunFacts};
use crate::stages::{
    AccessProfile, ModeSource, NamespaceRule, RuntimeMode, Stage, TargetEnv, TriggerKind,
    WriteScope, contract,
};

/// Correlation id of a run: the delivery id, or for a reviewer-run a digest of what was labelled when
/// (L-25, L-88).
pub(super) fn correlation_id(event: &Event, trigger: &Trigger<'_>) -> CorrelationId {
    let Trigger::Reviewer { pull_request } = trigger else {
        return CorrelationId::new(event.delivery_id.as_str());
    };
    let updated_at = pull_request
        .updated_at
        .map(crate::namespaces::rfc3339)
        .unwrap_or_default();
    let name = [
        "pull_request_label",
        event.repository_full_name(),
        &pull_request.number.to_string(),
        &event.action,
        event.label().unwrap_or_default().trim(),
        &updated_at,
    ]
    .join("|")
    .to_lowercase();
    CorrelationId::new(format!(
        "pr-label-reviewer-{}",
        Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes())
    ))
}

/// Builds the run of a trigger that passed all guards.
pub(super) fn run_of(context: &Context<'_>, trigger: &Trigger<'_>, passed: &Passed<'_>) -> NewRun {
    let discussion_mode = matches!(trigger, Trigger::Discussion { .. });
    let is_reviewer = matches!(trigger, Trigger::Reviewer { .. });
    let stage = passed.kind.stage().unwrap_or(Stage::Dev);
    let base_branch = passed
        .pull_request
        .as_ref()
        .map(|pull_request| pull_request.base_ref.clone())
        .filter(|base| !base.is_empty())
        .unwrap_or_else(|| passed.binding.default_ref.clone());
    let (runtime, write_scope) = if discussion_mode {
        (discussion_runtime(passed), WriteScope::Discussion)
    } else if is_reviewer {
        (reviewer_runtime(passed), WriteScope::NoRepoChanges)
    } else {
        (
            stage_runtime(context, trigger, passed, stage),
            contract(stage).write_scope,
        )
    };
    let label = match trigger {
        Trigger::Discussion { .. } => CatalogueLabel::Discussion,
        Trigger::Reviewer { .. } => CatalogueLabel::Need(NeedLabel::Reviewer),
        Trigger::Stage { .. } | Trigger::Review { .. } => CatalogueLabel::Trigger(passed.kind),
    };
    let mut run = NewRun {
        run_id: context.snapshot.fresh_run_id,
        correlation_id: correlation_id(context.event, trigger),
        project_id: passed.binding.project_id,
        repository_id: passed.binding.repository_id,
        repository_full_name: context.event.repository_full_name().to_owned(),
        trigger: RunTrigger {
            source: trigger.source(),
            label: context.policy.labels.name(label).to_owned(),
            kind: passed.kind,
        },
        discussion_mode,
        agent: Some(passed.agent.clone()),
        issue: passed.issue.clone(),
        issue_number: passed.issue_number,
        pr_number: passed
            .pull_request
            .as_ref()
            .map(|pull_request| pull_request.number),
        pull_request: passed.pull_request.clone(),
        runtime,
        target_branch: None,
        base_branch,
        write_scope,
        profile_hints: profile_hints(context, passed),
        payload: Value::Null,
    };
    run.target_branch = target_branch(&run, trigger, stage);
    run.payload = payload(context.event, &run, Some(passed.binding));
    run
}

/// Branch of L-50; a discussion pushes nothing.
fn target_branch(run: &NewRun, trigger: &Trigger<'_>, stage: Stage) -> Option<String> {
    if run.discussion_mode {
        return None;
    }
    let head = run
        .pull_request
        .as_ref()
        .map(|pull_request| pull_request.head_ref.clone());
    match (trigger, stage) {
        (Trigger::Review { .. } | Trigger::Reviewer { .. }, _) => head,
        (_, Stage::AiRepair) => Some(run.base_branch.clone()),
        (_, Stage::Rethink) => run
            .issue_number
            .map(|number| format!("codex/issue-{number}-r{}", run.run_id.short())),
        _ if run.trigger.kind.is_revise() && head.is_some() => head,
        _ => Some(match run.issue_number {
            Some(number) => lineage::issue_branch(number),
            None => format!("codex/run-{}", run.run_id.short()),
        }),
    }
}

fn discussion_runtime(passed: &Passed<'_>) -> RunRuntime {
    RunRuntime {
        mode: RuntimeMode::CodeOnly,
        source: ModeSource::DiscussionMode,
        target_env: None,
        namespace: None,
        lineage: false,
        build_ref: Some(passed.binding.default_ref.clone()),
        deploy_only: false,
        access_profile: AccessProfile::None,
        namespace_ttl_seconds: passed.namespace_ttl_seconds,
    }
}

fn reviewer_runtime(passed: &Passed<'_>) -> RunRuntime {
    RunRuntime {
        mode: RuntimeMode::FullEnv,
        source: ModeSource::TriggerDefault,
        target_env: Some(TargetEnv::Ai),
        namespace: None,
        lineage: false,
        build_ref: passed.pull_request.as_ref().map(head_of),
        deploy_only: false,
        access_profile: AccessProfile::Candidate,
        namespace_ttl_seconds: passed.namespace_ttl_seconds,
    }
}

fn stage_runtime(
    context: &Context<'_>,
    trigger: &Trigger<'_>,
    passed: &Passed<'_>,
    stage: Stage,
) -> RunRuntime {
    let (mode, source) = (passed.mode, passed.mode_source);
    let row = contract(stage);
    let by_review = matches!(trigger, Trigger::Review { .. });
    let live = row.namespace == NamespaceRule::Live
        && (mode == RuntimeMode::FullEnv || stage == Stage::AiRepair);
    let own_branch = |pull_request: &&PullRequest| {
        by_review
            || passed.kind.is_revise()
            || passed.candidate.is_some()
            || passed
                .issue_number
                .is_some_and(|number| pull_request.head_ref == format!("codex/issue-{number}"))
    };
    let head = passed.pull_request.as_ref().filter(own_branch).map(head_of);
    // L-58, L-67: late stages look at what is live; only a review sends them to the head of its pull request.
    let build_ref = if live && !by_review { None } else { head };
    let (target_env, access_profile) = match (live, mode) {
        (true, _) => (Some(context.policy.live_env), row.access),
        (false, RuntimeMode::FullEnv) => (Some(TargetEnv::Ai), AccessProfile::Candidate),
        (false, RuntimeMode::CodeOnly) => (None, AccessProfile::None),
    };
    let lineage = passed
        .candidate
        .as_ref()
        .map(|candidate| candidate.namespace.clone());
    RunRuntime {
        mode,
        source,
        target_env,
        lineage: lineage.is_some(),
        namespace: if live {
            live_namespace(passed.binding, context.policy)
        } else {
            lineage
        },
        build_ref: build_ref.or_else(|| Some(passed.binding.default_ref.clone())),
        deploy_only: false,
        access_profile,
        namespace_ttl_seconds: passed.namespace_ttl_seconds,
    }
}

/// Commit of a pull request, else its branch (L-58).
fn head_of(pull_request: &PullRequest) -> String {
    if pull_request.head_sha.is_empty() {
        pull_request.head_ref.clone()
    } else {
        pull_request.head_sha.clone()
    }
}

fn profile_hints(context: &Context<'_>, passed: &Passed<'_>) -> ProfileHints {
    let catalogue = &context.policy.labels;
    let config = |labels: &[String]| -> Vec<String> {
        let mut names: Vec<String> = labels
            .iter()
            .filter_map(|text| catalogue.classify(text))
            .filter(|label| matches!(label.group(), LabelGroup::Model | LabelGroup::Reasoning))
            .map(|label| catalogue.name(label).to_owned())
            .collect();
        names.sort();
        names.dedup();
        names
    };
    let newest = |source: fn(&ProfileFacts) -> &str| {
        let mut profiles = passed
            .issue_history
            .iter()
            .filter_map(|run: &RunFacts| run.profile.as_ref());
        profiles
            .find(|profile| source(profile) != ProfileSource::AgentDefault.as_str())
            .cloned()
    };
    ProfileHints {
        last_run_issue_labels: passed
            .issue
            .as_ref()
            .map(|issue| config(&issue.labels))
            .unwrap_or_default(),
        last_run_pull_request_labels: passed
            .pull_request
            .as_ref()
            .map(|pull_request| config(&pull_request.labels))
            .unwrap_or_default(),
        last_run_model: newest(|profile| &profile.model_source),
        last_run_reasoning: newest(|profile| &profile.reasoning_source),
    }
}

/// The envelope of L-44.
pub(super) fn payload(event: &Event, run: &NewRun, binding: Option<&Binding>) -> Value {
    let issue = run.issue.as_ref().map(|issue| {
        json!({
            "id": issue.id, "number": issue.number, "title": issue.title, "html_url": issue.html_url,
            "state": issue.state, "user": issue.user,
        })
    });
    let issue = issue.or_else(|| run.issue_number.map(|number| json!({"number": number})));
    let pull_request = run.pull_request.as_ref().map(|pull_request| {
        json!({
            "id": pull_request.id, "number": pull_request.number, "title": pull_request.title,
            "html_url": pull_request.html_url, "state": pull_request.state,
            "head": {"ref": pull_request.head_ref, "sha": pull_request.head_sha},
            "base": {"ref": pull_request.base_ref}, "user": pull_request.user,
        })
    });
    let sender = event
        .sender
        .as_ref()
        .map(|sender| json!({"id": sender.id, "login": sender.login}));
    let repository = event.repository.as_ref().map(|repository| {
        json!({
            "id": repository.id, "full_name": repository.full_name, "name": repository.name,
            "private": repository.private, "fork": repository.fork,
        })
    });
    json!({
        "source": "github",
        "delivery_id": event.delivery_id,
        "event_type": event.event_type,
        "received_at": event.received_at,
        "action": event.action,
        "correlation_id": run.correlation_id,
        "repository": repository,
        "installation": {"id": event.installation_id},
        "sender": sender,
        "project": {
            "id": run.project_id,
            "repository_id": run.repository_id,
            "services_yaml": binding.map(|binding| binding.services_yaml_path.as_str()),
            "binding_resolved": binding.is_some(),
        },
        "discussion_mode": run.discussion_mode,
        "agent": run.agent.as_ref().map(|agent| json!({"id": agent.id, "key": agent.key, "name": agent.name})),
        "issue": issue,
        "pull_request": pull_request,
        "trigger": run.trigger,
        "profile_hints": run.profile_hints,
        "runtime": run.runtime,
        "target_branch": run.target_branch,
        "base_branch": run.base_branch,
        "write_scope": run.write_scope,
        "raw_payload": event.raw_payload,
    })
}

/// The deploy-only run of a push to the default branch (L-45).
pub(super) fn deploy_only_run(context: &Context<'_>, binding: &Binding, build_ref: &str) -> NewRun {
    let mut run = NewRun {
        run_id: context.snapshot.fresh_run_id,
        correlation_id: CorrelationId::new(context.event.delivery_id.as_str()),
        project_id: binding.project_id,
        repository_id: binding.repository_id,
        repository_full_name: context.event.repository_full_name().to_owned(),
        trigger: RunTrigger {
            source: TriggerSource::PushMain,
            label: String::new(),
            kind: TriggerKind::None,
        },
        discussion_mode: false,
        agent: None,
        issue: None,
        issue_number: None,
        pull_request: None,
        pr_number: None,
        runtime: RunRuntime {
            mode: RuntimeMode::FullEnv,
            source: ModeSource::PushMain,
            target_env: Some(context.policy.live_env),
            namespace: live_namespace(binding, context.policy),
            lineage: false,
            build_ref: Some(build_ref.to_owned()),
            deploy_only: true,
            access_profile: AccessProfile::None,
            namespace_ttl_seconds: None,
        },
        target_branch: None,
        base_branch: binding.default_ref.clone(),
        write_scope: WriteScope::NoRepoChanges,
        profile_hints: ProfileHints::default(),
        payload: Value::Null,
    };
    run.payload = payload(context.event, &run, Some(binding));
    run
}
