//! Staff delete of a run's namespace: wins over `run:debug` and over the lease.
use axum::Json;
use axum::extract::{Path, State};
use domain::audit::{Actor, AuditEvent, AuditRecord, NamespaceDeletedPayload};
use domain::ids::{CorrelationId, ProjectId, RunId, UserId};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams};
use serde_json::{Value, json};
use uuid::Uuid;

use super::access::Need;
use super::audit::{Change, guard, record_change};
use super::principal::Principal;
use super::query::Query;
use super::runs::require_run;
use super::state::Services;
use crate::http_api::ApiError;
use crate::store::{events, run_namespaces};
use crate::transition;

const INSTANCE_LABEL: &str = "codex-k8s.dev/instance";
const MANAGED_BY_LABEL: &str = "codex-k8s.dev/managed-by";
const PURPOSE_LABEL: &str = "codex-k8s.dev/namespace-purpose";

/// Deletes the managed namespace of a run that is over.
pub(super) async fn delete(
    State(services): State<Services>,
    principal: Principal,
    Path(run_id): Path<Uuid>,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    query.finish()?;
    let change = Change::new("run_namespace", run_id, "delete");
    let permitted = require_run(&services, &principal, run_id, Need::Write).await;
    guard(&services, &principal, &change, permitted).await?;
    let run = run_namespaces::of_run(services.pool(), run_id)
        .await?
        .ok_or_else(|| ApiError::not_found("there is no such run"))?;
    let namespace = run
        .namespace
        .clone()
        .filter(|_| run.is_managed)
        .ok_or_else(|| {
            ApiError::failed_precondition("this run has no namespace that the platform manages")
        })?;
    if run.has_active_run {
        return Err(ApiError::failed_precondition(
            "a run in this namespace is not over; cancel it first",
        ));
    }
    let existed = delete_namespace(&services, &namespace).await?;
    let record = AuditRecord::new(
        AuditEvent::RunNamespaceDeleteByStaff(NamespaceDeletedPayload {
            namespace: Some(namespace.clone()),
            deleted: Some(existed),
            already_deleted: Some(!existed),
            run_status_comment_id: run.status_comment_id,
            run_status_url: None,
            requested_by_type: Some("human".to_owned()),
            requested_by_id: Some(principal.user.id.to_string()),
        }),
        Actor::Human(UserId(principal.user.id)),
        CorrelationId::new(run.correlation_id.clone()),
    )
    .run(RunId(run_id))
    .project(run.project_id.map(ProjectId));
    let change = Change {
        project_id: run.project_id,
        ..change
    };
    let mut transaction = services.pool().begin().await?;
    run_namespaces::mark_cleaned(&mut transaction, &namespace).await?;
    events::insert(&mut transaction, &record).await?;
    record_change(&mut transaction, &principal, &change).await?;
    transition::commit(transaction, "namespace.delete_by_staff").await?;
    Ok(Json(json!({
        "run_id": run_id,
        "namespace": namespace,
        "deleted": existed,
        "already_deleted": !existed,
    })))
}

/// `false` when it was gone, or going, already.
async fn delete_namespace(services: &Services, name: &str) -> Result<bool, ApiError> {
    let kube = services
        .app
        .kube
        .as_ref()
        .ok_or_else(|| ApiError::unavailable("no cluster is configured"))?;
    let unavailable = |error: kube::Error| {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "failed to delete a namespace"
        );
        ApiError::unavailable("the cluster does not answer; try again")
    };
    let namespaces: Api<Namespace> = Api::all(kube.clone());
    let Some(found) = namespaces.get_opt(name).await.map_err(unavailable)? else {
        return Ok(false);
    };
    let labels = found.metadata.labels.unwrap_or_default();
    let is = |label: &str, value: &str| labels.get(label).is_some_and(|found| found == value);
    let own = is(INSTANCE_LABEL, &services.config().instance)
        && is(MANAGED_BY_LABEL, "codex-k8s-worker")
        && is(PURPOSE_LABEL, "run");
    if !own {
        return Err(ApiError::failed_precondition(
            "this namespace is not managed by this platform",
        ));
    }
    if found.metadata.deletion_timestamp.is_some() {
        return Ok(false);
    }
    match namespaces.delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
        Err(error) => Err(unavailable(error)),
    }
}
