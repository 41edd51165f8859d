//! Labels, with `label.applied` for each real change (L-19).
use std::sync::{Mutex, PoisonError};

use domain::audit::{AuditEvent, LabelChangePayload};
use domain::effects::LabelOrigin;
use domain::events::Thread;

use super::{Attempt, EffectError, Performed};
use crate::github::{self, GithubError, RepositoryAccess};

/// The labels of one thread as last read or left by us, for label changes that are done one after the other.
#[derive(Debug, Default)]
pub struct LabelsSeen(Mutex<Option<Vec<String>>>);

impl LabelsSeen {
    /// What was seen last, or a look now.
    async fn of(
        &self,
        access: &RepositoryAccess,
        thread: &Thread,
    ) -> Result<Vec<String>, GithubError> {
        if let Some(seen) = self.slot().clone() {
            return Ok(seen);
        }
        let seen = access.reader.labels(thread.number).await?;
        self.keep(&seen);
        Ok(seen)
    }

    fn keep(&self, labels: &[String]) {
        *self.slot() = Some(labels.to_vec());
    }

    /// After a failure nobody knows what the thread bears.
    pub fn forget(&self) {
        *self.slot() = None;
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Vec<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn add(
    attempt: &Attempt<'_>,
    thread: &Thread,
    label: &str,
    origin: &LabelOrigin,
) -> Result<Performed, EffectError> {
    let access = github::access_to(attempt.app, &thread.repository_full_name).await?;
    let before = attempt.labels.of(&access, thread).await?;
    if bears(&before, label) {
        let without = before
            .iter()
            .filter(|name| !name.eq_ignore_ascii_case(label))
            .cloned()
            .collect();
        return Ok(already_there(
            attempt, thread, label, origin, "add", without, before,
        ));
    }
    let after = access.writer.add_label(thread.number, label).await?;
    attempt.labels.keep(&after);
    Ok(applied(
        attempt, thread, label, origin, "add", before, after,
    ))
}

pub(super) async fn remove(
    attempt: &Attempt<'_>,
    thread: &Thread,
    label: &str,
    origin: &LabelOrigin,
) -> Result<Performed, EffectError> {
    let access = github::access_to(attempt.app, &thread.repository_full_name).await?;
    let before = attempt.labels.of(&access, thread).await?;
    let after: Vec<String> = before
        .iter()
        .filter(|name| !name.eq_ignore_ascii_case(label))
        .cloned()
        .collect();
    let Some(spelled) = before.iter().find(|name| name.eq_ignore_ascii_case(label)) else {
        let with = before.iter().cloned().chain([label.to_owned()]).collect();
        return Ok(already_there(
            attempt, thread, label, origin, "remove", with, before,
        ));
    };
    match access.writer.remove_label(thread.number, spelled).await {
        Ok(()) => {
            attempt.labels.keep(&after);
            Ok(applied(
                attempt, thread, label, origin, "remove", before, after,
            ))
        }
        // Somebody removed it between the look and the call: it was not us.
        Err(error) if error.is_not_found() => {
            attempt.labels.forget();
            Ok(Performed::nothing())
        }
        Err(error) => Err(error.into()),
    }
}

fn bears(labels: &[String], label: &str) -> bool {
    labels.iter().any(|name| name.eq_ignore_ascii_case(label))
}

/// The wanted state holds without this attempt. Only if GitHub reports the change as the platform's own was it an
/// earlier attempt that made it and died before it could say so; whether it has is asked once the effect is complete, so
/// that a report which comes meanwhile is either seen there or sees that nothing is recorded.
fn already_there(
    attempt: &Attempt<'_>,
    thread: &Thread,
    label: &str,
    origin: &LabelOrigin,
    op: &str,
    before: Vec<String>,
    after: Vec<String>,
) -> Performed {
    if !attempt.may_be_done() {
        return Performed::nothing();
    }
    let applied = applied(attempt, thread, label, origin, op, before, after);
    Performed {
        audit_if_reported: applied.audit,
        ..Performed::default()
    }
}

fn applied(
    attempt: &Attempt<'_>,
    thread: &Thread,
    label: &str,
    origin: &LabelOrigin,
    op: &str,
    before: Vec<String>,
    after: Vec<String>,
) -> Performed {
    let payload = LabelChangePayload {
        op: Some(op.to_owned()),
        label: Some(label.to_owned()),
        thread_kind: Some(thread.kind.to_string()),
        thread_number: Some(thread.number),
        source: Some(origin.source.to_string()),
        requested_by: Some(origin.requested_by.clone()),
        applied_by: Some(attempt.app.policy.bot_login.clone()),
        approval_request_id: origin.approval_request_id,
        before: Some(before),
        after: Some(after),
        reason: origin.reason.clone(),
        ..LabelChangePayload::default()
    };
    Performed::audit(vec![attempt.event(AuditEvent::LabelApplied(payload))])
}
