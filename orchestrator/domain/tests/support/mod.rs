//! A small world to decide in: a bound repository, its threads and runs, answered on demand.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use domain::decide::{
    Decision, StepDecision, StepInput, StepMode, Undecided, decide, decide_step, read_step,
};
use domain::effects::{Effect, PlannedEffect};
use domain::events::{self, Event, Issue, PullRequest, Thread};
use domain::ids::{AgentId, CorrelationId, DeliveryId, ProjectId, RepositoryId, RunId, UserId};
use domain::policy::Policy;
use domain::runs::{RunStatus, TriggerSource};
use domain::snapshot::{
    AgentFacts, Binding, Fact, Grant, Preflight, Read, RunFacts, SenderFacts, Snapshot,
    ThreadState, UserFacts, WebhookRuntime,
};
use domain::stages::{AccessProfile, Role, RuntimeMode, Stage, TargetEnv, TriggerKind, contract};
use serde_json::{Value, json};
use uuid::Uuid;

pub const REPOSITORY: &str = "acme/shop";

pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a valid time")
}

pub fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0000 + number)
}

pub struct World {
    pub policy: Policy,
    pub binding: Option<Binding>,
    pub user: Option<UserFacts>,
    pub grant: Option<Grant>,
    pub recorded: bool,
    pub issue_labels: Vec<String>,
    pub issue_closed: bool,
    pub pull_request_labels: Vec<String>,
    pub pull_request: Option<PullRequest>,
    pub issue_history: Vec<RunFacts>,
    pub pull_request_history: Vec<RunFacts>,
    pub states: BTreeMap<Read, ThreadState>,
    pub reviews: Vec<events::Review>,
    pub unreadable: BTreeSet<Read>,
    pub evidence: u32,
    pub webhook_runtime: WebhookRuntime,
    pub reads: std::cell::RefCell<Vec<Read>>,
}

pub fn user(role: Option<&str>) -> UserFacts {
    UserFacts {
        id: UserId(uuid(7)),
        login: "alice".to_owned(),
        is_platform_owner: false,
        is_platform_admin: false,
        project_role: role.map(str::to_owned),
    }
}

pub fn binding() -> Binding {
    let agents = Role::ALL
        .iter()
        .map(|role| {
            let agent = AgentFacts {
                id: AgentId(uuid(100)),
                key: role.to_string(),
                name: format!("Agent {role}"),
                is_active: true,
            };
            (role.to_string(), agent)
        })
        .collect();
    Binding {
        repository_id: RepositoryId(uuid(2)),
        project_id: ProjectId(uuid(3)),
        project_slug: "shop".to_owned(),
        default_ref: "main".to_owned(),
        services_yaml_path: "services.yaml".to_owned(),
        is_platform: false,
        preflight: Preflight::None,
        agents,
    }
}

impl Default for World {
    fn default() -> Self {
        Self {
            policy: Policy {
                locale: domain::policy::Locale::En,
                ..Policy::default()
            },
            binding: Some(binding()),
            user: Some(user(Some("read_write"))),
            grant: None,
            recorded: false,
            issue_labels: Vec::new(),
            issue_closed: false,
            pull_request_labels: Vec::new(),
            pull_request: None,
            issue_history: Vec::new(),
            pull_request_history: Vec::new(),
            states: BTreeMap::new(),
            reviews: Vec::new(),
            unreadable: BTreeSet::new(),
            evidence: 0,
            webhook_runtime: WebhookRuntime::default(),
            reads: std::cell::RefCell::new(Vec::new()),
        }
    }
}

pub fn owned(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|label| (*label).to_owned()).collect()
}

pub fn run(kind: TriggerKind, status: RunStatus) -> RunFacts {
    let stage = kind.stage().unwrap_or(Stage::Dev);
    let row = contract(stage);
    let full = row.mode == RuntimeMode::FullEnv;
    RunFacts {
        run_id: RunId(uuid(50)),
        correlation_id: CorrelationId::new("earlier"),
        project_id: ProjectId(uuid(3)),
        repository_full_name: REPOSITORY.to_owned(),
        status,
        trigger_source: TriggerSource::IssueLabel,
        trigger_kind: kind,
        trigger_label: format!("run:{}", stage.label_stem()),
        agent_key: Some(row.role.to_string()),
        discussion_mode: false,
        deploy_only: false,
        issue_number: Some(5),
        pr_number: None,
        runtime_mode: row.mode,
        target_env: full.then_some(TargetEnv::Ai),
        access_profile: AccessProfile::Candidate,
        namespace: full.then(|| "codex-issue-p-i5-r1".parse().expect("a name")),
        build_ref: None,
        branch: Some("codex/issue-5".to_owned()),
        pr_head_sha: None,
        profile: None,
        resumed_from_run_id: None,
        has_link: true,
        created_at: now() - TimeDelta::hours(1),
        finished_at: None,
    }
}

pub fn pull_request(labels: &[&str]) -> PullRequest {
    PullRequest {
        id: 900,
        number: 9,
        title: "Change".to_owned(),
        html_url: "https://example.test/9".to_owned(),
        state: "open".to_owned(),
        head_ref: "codex/issue-5".to_owned(),
        head_sha: "a".repeat(40),
        head_repository: REPOSITORY.to_owned(),
        base_ref: "main".to_owned(),
        user: events::Account {
            id: 1,
            login: "codex-bot".to_owned(),
            account_type: "User".to_owned(),
        },
        labels: owned(labels),
        ..PullRequest::default()
    }
}

fn names(labels: &[String]) -> Value {
    labels.iter().map(|name| json!({"name": name})).collect()
}

impl World {
    pub fn with_issue(labels: &[&str]) -> Self {
        Self {
            issue_labels: owned(labels),
            ..Self::default()
        }
    }

    /// A pull request of Issue 5 with that run as its history.
    pub fn with_pull_request(mut self, mut made_by: RunFacts) -> Self {
        let mut pull_request = pull_request(&[]);
        pull_request.labels = self.pull_request_labels.clone();
        made_by.pr_number = Some(pull_request.number);
        self.pull_request = Some(pull_request);
        self.issue_history.insert(0, made_by.clone());
        self.pull_request_history.insert(0, made_by);
        self
    }

    pub fn payload(&self, action: &str, label: Option<&str>) -> Value {
        json!({
            "action": action,
            "label": label.map(|name| json!({"name": name})),
            "sender": {"id": 11, "login": "alice", "type": "User"},
            "repository": {"id": 77, "full_name": REPOSITORY, "name": "shop", "default_branch": "main"},
            "issue": {
                "id": 500, "number": 5, "title": "Work", "html_url": "https://example.test/5",
                "state": if self.issue_closed { "closed" } else { "open" },
                "user": {"id": 11, "login": "alice", "type": "User"},
                "labels": names(&self.issue_labels),
            },
        })
    }

    pub fn event(&self, event_type: &str, payload: Value) -> Event {
        events::parse(DeliveryId::from("delivery-1"), event_type, payload, now())
    }

    pub fn labeled(&self, label: &str) -> Event {
        self.event("issues", self.payload("labeled", Some(label)))
    }

    pub fn pull_request_event(
        &self,
        event_type: &str,
        action: &str,
        label: Option<&str>,
        review: Option<&str>,
    ) -> Event {
        let pull_request = self
            .pull_request
            .clone()
            .unwrap_or_else(|| pull_request(&[]));
        let mut payload = self.payload(action, label);
        payload["issue"] = Value::Null;
        payload["pull_request"] = json!({
            "id": pull_request.id, "number": pull_request.number, "title": pull_request.title,
            "html_url": pull_request.html_url, "state": pull_request.state, "merged": pull_request.merged,
            "head": {"ref": pull_request.head_ref, "sha": pull_request.head_sha, "repo": {"full_name": REPOSITORY}},
            "base": {"ref": pull_request.base_ref}, "user": pull_request.user,
            "labels": names(&self.pull_request_labels),
            "updated_at": "2027-01-15T08:00:00Z",
        });
        if let Some(state) = review {
            payload["review"] = json!({"id": 1, "state": state, "body": "", "user": {"id": 11, "login": "alice", "type": "User"}});
        }
        self.event(event_type, payload)
    }

    pub fn review(&self, state: &str) -> Event {
        self.pull_request_event("pull_request_review", "submitted", None, Some(state))
    }

    fn answer(&self, read: &Read) -> Fact {
        self.reads.borrow_mut().push(read.clone());
        if self.unreadable.contains(read) {
            return Fact::Unreadable("connection refused".to_owned());
        }
        match read {
            Read::IssueHistory(5) => Fact::History(self.issue_history.clone()),
            Read::PullRequestHistory(9) => Fact::History(self.pull_request_history.clone()),
            Read::IssueHistory(_) | Read::PullRequestHistory(_) => Fact::History(Vec::new()),
            Read::IssueState(_) | Read::PullRequestState(_) => {
                Fact::State(self.states.get(read).cloned().unwrap_or_default())
            }
            Read::Issue(number) => Fact::Issue(Some(Issue {
                id: 500,
                number: *number,
                state: if self.issue_closed { "closed" } else { "open" }.to_owned(),
                labels: self.issue_labels.clone(),
                ..Issue::default()
            })),
            Read::IssueLabels(_) => Fact::Labels(self.issue_labels.clone()),
            Read::PullRequest(_) => Fact::PullRequest(self.pull_request.clone()),
            Read::PullRequestLabels(_) => Fact::Labels(self.pull_request_labels.clone()),
            Read::PullRequestReviews(_) => Fact::Reviews(self.reviews.clone()),
            Read::IssueEvidenceSince(..) | Read::PullRequestEvidenceSince(..) => {
                Fact::Evidence(self.evidence)
            }
            Read::WebhookRuntime => Fact::WebhookRuntime(self.webhook_runtime.clone()),
        }
    }

    pub fn try_decide(&self, event: &Event) -> Result<Decision, Undecided> {
        let mut snapshot = Snapshot::new(
            self.binding.clone(),
            SenderFacts {
                user: self.user.clone(),
            },
            RunId(uuid(1)),
        );
        snapshot.grant = self.grant.clone();
        snapshot.label_change_already_recorded = self.recorded;
        for _ in 0..40 {
            match decide(&snapshot, event, &self.policy, now()) {
                Err(Undecided::Missing(reads)) => {
                    for read in reads {
                        let fact = self.answer(&read);
                        snapshot.facts.insert(read, fact);
                    }
                }
                other => return other,
            }
        }
        panic!("the decision asks for facts without end");
    }

    /// What a step that the user asks for leads to.
    pub fn step(&self, input: &StepInput, mode: StepMode) -> StepDecision {
        let request = read_step(input, &self.policy.labels).expect("the request makes sense");
        let sender = SenderFacts {
            user: self.user.clone(),
        };
        let mut snapshot = Snapshot::new(self.binding.clone(), sender, RunId(uuid(1)));
        let correlation_id = CorrelationId::new("staff-1");
        for _ in 0..40 {
            match decide_step(&snapshot, &request, mode, &correlation_id, &self.policy) {
                Ok(decision) => return decision,
                Err(Undecided::Missing(reads)) => {
                    for read in reads {
                        let fact = self.answer(&read);
                        snapshot.facts.insert(read, fact);
                    }
                }
                Err(unreadable) => panic!("everything is readable: {unreadable}"),
            }
        }
        panic!("the decision asks for facts without end");
    }

    pub fn decide(&self, event: &Event) -> Decision {
        self.try_decide(event).expect("everything is readable")
    }
}

pub fn reason(decision: &Decision) -> Option<String> {
    decision.outcome.reason().map(ToString::to_string)
}

pub fn event_types(decision: &Decision) -> Vec<&'static str> {
    decision
        .consequences
        .audit
        .iter()
        .map(|record| record.event_type())
        .collect()
}

/// Effects in one line each.
pub fn effects(planned: &[PlannedEffect]) -> Vec<String> {
    let short = |thread: &Thread| format!("{}#{}", thread.kind, thread.number);
    planned
        .iter()
        .map(|planned| match &planned.effect {
            Effect::AddLabel { thread, label, .. } => format!("+{label} {}", short(thread)),
            Effect::RemoveLabel { thread, label, .. } => format!("-{label} {}", short(thread)),
            Effect::CreateComment { thread, .. } => format!("comment {}", short(thread)),
            Effect::UpsertStatusComment { thread, phase, .. } => {
                format!("status {phase} {}", short(thread))
            }
            Effect::AddReaction { reaction, .. } => format!("reaction {reaction}"),
            Effect::DeleteNamespacesOfThread { thread, cause } => {
                format!("delete namespaces {} {cause}", short(thread))
            }
            Effect::DeleteNamespace { namespace, .. } => format!("delete {namespace}"),
            Effect::CancelDiscussion { stop, .. } => format!("cancel discussion {stop}"),
            Effect::StopRun { .. } => "stop run".to_owned(),
            Effect::ApplyRequest { .. } => "apply request".to_owned(),
            Effect::SyncSecret { step, .. } => format!("sync secret {step}"),
            Effect::ChangeDatabase { .. } => "change database".to_owned(),
            Effect::FinishRequest { .. } => "finish request".to_owned(),
            Effect::RefreshStatusComment { thread, .. } => format!("refresh {}", short(thread)),
        })
        .collect()
}

pub fn comment_body(decision: &Decision) -> Option<&str> {
    decision
        .consequences
        .effects
        .iter()
        .find_map(|planned| match &planned.effect {
            Effect::CreateComment { body, .. } => Some(body.as_str()),
            _ => None,
        })
}
