//! A world in memory that does what the domain decides: deliveries are decided, runs inserted, effects done, and what
//! the platform changes on GitHub comes back as its own webhooks.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::{AgentId, ProjectId, RepositoryId};
use domain::policy::Policy;
use domain::runs::{FinishReason, RunEnd};
use domain::snapshot::{AgentFacts, Binding, Preflight, RunFacts, ThreadState};
use domain::stages::Role;
use serde_json::{Value, json};
use uuid::Uuid;

use super::mutation::Mutation;
use super::telling::{Change, account, head};
use reference::{BOT, Forge, Move, Place, View, person};

pub const REPOSITORY: &str = "acme/shop";
/// The Issue that lies in a repository without a binding.
pub(super) const UNBOUND: i64 = 9;

pub(super) fn uuid(number: usize) -> Uuid {
    // Names carry the first twelve digits, so the number stands in front.
    Uuid::from_u128(((number as u128) << 80) | 0x4000_8000_0000_0000_0000)
}

pub(super) fn moment(seconds: u64) -> DateTime<Utc> {
    let start = DateTime::from_timestamp(1_800_000_000, 0).expect("a valid time");
    start + TimeDelta::seconds(i64::try_from(seconds).expect("a walk is short"))
}

pub struct World<'a> {
    pub forge: Forge,
    pub runs: Vec<RunFacts>,
    /// Why a run was cancelled, by its place in `runs`.
    pub(super) reasons: BTreeMap<usize, FinishReason>,
    pub(super) policy: Policy,
    pub(super) binding: Binding,
    pub(super) states: BTreeMap<Place, ThreadState>,
    pub(super) grants: BTreeMap<(Place, String), String>,
    /// The outbox: a key that was there before is done already.
    pub(super) done: BTreeSet<String>,
    pub(super) deliveries: usize,
    pub(super) answers: Vec<String>,
    /// Conflict comments that were posted; wanted twice under one key they are posted once.
    pub conflict_comments: usize,
    /// Each delivery is decided twice and the effects of both are done, as after a crash between the two.
    pub decide_twice: bool,
    /// What must never be, in words; empty unless the domain broke a law.
    pub broken: Vec<String>,
    pub(super) mutation: &'a Mutation,
}

pub fn binding() -> Binding {
    let agent = |(number, role): (usize, &Role)| {
        let agent = AgentFacts {
            id: AgentId(uuid(100 + number)),
            key: role.to_string(),
            name: format!("Agent {role}"),
            is_active: true,
        };
        (role.to_string(), agent)
    };
    Binding {
        repository_id: RepositoryId(uuid(2)),
        project_id: ProjectId(uuid(3)),
        project_slug: "shop".to_owned(),
        default_ref: "main".to_owned(),
        services_yaml_path: "services.yaml".to_owned(),
        is_platform: false,
        preflight: Preflight::None,
        agents: Role::ALL.iter().enumerate().map(agent).collect(),
    }
}

impl<'a> World<'a> {
    pub fn new(mutation: &'a Mutation) -> Self {
        let mut policy = Policy::default();
        (mutation.policy)(&mut policy);
        let mut binding = binding();
        (mutation.binding)(&mut binding);
        Self {
            forge: Forge::default(),
            runs: Vec::new(),
            reasons: BTreeMap::new(),
            policy,
            binding,
            states: BTreeMap::new(),
            grants: BTreeMap::new(),
            done: BTreeSet::new(),
            deliveries: 0,
            answers: Vec::new(),
            conflict_comments: 0,
            decide_twice: false,
            broken: Vec::new(),
            mutation,
        }
    }

    /// Plays one move until nothing is left to do.
    pub fn play(&mut self, step: &Move) -> View {
        self.answers.clear();
        self.forge.tick += 1;
        match step {
            Move::Label { who, at, label } => {
                if self.forge.exists(at) && self.forge.add_label(at, label) {
                    self.tell_label(who, at, label, true, false);
                }
            }
            Move::LabelTwo { who, issue, labels } => {
                let at = Place::issue(*issue);
                let mut news = labels.to_vec();
                news.retain(|label| self.forge.add_label(&at, label));
                let clicked = self.forge.labels(&at).to_vec();
                for label in news {
                    self.tell(&Change {
                        who,
                        at: &at,
                        label: &label,
                        added: true,
                        labels: &clicked,
                        recorded: false,
                    });
                }
            }
            Move::Unlabel { who, at, label } => {
                if let Some(spelled) = self.forge.remove_label(at, label) {
                    self.tell_label(who, at, &spelled, false, false);
                }
            }
            Move::Comment { who, at } => {
                if self.forge.exists(at) {
                    self.forge.comment(at);
                    let mut payload = self.payload("created", who, at);
                    payload["comment"] = json!({"id": 1, "body": "a word", "user": account(who)});
                    if !at.is_issue() {
                        payload["issue"] = self.comment_on_pull(at);
                        payload["pull_request"] = Value::Null;
                    }
                    self.deliver("issue_comment", payload, false);
                }
            }
            Move::Review { who, pull, state } => self.review(who, *pull, state),
            Move::SetIssueOpen { who, issue, open } => {
                if self.forge.set_open(*issue, *open) {
                    let action = if *open { "reopened" } else { "closed" };
                    let payload = self.payload(action, who, &Place::issue(*issue));
                    self.deliver("issues", payload, false);
                }
            }
            Move::ClosePull { who, pull, merged } => {
                let open = self.forge.pulls.get_mut(pull).filter(|pull| pull.open);
                if let Some(found) = open {
                    (found.open, found.merged) = (false, *merged);
                    found.touched += 1;
                    let payload = self.payload("closed", who, &Place::pull(*pull));
                    self.deliver("pull_request", payload, false);
                }
            }
            Move::Push { pull } => self.forge.push(*pull),
            Move::End {
                run,
                how,
                makes_pull,
            } => self.end(*run, how == "succeeded", *makes_pull),
            Move::Cancel { run, abandon } => {
                if let Some(position) = self.active(*run) {
                    let end = RunEnd::Because(FinishReason::CanceledByStaff);
                    self.over(position, end);
                    self.ended(position, end, *abandon);
                }
            }
            Move::NextStep { who, issue, label } => self.next_step(who, *issue, label),
            Move::TellAgain { who, pull } => {
                let at = Place::pull(*pull);
                if self.forge.bears(&at, "need:reviewer") {
                    self.tell_label(who, &at, "need:reviewer", true, false);
                }
            }
            Move::Switch { what, bad } => match what.strip_prefix("agent:") {
                None if *bad => self.binding.preflight = Preflight::Failed,
                None => self.binding.preflight = Preflight::Passed,
                Some(agent) => {
                    let agent = self.binding.agents.get_mut(agent).expect("a system agent");
                    agent.is_active = !bad;
                }
            },
        }
        self.hold_laws();
        self.view()
    }

    /// At most one unfinished stage-run at a time for one Issue, whatever happened.
    fn hold_laws(&mut self) {
        let mut busy = BTreeSet::new();
        for run in &self.runs {
            if run.is_stage_run() && run.is_active() && !busy.insert(run.issue_number) {
                self.broken.push(format!("two active stage-runs: {run:?}"));
            }
        }
    }

    fn review(&mut self, who: &str, number: i64, state: &str) {
        let Some(pull) = self.forge.pulls.get_mut(&number) else {
            return;
        };
        let commit = head(pull);
        let at_head = pull.head;
        pull.reviews
            .push((who.to_owned(), state.to_owned(), at_head));
        let at = Place::pull(number);
        self.forge.comment(&at);
        let mut payload = self.payload("submitted", who, &at);
        payload["review"] =
            json!({"id": 1, "state": state, "user": account(who), "commit_id": commit});
        self.deliver("pull_request_review", payload, false);
    }

    fn next_step(&mut self, who: &str, issue: i64, label: &str) {
        let at = Place::issue(issue);
        if !person(who).permitted() || self.forge.bears(&at, label) {
            return;
        }
        let others = self.forge.labels(&at).to_vec();
        for other in others {
            if self.policy.labels.triggers([&other]).len() == 1 {
                self.forge.remove_label(&at, &other);
                self.echo(&at, &other, false);
            }
        }
        self.grants
            .insert((at.clone(), label.to_owned()), who.to_owned());
        self.forge.add_label(&at, label);
        self.tell_label(BOT, &at, label, true, true);
    }
}

/// A run as the reference words it.
pub(super) fn line(run: &RunFacts, reason: Option<FinishReason>) -> String {
    let pull = run.pr_number.map(|number| format!(" pr#{number}"));
    let status = match (run.is_active(), reason) {
        (true, _) => "active".to_owned(),
        (false, Some(reason)) => format!("{}: {reason}", run.status),
        (false, None) => run.status.to_string(),
    };
    format!(
        "{}{} by {} from {} {} for issue#{}{}: {status}",
        if run.discussion_mode {
            "discussion "
        } else {
            ""
        },
        run.trigger_kind,
        run.agent_key.as_deref().unwrap_or("nobody"),
        run.trigger_source,
        run.trigger_label,
        run.issue_number.unwrap_or_default(),
        pull.unwrap_or_default(),
    )
}
