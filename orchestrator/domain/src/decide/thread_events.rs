//! What happens on a thread besides triggers: label audit, states, needs, closing (L-19, L-73 to L-87).

use super::approval::{self, linked_thread};
use super::facts::Context;
use super::{Consequences, RunCancellation, ThreadStateChange, Undecided};
use crate::audit::{Actor, AuditEvent, AuditRecord, LabelChangePayload};
use crate::comments::{LabelRejection, label_rejection};
use crate::effects::{
    CommentRecord, DiscussionStop, Effect, EffectPlan, LabelOrigin, LabelSource,
    NamespaceDeletionCause,
};
use crate::events::{EventKind, Thread, ThreadKind};
use crate::ids::CorrelationId;
use crate::labels::{CatalogueLabel, NeedLabel, StateLabel};
use crate::runs::{FinishReason, RunEnd, RunStatus};
use crate::snapshot::{Read, UserFacts};
use crate::transitions::after_run;

/// One change of a label as the payload tells it.
struct Change<'a> {
    thread: Thread,
    label: CatalogueLabel,
    added: bool,
    after: &'a [String],
}

/// Everything that a delivery leads to besides its outcome. Nothing outside a bound repository.
pub(super) fn consequences(context: &Context<'_>) -> Result<Consequences, Undecided> {
    let mut consequences = Consequences::default();
    if context.binding().is_none() {
        return Ok(consequences);
    }
    let mut plan = EffectPlan::new(context.event.delivery_id.as_str());
    match &context.event.kind {
        EventKind::IssueClosed { issue } | EventKind::IssueDeleted { issue } => {
            let deleted = matches!(context.event.kind, EventKind::IssueDeleted { .. });
            let cause = if deleted {
                NamespaceDeletionCause::IssueDeleted
            } else {
                NamespaceDeletionCause::IssueClosed
            };
            // A discussion takes its own namespace along, `run:debug` or not (L-107); what is left is judged after that.
            let stopped = stop_discussions(
                context,
                issue.number,
                DiscussionStop::IssueClosedOrDeleted,
                &mut plan,
            )?;
            plan.push_after(
                Effect::DeleteNamespacesOfThread {
                    thread: context.issue_thread(issue.number),
                    cause,
                },
                stopped,
            );
        }
        EventKind::PullRequestClosed { pull_request } => {
            let thread = context.pull_request_thread(pull_request.number);
            let cause = NamespaceDeletionCause::PullRequestClosed;
            plan.push(Effect::DeleteNamespacesOfThread {
                thread: thread.clone(),
                cause,
            });
            if pull_request.merged && has_stage_run(context, pull_request.number)? {
                merged(context, &thread, &mut plan)?;
            }
        }
        EventKind::ReviewSubmitted {
            pull_request,
            review,
        } if review.state == "approved" => {
            let thread = context.pull_request_thread(pull_request.number);
            let approver = sending_user(context).is_some_and(UserFacts::is_approver);
            if approver && has_stage_run(context, pull_request.number)? {
                let labels = context.labels(&thread)?;
                match obstacle_of(context, &thread, labels)? {
                    None => accept(context, &thread, None, &mut plan)?,
                    Some(obstacle) => {
                        let label = CatalogueLabel::State(StateLabel::Approved);
                        explain(context, &thread, label, obstacle.rejection(), &mut plan);
                    }
                }
            }
        }
        _ => {}
    }
    if let Some(change) = change_of(context) {
        label_changed(context, &change, &mut plan, &mut consequences)?;
    }
    consequences.effects = plan.into_vec();
    Ok(consequences)
}

/// A pull request that no stage-run made or worked on is none of the platform's business.
fn has_stage_run(context: &Context<'_>, number: i64) -> Result<bool, Undecided> {
    Ok(context
        .history(Read::PullRequestHistory(number))?
        .iter()
        .any(|run| run.is_stage_run()))
}

fn change_of<'a>(context: &Context<'a>) -> Option<Change<'a>> {
    let (label, added, after) = match &context.event.kind {
        EventKind::IssueLabeled { issue, label } => (label, true, &issue.labels),
        EventKind::IssueUnlabeled { issue, label } => (label, false, &issue.labels),
        EventKind::PullRequestLabeled {
            pull_request,
            label,
        } => (label, true, &pull_request.labels),
        EventKind::PullRequestUnlabeled {
            pull_request,
            label,
        } => (label, false, &pull_request.labels),
        _ => return None,
    };
    let label = context.policy.labels.classify(label)?;
    Some(Change {
        thread: context.event.thread()?,
        label,
        added,
        after,
    })
}

fn label_changed(
    context: &Context<'_>,
    change: &Change<'_>,
    plan: &mut EffectPlan,
    consequences: &mut Consequences,
) -> Result<(), Undecided> {
    if let (ThreadKind::Issue, CatalogueLabel::State(StateLabel::Blocked | StateLabel::Abandoned)) =
        (change.thread.kind, change.label)
    {
        // L-80, L-91: what the comment offers depends on these, whoever changed them.
        let history = context.history(Read::IssueHistory(change.thread.number))?;
        if let Some(effect) = super::launch_profile::shown_anew(history) {
            plan.push(effect);
        }
    }
    if context.snapshot.label_change_already_recorded {
        return Ok(());
    }
    consequences.audit.push(label_record(context, change, None));
    let by_bot = context.policy.is_bot(context.event.sender_login());
    match (change.label, change.added) {
        (CatalogueLabel::Discussion, false) if change.thread.kind == ThreadKind::Issue => {
            stop_discussions(
                context,
                change.thread.number,
                DiscussionStop::LabelRemoved,
                plan,
            )?;
        }
        (CatalogueLabel::State(state), true) => {
            state_set(context, change, state, plan, consequences)?
        }
        // Whoever sets it by hand sets one that was not there, so none that the platform owns (L-84).
        (CatalogueLabel::Need(NeedLabel::Input), added) => {
            let owned = &context.thread_state(&change.thread)?.need_input_reason;
            if !added || owned.is_some() {
                let thread = change.thread.clone();
                consequences
                    .thread_states
                    .push(ThreadStateChange::NeedInputCleared { thread });
            }
        }
        (CatalogueLabel::Need(need), true) if need.role().is_some() => {
            let (thread, label) = (
                change.thread.clone(),
                context.policy.labels.name(change.label).to_owned(),
            );
            consequences
                .thread_states
                .push(ThreadStateChange::RoleLabelSet {
                    thread,
                    label,
                    at: context.event.thread_updated_at(),
                });
        }
        (CatalogueLabel::Need(need), false) if need.role().is_some() => {
            role_label_removed(context, change, need, by_bot, plan, consequences)?;
        }
        _ => {}
    }
    Ok(())
}

fn state_set(
    context: &Context<'_>,
    change: &Change<'_>,
    state: StateLabel,
    plan: &mut EffectPlan,
    consequences: &mut Consequences,
) -> Result<(), Undecided> {
    let user = sending_user(context);
    if state == StateLabel::Approved {
        if !user.is_some_and(UserFacts::is_approver) {
            let rejection = LabelRejection::StateApprovalNotPermitted;
            remove(
                context,
                &change.thread,
                change.label,
                LabelOrigin::because(rejection.as_str()),
                plan,
            );
            explain(context, &change.thread, change.label, rejection, plan);
            consequences
                .audit
                .push(label_record(context, change, Some(rejection)));
            return Ok(());
        }
        if let Some(obstacle) = obstacle_of(context, &change.thread, change.after)? {
            let rejection = obstacle.rejection();
            let origin = LabelOrigin::because(rejection.as_str());
            remove(context, &change.thread, change.label, origin.clone(), plan);
            add(
                context,
                &change.thread,
                CatalogueLabel::State(StateLabel::InReview),
                origin,
                plan,
            );
            displace(context, change, StateLabel::InReview, plan);
            explain(context, &change.thread, change.label, rejection, plan);
            consequences
                .audit
                .push(label_record(context, change, Some(rejection)));
            return Ok(());
        }
        return accept(context, &change.thread, None, plan);
    }
    displace(context, change, state, plan);
    if let (StateLabel::Abandoned, Some(user)) = (state, user.filter(|user| user.is_permitted())) {
        let issue = match change.thread.kind {
            ThreadKind::Issue => Some(change.thread.clone()),
            ThreadKind::PullRequest => linked_thread(context, &change.thread)?,
        };
        let history = match &issue {
            Some(issue) => context.thread_history(issue)?.as_slice(),
            None => &[],
        };
        for run in history
            .iter()
            .filter(|run| run.is_stage_run() && run.is_active())
        {
            let (run_id, requested_by) = (run.run_id, Some(user.id));
            let reason = FinishReason::CanceledByStateAbandoned;
            consequences.cancellations.push(RunCancellation {
                run_id,
                reason,
                requested_by,
            });
            plan.push(Effect::StopRun { run_id });
            // As a cancel by staff (L-82): labels and status comment follow.
            for planned in after_run(run, RunEnd::Because(reason), context.policy).effects {
                plan.push(planned.effect);
            }
        }
        if let Some(other) = linked_thread(context, &change.thread)? {
            set_state(context, &other, state, &LabelOrigin::system(), plan);
        }
    }
    Ok(())
}

/// L-75: setting one of the exclusive states removes the others that the thread bears.
fn displace(context: &Context<'_>, change: &Change<'_>, state: StateLabel, plan: &mut EffectPlan) {
    for label in others_than(state) {
        let set = change.label == label && change.added;
        if !set && context.policy.labels.bears(change.after, label) {
            remove(context, &change.thread, label, LabelOrigin::system(), plan);
        }
    }
}

/// The states that leave when one is set; none for `state:blocked`.
fn others_than(state: StateLabel) -> impl Iterator<Item = CatalogueLabel> {
    let others = StateLabel::ALL
        .iter()
        .filter(move |other| state.is_exclusive() && other.is_exclusive() && **other != state);
    others.map(|other| CatalogueLabel::State(*other))
}

/// Sets an exclusive state on a thread whose labels nobody looked at; the others leave (L-75). Answers the position of
/// the effect that sets it.
pub(super) fn set_state(
    context: &Context<'_>,
    thread: &Thread,
    state: StateLabel,
    origin: &LabelOrigin,
    plan: &mut EffectPlan,
) -> usize {
    let label = CatalogueLabel::State(state);
    let set = add(context, thread, label, origin.clone(), plan);
    for other in others_than(state) {
        remove(context, thread, other, origin.clone(), plan);
    }
    set
}

/// L-86: a role label goes only after an answer; `need:reviewer` may go at any time.
fn role_label_removed(
    context: &Context<'_>,
    change: &Change<'_>,
    need: NeedLabel,
    by_bot: bool,
    plan: &mut EffectPlan,
    consequences: &mut Consequences,
) -> Result<(), Undecided> {
    let label = context.policy.labels.name(change.label).to_owned();
    let set_at = context
        .thread_state(&change.thread)?
        .role_label_set_at
        .get(&label)
        .copied();
    if let (Some(since), false, false) = (set_at, by_bot, need == NeedLabel::Reviewer) {
        let evidence = *context.evidence(match change.thread.kind {
            ThreadKind::Issue => Read::IssueEvidenceSince(change.thread.number, since),
            ThreadKind::PullRequest => Read::PullRequestEvidenceSince(change.thread.number, since),
        })?;
        if evidence == 0 {
            let rejection = LabelRejection::NeedRoleEvidenceMissing;
            add(
                context,
                &change.thread,
                change.label,
                LabelOrigin::because(rejection.as_str()),
                plan,
            );
            explain(context, &change.thread, change.label, rejection, plan);
            consequences
                .audit
                .push(label_record(context, change, Some(rejection)));
            return Ok(());
        }
    }
    let thread = change.thread.clone();
    consequences
        .thread_states
        .push(ThreadStateChange::RoleLabelCleared { thread, label });
    Ok(())
}

/// A merged pull request is accepted (L-78), and its Issue with it, unless work on the Issue has gone on elsewhere
/// since: the delivery may come late, and what it reports is then no state of the Issue any more.
fn merged(context: &Context<'_>, thread: &Thread, plan: &mut EffectPlan) -> Result<(), Undecided> {
    let mut accepted = vec![thread.clone()];
    if let Some(issue) = linked_thread(context, thread)? {
        // A run that failed or was cancelled has changed nothing of what the Issue waits for.
        let newest = context.thread_history(&issue)?.iter().find(|run| {
            run.is_stage_run() && !matches!(run.status, RunStatus::Failed | RunStatus::Canceled)
        });
        if newest.is_none_or(|run| run.pr_number == Some(thread.number)) {
            accepted.push(issue);
        }
    }
    set_accepted(context, &accepted, Some("merged"), plan);
    Ok(())
}

/// The stage is accepted: `state:approved` on both threads, the other exclusive states leave (L-77, L-78).
fn accept(
    context: &Context<'_>,
    thread: &Thread,
    reason: Option<&str>,
    plan: &mut EffectPlan,
) -> Result<(), Undecided> {
    let mut accepted = vec![thread.clone()];
    accepted.extend(linked_thread(context, thread)?);
    set_accepted(context, &accepted, reason, plan);
    Ok(())
}

fn set_accepted(
    context: &Context<'_>,
    threads: &[Thread],
    reason: Option<&str>,
    plan: &mut EffectPlan,
) {
    let requested_by =
        sending_user(context).map_or_else(|| "system".to_owned(), |user| user.id.to_string());
    let origin = LabelOrigin {
        requested_by,
        reason: reason.map(str::to_owned),
        ..LabelOrigin::system()
    };
    for accepted in threads {
        set_state(context, accepted, StateLabel::Approved, &origin, plan);
    }
}

fn obstacle_of(
    context: &Context<'_>,
    thread: &Thread,
    labels: &[String],
) -> Result<Option<approval::Obstacle>, Undecided> {
    let issue = match thread.kind {
        ThreadKind::Issue => Some(thread.clone()),
        ThreadKind::PullRequest => linked_thread(context, thread)?,
    };
    let history = match &issue {
        Some(issue) => context.thread_history(issue)?.as_slice(),
        None => &[],
    };
    approval::obstacle(context, thread, labels, history)
}

/// Stops what talks under the Issue and takes what earlier discussions left. Answers the position of the one that works.
fn stop_discussions(
    context: &Context<'_>,
    issue_number: i64,
    stop: DiscussionStop,
    plan: &mut EffectPlan,
) -> Result<Option<usize>, Undecided> {
    let mut working = None;
    for run in context.history(Read::IssueHistory(issue_number))? {
        if run.leaves_discussion() {
            let position = plan.push(Effect::CancelDiscussion {
                run_id: run.run_id,
                stop,
            });
            if run.is_active() {
                working = Some(position);
            }
        }
    }
    Ok(working)
}

fn add(
    context: &Context<'_>,
    thread: &Thread,
    label: CatalogueLabel,
    origin: LabelOrigin,
    plan: &mut EffectPlan,
) -> usize {
    let label = context.policy.labels.name(label).to_owned();
    plan.push(Effect::AddLabel {
        thread: thread.clone(),
        label,
        origin,
    })
}

fn remove(
    context: &Context<'_>,
    thread: &Thread,
    label: CatalogueLabel,
    origin: LabelOrigin,
    plan: &mut EffectPlan,
) {
    let label = context.policy.labels.name(label).to_owned();
    plan.push(Effect::RemoveLabel {
        thread: thread.clone(),
        label,
        origin,
    });
}

fn explain(
    context: &Context<'_>,
    thread: &Thread,
    label: CatalogueLabel,
    rejection: LabelRejection,
    plan: &mut EffectPlan,
) {
    let body = label_rejection(
        rejection,
        context.policy.labels.name(label),
        context.policy.locale,
    );
    let after = plan.last();
    plan.push_after(
        Effect::CreateComment {
            thread: thread.clone(),
            body,
            record: CommentRecord::None,
        },
        after,
    );
}

/// The sender as a platform user; the bot is none (G-107).
fn sending_user<'a>(context: &Context<'a>) -> Option<&'a UserFacts> {
    let sender = context.event.sender.as_ref()?;
    if context.policy.is_bot(&sender.login) || sender.account_type != "User" {
        return None;
    }
    context.snapshot.sender.user.as_ref()
}

/// `label.applied` of a change on GitHub, or `label.rejected` when it is taken back (L-19).
fn label_record(
    context: &Context<'_>,
    change: &Change<'_>,
    rejection: Option<LabelRejection>,
) -> AuditRecord {
    let catalogue = &context.policy.labels;
    let login = context.event.sender_login().to_owned();
    let user = sending_user(context);
    let by_bot = context.policy.is_bot(&login);
    let label = catalogue.name(change.label).to_owned();
    let mut after: Vec<String> = change
        .after
        .iter()
        .map(|text| catalogue.canonical(text))
        .collect();
    after.retain(|name| *name != label);
    let mut before = after.clone();
    if change.added {
        after.push(label.clone())
    } else {
        before.push(label.clone())
    }
    before.sort();
    after.sort();
    let who = user.map_or_else(|| login.clone(), |user| user.id.to_string());
    let payload = LabelChangePayload {
        op: Some(if change.added { "add" } else { "remove" }.to_owned()),
        label: Some(label),
        thread_kind: Some(change.thread.kind.to_string()),
        thread_number: Some(change.thread.number),
        source: Some(
            if by_bot {
                LabelSource::System
            } else {
                LabelSource::Human
            }
            .to_string(),
        ),
        requested_by: Some(who.clone()),
        applied_by: Some(if by_bot { login.clone() } else { who }),
        after: Some(if rejection.is_some() {
            before.clone()
        } else {
            after
        }),
        before: Some(before),
        reason: rejection.map(|rejection| rejection.to_string()),
        ..LabelChangePayload::default()
    };
    let correlation_id = CorrelationId::new(context.event.delivery_id.as_str());
    let project = context.binding().map(|binding| binding.project_id);
    let record = match rejection {
        Some(_) => AuditRecord::webhook(AuditEvent::LabelRejected(payload), correlation_id),
        None => {
            let actor = match user {
                _ if by_bot => Actor::System(crate::audit::SystemActor::GithubWebhook),
                Some(user) => Actor::Human(user.id),
                None => Actor::GithubLogin(login),
            };
            AuditRecord::new(AuditEvent::LabelApplied(payload), actor, correlation_id)
        }
    };
    record.project(project)
}
