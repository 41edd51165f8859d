//! The state of the reference, what can be seen of it, and what a move does to it.

use std::collections::{BTreeMap, BTreeSet};

use super::forge::{Forge, Place};
use super::moves::{BOT, Move, person};
use super::tables::{Tables, kind};

/// A run; its number is its place in the order of creation, from 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub issue: i64,
    pub pull: Option<i64>,
    pub stage: String,
    pub revise: bool,
    /// `issue_label`, `issue_comment`, `pull_request_label` or `pull_request_review`.
    pub source: &'static str,
    pub agent: String,
    pub discussion: bool,
    /// Label as recorded.
    pub label: String,
    /// `active`, `succeeded`, `failed`, or `canceled` with its reason.
    pub status: String,
    /// Head of the pull request at the start; what a reviewer-run has looked at.
    pub head: Option<u64>,
}

impl Run {
    pub fn is_active(&self) -> bool {
        self.status == "active"
    }

    pub fn is_reviewer(&self) -> bool {
        self.source == "pull_request_label"
    }

    /// Stage-run (glossary).
    pub fn is_stage_run(&self) -> bool {
        !self.discussion && !self.is_reviewer()
    }

    pub fn line(&self) -> String {
        let pull = self.pull.map(|number| format!(" pr#{number}"));
        format!(
            "{}{} by {} from {} {} for issue#{}{}: {}",
            if self.discussion { "discussion " } else { "" },
            kind(&self.stage, self.revise),
            self.agent,
            self.source,
            self.label,
            self.issue,
            pull.unwrap_or_default(),
            self.status
        )
    }
}

/// What can be seen from outside after a move.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// One line for each delivery that the move caused, the platform's own left out.
    pub answers: Vec<String>,
    /// Labels of each thread that bears any, sorted.
    pub labels: BTreeMap<String, Vec<String>>,
    /// All runs, oldest first.
    pub runs: Vec<String>,
    /// Threads whose `need:input` the platform owns (L-84).
    pub owned: BTreeSet<String>,
    /// Grants nobody has used (L-18).
    pub grants: BTreeSet<String>,
}

/// The reference.
#[derive(Clone, Debug)]
pub struct Model {
    pub tables: Tables,
    pub forge: Forge,
    pub runs: Vec<Run>,
    pub preflight_failed: bool,
    pub agents_off: BTreeSet<String>,
    pub(super) owned: BTreeSet<Place>,
    pub(super) role_set: BTreeMap<(Place, String), u64>,
    /// Person by thread and label.
    pub(super) grants: BTreeMap<(Place, String), String>,
    /// Reviewer-runs by pull request and its `updated_at` (L-88).
    pub(super) reviewer_keys: BTreeMap<(i64, u64), usize>,
    /// A revise without a pull request ends when it is claimed (L-46 row 4) and waits for no agent.
    claims_at_once: bool,
    pub(super) answers: Vec<String>,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            tables: Tables::from_specification(),
            forge: Forge::default(),
            runs: Vec::new(),
            preflight_failed: false,
            agents_off: BTreeSet::new(),
            owned: BTreeSet::new(),
            role_set: BTreeMap::new(),
            grants: BTreeMap::new(),
            reviewer_keys: BTreeMap::new(),
            claims_at_once: false,
            answers: Vec::new(),
        }
    }
}

impl Model {
    /// One whose runs are claimed by workers as soon as they are there.
    pub fn of_a_running_system() -> Self {
        Self {
            claims_at_once: true,
            ..Self::default()
        }
    }

    /// Plays one move to its end: deliveries answered, effects done, own webhooks back.
    pub fn play(&mut self, step: &Move) -> View {
        self.answers.clear();
        self.forge.tick += 1;
        match step {
            Move::Label { who, at, label } => {
                if self.forge.exists(at) && self.forge.add_label(at, label) {
                    let payload = self.forge.labels(at).to_vec();
                    self.labeled(who, at, label, &payload);
                }
            }
            Move::LabelTwo { who, issue, labels } => {
                let at = Place::issue(*issue);
                let [first, second] = labels;
                let news: Vec<&String> = [first, second]
                    .into_iter()
                    .filter(|label| self.forge.add_label(&at, label))
                    .collect();
                let payload = self.forge.labels(&at).to_vec();
                for label in news {
                    self.labeled(who, &at, label, &payload);
                }
            }
            Move::Unlabel { who, at, label } => {
                if let Some(spelled) = self.forge.remove_label(at, label) {
                    self.unlabeled(who, at, &spelled);
                }
            }
            Move::Comment { who, at } => {
                if self.forge.exists(at) {
                    self.forge.comment(at);
                    self.commented(who, at);
                }
            }
            Move::Review { who, pull, state } => self.review(who, *pull, state),
            Move::SetIssueOpen { issue, open, .. } => {
                if self.forge.set_open(*issue, *open) {
                    self.issue_opened_or_closed(*issue, *open);
                }
            }
            Move::ClosePull { pull, merged, .. } => {
                let open = self.forge.pulls.get_mut(pull).filter(|pull| pull.open);
                if let Some(found) = open {
                    (found.open, found.merged) = (false, *merged);
                    found.touched += 1;
                    self.pull_closed(*pull, *merged);
                }
            }
            Move::Push { pull } => self.forge.push(*pull),
            Move::End {
                run,
                how,
                makes_pull,
            } => self.end(*run, how, *makes_pull),
            Move::Cancel { run, abandon } => self.cancel_by_staff(*run, *abandon),
            Move::NextStep { who, issue, label } => self.next_step(who, *issue, label),
            Move::TellAgain { who, pull } => {
                let at = Place::pull(*pull);
                if self.forge.bears(&at, "need:reviewer") {
                    let payload = self.forge.labels(&at).to_vec();
                    self.labeled(who, &at, "need:reviewer", &payload);
                }
            }
            Move::Switch { what, bad } => match what.strip_prefix("agent:") {
                None => self.preflight_failed = *bad,
                Some(agent) if *bad => {
                    self.agents_off.insert(agent.to_owned());
                }
                Some(agent) => {
                    self.agents_off.remove(agent);
                }
            },
        }
        if self.claims_at_once {
            for number in 1..=self.runs.len() {
                let run = &self.runs[number - 1];
                if run.is_active() && run.revise && run.pull.is_none() && !run.discussion {
                    self.end(number, "failed", false);
                }
            }
        }
        self.view()
    }

    fn view(&self) -> View {
        let mut view = View {
            answers: self.answers.clone(),
            runs: self.runs.iter().map(Run::line).collect(),
            owned: self.owned.iter().map(Place::to_string).collect(),
            ..View::default()
        };
        for place in self.forge.places() {
            let mut labels = self.forge.labels(&place).to_vec();
            labels.sort();
            if !labels.is_empty() {
                view.labels.insert(place.to_string(), labels);
            }
        }
        for ((place, label), who) in &self.grants {
            view.grants.insert(format!("{label} on {place} for {who}"));
        }
        view
    }

    /// Removes every other trigger label, stores a grant and sets the target (L-18, L-99).
    fn next_step(&mut self, who: &str, issue: i64, label: &str) {
        let at = Place::issue(issue);
        if !person(who).permitted() || self.forge.bears(&at, label) {
            return;
        }
        for other in self.tables.trigger_labels() {
            self.forge.remove_label(&at, &other);
        }
        self.grants
            .insert((at.clone(), label.to_owned()), who.to_owned());
        self.forge.add_label(&at, label);
        let payload = self.forge.labels(&at).to_vec();
        self.labeled(BOT, &at, label, &payload);
    }

    /// Runs of an Issue, newest first.
    pub(super) fn runs_of(&self, issue: i64) -> impl Iterator<Item = &Run> {
        self.runs.iter().rev().filter(move |run| run.issue == issue)
    }

    /// Stage-runs of an Issue, newest first.
    pub(super) fn stage_runs_of(&self, issue: i64) -> impl Iterator<Item = &Run> {
        self.runs_of(issue).filter(|run| run.is_stage_run())
    }

    /// The pull request linked to an Issue: that of its newest stage-run that has one.
    pub(super) fn pull_of(&self, issue: i64) -> Option<i64> {
        self.stage_runs_of(issue).find_map(|run| run.pull)
    }

    /// The Issue of a pull request (L-54); a pull request of these walks belongs to one.
    pub(super) fn issue_of(&self, pull: i64) -> Option<i64> {
        let mut runs = self.runs.iter();
        runs.find(|run| run.pull == Some(pull)).map(|run| run.issue)
    }

    /// The other thread of a pair.
    pub(super) fn other(&self, at: &Place) -> Option<Place> {
        if at.is_issue() {
            self.pull_of(at.number).map(Place::pull)
        } else {
            self.issue_of(at.number).map(Place::issue)
        }
    }

    /// Stage of the newest succeeded stage-run (L-69).
    pub fn current_stage(&self, issue: i64) -> Option<&str> {
        let mut runs = self.stage_runs_of(issue);
        runs.find(|run| run.status == "succeeded")
            .map(|run| run.stage.as_str())
    }

    /// Whether the platform knows of an unfinished stage-run of the Issue.
    pub fn has_active_stage_run(&self, issue: i64) -> bool {
        self.stage_runs_of(issue).any(Run::is_active)
    }
}
