//! What stands against accepting a stage (L-77), and who is linked to whom.

use super::Undecided;
use super::facts::Context;
use super::order::current_stage;
use crate::comments::LabelRejection;
use crate::events::{Thread, ThreadKind};
use crate::labels::{Catalogue, CatalogueLabel};
use crate::runs::RunStatus;
use crate::snapshot::{Read, RunFacts};
use crate::stages::Stage;

/// A condition of L-77 that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    NeedLabelOpen,
    PreReviewMissing,
}

impl Obstacle {
    pub fn rejection(self) -> LabelRejection {
        match self {
            Obstacle::NeedLabelOpen => LabelRejection::NeedLabelOpen,
            Obstacle::PreReviewMissing => LabelRejection::PreReviewMissing,
        }
    }
}

/// The other thread of the pair Issue and pull request, known from run history.
pub(super) fn linked_thread(
    context: &Context<'_>,
    thread: &Thread,
) -> Result<Option<Thread>, Undecided> {
    Ok(match thread.kind {
        ThreadKind::Issue => {
            let history = context.history(Read::IssueHistory(thread.number))?;
            history
                .iter()
                .filter(|run| run.is_stage_run())
                .find_map(|run| run.pr_number)
                .map(|number| context.pull_request_thread(number))
        }
        ThreadKind::PullRequest => {
            let history = context.history(Read::PullRequestHistory(thread.number))?;
            crate::resolver::single_linked_issue(history).map(|number| context.issue_thread(number))
        }
    })
}

/// First condition of L-77 that does not hold; `labels` are those of `thread`, `issue_history` the runs
/// of the Issue.
pub(super) fn obstacle(
    context: &Context<'_>,
    thread: &Thread,
    labels: &[String],
    issue_history: &[RunFacts],
) -> Result<Option<Obstacle>, Undecided> {
    let catalogue = &context.policy.labels;
    let other = linked_thread(context, thread)?;
    let other_labels = match &other {
        Some(other) => context.labels(other)?.as_slice(),
        None => &[],
    };
    if has_need_label(catalogue, labels) || has_need_label(catalogue, other_labels) {
        return Ok(Some(Obstacle::NeedLabelOpen));
    }
    if current_stage(issue_history) != Some(Stage::Dev) {
        return Ok(None);
    }
    let pull_request = [Some(thread), other.as_ref()]
        .into_iter()
        .flatten()
        .find(|thread| thread.kind == ThreadKind::PullRequest);
    let Some(number) = pull_request.map(|thread| thread.number) else {
        return Ok(None);
    };
    let Some(pull_request) = context.pull_request_fact(Read::PullRequest(number))? else {
        return Ok(Some(Obstacle::PreReviewMissing));
    };
    let reviewed_by_agent = context
        .history(Read::PullRequestHistory(number))?
        .iter()
        .any(|run| {
            run.is_reviewer_run()
                && run.status == RunStatus::Succeeded
                && run.pr_head_sha.as_deref().or(run.build_ref.as_deref())
                    == Some(pull_request.head_sha.as_str())
        });
    if reviewed_by_agent {
        return Ok(None);
    }
    let reviewed_by_person = context
        .reviews(Read::PullRequestReviews(number))?
        .iter()
        .any(|review| {
            review.commit_id == pull_request.head_sha
                && review.user.account_type == "User"
                && !review
                    .user
                    .login
                    .eq_ignore_ascii_case(&pull_request.user.login)
                && !context.policy.is_bot(&review.user.login)
        });
    Ok((!reviewed_by_person).then_some(Obstacle::PreReviewMissing))
}

fn has_need_label(catalogue: &Catalogue, labels: &[String]) -> bool {
    labels
        .iter()
        .any(|text| matches!(catalogue.classify(text), Some(CatalogueLabel::Need(_))))
}
