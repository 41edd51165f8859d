//! The namespace of a run: labels, lease annotations, and reading both back.

use super::names::{InstanceNames, keys};
use chrono::{DateTime, Utc};
use domain::ids::NamespaceName;
use domain::namespaces::{self, Lease, NamespaceMetadata};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Builds the namespace of a run from the labels and annotations that the domain gives.
pub fn build_namespace(
    metadata: &NamespaceMetadata<'_>,
    name: &NamespaceName,
    lease: &Lease,
    now: DateTime<Utc>,
) -> Namespace {
    Namespace {
        metadata: ObjectMeta {
            name: Some(name.to_string()),
            labels: Some(namespaces::namespace_labels(metadata)),
            annotations: Some(namespaces::namespace_annotations(metadata, lease, now)),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    }
}

/// The three annotations of a renewed lease, as a merge patch.
pub fn lease_patch(lease: &Lease, now: DateTime<Utc>) -> serde_json::Value {
    serde_json::json!({
        keys::LEASE_TTL: lease.ttl_text(),
        keys::LEASE_EXPIRES_AT: namespaces::rfc3339(lease.expires_at),
        keys::LEASE_UPDATED_AT: namespaces::rfc3339(now),
    })
}

/// The namespace that all `code-only` Jobs of an instance share. It has no lease and is never swept.
pub fn build_code_only_namespace(name: &str, names: &InstanceNames) -> Namespace {
    Namespace {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(BTreeMap::from([
                (
                    keys::MANAGED_BY.to_owned(),
                    keys::MANAGED_BY_WORKER.to_owned(),
                ),
                (
                    keys::NAMESPACE_PURPOSE.to_owned(),
                    keys::PURPOSE_CODE_ONLY.to_owned(),
                ),
                (keys::INSTANCE.to_owned(), names.instance().to_owned()),
            ])),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    }
}

/// A namespace as the sweep and the reuse lookup read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceView {
    /// Name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// When it was made, by the cluster's clock.
    pub created_at: Option<DateTime<Utc>>,
    /// Deletion was asked for.
    pub terminating: bool,
}

impl NamespaceView {
    /// Reads what the rules need.
    pub fn from_namespace(namespace: &Namespace) -> Self {
        let metadata = &namespace.metadata;
        Self {
            name: metadata.name.clone().unwrap_or_default(),
            labels: metadata.labels.clone().unwrap_or_default(),
            annotations: metadata.annotations.clone().unwrap_or_default(),
            created_at: metadata
                .creation_timestamp
                .as_ref()
                .and_then(|time| DateTime::from_timestamp(time.0.as_second(), 0)),
            terminating: metadata.deletion_timestamp.is_some(),
        }
    }

    /// The run that prepared it last.
    pub fn run_id(&self) -> Option<Uuid> {
        self.labels.get(keys::RUN_ID)?.parse().ok()
    }

    /// End of the lease by its annotation.
    pub fn lease_expires_at(&self) -> Option<DateTime<Utc>> {
        let text = self.annotations.get(keys::LEASE_EXPIRES_AT)?;
        DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|time| time.with_timezone(&Utc))
    }

    /// Length of the lease by its annotation.
    pub fn lease_ttl(&self) -> Option<String> {
        self.annotations.get(keys::LEASE_TTL).cloned()
    }

    /// Held by `run:debug`.
    pub fn kept(&self) -> bool {
        self.annotations
            .get(keys::NAMESPACE_KEEP)
            .is_some_and(|value| value == keys::KEEP_DEBUG)
    }

    /// Whether the platform manages it for `instance`.
    pub fn is_managed_by(&self, instance: &str) -> bool {
        let has = |key: &str, value: &str| self.labels.get(key).is_some_and(|found| found == value);
        has(keys::INSTANCE, instance)
            && has(keys::MANAGED_BY, keys::MANAGED_BY_WORKER)
            && has(keys::NAMESPACE_PURPOSE, keys::PURPOSE_RUN)
            && self.labels.contains_key(keys::RUNTIME_MODE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::{CorrelationId, ProjectId, RunId};
    use domain::stages::RuntimeMode;

    fn wanted() -> Namespace {
        let now = DateTime::from_timestamp(1_795_000_000, 0).expect("time");
        let run_id = RunId(Uuid::from_u128(0x0191_e0a2_77c4_7d10_9a51_0242_ac12_0002));
        let correlation_id = CorrelationId::new("delivery-1");
        let metadata = NamespaceMetadata {
            instance: "lane-a",
            runtime_mode: RuntimeMode::FullEnv,
            project_id: ProjectId(Uuid::from_u128(7)),
            run_id,
            issue_number: Some(12),
            agent_key: Some("dev"),
            correlation_id: &correlation_id,
        };
        let name = "codex-issue-x".parse().expect("a DNS label");
        build_namespace(&metadata, &name, &Lease::starting(now, 86_400), now)
    }

    #[test]
    fn what_was_written_is_read_back() {
        let view = NamespaceView::from_namespace(&wanted());
        assert_eq!(view.name, "codex-issue-x");
        assert_eq!(
            view.run_id(),
            Some(Uuid::from_u128(0x0191_e0a2_77c4_7d10_9a51_0242_ac12_0002))
        );
        assert_eq!(
            view.lease_expires_at(),
            DateTime::from_timestamp(1_795_086_400, 0)
        );
        assert_eq!(view.lease_ttl().as_deref(), Some("24h"));
        assert!(view.is_managed_by("lane-a"));
        assert!(!view.is_managed_by("lane-b"));
        assert!(!view.kept());
    }

    #[test]
    fn code_only_namespace_is_no_run_namespace() {
        let namespace =
            build_code_only_namespace("codex-k8s-code-runs-lane-b", &InstanceNames::new("lane-b"));
        assert_eq!(
            namespace.metadata.name.as_deref(),
            Some("codex-k8s-code-runs-lane-b")
        );
        assert!(!NamespaceView::from_namespace(&namespace).is_managed_by("lane-b"));
    }
}
