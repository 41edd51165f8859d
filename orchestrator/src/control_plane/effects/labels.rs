//! Labels, with `label.applied` for each real change (L-19).
use domain::audit::{AuditEvent, LabelChangePayload};
use domain::effects::LabelOrigin;
use domain::events::Thread;

use super::{Attempt, EffectError, Performed};
use crate::github;

pub(super) async fn add(
    attempt: &Attempt<'_>,
    thread: &Thread,
    label: &str,
    origin: &LabelOrigin,
) -> Result<Performed, EffectError> {
    let access = github::access_to(attempt.app, &thread.repository_full_name).await?;
    let before = access.reader.labels(thread.number).await?;
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
    let before = access.reader.labels(thread.number).await?;
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
        Ok(()) => Ok(applied(
            attempt, thread, label, origin, "remove", before, after,
        )),
        // Somebody removed it between the look and the call: it was not us.
        Err(error) if error.is_not_found() => Ok(Performed::nothing()),
        Err(error) => Err(error.into()),
    }
}

fn bears(labels: &[String], label: &str) -> bool {
    labels.iter().any(|name| name.eq_ignore_ascii_case(label))
}

/// The wanted state holds without this attempt. Only if GitHub has reported the change as the platform's own was it an
/// earlier attempt that made it and died before it could say so.
fn already_there(
    attempt: &Attempt<'_>,
    thread: &Thread,
    label: &str,
    origin: &LabelOrigin,
    op: &str,
    before: Vec<String>,
    after: Vec<String>,
) -> Performed {
    if attempt.may_be_done() && attempt.reported {
        return applied(attempt, thread, label, origin, op, before, after);
    }
    Performed::nothing()
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
