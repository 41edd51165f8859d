//! Errors seeded into the domain's side: each changes what `decide` or `after_ended_run` is given or what it answers,
//! as a wrong row of a table or a wrong guard would.

use domain::decide::Consequences;
use domain::decide::{Decision, IgnoreReason, Ignored, Outcome, ThreadStateChange};
use domain::effects::{Effect, PlannedEffect};
use domain::events::Event;
use domain::labels::Catalogue;
use domain::policy::Policy;
use domain::runs::{RunStatus, TriggerSource};
use domain::snapshot::{Binding, Fact, Read, RunFacts, UserFacts};
use domain::stages::{Stage, TriggerKind};
use serde_json::Value;

use super::world::World;

/// One seeded error; every hook that it does not need does nothing.
pub struct Mutation {
    /// What is wrong, with the rule; empty when nothing is.
    pub name: &'static str,
    pub policy: fn(&mut Policy),
    pub binding: fn(&mut Binding),
    pub user: fn(&mut UserFacts),
    pub payload: fn(&mut Value),
    pub fact: fn(&Read, &mut Fact),
    pub decision: fn(&World<'_>, &Event, &mut Decision),
    pub after_run: fn(&RunFacts, &mut Consequences),
}

/// The domain as it is.
pub const NO_MUTATION: Mutation = Mutation {
    name: "",
    policy: |_| {},
    binding: |_| {},
    user: |_| {},
    payload: |_| {},
    fact: |_, _| {},
    decision: |_, _, _| {},
    after_run: |_, _| {},
};

/// All of them.
pub const SEEDED_ERRORS: [Mutation; 14] = [
    Mutation {
        name: "L-1: run:plan and run:design bear each other's name",
        policy: |policy| {
            let swap = [("run:plan", "run:design"), ("run:design", "run:plan")];
            let renames = swap.map(|(from, to)| (from.to_owned(), to.to_owned()));
            policy.labels = Catalogue::with_renames(&renames.into()).expect("a plain swap");
        },
        ..NO_MUTATION
    },
    Mutation {
        name: "L-6: the row of qa names agent sre",
        binding: |binding| {
            binding
                .agents
                .insert("qa".to_owned(), binding.agents["sre"].clone());
        },
        ..NO_MUTATION
    },
    Mutation {
        name: "L-29: L-38 is asked before L-37",
        decision: |world, event, decision| {
            use IgnoreReason::{IssueNeedInputOpen, IssueStateAbandoned, IssueStateBlocked};
            let gate = [IssueStateAbandoned, IssueStateBlocked, IssueNeedInputOpen];
            let number = event.issue().map(|issue| issue.number);
            let busy = world
                .runs
                .iter()
                .any(|run| run.issue_number == number && run.is_stage_run() && run.is_active());
            if decision
                .outcome
                .reason()
                .is_some_and(|reason| gate.contains(reason))
                && busy
            {
                refuse(decision, IgnoreReason::IssueActiveRunExists);
            }
        },
        ..NO_MUTATION
    },
    Mutation {
        name: "L-36: the guard is missing",
        payload: |payload| {
            if let Some(state) = payload.pointer_mut("/issue/state") {
                *state = "open".into();
            }
        },
        fact: |_, fact| {
            if let Fact::Issue(Some(issue)) = fact {
                issue.state = "open".to_owned();
            }
        },
        ..NO_MUTATION
    },
    Mutation {
        name: "L-92: the row of plan does not lead to dev",
        decision: |world, event, decision| {
            let number = event.issue().map(|issue| issue.number);
            let current = world.runs.iter().rev().find(|run| {
                run.issue_number == number
                    && run.is_stage_run()
                    && run.status == RunStatus::Succeeded
            });
            let after_plan = current.is_some_and(|run| run.stage() == Some(Stage::Plan));
            let to_dev = decision.outcome.new_run().is_some_and(|run| {
                run.trigger.kind == TriggerKind::Work(Stage::Dev)
                    && run.trigger.source == TriggerSource::IssueLabel
                    && !run.discussion_mode
            });
            if after_plan && to_dev && event.sender_login() == "bob" {
                refuse(decision, IgnoreReason::StageTransitionNotAllowed);
            }
        },
        ..NO_MUTATION
    },
    Mutation {
        name: "L-38: a reviewer-run counts",
        fact: |_, fact| {
            if let Fact::History(runs) = fact {
                for run in runs.iter_mut().filter(|run| run.is_reviewer_run()) {
                    run.trigger_source = TriggerSource::IssueLabel;
                    run.agent_key = Some("dev".to_owned());
                }
            }
        },
        ..NO_MUTATION
    },
    Mutation {
        name: "L-66: a closed pull request is a candidate",
        fact: |_, fact| {
            if let Fact::PullRequest(Some(pull)) = fact {
                pull.state = "open".to_owned();
            }
        },
        ..NO_MUTATION
    },
    Mutation {
        name: "L-72: the trigger label of a revise stays",
        after_run: |run, follows| {
            drop_effects(follows, |effect| {
                let Effect::RemoveLabel { label, .. } = effect else {
                    return false;
                };
                run.trigger_kind.is_revise() && label.ends_with(":revise")
            });
        },
        ..NO_MUTATION
    },
    Mutation {
        name: "L-73: the pull request is not put into review",
        after_run: |_, follows| {
            drop_effects(follows, |effect| {
                let Effect::AddLabel { thread, label, .. } = effect else {
                    return false;
                };
                label == "state:in-review" && thread.kind.as_str() == "pr"
            });
        },
        ..NO_MUTATION
    },
    Mutation {
        name: "L-74: state:approved stays while a stage-run works",
        decision: |_, _, decision| {
            if decision.outcome.new_run().is_some() {
                drop_effects(
                    &mut decision.consequences,
                    |effect| matches!(effect, Effect::RemoveLabel { label, .. } if label == "state:approved"),
                );
            }
        },
        ..NO_MUTATION
    },
    Mutation {
        name: "L-42: an ambiguous review sets no need:input",
        decision: |_, _, decision| {
            let reason = decision.outcome.reason();
            if reason == Some(&IgnoreReason::PullRequestReviewStageAmbiguous) {
                decision.consequences.thread_states.clear();
                drop_effects(&mut decision.consequences, |effect| {
                    matches!(effect, Effect::AddLabel { .. })
                });
            }
        },
        ..NO_MUTATION
    },
    Mutation {
        name: "L-84: the platform forgets that a need:input is its own",
        decision: |_, _, decision| {
            let states = &mut decision.consequences.thread_states;
            states.retain(|change| !matches!(change, ThreadStateChange::NeedInputSet { .. }));
        },
        ..NO_MUTATION
    },
    Mutation {
        name: "L-18: a grant is never used up",
        decision: |_, _, decision| decision.consequences.consumed_grant = None,
        ..NO_MUTATION
    },
    Mutation {
        name: "L-31: the role read may start runs",
        user: |user| {
            if user.project_role.as_deref() == Some("read") {
                user.project_role = Some("read_write".to_owned());
            }
        },
        ..NO_MUTATION
    },
];

fn refuse(decision: &mut Decision, reason: IgnoreReason) {
    decision.consequences = Consequences::default();
    decision.outcome = Outcome::Ignored(Ignored {
        reason,
        conflicting_labels: Vec::new(),
        suggested_labels: Vec::new(),
    });
}

fn drop_effects(consequences: &mut Consequences, unwanted: impl Fn(&Effect) -> bool) {
    let keep = |planned: &PlannedEffect| !unwanted(&planned.effect);
    consequences.effects.retain(keep);
}
