//! States, needs and the ends of runs (L-72 to L-87, L-107).

use super::forge::Place;
use super::guards::branch;
use super::model::{Model, Run};
use super::moves::{BOT, person};
use super::tables::{EXCLUSIVE, ROLE_LABELS, trigger_label};

impl Model {
    pub(super) fn label_came(&mut self, who: &str, at: &Place, label: &str) {
        if label == "need:input" {
            // Whoever sets it, it was not there before: it is none of the platform's (L-84).
            self.owned.remove(at);
        }
        if ROLE_LABELS.contains(&label) {
            let now = self.forge.tick;
            self.role_set.insert((at.clone(), label.to_owned()), now);
        }
        if !EXCLUSIVE.contains(&label) {
            return;
        }
        if label == "state:approved" {
            if !person(who).approver() {
                self.forge.remove_label(at, label);
            } else if self.obstacle(at).is_some() {
                self.set_state(at, "state:in-review");
            } else {
                self.accept(at);
            }
            return;
        }
        self.set_state(at, label);
        if label == "state:abandoned" && person(who).permitted() {
            self.abandon(at);
        }
    }

    pub(super) fn label_went(&mut self, who: &str, at: &Place, label: &str) {
        match label {
            "mode:discussion" if at.is_issue() => self.stop_discussions(at.number),
            "need:input" => {
                self.owned.remove(at);
            }
            _ if ROLE_LABELS.contains(&label) => {
                let key = (at.clone(), label.to_owned());
                let since = self.role_set.get(&key).copied().unwrap_or_default();
                let unanswered = who != BOT
                    && label != "need:reviewer"
                    && self.forge.evidence_since(at, since) == 0;
                if unanswered {
                    self.forge.add_label(at, label);
                } else {
                    self.role_set.remove(&key);
                }
            }
            _ => {}
        }
    }

    /// One of the four; the others leave (L-75).
    pub(super) fn set_state(&mut self, at: &Place, state: &str) {
        for other in EXCLUSIVE.iter().filter(|other| **other != state) {
            self.forge.remove_label(at, other);
        }
        self.forge.add_label(at, state);
    }

    /// What stands against acceptance (L-77).
    pub(super) fn obstacle(&self, at: &Place) -> Option<&'static str> {
        let other = self.other(at);
        let both: Vec<&Place> = [Some(at), other.as_ref()].into_iter().flatten().collect();
        let needs = ROLE_LABELS.iter().chain(&["need:input"]);
        for need in needs {
            if both.iter().any(|thread| self.forge.bears(thread, need)) {
                return Some("need_label_open");
            }
        }
        let issue = both.iter().find(|thread| thread.is_issue())?;
        let pull = both.iter().find(|thread| !thread.is_issue())?;
        if self.current_stage(issue.number) != Some("dev") {
            return None;
        }
        let found = &self.forge.pulls[&pull.number];
        let by_agent = self.runs.iter().any(|run| {
            run.is_reviewer()
                && run.status == "succeeded"
                && run.pull == Some(pull.number)
                && run.head == Some(found.head)
        });
        // The platform's bot is the author of every pull request here.
        let by_human = found.reviews.iter().any(|(login, _, head)| {
            *head == found.head && person(login).account == "User" && login != BOT
        });
        (!by_agent && !by_human).then_some("pre_review_missing")
    }

    /// Acceptance of both threads (L-77).
    pub(super) fn accept(&mut self, at: &Place) {
        let other = self.other(at);
        for thread in [Some(at.clone()), other].into_iter().flatten() {
            self.set_state(&thread, "state:approved");
        }
    }

    /// L-78: the Issue follows while its newest stage-run that counts is of this pull request.
    pub(super) fn merged(&mut self, number: i64) {
        self.set_state(&Place::pull(number), "state:approved");
        let Some(issue) = self.issue_of(number) else {
            return;
        };
        let newest = self
            .stage_runs_of(issue)
            .find(|run| run.is_active() || run.status == "succeeded");
        let goes_along = newest.is_none_or(|run| run.pull == Some(number));
        if goes_along {
            self.set_state(&Place::issue(issue), "state:approved");
        }
    }

    /// L-83.
    fn abandon(&mut self, at: &Place) {
        let issue = match at.is_issue() {
            true => Some(at.number),
            false => self.issue_of(at.number),
        };
        let Some(issue) = issue else { return };
        let active: Vec<usize> = (0..self.runs.len())
            .filter(|position| {
                let run = &self.runs[*position];
                run.issue == issue && run.is_stage_run() && run.is_active()
            })
            .collect();
        for position in active {
            self.runs[position].status = "canceled: canceled_by_state_abandoned".to_owned();
            let run = self.runs[position].clone();
            self.trigger_label_leaves(&run);
            self.state_of_both(&run, "state:abandoned");
        }
        if let Some(other) = self.other(at) {
            self.set_state(&other, "state:abandoned");
        }
    }

    pub(super) fn stop_discussions(&mut self, issue: i64) {
        for run in &mut self.runs {
            if run.issue == issue && run.discussion && run.is_active() {
                run.status = "canceled: discussion_stopped".to_owned();
            }
        }
    }

    /// L-72.
    fn trigger_label_leaves(&mut self, run: &Run) {
        let label = trigger_label(&run.stage, run.revise);
        self.forge.remove_label(&Place::issue(run.issue), &label);
        if let Some(number) = run.pull {
            self.forge.remove_label(&Place::pull(number), &label);
        }
    }

    fn state_of_both(&mut self, run: &Run, state: &str) {
        self.set_state(&Place::issue(run.issue), state);
        if let Some(number) = run.pull {
            self.set_state(&Place::pull(number), state);
        }
    }

    pub(super) fn cancel_by_staff(&mut self, number: usize, abandon: bool) {
        let Some(run) = self.active_run(number) else {
            return;
        };
        run.status = "canceled: canceled_by_staff".to_owned();
        let run = run.clone();
        if run.is_stage_run() {
            self.trigger_label_leaves(&run);
            if abandon {
                self.state_of_both(&run, "state:abandoned");
            }
        }
    }

    fn active_run(&mut self, number: usize) -> Option<&mut Run> {
        let run = self.runs.get_mut(number.checked_sub(1)?)?;
        run.is_active().then_some(run)
    }

    /// The agent of a run is done. A revise without a pull request never succeeds (L-60).
    pub(super) fn end(&mut self, number: usize, how: &str, makes_pull: bool) {
        let Some(run) = self.active_run(number).filter(|run| !run.discussion) else {
            return;
        };
        let succeeded = how == "succeeded" && !(run.revise && run.pull.is_none());
        run.status = if succeeded { "succeeded" } else { "failed" }.to_owned();
        let mut run = run.clone();
        if run.is_reviewer() {
            if let (true, Some(pull)) = (succeeded, run.pull) {
                self.forge.remove_label(&Place::pull(pull), "need:reviewer");
                self.state_of_both(&run, "state:in-review");
            }
            return;
        }
        if succeeded && makes_pull && run.pull.is_none() && run.stage != "ai-repair" {
            let own = match run.stage.as_str() {
                "rethink" => format!("{}-r{number}", branch(run.issue)),
                _ => branch(run.issue),
            };
            let open = self.forge.open_pull_of(&own);
            run.pull = Some(open.unwrap_or_else(|| self.forge.open_pull(&own)));
            self.runs[number - 1].pull = run.pull;
        }
        self.trigger_label_leaves(&run);
        if !succeeded {
            return;
        }
        if run.stage == "rethink" {
            self.supersede(&run);
        }
        self.state_of_both(&run, "state:in-review");
    }

    /// L-81.
    fn supersede(&mut self, run: &Run) {
        let linked: Vec<i64> = self.runs_of(run.issue).filter_map(|run| run.pull).collect();
        for number in linked {
            if Some(number) != run.pull && self.forge.pulls[&number].open {
                self.set_state(&Place::pull(number), "state:superseded");
            }
        }
        for label in self.tables.trigger_labels() {
            self.forge.remove_label(&Place::issue(run.issue), &label);
        }
    }
}
