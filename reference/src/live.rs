//! Which moves of a walk a running system can be made to do, so that what comes of them depends on nothing that the
//! reference does not know: namespaces, queues, the seconds of a clock.

use super::forge::{Place, UNBOUND};
use super::model::{Model, Run};
use super::moves::{BOT, Move, person};

/// Agents that a walk keeps waiting at a time: each is a Pod on a machine that plays other scenarios beside it.
const ACTIVE_RUNS: usize = 2;
/// Stages that work where the product is live; a walk deploys nothing.
const ON_THE_LIVE_ENVIRONMENT: [&str; 3] = ["postdeploy", "ops", "ai-repair"];
/// Stages of one candidate (L-66).
const OF_A_CANDIDATE: [&str; 3] = ["dev", "qa", "release"];
/// Rows of L-92 some targets of which set a launch profile (L-95), which the reference does not know.
const CHOOSES_A_PROFILE: [&str; 5] = ["intake", "vision", "prd", "arch", "rethink"];

pub(super) fn can_be_played(model: &Model, step: &Move) -> bool {
    let mut after = model.clone();
    let view = after.play(step);
    let started = &after.runs[model.runs.len()..];
    let active = after.runs.iter().filter(|run| run.is_active()).count();
    if !started.is_empty() && active > ACTIVE_RUNS {
        return false;
    }
    if !started.iter().all(|run| can_be_worked_on(model, run)) {
        return false;
    }
    let is_told = !view.answers.is_empty();
    match step {
        Move::Label { at, label, .. } | Move::Unlabel { at, label, .. } => {
            is_told && at.number != UNBOUND && is_plain(label)
        }
        Move::Comment { at, .. } => is_told && at.number != UNBOUND,
        // Two starts in one click are refused in whatever order they are told; a discussion and a stage are not.
        Move::LabelTwo { issue, labels, .. } => {
            let triggers = labels
                .iter()
                .all(|label| model.tables.trigger(label).is_some());
            is_told && *issue != UNBOUND && started.is_empty() && triggers && labels[0] != labels[1]
        }
        // GitHub lets nobody judge a pull request of their own, and the bot opens all of them.
        Move::Review { who, pull, .. } => is_told && who != BOT && is_open(model, *pull),
        Move::SetIssueOpen { issue, .. } => is_told && *issue != UNBOUND,
        // An agent at work finds its branch and its pull request as they were.
        Move::ClosePull { pull, .. } | Move::Push { pull } => {
            is_open(model, *pull) && !is_worked_on(model, *pull)
        }
        Move::End {
            run,
            how,
            makes_pull,
        } => {
            let found = model.runs.get(run - 1);
            found.is_some_and(|run| {
                let writes = *makes_pull || run.pull.is_some() || run.is_reviewer();
                is_claimed(model, run) && (how != "succeeded" || writes || run.stage == "doc-audit")
            })
        }
        Move::Cancel { .. } => true,
        Move::NextStep { who, issue, label } => {
            let refused = !person(who).permitted() && person(who).account == "User" && who != BOT;
            let takes = started.len() == 1 && is_offered(model, *issue, label);
            *issue != UNBOUND && (refused || takes && keeps_the_profile(model, who, *issue, label))
        }
        // The first depends on the second in which GitHub says a thread was touched, the other on staff.
        Move::TellAgain { .. } | Move::Switch { .. } => false,
    }
}

/// Spelled as the catalogue has it, since GitHub keeps the spelling it knows; `run:debug` keeps namespaces for ever.
fn is_plain(label: &str) -> bool {
    label == label.to_lowercase() && label != "run:debug"
}

fn is_open(model: &Model, pull: i64) -> bool {
    model.forge.pulls.get(&pull).is_some_and(|pull| pull.open)
}

fn is_worked_on(model: &Model, pull: i64) -> bool {
    let issue = model.issue_of(pull);
    let mut runs = model.runs.iter();
    runs.any(|run| run.is_active() && !run.discussion && Some(run.issue) == issue)
}

fn can_be_worked_on(model: &Model, run: &Run) -> bool {
    if run.discussion {
        return true;
    }
    if ON_THE_LIVE_ENVIRONMENT.contains(&run.stage.as_str()) {
        return false;
    }
    if run.pull.is_some_and(|pull| !is_open(model, pull)) {
        return false;
    }
    // A candidate has a namespace once a run has worked in it.
    if run.is_stage_run() && model.tables.stage(&run.stage).needs_candidate {
        return model.runs.iter().any(|known| {
            known.status == "succeeded"
                && known.pull == run.pull
                && known.is_stage_run()
                && OF_A_CANDIDATE.contains(&known.stage.as_str())
        });
    }
    let ends_at_its_claim = run.revise && run.pull.is_none();
    !ends_at_its_claim || !model.runs.iter().any(Run::is_active)
}

/// Nothing older keeps a worker from claiming it: one run of a role, two in namespaces.
fn is_claimed(model: &Model, run: &Run) -> bool {
    let older = model
        .runs
        .iter()
        .take_while(|known| !std::ptr::eq(*known, run));
    let active: Vec<&Run> = older.filter(|known| known.is_active()).collect();
    active.len() < 2 && active.iter().all(|known| known.agent != run.agent)
}

/// L-97 to L-101: one label to go from, or a history.
fn is_offered(model: &Model, issue: i64, label: &str) -> bool {
    let labels = model.forge.labels(&Place::issue(issue)).iter();
    let set = labels
        .filter(|label| model.tables.trigger(label).is_some())
        .count();
    let known = set == 1 || set == 0 && model.stage_runs_of(issue).next().is_some();
    known && label != "run:ai-repair"
}

/// Only an owner may go back to a shorter path.
fn keeps_the_profile(model: &Model, who: &str, issue: i64, label: &str) -> bool {
    let Some(current) = model.current_stage(issue) else {
        return true;
    };
    let targets = &model.tables.stage(current).targets;
    let is_target = targets
        .iter()
        .any(|target| label == format!("run:{target}"));
    person(who).owner || !is_target || !CHOOSES_A_PROFILE.contains(&current)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::walk::Walk;
    use super::*;

    /// Walks and moves of ST-14.
    const SEEDS: [u64; 20] = [
        130, 172, 570, 616, 714, 744, 771, 843, 872, 999, 1002, 1221, 1361, 1380, 1414, 1571, 1659,
        1663, 1708, 1925,
    ];
    const LENGTH: usize = 11;

    /// What the walks of the gate come to: answers, ends of runs and kinds of moves.
    #[derive(Default)]
    struct Reached {
        answers: BTreeSet<String>,
        sources: BTreeSet<&'static str>,
        ends: BTreeSet<String>,
        moves: BTreeSet<String>,
    }

    fn reached() -> Reached {
        let fresh = Model::of_a_running_system();
        let mut reached = Reached::default();
        for seed in SEEDS {
            let mut model = fresh.clone();
            for step in Walk::live(seed, LENGTH, &fresh).moves {
                let view = model.play(&step);
                let reasons = view.answers.iter();
                let reasons = reasons.map(|answer| match answer.split_once(": ") {
                    Some((accepted, _)) => accepted.to_owned(),
                    None => answer.clone(),
                });
                reached.answers.extend(reasons);
                let shown = format!("{step:?}");
                let name = shown.split([' ', '{']).next().unwrap_or_default();
                reached.moves.insert(name.to_owned());
            }
            for run in &model.runs {
                reached.sources.insert(run.source);
                reached.ends.insert(run.status.clone());
            }
        }
        reached
    }

    #[test]
    fn the_walks_of_the_gate_reach_what_a_running_system_can_be_made_to_do() {
        let reached = reached();
        let moves = [
            "Cancel",
            "ClosePull",
            "Comment",
            "End",
            "Label",
            "LabelTwo",
            "NextStep",
            "Push",
            "Review",
            "SetIssueOpen",
            "Unlabel",
        ];
        assert_eq!(reached.moves, moves.map(str::to_owned).into());
        let ends = [
            "active",
            "canceled: canceled_by_staff",
            "canceled: canceled_by_state_abandoned",
            "canceled: discussion_stopped",
            "failed",
            "succeeded",
        ];
        assert_eq!(reached.ends, ends.map(str::to_owned).into());
        let sources = [
            "issue_comment",
            "issue_label",
            "pull_request_label",
            "pull_request_review",
        ];
        assert_eq!(reached.sources, sources.into());
        let told = " with a comment";
        for reason in [
            "issue_active_run_exists",
            "issue_closed",
            "issue_need_input_open",
            "issue_state_abandoned",
            "issue_state_blocked",
            "issue_trigger_candidate_not_found",
            "issue_trigger_label_conflict",
            "sender_not_allowed",
            "sender_not_project_member",
            "sender_role_read_not_permitted",
            "sender_type_bot_not_permitted",
            "stage_gate_not_passed",
            "stage_transition_not_allowed",
        ] {
            let answer = format!("ignored({reason}){told}");
            assert!(reached.answers.contains(&answer), "no walk meets {reason}");
        }
    }

    /// Else an orchestrator that does nothing could pass for one that does.
    #[test]
    fn in_every_walk_of_the_gate_a_run_starts_and_a_label_is_changed_by_the_platform() {
        let fresh = Model::of_a_running_system();
        for seed in SEEDS {
            let mut model = fresh.clone();
            let mut changed = 0;
            for step in Walk::live(seed, LENGTH, &fresh).moves {
                let by_people = match &step {
                    Move::Label { .. } | Move::Unlabel { .. } => 1,
                    Move::LabelTwo { .. } => 2,
                    _ => 0,
                };
                let before = labels(&model);
                model.play(&step);
                let differing = labels(&model).symmetric_difference(&before).count();
                changed += usize::from(differing > by_people);
            }
            assert!(changed > 0, "walk {seed} changes no label");
            assert!(!model.runs.is_empty(), "walk {seed} starts no run");
        }
    }

    fn labels(model: &Model) -> BTreeSet<(Place, String)> {
        let places = model.forge.places().into_iter();
        let labels = places.flat_map(|place| {
            let labels = model.forge.labels(&place).to_vec();
            labels.into_iter().map(move |label| (place.clone(), label))
        });
        labels.collect()
    }

    #[test]
    fn a_revise_without_a_pull_request_ends_at_its_claim() {
        let mut model = Model::of_a_running_system();
        let view = model.play(&Move::Label {
            who: "alice".to_owned(),
            at: Place::issue(1),
            label: "run:dev:revise".to_owned(),
        });
        assert!(view.runs[0].ends_with(": failed"), "{view:?}");
        assert!(view.labels.is_empty(), "{view:?}");
    }
}
