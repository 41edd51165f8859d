//! Names, label keys and selectors that every object of the platform bears.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;

/// Keys under the platform's label and annotation domain.
pub mod keys {
    /// Who made the object; the value is [`MANAGED_BY_WORKER`].
    pub const MANAGED_BY: &str = "codex-k8s.dev/managed-by";
    /// Value of [`MANAGED_BY`] for everything the worker makes.
    pub const MANAGED_BY_WORKER: &str = "codex-k8s-worker";
    /// Purpose of a namespace; run namespaces bear [`PURPOSE_RUN`].
    pub const NAMESPACE_PURPOSE: &str = "codex-k8s.dev/namespace-purpose";
    /// Value of [`NAMESPACE_PURPOSE`] for the namespace of a run.
    pub const PURPOSE_RUN: &str = "run";
    /// Value of [`NAMESPACE_PURPOSE`] for the namespace that all `code-only` Jobs share.
    pub const PURPOSE_CODE_ONLY: &str = "code-runs";
    /// Mode of the run that prepared a namespace.
    pub const RUNTIME_MODE: &str = "codex-k8s.dev/runtime-mode";
    /// Project of the run.
    pub const PROJECT_ID: &str = "codex-k8s.dev/project-id";
    /// Latest run of a namespace, or the run of a Job, Pod or Secret.
    pub const RUN_ID: &str = "codex-k8s.dev/run-id";
    /// Issue a namespace belongs to.
    pub const ISSUE_NUMBER: &str = "codex-k8s.dev/issue-number";
    /// Agent of the latest run of a namespace.
    pub const AGENT_KEY: &str = "codex-k8s.dev/agent-key";
    /// Zone that network policies select on.
    pub const NETWORK_ZONE: &str = "codex-k8s.dev/network-zone";
    /// Instance of the platform that owns the object.
    pub const INSTANCE: &str = "codex-k8s.dev/instance";
    /// Correlation id of the run.
    pub const CORRELATION_ID: &str = "codex-k8s.dev/correlation-id";
    /// Length of a namespace lease.
    pub const LEASE_TTL: &str = "codex-k8s.dev/namespace-lease-ttl";
    /// End of a namespace lease, RFC 3339.
    pub const LEASE_EXPIRES_AT: &str = "codex-k8s.dev/namespace-lease-expires-at";
    /// Last renewal of a namespace lease, RFC 3339.
    pub const LEASE_UPDATED_AT: &str = "codex-k8s.dev/namespace-lease-updated-at";
    /// Set to [`KEEP_DEBUG`] while `run:debug` holds a namespace.
    pub const NAMESPACE_KEEP: &str = "codex-k8s.dev/namespace-keep";
    /// Value of [`NAMESPACE_KEEP`].
    pub const KEEP_DEBUG: &str = "debug";
    /// Hash of the runtime fingerprint.
    pub const FINGERPRINT_HASH: &str = "codex-k8s.dev/runtime-fingerprint-hash";
    /// The fingerprint's input as JSON.
    pub const FINGERPRINT_JSON: &str = "codex-k8s.dev/runtime-fingerprint-json";
    /// When the fingerprint was stored, RFC 3339.
    pub const FINGERPRINT_UPDATED_AT: &str = "codex-k8s.dev/runtime-fingerprint-updated-at";
    /// Standard application name.
    pub const APP_NAME: &str = "app.kubernetes.io/name";
    /// Value of [`APP_NAME`] of a run's Job and Pod.
    pub const APP_RUN: &str = "codex-k8s-run";
    /// Standard managed-by.
    pub const APP_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
}

/// The instance whose objects this process may touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceNames {
    instance: String,
}

impl InstanceNames {
    /// The instance of this name.
    pub fn new(instance: impl Into<String>) -> Self {
        Self {
            instance: instance.into(),
        }
    }

    /// The instance label's value.
    pub fn instance(&self) -> &str {
        &self.instance
    }
}

/// Selects everything with a run id of `instance`.
pub fn run_selector(instance: &str) -> String {
    format!("{}={instance},{}", keys::INSTANCE, keys::RUN_ID)
}

/// Selects the run namespaces of `instance` (R-56, without the name prefix, which no selector can express).
pub fn managed_namespace_selector(instance: &str) -> String {
    format!(
        "{}={instance},{}={},{}={},{}",
        keys::INSTANCE,
        keys::MANAGED_BY,
        keys::MANAGED_BY_WORKER,
        keys::NAMESPACE_PURPOSE,
        keys::PURPOSE_RUN,
        keys::RUNTIME_MODE
    )
}

/// Whether an object with these labels is the platform's own.
pub fn is_of_platform(labels: &BTreeMap<String, String>) -> bool {
    labels.contains_key(keys::INSTANCE) || labels.contains_key(keys::MANAGED_BY)
}

/// Labels of every object the worker makes inside a namespace.
pub(super) fn common_labels(instance: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (keys::INSTANCE.to_owned(), instance.to_owned()),
        (
            keys::MANAGED_BY.to_owned(),
            keys::MANAGED_BY_WORKER.to_owned(),
        ),
    ])
}

/// Metadata of an object inside a namespace.
pub(super) fn namespaced(name: &str, namespace: &str, instance: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        labels: Some(common_labels(instance)),
        ..ObjectMeta::default()
    }
}
