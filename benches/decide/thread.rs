//! An Issue with a pull request and many runs behind it, and deliveries about them.

use chrono::{DateTime, TimeDelta, Utc};
use domain::decide::{Undecided, decide};
use domain::events::{self, Event};
use domain::ids::{AgentId, CorrelationId, DeliveryId, ProjectId, RepositoryId, RunId, UserId};
use domain::policy::Policy;
use domain::runs::{RunStatus, TriggerSource};
use domain::snapshot::{
    AgentFacts, Binding, Fact, Preflight, Read, RunFacts, SenderFacts, Snapshot, ThreadState,
    UserFacts, WebhookRuntime,
};
use domain::stages::{AccessProfile, Role, RuntimeMode, Stage, TargetEnv, TriggerKind};
use serde_json::{Value, json};
use uuid::Uuid;

/// Runs of the Issue, all of them of the same pull request.
pub const RUNS: u128 = 100;
const REPOSITORY: &str = "acme/shop";
const ISSUE: i64 = 5;
const PULL_REQUEST: i64 = 9;

/// A delivery with everything that its decision asks for.
pub struct Case {
    pub name: &'static str,
    pub event: Event,
    pub snapshot: Snapshot,
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a valid time")
}

/// Stages in turn, the newest a dev; every third failed, every fifth a reviewer-run.
fn history() -> Vec<RunFacts> {
    let stages = [Stage::Dev, Stage::Plan, Stage::Design, Stage::Prd];
    let run = |age: u128| {
        let stage = stages[usize::try_from(age).expect("few runs") % stages.len()];
        let is_reviewer = age % 5 == 4;
        RunFacts {
            run_id: RunId(Uuid::from_u128(1_000 - age)),
            correlation_id: CorrelationId::new(format!("delivery-{}", 1_000 - age)),
            project_id: ProjectId(Uuid::from_u128(3)),
            repository_full_name: REPOSITORY.to_owned(),
            status: match age % 3 {
                2 => RunStatus::Failed,
                _ => RunStatus::Succeeded,
            },
            trigger_source: match is_reviewer {
                true => TriggerSource::PullRequestLabel,
                false => TriggerSource::IssueLabel,
            },
            trigger_kind: TriggerKind::Work(stage),
            trigger_label: format!("run:{}", stage.label_stem()),
            agent_key: Some(if is_reviewer { "reviewer" } else { "dev" }.to_owned()),
            discussion_mode: false,
            deploy_only: false,
            issue_number: Some(ISSUE),
            pr_number: Some(PULL_REQUEST),
            runtime_mode: RuntimeMode::FullEnv,
            target_env: Some(TargetEnv::Ai),
            access_profile: AccessProfile::Candidate,
            namespace: Some("codex-issue-p-i5-r1".parse().expect("a DNS label")),
            build_ref: Some("main".to_owned()),
            branch: Some("codex/issue-5".to_owned()),
            pr_head_sha: Some("a".repeat(40)),
            profile: None,
            resumed_from_run_id: None,
            has_link: true,
            created_at: now() - TimeDelta::minutes(i64::try_from(age).expect("few runs")),
            finished_at: None,
        }
    };
    (0..RUNS).map(run).collect()
}

fn binding() -> Binding {
    let agent = |role: &Role| {
        let agent = AgentFacts {
            id: AgentId(Uuid::from_u128(4)),
            key: role.to_string(),
            name: format!("Agent {role}"),
            is_active: true,
        };
        (role.to_string(), agent)
    };
    Binding {
        repository_id: RepositoryId(Uuid::from_u128(2)),
        project_id: ProjectId(Uuid::from_u128(3)),
        project_slug: "shop".to_owned(),
        default_ref: "main".to_owned(),
        services_yaml_path: "services.yaml".to_owned(),
        is_platform: false,
        preflight: Preflight::Passed,
        agents: Role::ALL.iter().map(agent).collect(),
    }
}

/// What a test of the decision would have to load, with or without a run that is not over.
struct Known {
    labels: Vec<String>,
    history: Vec<RunFacts>,
    pull_request: Value,
}

impl Known {
    fn fact(&self, read: &Read) -> Fact {
        match read {
            Read::IssueHistory(_) | Read::PullRequestHistory(_) => {
                Fact::History(self.history.clone())
            }
            Read::IssueState(_) | Read::PullRequestState(_) => Fact::State(ThreadState::default()),
            Read::Issue(_) => Fact::Issue(Some(events::issue_from(&issue(&self.labels)))),
            Read::IssueLabels(_) => Fact::Labels(self.labels.clone()),
            Read::PullRequest(_) => {
                Fact::PullRequest(Some(events::pull_request_from(&self.pull_request)))
            }
            Read::PullRequestLabels(_) => Fact::Labels(Vec::new()),
            Read::PullRequestReviews(_) => Fact::Reviews(Vec::new()),
            Read::IssueEvidenceSince(..) | Read::PullRequestEvidenceSince(..) => Fact::Evidence(0),
            Read::WebhookRuntime => Fact::WebhookRuntime(WebhookRuntime::default()),
        }
    }
}

fn alice() -> Value {
    json!({"id": 11, "login": "alice", "type": "User"})
}

fn issue(labels: &[String]) -> Value {
    let labels: Vec<Value> = labels.iter().map(|name| json!({"name": name})).collect();
    json!({
        "id": 500, "number": ISSUE, "title": "Work", "html_url": "https://example.test/5",
        "state": "open", "user": alice(), "labels": labels,
    })
}

fn pull_request(merged: bool) -> Value {
    json!({
        "id": 900, "number": PULL_REQUEST, "title": "Change", "html_url": "https://example.test/9",
        "state": if merged { "closed" } else { "open" }, "merged": merged, "labels": [],
        "head": {"ref": "codex/issue-5", "sha": "a".repeat(40), "repo": {"full_name": REPOSITORY}},
        "base": {"ref": "main"}, "user": {"id": 1, "login": "codex-bot", "type": "User"},
        "updated_at": "2027-01-15T08:00:00Z",
    })
}

/// Deliveries of several kinds, each with its facts.
pub fn cases(policy: &Policy) -> Vec<Case> {
    let label = |name: &str| json!({"name": name});
    let review = |state: &str| json!({"id": 1, "state": state, "user": alice()});
    let case = |name, event_type: &str, labels: &[&str], running: bool, extra: Value| {
        let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        let on_pull_request = event_type.starts_with("pull_request");
        let merged = extra["action"] == "closed";
        let mut payload = json!({
            "sender": alice(),
            "repository": {"id": 77, "full_name": REPOSITORY, "name": "shop", "default_branch": "main"},
        });
        if on_pull_request {
            payload["pull_request"] = pull_request(merged);
        } else {
            payload["issue"] = issue(&labels);
        }
        for (key, value) in extra.as_object().expect("keys of a payload") {
            payload[key] = value.clone();
        }
        let mut history = history();
        if running {
            history[0].status = RunStatus::Running;
        }
        let known = Known {
            labels,
            history,
            pull_request: pull_request(merged),
        };
        let event = events::parse(DeliveryId::from("delivery-1"), event_type, payload, now());
        let snapshot = loaded(policy, &event, &known);
        Case {
            name,
            event,
            snapshot,
        }
    };
    let labeled = |name: &str| json!({"action": "labeled", "label": label(name)});
    let submitted = |state: &str| json!({"action": "submitted", "review": review(state)});
    vec![
        case(
            "run:qa is set",
            "issues",
            &["run:qa", "state:approved"],
            false,
            labeled("run:qa"),
        ),
        case(
            "run:qa is set during a run",
            "issues",
            &["run:qa"],
            true,
            labeled("run:qa"),
        ),
        case(
            "two trigger labels",
            "issues",
            &["run:qa", "run:dev"],
            false,
            labeled("run:qa"),
        ),
        case(
            "mode:discussion is set",
            "issues",
            &["mode:discussion"],
            false,
            labeled("mode:discussion"),
        ),
        case(
            "state:approved is set",
            "issues",
            &["state:approved"],
            false,
            labeled("state:approved"),
        ),
        case(
            "state:abandoned is set during a run",
            "issues",
            &["state:abandoned"],
            true,
            labeled("state:abandoned"),
        ),
        case(
            "a foreign label is set",
            "issues",
            &["bug"],
            false,
            labeled("bug"),
        ),
        case(
            "changes are requested",
            "pull_request_review",
            &[],
            false,
            submitted("changes_requested"),
        ),
        case(
            "a review approves",
            "pull_request_review",
            &[],
            false,
            submitted("approved"),
        ),
        case(
            "need:reviewer is set",
            "pull_request",
            &[],
            false,
            labeled("need:reviewer"),
        ),
        case(
            "a pull request is merged",
            "pull_request",
            &["state:in-review"],
            false,
            json!({"action": "closed"}),
        ),
    ]
}

fn loaded(policy: &Policy, event: &Event, known: &Known) -> Snapshot {
    let user = UserFacts {
        id: UserId(Uuid::from_u128(7)),
        login: "alice".to_owned(),
        is_platform_owner: false,
        is_platform_admin: false,
        project_role: Some("admin".to_owned()),
    };
    let sender = SenderFacts { user: Some(user) };
    let mut snapshot = Snapshot::new(Some(binding()), sender, RunId(Uuid::from_u128(9_000)));
    while let Err(Undecided::Missing(reads)) = decide(&snapshot, event, policy, now()) {
        for read in reads {
            let fact = known.fact(&read);
            snapshot.facts.insert(read, fact);
        }
    }
    snapshot
}
