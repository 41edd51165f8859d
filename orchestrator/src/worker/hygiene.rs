//! The leak check: what should be gone and is not. Kept namespaces are listed apart and are no leak.

use super::context::WorkerError;
use super::sweep::expiry;
use crate::cluster::{Cluster, NamespaceView, RunObservation, keys, observe};
use crate::store::{clock, runs, slots};
use chrono::{DateTime, TimeDelta, Utc};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use serde::Serialize;
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// A managed namespace this long past its lease is a leak.
const NAMESPACE_GRACE: TimeDelta = TimeDelta::minutes(30);
/// A Job or Pod this long after the end of its run is a leak.
const WORKLOAD_GRACE_SECONDS: i64 = 20 * 60;

/// What can leak; `kind` of a finding.
pub const KINDS: [&str; 5] = ["namespace", "job", "pod", "slot", "credentials_secret"];

/// One leak.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// One of [`KINDS`].
    pub kind: &'static str,
    /// Where.
    pub namespace: String,
    /// What.
    pub object: String,
    /// For how long it should have been gone.
    pub age_seconds: i64,
    /// Its run, when known.
    pub run_id: Option<Uuid>,
}

/// A namespace that `run:debug` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Name.
    pub namespace: String,
    /// Latest run.
    pub run_id: Option<Uuid>,
    /// End of its lease.
    pub expires_at: DateTime<Utc>,
}

/// A credentials Secret without a Job or Pod, found by who may list Secrets: never the worker (G-113).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretFinding {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Run of its label.
    pub run_id: Option<Uuid>,
    /// For how long.
    pub age_seconds: i64,
}

/// Result of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct HygieneReport {
    /// Leaks; none means clean.
    pub findings: Vec<Finding>,
    /// Namespaces held by `run:debug`.
    pub kept: Vec<Kept>,
    /// Whether the identity could list credential Secrets; a Secret goes with its Job otherwise unseen.
    pub credential_secrets_inspected: bool,
}

/// Looks at the cluster and the database of one instance.
pub async fn check(
    cluster: &Cluster,
    conn: &mut PgConnection,
    secrets: Vec<SecretFinding>,
) -> Result<HygieneReport, WorkerError> {
    let now = clock::now(&mut *conn).await?;
    let mut report = HygieneReport::default();
    // What is being deleted is on its way: the cluster takes seconds to empty a namespace.
    let (namespaces, mut jobs, mut pods) = tokio::try_join!(
        cluster.list_managed_namespaces(),
        cluster.list_jobs(),
        cluster.list_run_pods()
    )?;
    let (leaving, staying): (Vec<_>, Vec<_>) =
        namespaces.into_iter().partition(|view| view.terminating);
    for view in staying {
        judge_namespace(&view, now, &mut report);
    }
    let stays = |metadata: &ObjectMeta| {
        metadata.deletion_timestamp.is_none()
            && leaving
                .iter()
                .all(|view| Some(&view.name) != metadata.namespace.as_ref())
    };
    jobs.retain(|job| stays(&job.metadata));
    pods.retain(|pod| stays(&pod.metadata));
    let ended = ended_runs(
        conn,
        jobs.iter()
            .filter_map(run_of)
            .chain(pods.iter().filter_map(run_of)),
    )
    .await?;
    let overdue = |run_id: Option<Uuid>| {
        let age = *ended.get(&run_id?)?;
        (age > WORKLOAD_GRACE_SECONDS).then_some(age)
    };
    for job in &jobs {
        if let Some(age_seconds) = overdue(run_of(job)) {
            let namespace = job.namespace().unwrap_or_default();
            report.findings.push(Finding {
                kind: "job",
                namespace,
                object: job.name_any(),
                age_seconds,
                run_id: run_of(job),
            });
        }
    }
    for pod in pods
        .iter()
        .filter(|pod| pod.metadata.owner_references.is_none() || still_works(pod))
    {
        if let Some(age_seconds) = overdue(run_of(pod)) {
            let namespace = pod.namespace().unwrap_or_default();
            report.findings.push(Finding {
                kind: "pod",
                namespace,
                object: pod.name_any(),
                age_seconds,
                run_id: run_of(pod),
            });
        }
    }
    for slot in slots::leaked(conn).await? {
        report.findings.push(Finding {
            kind: "slot",
            namespace: String::new(),
            object: format!("{}/{}", slot.project_id, slot.slot_no),
            age_seconds: slot.age_seconds,
            run_id: slot.lease_owner.and_then(|owner| owner.parse().ok()),
        });
    }
    report
        .findings
        .extend(secrets.into_iter().map(|secret| Finding {
            kind: "credentials_secret",
            namespace: secret.namespace,
            object: secret.name,
            age_seconds: secret.age_seconds,
            run_id: secret.run_id,
        }));
    Ok(report)
}

/// Credentials Secrets without a Job or Pod, of runs that are over. None when the identity may not list Secrets.
pub async fn orphaned_credentials(
    cluster: &Cluster,
    conn: &mut PgConnection,
) -> Result<Option<Vec<SecretFinding>>, WorkerError> {
    let Some(secrets) = cluster.list_run_secret_metadata().await? else {
        return Ok(None);
    };
    let orphans: Vec<_> = secrets
        .iter()
        .filter(|secret| {
            secret
                .metadata
                .owner_references
                .iter()
                .flatten()
                .next()
                .is_none()
        })
        .collect();
    let ended = ended_runs(conn, orphans.iter().filter_map(|secret| run_of(*secret))).await?;
    let found = orphans.into_iter().filter_map(|secret| {
        let run_id = run_of(secret)?;
        let age_seconds = *ended.get(&run_id)?;
        let namespace = secret.namespace().unwrap_or_default();
        Some(SecretFinding {
            namespace,
            name: secret.name_any(),
            run_id: Some(run_id),
            age_seconds,
        })
    });
    Ok(Some(found.collect()))
}

fn judge_namespace(view: &NamespaceView, now: DateTime<Utc>, report: &mut HygieneReport) {
    let (expires_at, _) = expiry(view);
    if view.kept() {
        report.kept.push(Kept {
            namespace: view.name.clone(),
            run_id: view.run_id(),
            expires_at,
        });
    } else if now - expires_at > NAMESPACE_GRACE {
        report.findings.push(Finding {
            kind: "namespace",
            namespace: view.name.clone(),
            object: view.name.clone(),
            age_seconds: (now - expires_at).num_seconds(),
            run_id: view.run_id(),
        });
    }
}

async fn ended_runs(
    conn: &mut PgConnection,
    runs: impl Iterator<Item = Uuid>,
) -> sqlx::Result<HashMap<Uuid, i64>> {
    let mut ids: Vec<Uuid> = runs.collect();
    ids.sort_unstable();
    ids.dedup();
    let ended = runs::terminal_among(conn, &ids).await?;
    Ok(ended
        .into_iter()
        .map(|run| (run.id, run.age_seconds))
        .collect())
}

fn run_of(object: &impl kube::ResourceExt) -> Option<Uuid> {
    object.labels().get(keys::RUN_ID)?.parse().ok()
}

fn still_works(pod: &Pod) -> bool {
    matches!(observe(None, &[pod]), RunObservation::Active { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(minutes_past: i64, kept: bool) -> (NamespaceView, DateTime<Utc>) {
        let now = DateTime::from_timestamp(1_795_000_000, 0).expect("time");
        let expires = now - TimeDelta::minutes(minutes_past);
        let mut annotations = std::collections::BTreeMap::from([(
            keys::LEASE_EXPIRES_AT.to_owned(),
            domain::namespaces::rfc3339(expires),
        )]);
        if kept {
            annotations.insert(keys::NAMESPACE_KEEP.to_owned(), keys::KEEP_DEBUG.to_owned());
        }
        let name = "codex-issue-x".to_owned();
        (
            NamespaceView {
                name,
                labels: Default::default(),
                annotations,
                created_at: None,
                terminating: false,
            },
            now,
        )
    }

    fn judged(minutes_past: i64, kept: bool) -> (usize, usize) {
        let (view, now) = view(minutes_past, kept);
        let mut report = HygieneReport::default();
        judge_namespace(&view, now, &mut report);
        (report.findings.len(), report.kept.len())
    }

    #[test]
    fn a_namespace_leaks_half_an_hour_after_its_lease_unless_it_is_kept() {
        assert_eq!(judged(29, false), (0, 0));
        assert_eq!(judged(31, false), (1, 0));
        assert_eq!(judged(31, true), (0, 1));
    }
}
