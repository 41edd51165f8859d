//! Labels and comment after a run (L-72 to L-74, L-81, L-82, L-87).

use crate::audit::{AuditEvent, RunFinishedPayload};
use crate::decide::Consequences;
use crate::effects::{CommentPhase, Effect, EffectPlan, LabelOrigin, status_comment_thread_of};
use crate::events::Thread;
use crate::labels::{CatalogueLabel, NeedLabel, StateLabel};
use crate::policy::Policy;
use crate::runs::{FinishReason, RunEnd, RunStatus};
use crate::snapshot::RunFacts;
use crate::stages::{Stage, TriggerKind};

/// A run that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct EndedRun<'a> {
    /// The run, `pr_number` included when it made a pull request.
    pub run: &'a RunFacts,
    /// How it ended.
    pub end: RunEnd,
    /// A staff cancel abandons the work unless the request says otherwise (L-82).
    pub abandon: bool,
    /// Other open pull requests of the Issue; needed after a rethink only (L-81).
    pub other_open_pull_requests: &'a [i64],
}

/// What the end of a run leads to when nothing special is known about it: a staff cancel abandons the
/// work, and a rethink supersedes no other pull request.
pub fn after_run(run: &RunFacts, end: RunEnd, policy: &Policy) -> Consequences {
    after_ended_run(
        &EndedRun {
            run,
            end,
            abandon: true,
            other_open_pull_requests: &[],
        },
        policy,
    )
}

/// What the end of a run leads to, besides its terminal event. Idempotent: the keys of the effects are
/// those of the run.
pub fn after_ended_run(ended: &EndedRun<'_>, policy: &Policy) -> Consequences {
    let run = ended.run;
    let mut plan = EffectPlan::new(format!("{}:end", run.run_id));
    let continued = ended.end == RunEnd::Because(FinishReason::ContinuedInResumeRun);
    if continued || run.deploy_only {
        return Consequences::default();
    }
    let change = Change { ended, policy };
    if run.is_reviewer_run() {
        change.after_reviewer(&mut plan);
    } else if run.is_stage_run() {
        change.after_stage(&mut plan);
    }
    if let Some(thread) = status_comment_thread_of(run) {
        plan.push(Effect::UpsertStatusComment {
            thread,
            run_id: run.run_id,
            phase: CommentPhase::Finished,
        });
    }
    Consequences {
        effects: plan.into_vec(),
        ..Consequences::default()
    }
}

struct Change<'a> {
    ended: &'a EndedRun<'a>,
    policy: &'a Policy,
}

impl Change<'_> {
    fn issue(&self) -> Option<Thread> {
        self.ended
            .run
            .issue_number
            .map(|number| Thread::issue(&self.ended.run.repository_full_name, number))
    }

    fn pull_request(&self) -> Option<Thread> {
        self.ended
            .run
            .pr_number
            .map(|number| Thread::pull_request(&self.ended.run.repository_full_name, number))
    }

    fn after_stage(&self, plan: &mut EffectPlan) {
        let run = self.ended.run;
        let both: Vec<Thread> = [self.issue(), self.pull_request()]
            .into_iter()
            .flatten()
            .collect();
        for thread in &both {
            self.remove(thread, CatalogueLabel::Trigger(run.trigger_kind), plan);
        }
        let stage = run.stage();
        match self.ended.end {
            RunEnd::Succeeded if stage == Some(Stage::Rethink) => {
                self.supersede(plan);
                for thread in &both {
                    self.set_state(thread, StateLabel::InReview, plan);
                }
            }
            RunEnd::Succeeded if stage == Some(Stage::AiRepair) => {
                if let Some(issue) = self.issue() {
                    self.set_state(&issue, StateLabel::InReview, plan);
                }
            }
            RunEnd::Succeeded => {
                for thread in &both {
                    self.set_state(thread, StateLabel::InReview, plan);
                }
            }
            RunEnd::Because(FinishReason::CanceledByStaff) if self.ended.abandon => {
                for thread in &both {
                    self.set_state(thread, StateLabel::Abandoned, plan);
                }
            }
            RunEnd::Because(FinishReason::CanceledByStateAbandoned) => {
                for thread in &both {
                    self.set_state(thread, StateLabel::Abandoned, plan);
                }
            }
            RunEnd::Because(_) => {}
        }
    }

    /// L-81: what the rethink replaces, and every trigger still on the Issue.
    fn supersede(&self, plan: &mut EffectPlan) {
        let repository = &self.ended.run.repository_full_name;
        for number in self.ended.other_open_pull_requests {
            if Some(*number) != self.ended.run.pr_number {
                self.set_state(
                    &Thread::pull_request(repository, *number),
                    StateLabel::Superseded,
                    plan,
                );
            }
        }
        if let Some(issue) = self.issue() {
            for kind in TriggerKind::all_labelled() {
                self.remove(&issue, CatalogueLabel::Trigger(kind), plan);
            }
        }
    }

    /// L-87: the label leaves on success only.
    fn after_reviewer(&self, plan: &mut EffectPlan) {
        if self.ended.end.status() != RunStatus::Succeeded {
            return;
        }
        if let Some(pull_request) = self.pull_request() {
            self.remove(
                &pull_request,
                CatalogueLabel::Need(NeedLabel::Reviewer),
                plan,
            );
        }
        for thread in [self.issue(), self.pull_request()].into_iter().flatten() {
            self.set_state(&thread, StateLabel::InReview, plan);
        }
    }

    /// Sets an exclusive state; the others leave (L-75).
    fn set_state(&self, thread: &Thread, state: StateLabel, plan: &mut EffectPlan) {
        let label = self
            .policy
            .labels
            .name(CatalogueLabel::State(state))
            .to_owned();
        plan.push(Effect::AddLabel {
            thread: thread.clone(),
            label,
            origin: LabelOrigin::system(),
        });
        for other in StateLabel::ALL
            .iter()
            .filter(|other| other.is_exclusive() && **other != state)
        {
            self.remove(thread, CatalogueLabel::State(*other), plan);
        }
    }

    fn remove(&self, thread: &Thread, label: CatalogueLabel, plan: &mut EffectPlan) {
        let label = self.policy.labels.name(label).to_owned();
        if !label.is_empty() {
            plan.push(Effect::RemoveLabel {
                thread: thread.clone(),
                label,
                origin: LabelOrigin::system(),
            });
        }
    }
}

/// The terminal event of a run that succeeded or failed (DF-5); a cancelled run has
/// [`AuditEvent::RunCanceled`] with a payload of its own.
pub fn terminal_event(end: RunEnd, mut payload: RunFinishedPayload) -> Option<AuditEvent> {
    payload.status = Some(end.status().to_string());
    payload.reason = end.reason().map(|reason| reason.to_string());
    Some(match end {
        RunEnd::Succeeded => AuditEvent::RunSucceeded(payload),
        RunEnd::Because(reason) => match reason {
            FinishReason::KubernetesJobFailed => AuditEvent::RunFailed(payload),
            FinishReason::KubernetesJobNotFound => AuditEvent::RunFailedJobNotFound(payload),
            FinishReason::NamespacePrepareFailed
            | FinishReason::RuntimeDeployFailed
            | FinishReason::McpTokenIssueFailed
            | FinishReason::AgentContextResolveFailed => AuditEvent::RunFailedLaunchError(payload),
            FinishReason::FailedPrecondition => AuditEvent::RunFailedPrecondition(payload),
            FinishReason::RunTimeout => AuditEvent::RunFailedTimeout(payload),
            FinishReason::CanceledByStaff
            | FinishReason::CanceledByStateAbandoned
            | FinishReason::DiscussionStopped
            | FinishReason::RuntimeDeployCanceled
            | FinishReason::ContinuedInResumeRun => return None,
        },
    })
}

/// Label that starts the stage from the beginning: the advice when a revise finds no pull request or
/// branch (L-46 row 4).
pub fn advised_label(kind: TriggerKind, policy: &Policy) -> Option<String> {
    let TriggerKind::Revise(stage) = kind else {
        return None;
    };
    Some(policy.labels.name(CatalogueLabel::work(stage)).to_owned())
}
