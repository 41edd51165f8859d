//! A next step that a person takes (L-97 to L-101): which labels go, which come, and what stands against it.
//!
//! Whether the stage may start is asked of the guards that will judge the webhook of the label, so that a step is never
//! taken only to be refused a moment later.

use super::facts::Context;
use super::guards::{self, Verdict};
use super::order::current_stage;
use super::step_request::{InvalidField, StepAction, StepRequest};
use super::trigger::Trigger;
use super::{Consequences, IgnoreReason, NewGrant, ThreadStateChange, Undecided, launch_profile};
use crate::audit::{Actor, AuditEvent, AuditRecord, NextStepPayload};
use crate::comments::next_step_blocked;
use crate::effects::{CommentRecord, Effect, EffectPlan, LabelOrigin, LabelSource};
use crate::events::{Account, Event, EventKind, Issue, PullRequest, Repository, Thread};
use crate::ids::{CorrelationId, DeliveryId};
use crate::labels::{CatalogueLabel, NeedLabel};
use crate::launch_profiles::{IssueFlow, LaunchProfile};
use crate::next_steps::{DisplayVariant, offers_of};
use crate::policy::Policy;
use crate::snapshot::{Read, Snapshot, UserFacts};
use crate::stages::{Stage, TriggerKind};

/// Whether labels are to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepMode {
    /// Only told (L-99).
    Preview,
    /// Done.
    Execute,
}

/// What a step does to the labels of its thread, each list sorted (L-97).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelDiff {
    /// Issue or pull request.
    pub thread: Thread,
    /// Its page.
    pub thread_url: String,
    /// As the thread spells them.
    pub removed: Vec<String>,
    /// The target, unless the thread bears it already.
    pub added: Vec<String>,
    /// What the thread bears afterwards.
    pub final_labels: Vec<String>,
}

impl LabelDiff {
    fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty()
    }
}

/// Why a step is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepRefusal {
    /// A member names nothing that is there, or contradicts another (400).
    Invalid(InvalidField),
    /// The trigger labels are no longer those that the person saw (409).
    Conflict {
        /// Seen by the person.
        expected: Vec<String>,
        /// Live.
        actual: Vec<String>,
    },
    /// The path would get shorter, which only a platform owner may decide (403, L-95).
    ShorterPath {
        /// Profile of the Issue.
        current: LaunchProfile,
        /// Profile that the step chooses.
        wanted: LaunchProfile,
    },
    /// It is unclear which stage the step leaves (409, L-101).
    Ambiguous {
        /// Trigger labels on the Issue; none when it has no history.
        labels: Vec<String>,
    },
    /// The platform would refuse the label (409).
    Guarded {
        /// As the webhook of the label would be ignored.
        reason: IgnoreReason,
        /// Labels that would help.
        suggested: Vec<String>,
    },
}

/// A decision about a step. The consequences hold for refusals too (L-101).
#[derive(Debug, Clone, PartialEq)]
pub struct StepDecision {
    /// What becomes of the labels, or why nothing does.
    pub outcome: Result<LabelDiff, StepRefusal>,
    /// All that is written down.
    pub consequences: Consequences,
}

impl StepDecision {
    fn refused(refusal: StepRefusal) -> Self {
        Self {
            outcome: Err(refusal),
            consequences: Consequences::default(),
        }
    }
}

/// Decides a step of the person in `snapshot.sender`. Called again with more facts, as [`super::decide`]; without a
/// binding or a person the caller has already refused.
pub fn decide_step(
    snapshot: &Snapshot,
    request: &StepRequest,
    mode: StepMode,
    correlation_id: &CorrelationId,
    policy: &Policy,
) -> Result<StepDecision, Undecided> {
    let (Some(_), Some(person)) = (&snapshot.binding, &snapshot.sender.user) else {
        let field = InvalidField::new("repository_full_name", "this repository is not bound");
        return Ok(StepDecision::refused(StepRefusal::Invalid(field)));
    };
    let event = labelling(request, person, EventKind::Other);
    let context = Context {
        snapshot,
        event: &event,
        policy,
    };
    let step = Step {
        context,
        request,
        person,
        correlation_id,
    };
    match request.action {
        StepAction::Stage { issue, target } => step.to_stage(issue, target, mode),
        StepAction::Reviewer { pull_request } => step.to_review(pull_request, mode),
    }
}

/// The delivery that GitHub would send if the person had set the label.
fn labelling(request: &StepRequest, person: &UserFacts, kind: EventKind) -> Event {
    // A person without a GitHub login is judged by the row behind it all the same.
    let login = if person.login.is_empty() {
        person.id.to_string()
    } else {
        person.login.clone()
    };
    Event {
        delivery_id: DeliveryId::new(""),
        event_type: String::new(),
        action: "labeled".to_owned(),
        received_at: chrono::DateTime::UNIX_EPOCH,
        sender: Some(Account {
            login,
            account_type: "User".to_owned(),
            ..Account::default()
        }),
        repository: Some(Repository {
            full_name: request.repository_full_name.clone(),
            ..Repository::default()
        }),
        installation_id: None,
        kind,
        raw_payload: serde_json::Value::Null,
    }
}

struct Step<'a> {
    context: Context<'a>,
    request: &'a StepRequest,
    person: &'a UserFacts,
    correlation_id: &'a CorrelationId,
}

impl Step<'_> {
    fn to_stage(
        &self,
        number: i64,
        target: TriggerKind,
        mode: StepMode,
    ) -> Result<StepDecision, Undecided> {
        let thread = self.context.issue_thread(number);
        let found = self.context.issue_fact(Read::Issue(number))?.as_ref();
        let Some(issue) = found.filter(|issue| !issue.is_pull_request) else {
            return Ok(not_there("issue_number", "there is no such Issue"));
        };
        let labels = self.context.labels(&thread)?;
        let catalogue = &self.context.policy.labels;
        let live: Vec<TriggerKind> = catalogue.triggers(labels).into_iter().collect();
        let leaves = |text: &String| match catalogue.classify(text) {
            Some(CatalogueLabel::Trigger(kind)) => kind != target,
            _ => false,
        };
        let diff = self.diff(thread.clone(), &issue.html_url, labels, leaves);
        if let Some(conflict) = self.conflict(&live, &diff) {
            return Ok(StepDecision::refused(conflict));
        }
        let state = self.context.thread_state(&thread)?;
        let history = self.context.history(Read::IssueHistory(number))?;
        let current = current_stage(history);
        let variant = match self.variant(current, &state.flow) {
            Ok(variant) => variant,
            Err(contradiction) => {
                return Ok(StepDecision::refused(StepRefusal::Invalid(contradiction)));
            }
        };
        let chosen = variant.and_then(LaunchProfile::chosen_by);
        let flow = IssueFlow {
            profile: chosen.or(state.flow.profile),
            signals: state.flow.signals.clone(),
        };
        let payload = NextStepPayload {
            launch_profile: flow.profile.map(|profile| profile.to_string()),
            current_stage: current.map(|stage| stage.to_string()),
            next_stage: target.stage().map(|stage| stage.to_string()),
            ..self.payload(&diff)
        };
        if mode == StepMode::Preview {
            return Ok(self.previewed(diff, payload));
        }
        if diff.is_empty() {
            // L-100: the label is there already, and its own delivery is judged, or was.
            return Ok(done(diff));
        }
        if let (Some(wanted), Some(current), false) =
            (chosen, state.flow.profile, self.person.is_platform_owner)
            && wanted < current
        {
            return Ok(StepDecision::refused(StepRefusal::ShorterPath {
                current,
                wanted,
            }));
        }
        let exempt = target.stage() == Some(Stage::Rethink);
        if let Some(reason) =
            guards::state_gate(&self.context, std::slice::from_ref(&thread), exempt)?
        {
            return Ok(guarded(reason, Vec::new()));
        }
        let no_history = live.is_empty() && !history.iter().any(|run| run.is_stage_run());
        if live.len() > 1 || no_history {
            return self.blocked(&thread, labels, &live, payload);
        }
        let labelled = Issue {
            labels: diff.final_labels.clone(),
            ..issue.clone()
        };
        let label = catalogue.name(CatalogueLabel::Trigger(target)).to_owned();
        let kind = EventKind::IssueLabeled {
            issue: labelled.clone(),
            label,
        };
        let trigger = Trigger::Stage {
            issue: &labelled,
            kind: target,
        };
        if let Some(refusal) = self.judged(kind, &trigger)? {
            return Ok(refusal);
        }
        let mut decision = self.executed(diff, payload);
        if flow != state.flow {
            let event = launch_profile::resolved(
                number,
                &state.flow,
                &flow,
                current,
                target.stage(),
                variant,
            );
            decision.consequences.audit.push(self.record(event));
            decision
                .consequences
                .thread_states
                .push(ThreadStateChange::FlowSet { thread, flow });
        }
        Ok(decision)
    }

    fn to_review(&self, number: i64, mode: StepMode) -> Result<StepDecision, Undecided> {
        let thread = self.context.pull_request_thread(number);
        let Some(pull_request) = self.context.pull_request_fact(Read::PullRequest(number))? else {
            let message = "there is no such pull request";
            return Ok(not_there("pull_request_number", message));
        };
        let labels = self.context.labels(&thread)?;
        let live: Vec<TriggerKind> = self
            .context
            .policy
            .labels
            .triggers(labels)
            .into_iter()
            .collect();
        let diff = self.diff(thread, &pull_request.html_url, labels, |_| false);
        if let Some(conflict) = self.conflict(&live, &diff) {
            return Ok(StepDecision::refused(conflict));
        }
        let payload = self.payload(&diff);
        if mode == StepMode::Preview {
            return Ok(self.previewed(diff, payload));
        }
        if diff.is_empty() {
            return Ok(done(diff));
        }
        let labelled = PullRequest {
            labels: diff.final_labels.clone(),
            ..pull_request.clone()
        };
        let kind = EventKind::PullRequestLabeled {
            pull_request: labelled.clone(),
            label: self.target_name(),
        };
        let trigger = Trigger::Reviewer {
            pull_request: &labelled,
        };
        if let Some(refusal) = self.judged(kind, &trigger)? {
            return Ok(refusal);
        }
        Ok(self.executed(diff, payload))
    }

    /// A request id may be anybody's choice, and twice the same; what comes of a decision must not be taken for another's.
    fn plan(&self) -> EffectPlan {
        EffectPlan::new(format!("step:{}", self.context.snapshot.fresh_run_id))
    }

    fn target_name(&self) -> String {
        let label = self.request.action.target();
        self.context.policy.labels.name(label).to_owned()
    }

    fn diff(
        &self,
        thread: Thread,
        thread_url: &str,
        labels: &[String],
        leaves: impl Fn(&String) -> bool,
    ) -> LabelDiff {
        let target = self.request.action.target();
        let mut removed: Vec<String> = labels
            .iter()
            .filter(|label| leaves(label))
            .cloned()
            .collect();
        let mut final_labels: Vec<String> = labels
            .iter()
            .filter(|label| !leaves(label))
            .cloned()
            .collect();
        let mut added = Vec::new();
        if !self.context.policy.labels.bears(labels, target) {
            added.push(self.target_name());
            final_labels.push(self.target_name());
        }
        removed.sort();
        final_labels.sort();
        LabelDiff {
            thread,
            thread_url: thread_url.to_owned(),
            removed,
            added,
            final_labels,
        }
    }

    /// What the person saw is gone (L-98). Nothing to do is no conflict: the same click came twice (L-100).
    fn conflict(&self, live: &[TriggerKind], diff: &LabelDiff) -> Option<StepRefusal> {
        let expected = self.request.expected.as_deref()?;
        if expected == live || diff.is_empty() {
            return None;
        }
        Some(StepRefusal::Conflict {
            expected: self.names(expected),
            actual: self.names(live),
        })
    }

    fn names(&self, kinds: &[TriggerKind]) -> Vec<String> {
        let catalogue = &self.context.policy.labels;
        let mut names: Vec<String> = kinds
            .iter()
            .map(|kind| catalogue.name(CatalogueLabel::Trigger(*kind)).to_owned())
            .collect();
        names.sort();
        names
    }

    /// How the step is shown after the current stage; a request may not call it something else, since the path that the
    /// Issue walks follows from it (L-95).
    fn variant(
        &self,
        current: Option<Stage>,
        flow: &IssueFlow,
    ) -> Result<Option<DisplayVariant>, InvalidField> {
        let target = self.request.action.target();
        let offered = current.and_then(|stage| {
            offers_of(stage, flow)
                .into_iter()
                .find(|(_, label, _)| *label == target)
                .map(|(_, _, variant)| variant)
        });
        match (offered, self.request.display_variant) {
            (Some(offered), Some(named)) if offered != named => Err(InvalidField::new(
                "display_variant",
                format!("this step is {offered}, not {named}"),
            )),
            (Some(offered), _) => Ok(Some(offered)),
            // A step off the flow chooses no path.
            (None, _) => Ok(None),
        }
    }

    fn judged(
        &self,
        kind: EventKind,
        trigger: &Trigger<'_>,
    ) -> Result<Option<StepDecision>, Undecided> {
        let event = labelling(self.request, self.person, kind);
        let context = Context {
            snapshot: self.context.snapshot,
            event: &event,
            policy: self.context.policy,
        };
        Ok(match guards::judge(&context, trigger)? {
            Verdict::Passed(_) => None,
            Verdict::Refused(refused) => Some(guarded(
                refused.ignored.reason,
                refused.ignored.suggested_labels,
            )),
        })
    }

    fn payload(&self, diff: &LabelDiff) -> NextStepPayload {
        let (issue, pull_request) = match self.request.action {
            StepAction::Stage { issue, .. } => (Some(issue), self.request.pull_request_number),
            StepAction::Reviewer { pull_request } => {
                (self.request.issue_number, Some(pull_request))
            }
        };
        NextStepPayload {
            issue_number: issue,
            pr_number: pull_request,
            action_kind: Some(self.request.action.kind().to_string()),
            target_label: Some(self.target_name()),
            removed_labels: Some(diff.removed.clone()),
            added_labels: Some(diff.added.clone()),
            ..NextStepPayload::default()
        }
    }

    fn record(&self, event: AuditEvent) -> AuditRecord {
        AuditRecord::new(
            event,
            Actor::Human(self.person.id),
            self.correlation_id.clone(),
        )
        .project(self.context.binding().map(|binding| binding.project_id))
    }

    fn previewed(&self, diff: LabelDiff, payload: NextStepPayload) -> StepDecision {
        let event = AuditEvent::RunNextStepPreviewRequested(payload);
        StepDecision {
            outcome: Ok(diff),
            consequences: Consequences {
                audit: vec![self.record(event)],
                ..Consequences::default()
            },
        }
    }

    /// The grant of L-18 and the labels, the target last: its delivery shall find the other trigger gone.
    fn executed(&self, diff: LabelDiff, payload: NextStepPayload) -> StepDecision {
        let catalogue = &self.context.policy.labels;
        let origin = LabelOrigin {
            source: LabelSource::Ui,
            requested_by: self.person.id.to_string(),
            reason: None,
            approval_request_id: None,
        };
        let mut plan = self.plan();
        let mut after = None;
        for label in &diff.removed {
            after = Some(plan.push_after(
                Effect::RemoveLabel {
                    thread: diff.thread.clone(),
                    label: catalogue.canonical(label),
                    origin: origin.clone(),
                },
                after,
            ));
        }
        let mut grants = Vec::new();
        for label in &diff.added {
            plan.push_after(
                Effect::AddLabel {
                    thread: diff.thread.clone(),
                    label: label.clone(),
                    origin: origin.clone(),
                },
                after,
            );
            grants.push(NewGrant {
                thread: diff.thread.clone(),
                label: label.clone(),
                user_id: self.person.id,
                request_id: None,
            });
        }
        StepDecision {
            outcome: Ok(diff),
            consequences: Consequences {
                effects: plan.into_vec(),
                audit: vec![self.record(AuditEvent::RunNextStepExecuted(payload))],
                grants,
                ..Consequences::default()
            },
        }
    }

    /// L-101; a person who asks again before anything was mended gets the same answer, and no second comment.
    fn blocked(
        &self,
        thread: &Thread,
        labels: &[String],
        live: &[TriggerKind],
        payload: NextStepPayload,
    ) -> Result<StepDecision, Undecided> {
        let catalogue = &self.context.policy.labels;
        let names = self.names(live);
        let reason = if names.is_empty() {
            "stage_unknown"
        } else {
            "trigger_labels_ambiguous"
        };
        let need_input = CatalogueLabel::Need(NeedLabel::Input);
        let is_open = catalogue.bears(labels, need_input);
        let known = self
            .context
            .thread_state(thread)?
            .need_input_reason
            .as_deref()
            == Some(reason);
        let mut consequences = Consequences::default();
        if !(is_open && known) {
            let mut plan = self.plan();
            let label = plan.push(Effect::AddLabel {
                thread: thread.clone(),
                label: catalogue.name(need_input).to_owned(),
                origin: LabelOrigin::because(reason),
            });
            let comment = Effect::CreateComment {
                thread: thread.clone(),
                body: next_step_blocked(&names, self.context.policy.locale),
                record: CommentRecord::None,
            };
            plan.push_after(comment, Some(label));
            consequences.effects = plan.into_vec();
            consequences
                .thread_states
                .push(ThreadStateChange::NeedInputSet {
                    thread: thread.clone(),
                    reason: reason.to_owned(),
                });
        }
        let payload = NextStepPayload {
            removed_labels: None,
            added_labels: None,
            reason: Some(reason.to_owned()),
            ..payload
        };
        let event = AuditEvent::RunNextStepBlockedNeedInput(payload);
        consequences.audit.push(self.record(event));
        Ok(StepDecision {
            outcome: Err(StepRefusal::Ambiguous { labels: names }),
            consequences,
        })
    }
}

fn done(diff: LabelDiff) -> StepDecision {
    StepDecision {
        outcome: Ok(diff),
        consequences: Consequences::default(),
    }
}

fn not_there(field: &'static str, message: &str) -> StepDecision {
    StepDecision::refused(StepRefusal::Invalid(InvalidField::new(field, message)))
}

fn guarded(reason: IgnoreReason, suggested: Vec<String>) -> StepDecision {
    StepDecision::refused(StepRefusal::Guarded { reason, suggested })
}
