//! Routing: which deliveries are triggers (L-27).

use super::Undecided;
use super::facts::Context;
use crate::events::{EventKind, Issue, PullRequest, Push};
use crate::labels::{CatalogueLabel, NeedLabel};
use crate::runs::TriggerSource;
use crate::snapshot::Read;
use crate::stages::TriggerKind;

/// What the routing table makes of a delivery.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Route<'a> {
    /// Guards decide.
    Trigger(Trigger<'a>),
    /// L-45.
    Push(&'a Push),
    /// L-28.
    NotATrigger,
    /// Acknowledged.
    Received,
}

/// A delivery that may make a run.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Trigger<'a> {
    /// A `run:*` label on an Issue.
    Stage { issue: &'a Issue, kind: TriggerKind },
    /// `mode:discussion`, or a comment under a discussed Issue.
    Discussion {
        issue: &'a Issue,
        source: TriggerSource,
    },
    /// `need:reviewer` on a pull request.
    Reviewer { pull_request: &'a PullRequest },
    /// A review that requests changes.
    Review { pull_request: &'a PullRequest },
}

impl Trigger<'_> {
    pub fn source(&self) -> TriggerSource {
        match self {
            Trigger::Stage { .. } => TriggerSource::IssueLabel,
            Trigger::Discussion { source, .. } => *source,
            Trigger::Reviewer { .. } => TriggerSource::PullRequestLabel,
            Trigger::Review { .. } => TriggerSource::PullRequestReview,
        }
    }
}

/// Applies the routing table.
pub(super) fn route<'a>(context: &Context<'a>) -> Result<Route<'a>, Undecided> {
    let catalogue = &context.policy.labels;
    Ok(match &context.event.kind {
        EventKind::IssueLabeled { issue, label } => match catalogue.classify(label) {
            // GitHub sends `issues` events for Issues only; a pull request here is a foreign payload.
            _ if issue.is_pull_request => Route::NotATrigger,
            Some(CatalogueLabel::Trigger(kind)) => Route::Trigger(Trigger::Stage { issue, kind }),
            Some(CatalogueLabel::Discussion) if !discussion_is_active(context, issue)? => {
                Route::Trigger(Trigger::Discussion {
                    issue,
                    source: TriggerSource::IssueLabel,
                })
            }
            _ => Route::NotATrigger,
        },
        EventKind::IssueUnlabeled { .. }
        | EventKind::IssueClosed { .. }
        | EventKind::IssueDeleted { .. }
        | EventKind::IssueOther { .. } => Route::NotATrigger,
        EventKind::IssueCommentCreated { issue, .. }
            if comment_starts_discussion(context, issue)? =>
        {
            Route::Trigger(Trigger::Discussion {
                issue,
                source: TriggerSource::IssueComment,
            })
        }
        EventKind::PullRequestLabeled {
            pull_request,
            label,
        } if catalogue.classify(label) == Some(CatalogueLabel::Need(NeedLabel::Reviewer)) => {
            Route::Trigger(Trigger::Reviewer { pull_request })
        }
        EventKind::ReviewSubmitted {
            pull_request,
            review,
        } if review.state == "changes_requested" => {
            Route::Trigger(Trigger::Review { pull_request })
        }
        EventKind::Push(push) => Route::Push(push),
        _ => Route::Received,
    })
}

fn discussion_is_active(context: &Context<'_>, issue: &Issue) -> Result<bool, Undecided> {
    // An unbound repository has no runs; its guard comes first anyway (L-30).
    if context.binding().is_none() {
        return Ok(false);
    }
    let history = context.history(Read::IssueHistory(issue.number))?;
    Ok(history
        .iter()
        .any(|run| run.discussion_mode && run.is_active()))
}

fn comment_starts_discussion(context: &Context<'_>, issue: &Issue) -> Result<bool, Undecided> {
    let event = context.event;
    let human = event
        .sender
        .as_ref()
        .is_some_and(|sender| sender.account_type == "User");
    let open_issue = !issue.is_closed() && !issue.is_pull_request;
    let discussed = context
        .policy
        .labels
        .bears(&issue.labels, CatalogueLabel::Discussion);
    if !human || !open_issue || !discussed || context.policy.is_bot(event.sender_login()) {
        return Ok(false);
    }
    Ok(!discussion_is_active(context, issue)?)
}
