//! What a delivery is answered and what an accepted or refused trigger leads to (L-27, L-28, L-42, L-44, L-74, L-84).

use super::forge::{Place, UNBOUND};
use super::guards::{Passed, Refusal, Start};
use super::model::Model;
use super::moves::{BOT, person};
use super::tables::canonical;

const NOT_A_TRIGGER: &str = "ignored(issue_event_not_trigger_label)";

impl Model {
    fn answer(&mut self, line: impl Into<String>) {
        self.answers.push(line.into());
    }

    fn discussion_is_active(&self, issue: i64) -> bool {
        let mut runs = self.runs_of(issue);
        runs.any(|run| run.discussion && run.is_active())
    }

    pub(super) fn labeled(&mut self, who: &str, at: &Place, label: &str, payload: &[String]) {
        let name = canonical(label);
        let start = match self.tables.trigger(label) {
            Some((stage, revise)) if at.is_issue() => Some(Start::Stage { stage, revise }),
            _ if at.is_issue() && name == "mode:discussion" => {
                let source = "issue_label";
                let starts = !self.discussion_is_active(at.number);
                starts.then_some(Start::Discussion { source })
            }
            _ if !at.is_issue() && name == "need:reviewer" => Some(Start::Reviewer),
            _ => None,
        };
        match start {
            Some(start) => self.trigger(&start, at, payload, who, &name),
            None if at.is_issue() => self.answer(NOT_A_TRIGGER),
            None => self.answer("received"),
        }
        if !(at.is_issue() && at.number == UNBOUND) {
            self.label_came(who, at, &name);
        }
    }

    pub(super) fn unlabeled(&mut self, who: &str, at: &Place, label: &str) {
        self.answer(if at.is_issue() {
            NOT_A_TRIGGER
        } else {
            "received"
        });
        if !(at.is_issue() && at.number == UNBOUND) {
            self.label_went(who, at, &canonical(label));
        }
    }

    pub(super) fn commented(&mut self, who: &str, at: &Place) {
        let asks = at.is_issue()
            && self.forge.is_open(at.number)
            && self.forge.bears(at, "mode:discussion")
            && person(who).account == "User"
            && who != BOT
            && !self.discussion_is_active(at.number);
        if !asks {
            return self.answer("received");
        }
        let payload = self.forge.labels(at).to_vec();
        let source = "issue_comment";
        self.trigger(&Start::Discussion { source }, at, &payload, who, "");
    }

    pub(super) fn review(&mut self, who: &str, number: i64, state: &str) {
        let Some(pull) = self.forge.pulls.get_mut(&number) else {
            return;
        };
        let head = pull.head;
        pull.reviews.push((who.to_owned(), state.to_owned(), head));
        let at = Place::pull(number);
        self.forge.comment(&at);
        if state == "changes_requested" {
            self.trigger(&Start::Review, &at, &[], who, "");
            return;
        }
        self.answer("received");
        if state == "approved" && person(who).approver() && self.obstacle(&at).is_none() {
            self.accept(&at);
        }
    }

    pub(super) fn issue_opened_or_closed(&mut self, issue: i64, open: bool) {
        self.answer(NOT_A_TRIGGER);
        if !open && issue != UNBOUND {
            self.stop_discussions(issue);
        }
    }

    pub(super) fn pull_closed(&mut self, number: i64, merged: bool) {
        self.answer("received");
        if merged {
            self.merged(number);
        }
    }

    fn trigger(&mut self, start: &Start, at: &Place, payload: &[String], who: &str, label: &str) {
        let key = (at.clone(), label.to_owned());
        // Used up before it is judged (L-18); nothing is judged in a repository that is not bound.
        let grant = match who {
            BOT if at.number != UNBOUND => self.grants.remove(&key),
            _ => None,
        };
        match self.judge(start, at, payload, who, grant.as_deref()) {
            Ok(passed) => self.accepted(start, passed, at),
            Err(refusal) => self.refused(start, &refusal, at),
        }
    }

    fn accepted(&mut self, start: &Start, passed: Passed, at: &Place) {
        let run = passed.run;
        if *start == Start::Reviewer {
            let key = (at.number, self.forge.pulls[&at.number].touched);
            if let Some(known) = self.reviewer_keys.get(&key) {
                let line = format!("duplicate of run {known}");
                return self.answer(line);
            }
            self.reviewer_keys.insert(key, self.runs.len() + 1);
        }
        self.answer(format!("accepted: {}", run.line()));
        let issue = Place::issue(run.issue);
        let linked = self.pull_of(run.issue).map(Place::pull);
        if run.is_stage_run() {
            if passed.implicit_approval {
                self.accept(&issue);
            }
            let revised = run.pull.filter(|_| run.revise).map(Place::pull);
            for thread in [Some(issue.clone()), revised].into_iter().flatten() {
                self.forge.remove_label(&thread, "state:in-review");
                self.forge.remove_label(&thread, "state:approved");
            }
            self.stop_discussions(run.issue);
        }
        let of_run = run.pull.map(Place::pull);
        for thread in [Some(issue), of_run.or(linked)].into_iter().flatten() {
            if self.owned.remove(&thread) {
                self.forge.remove_label(&thread, "need:input");
            }
        }
        self.runs.push(run);
    }

    fn refused(&mut self, start: &Start, refusal: &Refusal, at: &Place) {
        let reaction = self.tables.reaction(&refusal.reason);
        let mut line = format!("ignored({})", refusal.reason);
        if reaction.need_input && self.forge.add_label(at, "need:input") {
            self.owned.insert(at.clone());
        }
        let from_comment =
            matches!(start, Start::Discussion { source } if *source == "issue_comment");
        if reaction.comment && !refusal.silent && !from_comment {
            line.push_str(" with a comment");
        }
        self.answer(line);
    }
}
