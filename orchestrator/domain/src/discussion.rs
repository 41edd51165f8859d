//! What a discussion hears and when it is over (L-107, L-108).
//!
//! Judged from what the thread looks like now, so that a delivery that never arrived changes nothing: the session asks
//! again and again, and each answer stands by itself.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::comments::AnswerMarker;
use crate::effects::DiscussionStop;
use crate::events::{Comment, Issue};
use crate::ids::RunId;
use crate::labels::CatalogueLabel;
use crate::policy::Policy;

/// Why the session has to end, if it has to; `None` for the Issue means that GitHub knows none any more.
pub fn stop_reason(issue: Option<&Issue>, policy: &Policy) -> Option<DiscussionStop> {
    match issue {
        None => Some(DiscussionStop::IssueClosedOrDeleted),
        Some(issue) if issue.is_closed() => Some(DiscussionStop::IssueClosedOrDeleted),
        Some(issue)
            if !policy
                .labels
                .bears(&issue.labels, CatalogueLabel::Discussion) =>
        {
            Some(DiscussionStop::LabelRemoved)
        }
        Some(_) => None,
    }
}

/// A comment that the session may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub comment: Comment,
    /// An answer names it.
    pub answered: bool,
}

/// What was said since the session began.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conversation {
    /// Comments of permitted people, oldest first.
    pub heard: Vec<Heard>,
    /// The run has said something already.
    pub has_spoken: bool,
}

/// Authors of comments that may count, for the caller to look up.
pub fn authors(comments: &[Comment], policy: &Policy) -> BTreeSet<String> {
    comments
        .iter()
        .filter(|comment| is_human(comment, policy))
        .map(|comment| comment.user.login.clone())
        .collect()
}

/// Sorts the comments of a thread: what permitted people said, and what the bot answered.
pub fn conversation(
    run_id: RunId,
    comments: Vec<Comment>,
    since: DateTime<Utc>,
    permitted: &BTreeSet<String>,
    policy: &Policy,
) -> Conversation {
    // Anybody may write the marker; only the bot's own counts.
    let answers: Vec<AnswerMarker> = comments
        .iter()
        .filter(|comment| policy.is_bot(&comment.user.login))
        .filter_map(|comment| AnswerMarker::find(&comment.body))
        .collect();
    let has_spoken = answers.iter().any(|answer| answer.run_id == run_id);
    let mut heard: Vec<Heard> = comments
        .into_iter()
        .filter(|comment| is_human(comment, policy) && permitted.contains(&comment.user.login))
        .filter(|comment| comment.created_at.is_none_or(|at| at >= since))
        .map(|comment| Heard {
            answered: answers
                .iter()
                .any(|answer| answer.answers.contains(&comment.id)),
            comment,
        })
        .collect();
    heard.sort_by_key(|heard| heard.comment.id);
    Conversation { heard, has_spoken }
}

fn is_human(comment: &Comment, policy: &Policy) -> bool {
    comment.user.account_type == "User" && !policy.is_bot(&comment.user.login)
}
