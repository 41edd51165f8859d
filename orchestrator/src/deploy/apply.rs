//! Brings a namespace to what a plan says.
//!
//! Each object is applied until the API server takes it, and each part is ready before the next one begins. Doing it
//! again changes nothing, so that another control plane may begin from the start.
use std::future::Future;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::deploy::{FaultKind, Manifest, ManifestKind, Readiness, readiness};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams,
    PropagationPolicy,
};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::fault::Fault;
use super::plan::{Plan, PlannedPart};
use super::task_log::TaskLog;
use crate::app::App;
use crate::cluster::keys;
use crate::store::clock;
use crate::store::deploy_tasks::ClaimedDeployTask;
use crate::wakeups::{Channel, Woken};

/// Field manager of everything that is deployed.
const FIELD_MANAGER: &str = "codex-k8s-control-plane";
/// How long one object may take to become ready, by platform time.
const READY_LIMIT: chrono::Duration = chrono::Duration::minutes(20);
/// Tells the Job of this attempt from an earlier one of the same name, which is deleted.
const ATTEMPT: &str = "codex-k8s.dev/deploy-attempt";
/// A namespace that is being made is looked for again after this at the latest.
const NAMESPACE_LOOK: Duration = Duration::from_secs(3);

/// Applies a plan and waits for every part of it.
pub async fn apply(
    app: &App,
    task: &ClaimedDeployTask,
    plan: &Plan,
    log: &mut TaskLog,
) -> Result<(), Fault> {
    let client = app.kube.clone().ok_or_else(|| {
        Fault::new(
            FaultKind::Refused,
            "namespace",
            "failed to deploy: no Kubernetes cluster is configured",
        )
    })?;
    let target = Target {
        app,
        client,
        namespace: &plan.namespace,
        attempt: format!("{}-{}", task.run_id, task.attempts),
    };
    retried(app, log, || target.namespace_is_usable()).await?;
    for part in &plan.parts {
        let began = std::time::Instant::now();
        target.apply_part(part, log).await?;
        metrics::histogram!("codexk8s_deploy_stage_seconds", "stage" => part.stage.clone())
            .record(began.elapsed());
        let message = format!("{}: {} objects are ready", part.name, part.manifests.len());
        log.info(&part.stage, message);
    }
    Ok(())
}

/// Tries until it succeeds or fails for good. Whoever waits for the whole says when it took too long.
pub async fn retried<T, F>(
    app: &App,
    log: &mut TaskLog,
    attempt: impl Fn() -> F,
) -> Result<T, Fault>
where
    F: Future<Output = Result<T, Fault>>,
{
    let mut waiter = app
        .wakeups
        .waiter(&[Channel::DeployTasks, Channel::Clock], &app.shutdown);
    loop {
        match attempt().await {
            Err(fault) if fault.kind.is_retried() => {
                tracing::info!(kind = %fault.kind, %fault, "a step of a preparation is tried again");
                log.warning(&fault);
            }
            other => return other,
        }
        if waiter.wait(app.config.poll_interval).await == Woken::Shutdown {
            // The task is given back as it is.
            std::future::pending::<()>().await;
        }
    }
}

struct Target<'a> {
    app: &'a App,
    client: Client,
    namespace: &'a str,
    attempt: String,
}

impl Target<'_> {
    /// A worker makes the namespace beside this; one of another instance is never touched.
    async fn namespace_is_usable(&self) -> Result<(), Fault> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let name = self.namespace;
        let fault = |kind, message: String| Err(Fault::new(kind, "namespace", message));
        let found = api
            .get_opt(name)
            .await
            .map_err(|error| Fault::of_kubernetes("namespace", "read the namespace", &error))?;
        let Some(found) = found else {
            let exists = |found: Option<&Namespace>| found.is_some();
            let made = await_condition(api, name, exists);
            return match tokio::time::timeout(NAMESPACE_LOOK, made).await {
                // It is there now: the next look judges it.
                Ok(Ok(_)) => Box::pin(self.namespace_is_usable()).await,
                _ => fault(
                    FaultKind::NamespaceMissing,
                    format!("namespace {name} is not there yet"),
                ),
            };
        };
        let instance = &self.app.config.instance;
        if found.labels().get(keys::INSTANCE) != Some(instance) {
            return fault(
                FaultKind::Refused,
                format!("namespace {name} belongs to another instance"),
            );
        }
        if found.metadata.deletion_timestamp.is_some() {
            return fault(
                FaultKind::NamespaceTerminating,
                format!("namespace {name} is terminating"),
            );
        }
        Ok(())
    }

    async fn apply_part(&self, part: &PlannedPart, log: &mut TaskLog) -> Result<(), Fault> {
        for manifest in &part.manifests {
            retried(self.app, log, || self.write(&part.stage, manifest)).await?;
        }
        for manifest in &part.manifests {
            let deadline = self.now(&part.stage).await? + READY_LIMIT;
            retried(self.app, log, || {
                self.ready(&part.stage, manifest, deadline)
            })
            .await?;
        }
        Ok(())
    }

    async fn write(&self, stage: &str, manifest: &Manifest) -> Result<(), Fault> {
        let api = self.api(manifest.kind);
        let what = format!("apply {} {}", manifest.kind, manifest.name);
        if manifest.kind == ManifestKind::Job {
            self.clear_earlier_job(stage, &api, &manifest.name).await?;
        }
        api.patch(
            &manifest.name,
            &PatchParams::apply(FIELD_MANAGER).force(),
            &Patch::Apply(self.as_ours(manifest)),
        )
        .await
        .map(drop)
        .map_err(|error| Fault::of_kubernetes(stage, &what, &error))
    }

    /// A Job cannot be changed: an earlier one goes before this attempt's is made.
    async fn clear_earlier_job(
        &self,
        stage: &str,
        api: &Api<DynamicObject>,
        name: &str,
    ) -> Result<(), Fault> {
        let what = format!("delete the earlier Job {name}");
        let failed = |error: kube::Error| Fault::of_kubernetes(stage, &what, &error);
        let Some(found) = api.get_opt(name).await.map_err(failed)? else {
            return Ok(());
        };
        if found.annotations().get(ATTEMPT) == Some(&self.attempt) {
            return Ok(());
        }
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        match api.delete(name, &params).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
            Err(error) => return Err(failed(error)),
        }
        Err(Fault::new(
            FaultKind::Conflict,
            stage,
            format!("the earlier Job {name} is being deleted"),
        ))
    }

    /// The object with the labels by which an instance knows its own.
    fn as_ours(&self, manifest: &Manifest) -> Value {
        let mut object = manifest.object.clone();
        object["metadata"]["namespace"] = json!(self.namespace);
        set(
            &mut object,
            "labels",
            keys::INSTANCE,
            &self.app.config.instance,
        );
        if manifest.kind == ManifestKind::Job {
            set(&mut object, "annotations", ATTEMPT, &self.attempt);
        }
        object
    }

    async fn ready(
        &self,
        stage: &str,
        manifest: &Manifest,
        deadline: DateTime<Utc>,
    ) -> Result<(), Fault> {
        let (kind, name) = (manifest.kind, &manifest.name);
        let judged = |object: Option<&DynamicObject>| match object {
            Some(object) => judge(kind, object),
            None => Readiness::NotYet("it is not there".to_owned()),
        };
        let api = self.api(kind);
        let settled = await_condition(api.clone(), name, |object: Option<&DynamicObject>| {
            !matches!(judged(object), Readiness::NotYet(_))
        });
        let what = format!("watch {kind} {name}");
        let late = tokio::select! {
            found = settled => match found {
                Ok(found) => match judged(found.as_ref()) {
                    Readiness::Ready => return Ok(()),
                    Readiness::Failed(reason) => {
                        let message = format!("{kind} {name} failed: {reason}");
                        return Err(Fault::new(FaultKind::Failed, stage, message));
                    }
                    Readiness::NotYet(seen) => {
                        return Err(Fault::new(FaultKind::Conflict, stage, format!("{kind} {name}: {seen}")));
                    }
                },
                Err(error) => {
                    return Err(Fault::new(FaultKind::ConnectionBroken, stage, format!("failed to {what}: {error}")));
                }
            },
            late = self.passed(stage, deadline) => late,
        };
        late?;
        let found = api
            .get_opt(name)
            .await
            .map_err(|error| Fault::of_kubernetes(stage, &what, &error))?;
        match judged(found.as_ref()) {
            Readiness::Ready => Ok(()),
            Readiness::NotYet(seen) | Readiness::Failed(seen) => Err(Fault::new(
                FaultKind::Failed,
                stage,
                format!(
                    "{kind} {name} was not ready after {} minutes: {seen}",
                    READY_LIMIT.num_minutes()
                ),
            )),
        }
    }

    /// Waits for a moment of platform time; only the platform clock says when it is there.
    async fn passed(&self, stage: &str, deadline: DateTime<Utc>) -> Result<(), Fault> {
        let mut waiter = self
            .app
            .wakeups
            .waiter(&[Channel::Clock], &self.app.shutdown);
        while self.now(stage).await? < deadline {
            if waiter.wait(self.app.config.poll_interval).await == Woken::Shutdown {
                std::future::pending::<()>().await;
            }
        }
        Ok(())
    }

    async fn now(&self, stage: &str) -> Result<DateTime<Utc>, Fault> {
        clock::now(&self.app.pool).await.map_err(|error| {
            let message = format!("failed to read the platform clock: {error}");
            Fault::new(FaultKind::Unavailable, stage, message)
        })
    }

    fn api(&self, kind: ManifestKind) -> Api<DynamicObject> {
        let (group, plural) = kind.resource();
        let kind = GroupVersionKind::gvk(group, "v1", kind.as_str());
        let resource = ApiResource::from_gvk_with_plural(&kind, plural);
        Api::namespaced_with(self.client.clone(), self.namespace, &resource)
    }
}

fn judge(kind: ManifestKind, object: &DynamicObject) -> Readiness {
    match serde_json::to_value(object) {
        Ok(value) => readiness(kind, &value),
        Err(error) => Readiness::NotYet(error.to_string()),
    }
}

/// Sets one label or annotation of an object.
fn set(object: &mut Value, map: &str, key: &str, value: &str) {
    let map = &mut object["metadata"][map];
    if !map.is_object() {
        *map = json!({});
    }
    map[key] = json!(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_added_to_those_that_are_there() {
        let mut object = json!({"metadata": {"name": "a", "labels": {"app": "shop"}}});
        set(&mut object, "labels", keys::INSTANCE, "main");
        set(&mut object, "annotations", ATTEMPT, "1");
        assert_eq!(
            object,
            json!({"metadata": {
                "name": "a",
                "labels": {"app": "shop", "codex-k8s.dev/instance": "main"},
                "annotations": {"codex-k8s.dev/deploy-attempt": "1"},
            }})
        );
    }
}
