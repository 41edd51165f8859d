//! From verdict to decision: what an accepted and what a refused trigger lead to (L-42 to L-44).

use serde_json::json;

use super::facts::Context;
use super::guards::{self, Passed, Refused, Verdict};
use super::trigger::Trigger;
use super::{
    Consequences, ConsumedGrant, Decision, IgnoreReason, Ignored, JournalEntry, NewLink, NewRun,
    Outcome, ThreadStateChange, Undecided, creation, records, thread_events,
};
use crate::audit::{
    Actor as AuditActor, AuditEvent, AuditRecord, LabelGrantConsumedPayload, StageFlowPayload,
};
use crate::comments::{Refusal, refusal};
use crate::effects::{
    CommentPhase, CommentRecord, DiscussionStop, Effect, EffectPlan, LabelOrigin, Reaction,
    ReactionTarget,
};
use crate::events::{EventKind, Push, Thread, ThreadKind};
use crate::ids::CorrelationId;
use crate::labels::{CatalogueLabel, NeedLabel, StateLabel};
use crate::resolver::Resolution;
use crate::runs::TriggerSource;

/// Decides a trigger.
pub(super) fn trigger(context: &Context<'_>, trigger: &Trigger<'_>) -> Result<Decision, Undecided> {
    match guards::judge(context, trigger)? {
        Verdict::Passed(passed) => accepted(context, trigger, &passed),
        Verdict::Refused(refused) => refuse(context, trigger, refused),
    }
}

fn accepted(
    context: &Context<'_>,
    trigger: &Trigger<'_>,
    passed: &Passed<'_>,
) -> Result<Decision, Undecided> {
    let run = creation::run_of(context, trigger, passed);
    let mut consequences = Consequences::default();
    let mut plan = EffectPlan::new(context.event.delivery_id.as_str());

    if let (Trigger::Review { pull_request }, Some(source)) = (trigger, passed.resolver_source) {
        let stage = passed.kind.stage().unwrap_or(crate::stages::Stage::Dev);
        let resolution = Resolution::Resolved { stage, source };
        let events = records::review(
            context,
            pull_request.number,
            passed.issue_number,
            Some(&resolution),
        );
        consequences
            .audit
            .extend(events.into_iter().map(|record| record.run(run.run_id)));
    }
    consequences
        .audit
        .push(records::received(context, Some(&run)));
    consequences.audit.push(records::enqueued(&run));
    skipped_stage(passed, &run, &mut consequences);
    if !run.discussion_mode && !matches!(trigger, Trigger::Reviewer { .. }) {
        stage_labels(context, passed, &run, &mut plan)?;
        stop_discussions(passed, &mut plan);
    }
    answered_need_input(context, &run, &mut plan, &mut consequences)?;
    let on_pull_request = matches!(
        run.trigger.source,
        TriggerSource::PullRequestReview | TriggerSource::PullRequestLabel
    );
    let thread = crate::effects::status_comment_thread(
        &run.repository_full_name,
        run.issue_number,
        run.pr_number,
        on_pull_request,
    );
    if let Some(thread) = thread {
        plan.push(Effect::UpsertStatusComment {
            thread: thread.clone(),
            run_id: run.run_id,
            phase: CommentPhase::Created,
        });
        if thread.kind == ThreadKind::Issue {
            plan.push(Effect::AddReaction {
                target: ReactionTarget::Thread(thread),
                reaction: Reaction::Eyes,
            });
        }
    }
    if let Some(number) = run.issue_number {
        consequences.links.push(NewLink {
            source_type: "issue",
            source_id: format!("{}#{number}", run.repository_full_name),
            target_type: "run",
            target_id: run.run_id.to_string(),
            link_type: "references",
            metadata: json!({}),
        });
    }
    consequences.effects = plan.into_vec();
    Ok(Decision {
        outcome: Outcome::Accepted(Box::new(run)),
        consequences,
    })
}

/// L-18: the bot's `labeled` delivery uses the grant of its label up before it is judged, so whatever comes of it; one
/// that outlived a refusal would let the bot start the run later by itself.
pub(super) fn use_up_grant(context: &Context<'_>, decision: &mut Decision) {
    let event = context.event;
    let labeled = matches!(
        event.kind,
        EventKind::IssueLabeled { .. } | EventKind::PullRequestLabeled { .. }
    );
    let by_bot = labeled && context.policy.is_bot(event.sender_login());
    let (true, Some(binding), Some(grant), Some(thread)) = (
        by_bot,
        context.binding(),
        &context.snapshot.grant,
        event.thread(),
    ) else {
        return;
    };
    let label = event
        .label()
        .map(|label| context.policy.labels.canonical(label))
        .unwrap_or_default();
    let payload = LabelGrantConsumedPayload {
        label: Some(label.clone()),
        thread_kind: Some(thread.kind.to_string()),
        thread_number: Some(thread.number),
        request_id: grant.request_id,
        delivery_id: Some(event.delivery_id.to_string()),
    };
    let run = decision.outcome.new_run();
    let correlation_id = run.map_or_else(
        || CorrelationId::new(event.delivery_id.as_str()),
        |run| run.correlation_id.clone(),
    );
    let actor = AuditActor::Human(grant.user.id);
    let mut record = AuditRecord::new(
        AuditEvent::LabelGrantConsumed(payload),
        actor,
        correlation_id,
    )
    .project(Some(binding.project_id));
    if let Some(run) = run {
        record = record.run(run.run_id);
    }
    decision.consequences.audit.push(record);
    decision.consequences.consumed_grant = Some(ConsumedGrant {
        thread,
        label,
        user_id: grant.user.id,
    });
}

fn skipped_stage(passed: &Passed<'_>, run: &NewRun, consequences: &mut Consequences) {
    let Some(current) = passed.passage.skipped_from else {
        return;
    };
    let payload = StageFlowPayload {
        issue_number: run.issue_number,
        current_stage: Some(current.to_string()),
        next_stage: passed.kind.stage().map(|stage| stage.to_string()),
        ..StageFlowPayload::default()
    };
    let actor = AuditActor::Human(passed.actor.user_id);
    consequences.audit.push(
        AuditRecord::new(
            AuditEvent::RunStageSkipped(payload),
            actor,
            run.correlation_id.clone(),
        )
        .run(run.run_id)
        .project(Some(run.project_id)),
    );
}

/// Approval by going on (L-71), then the states that leave while a stage-run works (L-74).
fn stage_labels(
    context: &Context<'_>,
    passed: &Passed<'_>,
    run: &NewRun,
    plan: &mut EffectPlan,
) -> Result<(), Undecided> {
    let catalogue = &context.policy.labels;
    let approved = CatalogueLabel::State(StateLabel::Approved);
    let in_review = CatalogueLabel::State(StateLabel::InReview);
    let issue = run.issue_number.map(|number| context.issue_thread(number));
    let pull_request = run
        .pr_number
        .map(|number| context.pull_request_thread(number));
    let mut approvals: Vec<(&Thread, usize)> = Vec::new();
    let linked;
    if passed.passage.implicit_approval {
        let origin = LabelOrigin {
            requested_by: passed.actor.user_id.to_string(),
            ..LabelOrigin::because("implicit_approval")
        };
        linked = match &issue {
            Some(issue) => super::approval::linked_thread(context, issue)?,
            None => None,
        };
        for thread in [&issue, &linked].into_iter().flatten() {
            let state = StateLabel::Approved;
            let set = thread_events::set_state(context, thread, state, &origin, plan);
            approvals.push((thread, set));
        }
    }
    let revised = pull_request.filter(|_| passed.kind.is_revise());
    for thread in [&issue, &revised].into_iter().flatten() {
        // Labels were read live for the gate of L-37; a thread that was not read is asked to drop both.
        let known = context.labels(thread).ok();
        for label in [in_review, approved] {
            let approval = approvals
                .iter()
                .find(|(approved_thread, _)| label == approved && *approved_thread == thread);
            if approval.is_some() || known.is_none_or(|labels| catalogue.bears(labels, label)) {
                let label = catalogue.name(label).to_owned();
                let after = approval.map(|(_, set)| *set);
                let origin = LabelOrigin::system();
                plan.push_after(
                    Effect::RemoveLabel {
                        thread: thread.clone(),
                        label,
                        origin,
                    },
                    after,
                );
            }
        }
    }
    Ok(())
}

/// L-106: a stage-run ends the discussions of its Issue.
fn stop_discussions(passed: &Passed<'_>, plan: &mut EffectPlan) {
    for run in passed
        .issue_history
        .iter()
        .filter(|run| run.leaves_discussion())
    {
        plan.push(Effect::CancelDiscussion {
            run_id: run.run_id,
            stop: DiscussionStop::RunLabelDetected,
        });
    }
}

/// L-84: the platform's own `need:input` is answered by a trigger that passes.
fn answered_need_input(
    context: &Context<'_>,
    run: &NewRun,
    plan: &mut EffectPlan,
    consequences: &mut Consequences,
) -> Result<(), Undecided> {
    let issue = run.issue_number.map(|number| context.issue_thread(number));
    let pull_request = match (run.pr_number, &issue) {
        (Some(number), _) => Some(context.pull_request_thread(number)),
        (None, Some(issue)) => super::approval::linked_thread(context, issue)?,
        (None, None) => None,
    };
    let threads = [issue, pull_request];
    for thread in threads.into_iter().flatten() {
        if context.thread_state(&thread)?.need_input_reason.is_some() {
            let label = context
                .policy
                .labels
                .name(CatalogueLabel::Need(NeedLabel::Input))
                .to_owned();
            plan.push(Effect::RemoveLabel {
                thread: thread.clone(),
                label,
                origin: LabelOrigin::system(),
            });
            consequences
                .thread_states
                .push(ThreadStateChange::NeedInputCleared { thread });
        }
    }
    Ok(())
}

fn refuse(
    context: &Context<'_>,
    trigger: &Trigger<'_>,
    refused: Refused,
) -> Result<Decision, Undecided> {
    let mut consequences = Consequences::default();
    if let (Trigger::Review { pull_request }, true) = (trigger, refused.sender_passed) {
        let issue_number = match &refused.resolution {
            Some(_) => guards::linked_issue(context, pull_request)?,
            None => None,
        };
        consequences.audit.extend(records::review(
            context,
            pull_request.number,
            issue_number,
            refused.resolution.as_ref(),
        ));
    }
    let silent = refused.silent || trigger.source() == TriggerSource::IssueComment;
    consequences.extend(reactions(context, &refused.ignored, silent)?);
    Ok(Decision {
        outcome: Outcome::Ignored(refused.ignored),
        consequences,
    })
}

/// L-42: what an ignored delivery leads to; the comment waits for the label (L-43).
pub(super) fn reactions(
    context: &Context<'_>,
    ignored: &Ignored,
    silent: bool,
) -> Result<Consequences, Undecided> {
    let mut consequences = Consequences {
        audit: vec![records::ignored(context, ignored)],
        ..Consequences::default()
    };
    let reaction = ignored.reason.reaction();
    if reaction.journal {
        consequences
            .journal
            .push(JournalEntry::ignored(context.event, &ignored.reason));
    }
    let Some(thread) = context.event.thread() else {
        return Ok(consequences);
    };
    let mut plan = EffectPlan::new(context.event.delivery_id.as_str());
    let mut after = None;
    if reaction.need_input {
        let need_input = CatalogueLabel::Need(NeedLabel::Input);
        let label = context.policy.labels.name(need_input).to_owned();
        let present = context
            .policy
            .labels
            .bears(context.labels(&thread)?, need_input);
        let origin = LabelOrigin::because(&ignored.reason.to_string());
        after = Some(plan.push(Effect::AddLabel {
            thread: thread.clone(),
            label,
            origin,
        }));
        if !present {
            let reason = ignored.reason.to_string();
            consequences
                .thread_states
                .push(ThreadStateChange::NeedInputSet {
                    thread: thread.clone(),
                    reason,
                });
        }
    }
    if reaction.comment && !silent {
        plan.push_after(comment(context, ignored, thread), after);
    }
    consequences.effects = plan.into_vec();
    Ok(consequences)
}

fn comment(context: &Context<'_>, ignored: &Ignored, thread: Thread) -> Effect {
    let label = context
        .event
        .label()
        .map(|label| context.policy.labels.canonical(label));
    let body = refusal(
        &Refusal {
            reason: &ignored.reason,
            thread_kind: thread.kind,
            trigger_label: label.as_deref(),
            conflicting_labels: &ignored.conflicting_labels,
            suggested_labels: &ignored.suggested_labels,
        },
        context.policy.locale,
    );
    let is_conflict = matches!(
        ignored.reason,
        IgnoreReason::IssueTriggerLabelConflict | IgnoreReason::DiscussionModeTriggerLabelConflict
    );
    let record = if is_conflict {
        CommentRecord::TriggerConflict {
            issue_number: thread.number,
            trigger_label: label.unwrap_or_default(),
            conflicting_labels: ignored.conflicting_labels.clone(),
        }
    } else {
        CommentRecord::None
    };
    Effect::CreateComment {
        thread,
        body,
        record,
    }
}

/// L-45, without the version auto-bump.
pub(super) fn push(context: &Context<'_>, push: &Push) -> Result<Decision, Undecided> {
    let branch = match push.ref_name.as_str() {
        "refs/heads/main" => "main",
        "refs/heads/master" => "master",
        _ => return Ok(received(context)),
    };
    let no_commit = push.after.is_empty() || push.after.bytes().all(|byte| byte == b'0');
    if push.deleted || no_commit {
        return Ok(received(context));
    }
    let Some(binding) = context.binding() else {
        return ignored(context, IgnoreReason::RepositoryNotBoundForPushMain);
    };
    if binding.default_ref != branch {
        return Ok(received(context));
    }
    let run = creation::deploy_only_run(context, binding, &push.after);
    let consequences = Consequences {
        audit: vec![
            records::received(context, Some(&run)),
            records::enqueued(&run),
        ],
        ..Consequences::default()
    };
    Ok(Decision {
        outcome: Outcome::Accepted(Box::new(run)),
        consequences,
    })
}

/// A delivery ignored for a reason without labels.
pub(super) fn ignored(context: &Context<'_>, reason: IgnoreReason) -> Result<Decision, Undecided> {
    let ignored = Ignored {
        reason,
        conflicting_labels: Vec::new(),
        suggested_labels: Vec::new(),
    };
    let consequences = reactions(context, &ignored, false)?;
    Ok(Decision {
        outcome: Outcome::Ignored(ignored),
        consequences,
    })
}

/// A delivery that is only acknowledged.
pub(super) fn received(context: &Context<'_>) -> Decision {
    let consequences = Consequences {
        audit: vec![records::received(context, None)],
        ..Consequences::default()
    };
    Decision {
        outcome: Outcome::Received,
        consequences,
    }
}
