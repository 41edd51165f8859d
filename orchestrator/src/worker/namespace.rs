//! Which namespace a run works in, and whether what is there can be used as it is (R-32, R-33, R-49..R-54).

use super::context::WorkerContext;
use super::control_plane::PlannedEnvironment;
use super::environment;
use super::launch::LaunchError;
use crate::cluster::{NamespaceView, keys};
use crate::store::namespace_leases::{self, ReuseKey};
use crate::store::runs::WorkerRun;
use domain::fingerprint::{
    FINGERPRINT_VERSION, Fingerprint, ReuseFacts, ReuseRefusal, is_immutable_ref, may_reuse,
};
use domain::ids::{NamespaceName, ProjectId, RunId};
use domain::namespaces::run_namespace;
use domain::runs::FinishReason;
use domain::stages::TriggerKind;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// Where the name came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Candidate lineage in the payload.
    Lineage,
    /// Found by (project, repository, issue, agent).
    Reuse,
    /// A name of its own.
    New,
    /// LIVE_NS, which the platform neither made nor deletes.
    Live,
}

/// The namespace of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Its name.
    pub name: NamespaceName,
    /// Where the name came from.
    pub origin: Origin,
}

/// Chooses by R-33; a name stored by an earlier attempt stays.
pub async fn choose(
    ctx: &WorkerContext,
    conn: &mut PgConnection,
    run: &WorkerRun,
) -> Result<Choice, LaunchError> {
    let project_id = run
        .project_id
        .ok_or_else(|| LaunchError::namespace("the run belongs to no project"))?;
    let issue = run.issue_number.map(i64::from);
    let own = run_namespace(ProjectId(project_id), issue, RunId(run.id));
    if let Some(given) = text(&run.run_payload, "/runtime/namespace") {
        let name: NamespaceName =
            given
                .parse()
                .map_err(|error: domain::ids::InvalidNamespaceName| {
                    LaunchError::namespace(error.to_string())
                })?;
        let lineage = run
            .run_payload
            .pointer("/runtime/lineage")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        let stored = run
            .namespace
            .as_deref()
            .filter(|stored| *stored != name.as_str());
        return match stored {
            // An earlier attempt had to leave the lineage's namespace.
            Some(_) if lineage => Ok(Choice {
                name: own,
                origin: Origin::New,
            }),
            _ => Ok(Choice {
                name,
                origin: if lineage {
                    Origin::Lineage
                } else {
                    Origin::Live
                },
            }),
        };
    }
    if let Some(stored) = &run.namespace {
        let origin = if stored == own.as_str() {
            Origin::New
        } else {
            Origin::Reuse
        };
        let name = stored
            .parse()
            .map_err(|error: domain::ids::InvalidNamespaceName| {
                LaunchError::namespace(error.to_string())
            })?;
        return Ok(Choice { name, origin });
    }
    let revise = run
        .trigger_kind
        .parse::<TriggerKind>()
        .is_ok_and(TriggerKind::is_revise);
    if let (true, Some(issue_number), Some(agent_key)) =
        (revise && !run.deploy_only, run.issue_number, &run.agent_key)
    {
        let key = ReuseKey {
            project_id,
            repository_full_name: &run.repository_full_name,
            issue_number,
            agent_key,
        };
        for candidate in namespace_leases::reusable(conn, key).await? {
            let found = ctx.cluster.get_namespace(&candidate).await?;
            if found.is_some_and(|view| {
                !view.terminating && view.is_managed_by(ctx.cluster.names().instance())
            }) {
                let name =
                    candidate
                        .parse()
                        .map_err(|error: domain::ids::InvalidNamespaceName| {
                            LaunchError::namespace(error.to_string())
                        })?;
                return Ok(Choice {
                    name,
                    origin: Origin::Reuse,
                });
            }
        }
    }
    Ok(Choice {
        name: own,
        origin: Origin::New,
    })
}

/// What an existing namespace is worth to this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reuse {
    /// As it is: preparation is skipped.
    FastPath {
        /// Hash of the fingerprint.
        hash: String,
    },
    /// Not as it is.
    Refused(ReuseRefusal),
}

/// Judges a namespace from lineage or reuse.
pub async fn judge(
    ctx: &WorkerContext,
    conn: &mut PgConnection,
    run: &WorkerRun,
    choice: &Choice,
) -> Reuse {
    match facts(ctx, conn, run, choice).await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::warn!(run_id = %run.id, %error, "failed to judge a namespace for reuse");
            Reuse::Refused(ReuseRefusal::ReuseEvaluationFailed)
        }
    }
}

async fn facts(
    ctx: &WorkerContext,
    conn: &mut PgConnection,
    run: &WorkerRun,
    choice: &Choice,
) -> Result<Reuse, LaunchError> {
    let view: Option<NamespaceView> = ctx.cluster.get_namespace(choice.name.as_str()).await?;
    let task = namespace_leases::last_preparation(conn, choice.name.as_str(), run.id).await?;
    let build_ref = text(&run.run_payload, "/runtime/build_ref").unwrap_or_default();
    // Only what stands still can be compared; before that the checks refuse in any case.
    let planned = if view.is_some() && is_immutable_ref(&build_ref) {
        let request = environment::request(run, choice.name.as_str());
        let planned = ctx.control_plane.plan(run.id, &request).await;
        planned.map_err(|error| LaunchError::from_call(error, FinishReason::RuntimeDeployFailed))?
    } else {
        PlannedEnvironment {
            services_config: true,
            namespace: None,
            manifest_hash: None,
        }
    };
    let wanted = fingerprint(
        run,
        choice.name.as_str(),
        &build_ref,
        planned.manifest_hash.as_deref().unwrap_or_default(),
    );
    let annotation = |key: &str| {
        view.as_ref()
            .and_then(|view| view.annotations.get(key))
            .map(String::as_str)
    };
    let facts = ReuseFacts {
        wanted: &wanted,
        managed: view
            .as_ref()
            .is_some_and(|view| view.is_managed_by(ctx.cluster.names().instance())),
        terminating: view.as_ref().is_some_and(|view| view.terminating),
        active_deploy_task: task.as_ref().is_some_and(|task| task.active),
        snapshot_ref: task.as_ref().and_then(|task| task.build_ref_sha.as_deref()),
        services_config: planned.services_config,
        configured_namespace: planned.namespace.as_deref().unwrap_or(choice.name.as_str()),
        stored_hash: annotation(keys::FINGERPRINT_HASH),
        stored_json: annotation(keys::FINGERPRINT_JSON),
    };
    Ok(match may_reuse(&facts) {
        Ok(hash) => Reuse::FastPath { hash },
        Err(refusal) => Reuse::Refused(refusal),
    })
}

/// The fingerprint of a run in a namespace at a commit with its manifests.
pub fn fingerprint(
    run: &WorkerRun,
    namespace: &str,
    build_ref: &str,
    manifest_hash: &str,
) -> Fingerprint {
    Fingerprint {
        version: FINGERPRINT_VERSION,
        runtime_mode: run.runtime_mode.clone().unwrap_or_default(),
        target_env: run.target_env.clone().unwrap_or_default(),
        namespace: namespace.to_owned(),
        project_id: run
            .project_id
            .map(|id: Uuid| id.to_string())
            .unwrap_or_default(),
        issue_number: run.issue_number.map(i64::from).unwrap_or_default(),
        agent_key: run.agent_key.clone().unwrap_or_default(),
        repository_full_name: run.repository_full_name.clone(),
        services_yaml_path: services_yaml_path(run),
        build_ref: build_ref.to_owned(),
        deploy_only: run.deploy_only,
        manifest_hash: manifest_hash.to_owned(),
    }
}

/// Path of services.yaml in the run's repository.
pub fn services_yaml_path(run: &WorkerRun) -> String {
    text(&run.run_payload, "/project/services_yaml").unwrap_or_else(|| "services.yaml".to_owned())
}

/// A text of the run's envelope; empty counts as absent.
pub fn text(payload: &Value, pointer: &str) -> Option<String> {
    payload
        .pointer(pointer)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}
