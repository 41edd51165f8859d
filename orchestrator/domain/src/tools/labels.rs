//! What an agent may do to labels (G-32 to G-37, L-16, L-17).

use std::collections::BTreeSet;

use super::{FailureCode, FailureReason, LabelArguments, ToolFailure};
use crate::approvals::LabelProposal;
use crate::audit::{Actor, AuditEvent, AuditRecord, LabelChangePayload, SystemActor};
use crate::effects::{Effect, EffectPlan, LabelOrigin, LabelSource, PlannedEffect};
use crate::events::{Thread, ThreadKind};
use crate::ids::{CorrelationId, ProjectId, RunId};
use crate::labels::{Catalogue, CatalogueLabel, LabelGroup, NeedLabel, StateLabel};
use crate::stages::TriggerKind;

/// A call of a label tool and what it meets.
#[derive(Debug, Clone, Copy)]
pub struct LabelCall<'a> {
    /// The run that calls.
    pub run_id: RunId,
    /// Its correlation.
    pub correlation_id: &'a CorrelationId,
    /// Its project.
    pub project_id: Option<ProjectId>,
    /// Its agent.
    pub agent_key: &'a str,
    /// What started it.
    pub trigger_kind: TriggerKind,
    /// The thread that is changed.
    pub thread: &'a Thread,
    /// Its labels once everything is done that is written down already.
    pub current: &'a [String],
    /// Names of labels.
    pub catalogue: &'a Catalogue,
    /// Login the platform writes with.
    pub bot_login: &'a str,
    /// Names the call among all calls; part of the keys of its effects.
    pub scope: &'a str,
    /// The approved request that is carried out; none while an agent asks.
    pub approved: Option<i64>,
}

/// What a call comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum LabelDecision {
    /// It is done.
    Change(LabelChanges),
    /// Somebody is asked first (G-35).
    Ask(LabelProposal),
}

/// What a call changes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LabelChanges {
    /// Removals first; each waits for the one before it (G-32).
    pub effects: Vec<PlannedEffect>,
    /// Labels that will be set or taken off.
    pub applied: Vec<String>,
    /// Labels that are as asked for already.
    pub unchanged: Vec<String>,
    /// Those that start something, which the bot may not do in its own name (L-18).
    pub gated: Vec<String>,
}

/// A call that changes nothing, and what is recorded of that besides the failure.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// What the agent is told.
    pub failure: ToolFailure,
    /// `label.rejected`, one per label at fault.
    pub audit: Vec<AuditRecord>,
}

/// The thread that a number names: the run's own Issue or pull request, and no other (G-33).
pub fn own_thread(
    repository_full_name: &str,
    issue_number: Option<i64>,
    pr_number: Option<i64>,
    asked: Option<i64>,
) -> Result<Thread, ToolFailure> {
    let issue = issue_number.map(|number| Thread::issue(repository_full_name, number));
    let pull_request = pr_number.map(|number| Thread::pull_request(repository_full_name, number));
    let own = match asked {
        None => issue.or(pull_request),
        Some(number) => [issue, pull_request]
            .into_iter()
            .flatten()
            .find(|thread| thread.number == number),
    };
    own.ok_or_else(|| {
        ToolFailure::new(
            FailureCode::Forbidden,
            "a run changes and reads the labels of its own Issue and pull request only",
        )
        .because(FailureReason::ForeignThread)
    })
}

/// Decides a changing call, or once more an approved request on what the thread bears by then (G-86).
pub fn change_labels(
    call: &LabelCall<'_>,
    arguments: &LabelArguments,
) -> Result<LabelDecision, Box<Refused>> {
    let canonical = |labels: &[String]| distinct(call.catalogue, labels);
    let (add, remove) = (canonical(&arguments.add), canonical(&arguments.remove));
    let (setting, standing): (Vec<_>, Vec<_>) = add
        .into_iter()
        .partition(|label| spelled_on(call, label).is_none());
    let (taking, absent): (Vec<_>, Vec<_>) = remove
        .into_iter()
        .partition(|label| spelled_on(call, label).is_some());

    refuse_forbidden(call, &setting, &standing, &taking, &absent)?;
    refuse_conflicts(call, &setting, &taking)?;
    let gated = gated(call, &setting);
    if call.approved.is_none() && !gated.is_empty() {
        return Ok(LabelDecision::Ask(LabelProposal {
            thread: call.thread.clone(),
            add: setting,
            remove: taking,
            gated,
            before: borne(call),
        }));
    }

    let origin = LabelOrigin {
        source: LabelSource::Mcp,
        requested_by: format!("agent:{}", call.agent_key),
        reason: None,
        approval_request_id: call.approved,
    };
    let mut plan = EffectPlan::new(format!("mcp:{}", call.scope));
    for label in &taking {
        let after = plan.last();
        plan.push_after(
            Effect::RemoveLabel {
                thread: call.thread.clone(),
                label: spelled_on(call, label).unwrap_or(label).to_owned(),
                origin: origin.clone(),
            },
            after,
        );
    }
    for label in &setting {
        let after = plan.last();
        plan.push_after(
            Effect::AddLabel {
                thread: call.thread.clone(),
                label: label.clone(),
                origin: origin.clone(),
            },
            after,
        );
    }
    Ok(LabelDecision::Change(LabelChanges {
        effects: plan.into_vec(),
        applied: [taking, setting].concat(),
        unchanged: [absent, standing].concat(),
        gated,
    }))
}

/// What puts removed labels back after an add of the same transition was given up (G-34): `done` are the effects before
/// it that were performed.
pub fn restored_labels(given_up: &Effect, done: &[PlannedEffect]) -> Vec<PlannedEffect> {
    let Effect::AddLabel { origin, .. } = given_up else {
        return Vec::new();
    };
    if origin.source != LabelSource::Mcp {
        return Vec::new();
    }
    let mut restored: Vec<PlannedEffect> = Vec::new();
    for planned in done {
        if let Effect::RemoveLabel {
            thread,
            label,
            origin,
        } = &planned.effect
        {
            restored.push(PlannedEffect {
                effect: Effect::AddLabel {
                    thread: thread.clone(),
                    label: label.clone(),
                    origin: origin.clone(),
                },
                idempotency_key: restoring_key(&planned.idempotency_key),
                after: restored.len().checked_sub(1),
            });
        }
    }
    restored
}

/// Key of the effect that undoes the one with this key.
pub fn restoring_key(removing_key: &str) -> String {
    format!("{removing_key}:restored")
}

fn distinct(catalogue: &Catalogue, labels: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    labels
        .iter()
        .map(|label| catalogue.canonical(label))
        .filter(|label| seen.insert(label.to_lowercase()))
        .collect()
}

/// The label as the thread bears it.
fn spelled_on<'a>(call: &LabelCall<'a>, wanted: &str) -> Option<&'a str> {
    let wanted = call.catalogue.canonical(wanted).to_lowercase();
    call.current
        .iter()
        .find(|label| call.catalogue.canonical(label).to_lowercase() == wanted)
        .map(String::as_str)
}

/// G-37, whether or not anything would change.
fn refuse_forbidden(
    call: &LabelCall<'_>,
    setting: &[String],
    standing: &[String],
    taking: &[String],
    absent: &[String],
) -> Result<(), Box<Refused>> {
    let never_added = |label: &&String| {
        matches!(
            call.catalogue.classify(label),
            Some(
                CatalogueLabel::Debug
                    | CatalogueLabel::State(
                        StateLabel::Approved | StateLabel::Superseded | StateLabel::Abandoned
                    )
            )
        )
    };
    let never_removed = |label: &&String| match call.catalogue.classify(label) {
        Some(CatalogueLabel::Debug) => true,
        Some(CatalogueLabel::Trigger(kind)) => kind != call.trigger_kind,
        _ => false,
    };
    let added: Vec<&String> = setting.iter().chain(standing).filter(never_added).collect();
    let removed: Vec<&String> = taking.iter().chain(absent).filter(never_removed).collect();
    let Some(first) = added.first().or(removed.first()) else {
        return Ok(());
    };
    let failure = ToolFailure::new(
        FailureCode::Forbidden,
        format!("an agent may not change {first} here"),
    )
    .because(FailureReason::LabelNotAllowed);
    Err(refused(call, failure, &added, &removed))
}

/// G-36: what the call adds to must not hold two of a kind afterwards.
fn refuse_conflicts(
    call: &LabelCall<'_>,
    setting: &[String],
    taking: &[String],
) -> Result<(), Box<Refused>> {
    let kinds = [
        (LabelGroup::Trigger, FailureReason::RunLabelConflict),
        (LabelGroup::Model, FailureReason::ConfigLabelConflict),
        (LabelGroup::Reasoning, FailureReason::ConfigLabelConflict),
    ];
    for (group, reason) in kinds {
        let of_group = |label: &&String| {
            call.catalogue
                .classify(label)
                .is_some_and(|label| label.group() == group)
        };
        let is_taken = |label: &&String| {
            taking
                .iter()
                .any(|taken| spelled_on(call, taken) == Some(label.as_str()))
        };
        let added = setting.iter().filter(of_group).count();
        let staying = call
            .current
            .iter()
            .filter(of_group)
            .filter(|label| !is_taken(label))
            .count();
        if added > 0 && added + staying > 1 {
            let failure = ToolFailure::new(
                FailureCode::FailedPrecondition,
                "the thread would bear two labels of which it may bear one",
            )
            .because(reason);
            return Err(Box::new(Refused {
                failure,
                audit: Vec::new(),
            }));
        }
    }
    Ok(())
}

/// G-35: what needs somebody's word; a transition with such a label needs it as a whole.
fn gated(call: &LabelCall<'_>, setting: &[String]) -> Vec<String> {
    let needs_approval = |label: &&String| match call.catalogue.classify(label) {
        Some(CatalogueLabel::Trigger(_) | CatalogueLabel::Discussion) => true,
        Some(CatalogueLabel::Need(NeedLabel::Reviewer)) => {
            call.thread.kind == ThreadKind::PullRequest
        }
        _ => false,
    };
    setting.iter().filter(needs_approval).cloned().collect()
}

/// The labels of the thread under their canonical names, sorted.
fn borne(call: &LabelCall<'_>) -> Vec<String> {
    let mut labels: Vec<String> = call
        .current
        .iter()
        .map(|label| call.catalogue.canonical(label))
        .collect();
    labels.sort();
    labels
}

fn refused(
    call: &LabelCall<'_>,
    failure: ToolFailure,
    added: &[&String],
    removed: &[&String],
) -> Box<Refused> {
    let audit = added
        .iter()
        .map(|label| rejection(call, "add", label, &failure))
        .chain(
            removed
                .iter()
                .map(|label| rejection(call, "remove", label, &failure)),
        )
        .collect();
    Box::new(Refused { failure, audit })
}

/// `label.rejected` of a label that is not changed after all (L-19).
pub fn rejection(
    call: &LabelCall<'_>,
    op: &str,
    label: &str,
    failure: &ToolFailure,
) -> AuditRecord {
    let labels = borne(call);
    let payload = LabelChangePayload {
        op: Some(op.to_owned()),
        label: Some(label.to_owned()),
        thread_kind: Some(call.thread.kind.to_string()),
        thread_number: Some(call.thread.number),
        source: Some(LabelSource::Mcp.to_string()),
        requested_by: Some(format!("agent:{}", call.agent_key)),
        applied_by: Some(call.bot_login.to_owned()),
        before: Some(labels.clone()),
        after: Some(labels),
        reason: failure.reason.map(|reason| reason.to_string()),
        compensated: failure.compensated,
        ..LabelChangePayload::default()
    };
    AuditRecord::new(
        AuditEvent::LabelRejected(payload),
        Actor::System(SystemActor::ControlPlaneMcp),
        call.correlation_id.clone(),
    )
    .run(call.run_id)
    .project(call.project_id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use uuid::Uuid;

    use super::*;
    use crate::stages::Stage;

    fn decide(
        thread: &Thread,
        current: &[&str],
        add: &[&str],
        remove: &[&str],
    ) -> Result<LabelChanges, Box<Refused>> {
        match judge(thread, current, add, remove, None)? {
            LabelDecision::Change(changes) => Ok(changes),
            LabelDecision::Ask(proposal) => panic!("asked for {:?}", proposal.gated),
        }
    }

    fn judge(
        thread: &Thread,
        current: &[&str],
        add: &[&str],
        remove: &[&str],
        approved: Option<i64>,
    ) -> Result<LabelDecision, Box<Refused>> {
        let owned = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect();
        let current: Vec<String> = owned(current);
        let call = LabelCall {
            run_id: RunId(Uuid::nil()),
            correlation_id: &CorrelationId::new("delivery-1"),
            project_id: None,
            agent_key: "dev",
            trigger_kind: TriggerKind::Work(Stage::Dev),
            thread,
            current: &current,
            catalogue: &Catalogue::default(),
            bot_login: "codex-bot",
            scope: "call-1",
            approved,
        };
        let arguments = LabelArguments {
            issue_number: None,
            add: owned(add),
            remove: owned(remove),
            key: None,
            dry_run: false,
        };
        change_labels(&call, &arguments)
    }

    fn issue() -> Thread {
        Thread::issue("o/r", 5)
    }

    fn pull_request() -> Thread {
        Thread::pull_request("o/r", 6)
    }

    fn reason(result: Result<LabelChanges, Box<Refused>>) -> Option<FailureReason> {
        result.unwrap_err().failure.reason
    }

    #[test]
    fn only_what_differs_is_changed_and_removals_go_first() {
        let changes = decide(
            &issue(),
            &["RUN:Dev", "bug"],
            &["State:In-Review", "BUG"],
            &["run:dev", "absent"],
        )
        .unwrap();
        assert_eq!(changes.applied, ["run:dev", "state:in-review"]);
        assert_eq!(changes.unchanged, ["absent", "BUG"]);
        let [removal, addition] = changes.effects.as_slice() else {
            panic!("two effects");
        };
        assert!(matches!(&removal.effect, Effect::RemoveLabel { label, .. } if label == "RUN:Dev"));
        assert!(
            matches!(&addition.effect, Effect::AddLabel { label, .. } if label == "state:in-review")
        );
        assert_eq!((removal.after, addition.after), (None, Some(0)));
    }

    #[test]
    fn what_agents_leave_alone_is_refused_and_recorded() {
        let cases: [(&[&str], &[&str]); 7] = [
            (&["state:approved"], &[]),
            (&["state:superseded"], &[]),
            (&["state:abandoned"], &[]),
            (&["run:debug"], &[]),
            (&[], &["run:debug"]),
            (&[], &["run:plan"]),
            (&["need:qa", "state:approved"], &["run:dev"]),
        ];
        for (add, remove) in cases {
            let refused =
                decide(&issue(), &["run:dev", "run:debug", "run:plan"], add, remove).unwrap_err();
            assert_eq!(
                refused.failure.reason,
                Some(FailureReason::LabelNotAllowed),
                "{add:?} {remove:?}"
            );
            assert_eq!(refused.failure.code, FailureCode::Forbidden);
            assert_eq!(refused.audit.len(), 1, "{add:?} {remove:?}");
            assert_eq!(refused.audit[0].event_type(), "label.rejected");
        }
    }

    #[test]
    fn what_starts_something_is_asked_for_as_a_whole() {
        let asked = |thread: &Thread, current: &[&str], add: &[&str], remove: &[&str]| match judge(
            thread, current, add, remove, None,
        )
        .unwrap()
        {
            LabelDecision::Ask(proposal) => (proposal.add, proposal.remove, proposal.gated),
            LabelDecision::Change(changes) => panic!("changed {:?}", changes.applied),
        };
        let owned = |labels: &[&str]| -> Vec<String> {
            labels.iter().map(|label| (*label).to_owned()).collect()
        };
        assert_eq!(
            asked(&issue(), &[], &["run:qa", "bug"], &[]),
            (owned(&["run:qa", "bug"]), Vec::new(), owned(&["run:qa"]))
        );
        assert_eq!(
            asked(&issue(), &["run:dev"], &["run:qa"], &["run:dev"]),
            (owned(&["run:qa"]), owned(&["run:dev"]), owned(&["run:qa"]))
        );
        assert_eq!(
            asked(&issue(), &[], &["mode:discussion"], &[]).2,
            ["mode:discussion"]
        );
        assert_eq!(
            asked(&pull_request(), &[], &["need:reviewer"], &[]).2,
            ["need:reviewer"]
        );
        assert!(decide(&issue(), &[], &["need:reviewer"], &[]).is_ok());
        // It stands already, so nothing would start.
        assert!(decide(&issue(), &["run:dev"], &["run:dev"], &[]).is_ok());
    }

    #[test]
    fn an_approved_request_is_carried_out_on_what_the_thread_bears_by_then() {
        let done = |current: &[&str]| judge(&issue(), current, &["run:qa"], &[], Some(7));
        let LabelDecision::Change(changes) = done(&["bug"]).unwrap() else {
            panic!("asked again");
        };
        assert_eq!(changes.applied, ["run:qa"]);
        assert_eq!(changes.gated, ["run:qa"]);
        assert!(matches!(
            &changes.effects[0].effect,
            Effect::AddLabel { origin, .. } if origin.approval_request_id == Some(7)
        ));
        let LabelDecision::Change(nothing) = done(&["run:qa"]).unwrap() else {
            panic!("asked again");
        };
        assert!(nothing.effects.is_empty() && nothing.gated.is_empty());
        assert!(done(&["run:dev"]).is_err());
    }

    #[test]
    fn two_of_a_kind_are_refused_unless_one_goes() {
        let runs = Some(FailureReason::RunLabelConflict);
        let settings = Some(FailureReason::ConfigLabelConflict);
        let model = "[ai-model-gpt-5.2]";
        let other = "[ai-model-gpt-5.4]";
        assert_eq!(
            reason(decide(&issue(), &["run:dev"], &["run:qa"], &[])),
            runs
        );
        assert_eq!(reason(decide(&issue(), &[model], &[other], &[])), settings);
        assert_eq!(
            reason(decide(
                &issue(),
                &[],
                &["[ai-reasoning-low]", "[ai-reasoning-high]"],
                &[]
            )),
            settings
        );
        assert!(decide(&issue(), &[model], &[other], &[model]).is_ok());
        // A conflict that people made is not the agent's, who may still ask for help.
        assert!(decide(&issue(), &["run:dev", "run:qa"], &["need:input"], &[]).is_ok());
    }

    #[test]
    fn only_own_threads_are_reached() {
        let own = |asked| own_thread("o/r", Some(5), Some(6), asked);
        assert_eq!(own(None), Ok(issue()));
        assert_eq!(own(Some(6)), Ok(pull_request()));
        assert_eq!(
            own(Some(7)).unwrap_err().reason,
            Some(FailureReason::ForeignThread)
        );
        assert_eq!(own_thread("o/r", None, Some(6), None), Ok(pull_request()));
        assert!(own_thread("o/r", None, None, None).is_err());
    }

    #[test]
    fn a_broken_transition_gets_its_removed_labels_back_once() {
        let changes = decide(
            &issue(),
            &["run:dev", "need:qa"],
            &["state:in-review"],
            &["run:dev", "need:qa"],
        )
        .unwrap();
        let [first, second, add] = changes.effects.as_slice() else {
            panic!("three effects");
        };
        let done = [first.clone(), second.clone()];
        let restored = restored_labels(&add.effect, &done);
        assert_eq!(restored.len(), 2);
        assert!(
            matches!(&restored[0].effect, Effect::AddLabel { label, .. } if label == "run:dev")
        );
        assert_eq!(restored[1].after, Some(0));
        assert_eq!(
            restored[0].idempotency_key,
            restoring_key(&first.idempotency_key)
        );
        assert!(restored_labels(&first.effect, &done).is_empty());
        let others = Effect::AddLabel {
            thread: issue(),
            label: "x".to_owned(),
            origin: LabelOrigin::system(),
        };
        assert!(restored_labels(&others, &done).is_empty());
    }
}
