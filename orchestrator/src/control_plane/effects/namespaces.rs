//! Deletes run namespaces of closed threads and of stopped discussions (L-107).
use domain::audit::{AuditEvent, NamespaceCleanupPayload, NamespaceDeletedPayload};
use domain::effects::NamespaceDeletionCause;
use domain::events::Thread;
use domain::ids::{NamespaceName, ProjectId, RunId};
use domain::labels::{Catalogue, CatalogueLabel};
use domain::snapshot::RunFacts;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams};

use super::{Attempt, EffectError, Performed};
use crate::cluster::NamespaceView;
use crate::github::{self, RepositoryAccess};
use crate::store::namespace_leases;
use crate::store::thread_namespaces::{self, ThreadNamespace};

/// at most so many namespaces go with one thread.
const NAMESPACE_LIMIT: i64 = 200;

pub(super) async fn delete_of_thread(
    attempt: &Attempt<'_>,
    thread: &Thread,
    cause: NamespaceDeletionCause,
) -> Result<Performed, EffectError> {
    let found = thread_namespaces::of_thread(&attempt.app.pool, thread, NAMESPACE_LIMIT).await?;
    if found.is_empty() {
        return Ok(Performed::nothing());
    }
    if cause.respects_debug() && bears_debug_label(attempt, thread, &found).await? {
        return skip_all(attempt, &found, "debug_label_present").await;
    }
    let mut audit = Vec::new();
    for namespace in found {
        if namespace.active_run_status.is_some() {
            audit.extend(skip(attempt, &namespace, "active_run_in_db").await?);
            continue;
        }
        let deleted = delete(attempt, &namespace.namespace).await?;
        audit.push(
            record_deletion(attempt, &namespace.namespace, deleted)
                .run(RunId(namespace.run_id))
                .project(Some(ProjectId(namespace.project_id))),
        );
    }
    Ok(Performed::audit(audit))
}

pub(super) async fn delete_one(
    attempt: &Attempt<'_>,
    namespace: &str,
    run_id: RunId,
) -> Result<Performed, EffectError> {
    let deleted = delete(attempt, namespace).await?;
    Ok(Performed::audit(vec![
        record_deletion(attempt, namespace, deleted).run(run_id),
    ]))
}

/// Deletes the namespace of a discussion. One that an earlier stop or the sweep has taken already is not told of again.
pub(super) async fn delete_of_discussion(
    attempt: &Attempt<'_>,
    namespace: &NamespaceName,
    run: &RunFacts,
) -> Result<Performed, EffectError> {
    let deleted = delete(attempt, namespace.as_str()).await?;
    if !deleted && !run.is_active() && !attempt.may_be_done() {
        return Ok(Performed::nothing());
    }
    Ok(Performed::audit(vec![
        record_deletion(attempt, namespace.as_str(), deleted).run(run.run_id),
    ]))
}

/// `run:debug` counts on the Issue and on every linked pull request.
async fn bears_debug_label(
    attempt: &Attempt<'_>,
    thread: &Thread,
    found: &[ThreadNamespace],
) -> Result<bool, EffectError> {
    let access = github::access_to(attempt.app, &thread.repository_full_name).await?;
    let mut numbers: Vec<i64> = found
        .iter()
        .flat_map(|namespace| [namespace.issue_number, namespace.pr_number])
        .flatten()
        .chain([thread.number])
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    for number in numbers {
        if thread_bears_debug(&access, number, &attempt.app.policy.labels).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn thread_bears_debug(
    access: &RepositoryAccess,
    number: i64,
    catalogue: &Catalogue,
) -> Result<bool, EffectError> {
    match access.reader.labels(number).await {
        Ok(labels) => Ok(labels
            .iter()
            .any(|label| catalogue.classify(label) == Some(CatalogueLabel::Debug))),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn skip_all(
    attempt: &Attempt<'_>,
    found: &[ThreadNamespace],
    reason: &str,
) -> Result<Performed, EffectError> {
    let mut audit = Vec::new();
    for namespace in found {
        audit.extend(skip(attempt, namespace, reason).await?);
    }
    Ok(Performed::audit(audit))
}

/// a skip is written again only when its reason differs from the last one.
async fn skip(
    attempt: &Attempt<'_>,
    namespace: &ThreadNamespace,
    reason: &str,
) -> Result<Option<domain::audit::AuditRecord>, EffectError> {
    let mut connection = attempt.app.pool.acquire().await?;
    if !namespace_leases::record_cleanup_reason(&mut connection, &namespace.namespace, reason)
        .await?
    {
        return Ok(None);
    }
    let payload = NamespaceCleanupPayload {
        runtime_mode: Some(namespace.runtime_mode.clone()),
        namespace: Some(namespace.namespace.clone()),
        namespace_lease_expires_at: Some(namespace.expires_at),
        reason: Some(reason.to_owned()),
        run_status: namespace.active_run_status.clone(),
        ..NamespaceCleanupPayload::default()
    };
    let record = attempt.event(AuditEvent::RunNamespaceCleanupSkipped(payload));
    Ok(Some(
        record
            .run(RunId(namespace.run_id))
            .project(Some(ProjectId(namespace.project_id))),
    ))
}

/// Deletes a namespace of this instance and closes its lease; `false` when it was gone already.
async fn delete(attempt: &Attempt<'_>, name: &str) -> Result<bool, EffectError> {
    let client = attempt.app.kube.clone().ok_or(EffectError::NoCluster)?;
    let api: Api<Namespace> = Api::all(client);
    let found = api.get_opt(name).await?;
    let deletable = found.as_ref().is_some_and(|namespace| {
        namespace.metadata.deletion_timestamp.is_none()
            && NamespaceView::from_namespace(namespace).is_managed_by(&attempt.app.config.instance)
    });
    if deletable {
        match api.delete(name, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut connection = attempt.app.pool.acquire().await?;
    namespace_leases::set_state(&mut connection, name, "cleaned").await?;
    Ok(deletable)
}

fn record_deletion(
    attempt: &Attempt<'_>,
    namespace: &str,
    deleted: bool,
) -> domain::audit::AuditRecord {
    attempt.event(AuditEvent::RunNamespaceDeleteBySystem(
        NamespaceDeletedPayload {
            namespace: Some(namespace.to_owned()),
            deleted: Some(deleted),
            already_deleted: Some(!deleted),
            requested_by_type: Some("system".to_owned()),
            ..NamespaceDeletedPayload::default()
        },
    ))
}
