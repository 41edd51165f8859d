//! One comment per effect, found again by its hidden marker.
use domain::audit::{AuditEvent, TriggerConflictCommentPayload};
use domain::comments::effect_marker;
use domain::effects::CommentRecord;
use domain::events::Thread;

use super::{Attempt, EffectError, Performed};
use crate::github::{self, PostedComment};

pub(super) async fn create(
    attempt: &Attempt<'_>,
    thread: &Thread,
    body: &str,
    record: &CommentRecord,
) -> Result<Performed, EffectError> {
    let access = github::access_to(attempt.app, &thread.repository_full_name).await?;
    let marker = effect_marker(&attempt.claimed.idempotency_key);
    let found = if attempt.may_be_done() {
        access
            .reader
            .comments(thread.number)
            .await?
            .into_iter()
            .find(|comment| comment.body.contains(&marker))
    } else {
        None
    };
    let comment = match found {
        Some(comment) => comment,
        None if body.contains(&marker) => access.writer.create_comment(thread.number, body).await?,
        None => {
            access
                .writer
                .create_comment(thread.number, &format!("{body}\n\n{marker}"))
                .await?
        }
    };
    Ok(performed(attempt, thread, record, &comment))
}

fn performed(
    attempt: &Attempt<'_>,
    thread: &Thread,
    record: &CommentRecord,
    comment: &PostedComment,
) -> Performed {
    match record {
        CommentRecord::None => Performed::nothing(),
        CommentRecord::TriggerConflict {
            issue_number,
            trigger_label,
            conflicting_labels,
        } => {
            let payload = TriggerConflictCommentPayload {
                repository_full_name: Some(thread.repository_full_name.clone()),
                issue_number: Some(*issue_number),
                trigger_label: Some(trigger_label.clone()),
                conflicting_labels: Some(conflicting_labels.clone()),
                comment_id: Some(comment.id),
                comment_url: Some(comment.url.clone()),
            };
            Performed::audit(vec![
                attempt.event(AuditEvent::RunTriggerConflictComment(payload)),
            ])
        }
    }
}
