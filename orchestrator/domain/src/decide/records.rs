//! Events of a webhook decision (L-27, L-52, data catalogue).

use serde_json::json;

use super::facts::Context;
use super::{Ignored, NewRun};
use crate::audit::{
    AuditEvent, AuditRecord, ReviewPayload, RunEnqueuedPayload, WebhookIgnoredPayload,
    WebhookPayload,
};
use crate::events::Event;
use crate::ids::{CorrelationId, RunId};
use crate::labels::{Catalogue, CatalogueLabel};
use crate::resolver::{Resolution, ResolverSource};
use crate::stages::TriggerKind;

fn webhook_payload(event: &Event, catalogue: &Catalogue, run: Option<&NewRun>) -> WebhookPayload {
    let correlation_id = CorrelationId::new(event.delivery_id.as_str());
    let number = event
        .issue()
        .map(|issue| issue.number)
        .or(run.and_then(|run| run.issue_number));
    WebhookPayload {
        source: Some("github".to_owned()),
        delivery_id: Some(event.delivery_id.to_string()),
        event_type: Some(event.event_type.clone()),
        action: Some(event.action.clone()),
        correlation_id: Some(run.map_or(correlation_id, |run| run.correlation_id.clone()).to_string()),
        sender: event.sender.as_ref().map(|sender| json!({"id": sender.id, "login": sender.login})),
        repository: event.repository.as_ref().map(|repository| {
            json!({"id": repository.id, "full_name": repository.full_name, "name": repository.name})
        }),
        inserted: run.map(|_| true),
        label: run
            .map(|run| run.trigger.label.clone())
            .or_else(|| event.label().map(|label| catalogue.canonical(label)))
            .filter(|label| !label.is_empty()),
        run_kind: run.map(|run| run.trigger.kind.to_string()),
        issue_number: number,
    }
}

/// `webhook.received`, with the run when there is one.
pub(super) fn received(context: &Context<'_>, run: Option<&NewRun>) -> AuditRecord {
    let payload = webhook_payload(context.event, &context.policy.labels, run);
    let correlation_id = CorrelationId::new(payload.correlation_id.clone().unwrap_or_default());
    let record = AuditRecord::webhook(AuditEvent::WebhookReceived(payload), correlation_id)
        .project(context.binding().map(|binding| binding.project_id));
    match run {
        Some(run) => record.run(run.run_id),
        None => record,
    }
}

/// `webhook.ignored`.
pub(super) fn ignored(context: &Context<'_>, ignored: &Ignored) -> AuditRecord {
    let event = context.event;
    let base = webhook_payload(event, &context.policy.labels, None);
    let payload = WebhookIgnoredPayload {
        source: base.source,
        delivery_id: base.delivery_id,
        event_type: base.event_type,
        action: base.action,
        correlation_id: base.correlation_id,
        sender: base.sender,
        repository: base.repository,
        inserted: Some(false),
        label: base.label,
        run_kind: base.run_kind,
        issue_number: base.issue_number,
        reason: Some(ignored.reason.to_string()),
        binding_resolved: Some(context.binding().is_some()),
        conflicting_labels: Some(ignored.conflicting_labels.clone()),
        suggested_labels: Some(ignored.suggested_labels.clone()),
        issue: event.issue().map(|issue| {
            json!({
                "id": issue.id, "number": issue.number, "title": issue.title,
                "html_url": issue.html_url, "state": issue.state,
            })
        }),
    };
    AuditRecord::webhook(
        AuditEvent::WebhookIgnored(payload),
        CorrelationId::new(event.delivery_id.as_str()),
    )
    .project(context.binding().map(|binding| binding.project_id))
}

/// `webhook.duplicate` of a stored delivery (L-24).
pub fn duplicate(event: &Event, catalogue: &Catalogue, run_id: Option<RunId>) -> AuditRecord {
    let payload = webhook_payload(event, catalogue, None);
    let correlation_id = CorrelationId::new(event.delivery_id.as_str());
    let record = AuditRecord::webhook(AuditEvent::WebhookDuplicate(payload), correlation_id);
    match run_id {
        Some(run_id) => record.run(run_id),
        None => record,
    }
}

/// `run.enqueued`.
pub(super) fn enqueued(run: &NewRun) -> AuditRecord {
    let payload = RunEnqueuedPayload {
        trigger_source: Some(run.trigger.source.to_string()),
        trigger_kind: Some(run.trigger.kind.to_string()),
        trigger_label: Some(run.trigger.label.clone()),
        repository_full_name: Some(run.repository_full_name.clone()),
        issue_number: run.issue_number,
        pr_number: run.pr_number,
        resumed_from_run_id: None,
    };
    AuditRecord::webhook(AuditEvent::RunEnqueued(payload), run.correlation_id.clone())
        .run(run.run_id)
        .project(Some(run.project_id))
}

/// Events of L-52 about a review, in order.
pub(super) fn review(
    context: &Context<'_>,
    number: i64,
    issue_number: Option<i64>,
    resolution: Option<&Resolution>,
) -> Vec<AuditRecord> {
    let correlation_id = CorrelationId::new(context.event.delivery_id.as_str());
    let base = ReviewPayload {
        repository_full_name: Some(context.event.repository_full_name().to_owned()),
        pull_request_number: Some(number),
        issue_number,
        ..ReviewPayload::default()
    };
    let mut events = vec![AuditEvent::RunReviewChangesRequestedReceived(base.clone())];
    match resolution {
        None => {}
        Some(Resolution::Resolved { stage, source }) => {
            let kind = TriggerKind::Revise(*stage);
            events.push(AuditEvent::RunReviseStageResolved(ReviewPayload {
                resolver_source: Some(source.to_string()),
                trigger_kind: Some(kind.to_string()),
                trigger_label: Some(
                    context
                        .policy
                        .labels
                        .name(CatalogueLabel::Trigger(kind))
                        .to_owned(),
                ),
                ..base
            }));
        }
        Some(Resolution::Ambiguous {
            source,
            conflicting_labels,
            suggested_labels,
        }) => {
            events.push(AuditEvent::RunReviseStageAmbiguous(ReviewPayload {
                resolver_source: Some(source.to_string()),
                reason: Some("pull_request_review_stage_ambiguous".to_owned()),
                conflicting_labels: Some(conflicting_labels.clone()),
                suggested_labels: Some(suggested_labels.clone()),
                ..base
            }));
        }
        Some(Resolution::NotResolved { suggested_labels }) => {
            events.push(AuditEvent::RunReviseStageAmbiguous(ReviewPayload {
                resolver_source: Some(ResolverSource::StageNotResolved.to_string()),
                reason: Some("pull_request_review_stage_not_resolved".to_owned()),
                conflicting_labels: Some(Vec::new()),
                suggested_labels: Some(suggested_labels.clone()),
                ..base
            }));
        }
    }
    let project = context.binding().map(|binding| binding.project_id);
    events
        .into_iter()
        .map(|event| AuditRecord::webhook(event, correlation_id.clone()).project(project))
        .collect()
}
