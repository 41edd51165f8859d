//! Guards of a trigger in their order (L-29 to L-41, L-115).

use super::forge::{Place, UNBOUND};
use super::model::{Model, Run};
use super::moves::{BOT, Person, person};
use super::tables::trigger_label;

/// What wants a run.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Start {
    Stage { stage: String, revise: bool },
    Discussion { source: &'static str },
    Reviewer,
    Review,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    pub reason: String,
    pub silent: bool,
}

/// What there is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Passed {
    pub run: Run,
    pub implicit_approval: bool,
}

fn refused<T>(reason: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal {
        reason: reason.into(),
        silent: false,
    })
}

/// The person to judge as (L-18, L-31).
pub(super) fn sender(who: &str, grant: Option<&str>) -> Result<&'static Person, Refusal> {
    let sender = match grant {
        Some(human) if who == BOT => person(human),
        _ => person(who),
    };
    if sender.login == BOT {
        return refused("sender_type_bot_not_permitted");
    }
    if sender.account != "User" {
        let account = sender.account.to_lowercase();
        return refused(format!("sender_type_{account}_not_permitted"));
    }
    if !sender.known {
        return refused("sender_not_allowed");
    }
    match sender.role {
        _ if sender.permitted() => Ok(sender),
        None => refused("sender_not_project_member"),
        Some(role) => refused(format!("sender_role_{role}_not_permitted")),
    }
}

impl Model {
    /// `payload` holds the labels that the delivery tells.
    pub(super) fn judge(
        &self,
        start: &Start,
        at: &Place,
        payload: &[String],
        who: &str,
        grant: Option<&str>,
    ) -> Result<Passed, Refusal> {
        if at.is_issue() && at.number == UNBOUND {
            return refused("repository_not_bound_for_issue_label");
        }
        let actor = sender(who, grant)?;
        if self.preflight_failed {
            return refused("repository_preflight_failed");
        }
        let mut run = self.wanted_run(start, at, payload)?;
        let issue = Place::issue(run.issue);
        let stage = self.tables.stage(&run.stage);

        let closed = !self.forge.is_open(run.issue);
        let speaks_of_closed = match start {
            Start::Stage { .. } | Start::Review => !stage.on_closed_issue,
            Start::Discussion { .. } => true,
            Start::Reviewer => false,
        };
        if closed && speaks_of_closed {
            return refused("issue_closed");
        }
        self.state_gate(start, &run, at)?;

        let active = self.stage_runs_of(run.issue).find(|run| run.is_active());
        if let Some(active) = active.filter(|_| *start != Start::Reviewer) {
            return Err(Refusal {
                reason: "issue_active_run_exists".to_owned(),
                silent: *start == Start::Review && active.revise && active.stage == run.stage,
            });
        }
        if self.agents_off.contains(&run.agent) {
            return refused("agent_not_configured");
        }
        let mut implicit_approval = false;
        if let Start::Stage { .. } = start {
            self.stage_order(&run, actor)?;
            implicit_approval = self.acceptance_gate(&run, actor)?;
            run.pull = self.pull_to_work_on(&run);
            if stage.needs_candidate {
                run.pull = self.candidate(run.issue);
                if run.pull.is_none() {
                    return refused("issue_trigger_candidate_not_found");
                }
            }
        }
        debug_assert!(self.forge.exists(&issue));
        Ok(Passed {
            run,
            implicit_approval,
        })
    }

    /// Kind, agent and threads of the run, with the conflicts that leave them open (L-33 to L-35).
    fn wanted_run(&self, start: &Start, at: &Place, payload: &[String]) -> Result<Run, Refusal> {
        let mut triggers: Vec<(String, bool)> = payload
            .iter()
            .filter_map(|label| self.tables.trigger(label))
            .collect();
        triggers.sort();
        let of_pull = self.issue_of(at.number);
        let mut run = Run {
            issue: at.number,
            pull: None,
            stage: "dev".to_owned(),
            revise: false,
            source: "issue_label",
            agent: String::new(),
            discussion: false,
            label: String::new(),
            status: "active".to_owned(),
            head: None,
        };
        match start {
            Start::Stage { stage, revise } => {
                if triggers.len() > 1 {
                    return refused("issue_trigger_label_conflict");
                }
                (run.stage, run.revise) = (stage.clone(), *revise);
                run.label = trigger_label(stage, *revise);
            }
            Start::Discussion { source } => {
                if triggers.len() > 1 {
                    return refused("discussion_mode_trigger_label_conflict");
                }
                if let Some((stage, revise)) = triggers.into_iter().next() {
                    (run.stage, run.revise) = (stage, revise);
                }
                (run.source, run.discussion) = (source, true);
                run.label = "mode:discussion".to_owned();
            }
            Start::Reviewer | Start::Review => {
                run.issue = of_pull.expect("a pull request of a walk has an Issue");
                run.pull = Some(at.number);
                run.head = self.forge.pulls.get(&at.number).map(|pull| pull.head);
                run.source = "pull_request_label";
                run.label = "need:reviewer".to_owned();
                if *start == Start::Review {
                    run.stage = self.reviewed_stage(at.number, run.issue)?;
                    run.revise = true;
                    run.source = "pull_request_review";
                    run.label = trigger_label(&run.stage, true);
                }
            }
        }
        run.agent = match start {
            Start::Reviewer => "reviewer".to_owned(),
            _ => self.tables.stage(&run.stage).agent.clone(),
        };
        Ok(run)
    }

    /// The stage that a review means (L-53 to L-57).
    fn reviewed_stage(&self, pull: i64, issue: i64) -> Result<String, Refusal> {
        for at in [Place::pull(pull), Place::issue(issue)] {
            let mut stages: Vec<String> = self
                .forge
                .labels(&at)
                .iter()
                .filter_map(|label| self.tables.trigger(label))
                .map(|(stage, _)| stage)
                .filter(|stage| self.tables.stage(stage).revise)
                .collect();
            stages.sort();
            stages.dedup();
            match stages.len() {
                0 => {}
                1 => return Ok(stages.remove(0)),
                _ => return refused("pull_request_review_stage_ambiguous"),
            }
        }
        let of_pull = self
            .runs
            .iter()
            .rev()
            .find(|run| run.pull == Some(pull) && run.is_stage_run());
        let newest = of_pull.or_else(|| self.stage_runs_of(issue).next());
        match newest.map(|run| &run.stage) {
            Some(stage) if self.tables.stage(stage).revise => Ok(stage.clone()),
            _ => refused("pull_request_review_stage_not_resolved"),
        }
    }

    /// L-37; the pull request counts for triggers that come from one.
    fn state_gate(&self, start: &Start, run: &Run, at: &Place) -> Result<(), Refusal> {
        let mut threads = vec![Place::issue(run.issue)];
        if !at.is_issue() {
            threads.push(at.clone());
        }
        let any = |label: &str| threads.iter().any(|thread| self.forge.bears(thread, label));
        if any("state:abandoned") {
            return refused("issue_state_abandoned");
        }
        let exempt = match start {
            Start::Stage { stage, .. } => stage == "rethink" || stage == "ai-repair",
            Start::Discussion { .. } | Start::Reviewer => true,
            Start::Review => false,
        };
        if exempt {
            return Ok(());
        }
        if any("state:blocked") {
            return refused("issue_state_blocked");
        }
        let asks = |thread: &&Place| {
            self.forge.bears(thread, "need:input") && !self.owned.contains(*thread)
        };
        if threads.iter().any(|thread| asks(&thread)) {
            return refused("issue_need_input_open");
        }
        Ok(())
    }

    /// L-70.
    fn stage_order(&self, run: &Run, actor: &Person) -> Result<(), Refusal> {
        let Some(current) = self.current_stage(run.issue) else {
            return Ok(());
        };
        let any_time = ["rethink", "doc-audit", "self-improve", "ai-repair"];
        let has_open_pull = || {
            let mut runs = self.stage_runs_of(run.issue);
            runs.any(|found| {
                let pull = found.pull.and_then(|number| self.forge.pulls.get(&number));
                found.stage == run.stage && pull.is_some_and(|pull| pull.open)
            })
        };
        let follows = self.tables.stage(current).targets.contains(&run.stage);
        let back_to_dev = run.stage == "dev" && ["qa", "release"].contains(&current);
        let in_order = run.stage == current
            || any_time.contains(&run.stage.as_str())
            || (!run.revise && (follows || back_to_dev))
            || (run.revise && has_open_pull());
        if in_order || actor.approver() {
            return Ok(());
        }
        refused("stage_transition_not_allowed")
    }

    /// L-71; true when the stage is approved by going on. Every run of a walk has its link record.
    fn acceptance_gate(&self, run: &Run, actor: &Person) -> Result<bool, Refusal> {
        let mut succeeded = self
            .stage_runs_of(run.issue)
            .filter(|run| run.status == "succeeded");
        let main = succeeded.find_map(|run| self.tables.stage(&run.stage).main_path);
        let target = self.tables.stage(&run.stage).main_path;
        let (Some(main), Some(target)) = (main, target) else {
            return Ok(false);
        };
        let issue = Place::issue(run.issue);
        if target <= main || self.forge.bears(&issue, "state:approved") {
            return Ok(false);
        }
        let in_review = self.forge.bears(&issue, "state:in-review");
        if in_review && actor.approver() && self.obstacle(&issue).is_none() {
            return Ok(true);
        }
        refused("stage_gate_not_passed")
    }

    /// The open pull request of the branch that L-50 gives a labelled stage-run; one that makes its own has none.
    fn pull_to_work_on(&self, run: &Run) -> Option<i64> {
        if run.stage == "rethink" || run.stage == "ai-repair" {
            return None;
        }
        self.forge.open_pull_of(&branch(run.issue))
    }

    /// Open pull request that a dev, qa or release run has worked on (L-66).
    fn candidate(&self, issue: i64) -> Option<i64> {
        let mut runs = self.stage_runs_of(issue);
        runs.find_map(|run| {
            let shares = ["dev", "qa", "release"].contains(&run.stage.as_str());
            let number = run.pull.filter(|_| shares)?;
            self.forge.pulls[&number].open.then_some(number)
        })
    }
}

/// Branch of an Issue (L-50).
pub(super) fn branch(issue: i64) -> String {
    format!("codex/issue-{issue}")
}
