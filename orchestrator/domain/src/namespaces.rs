//! Names, labels, annotations and leases of namespaces (runtime 2.1, 2.2), as data.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use crate::ids::{CorrelationId, InvalidNamespaceName, NamespaceName, ProjectId, RunId};
use crate::policy::{DEFAULT_INSTANCE, DEFAULT_NAMESPACE_TTL_SECONDS, Policy};
use crate::snapshot::{Binding, WebhookRuntime};
use crate::stages::{Role, RuntimeMode, TargetEnv};

/// Prefix of every label and annotation key of the platform.
pub const KEY_PREFIX: &str = "codex-k8s.dev/";

/// Value of `managed-by` on objects that the worker makes.
pub const MANAGED_BY: &str = "codex-k8s-worker";

/// Namespace shared by code-only runs of the instance `main`.
pub const CODE_RUNS_NAMESPACE: &str = "codex-k8s-code-runs";

/// A key with the platform's prefix.
pub fn key(name: &str) -> String {
    format!("{KEY_PREFIX}{name}")
}

/// Name of a run namespace.
pub fn run_namespace(
    project_id: ProjectId,
    issue_number: Option<i64>,
    run_id: RunId,
) -> NamespaceName {
    let text = match issue_number.filter(|number| *number > 0) {
        Some(number) => format!(
            "codex-issue-{}-i{number}-r{}",
            project_id.short(),
            run_id.short()
        ),
        None => format!("codex-issue-run-{}", run_id.short()),
    };
    text.parse().expect(
        "hexadecimal digits and a number of at most 19 digits make a DNS label of at most 63",
    )
}

/// A default name as this instance bears it.
pub fn with_instance(name: &str, instance: &str) -> Result<NamespaceName, InvalidNamespaceName> {
    if instance == DEFAULT_INSTANCE {
        name.parse()
    } else {
        format!("{name}-{instance}").parse()
    }
}

/// Namespace of code-only runs.
pub fn code_runs_namespace(instance: &str) -> Result<NamespaceName, InvalidNamespaceName> {
    with_instance(CODE_RUNS_NAMESPACE, instance)
}

/// LIVE_NS of a repository: the platform namespace for the platform repository, else its own environment
/// namespace. None when the project's slug makes no valid name.
pub fn live_namespace(binding: &Binding, policy: &Policy) -> Option<NamespaceName> {
    if binding.is_platform {
        return Some(policy.platform_namespace.clone());
    }
    let name = match policy.live_env {
        TargetEnv::Production => format!("{}-prod", binding.project_slug),
        TargetEnv::Staging | TargetEnv::Ai => format!("{}-ai-staging", binding.project_slug),
    };
    with_instance(&name, &policy.instance).ok()
}

/// The environment namespaces of a project by environment: what a project owns besides its runs' namespaces.
pub fn project_namespaces(project_slug: &str, instance: &str) -> Vec<(String, String)> {
    ["prod", "ai-staging"]
        .into_iter()
        .filter_map(|environment| {
            let name = with_instance(&format!("{project_slug}-{environment}"), instance).ok()?;
            Some((environment.to_owned(), name.to_string()))
        })
        .collect()
}

/// What a run namespace says about its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceMetadata<'a> {
    /// Instance.
    pub instance: &'a str,
    /// Mode of the latest run.
    pub runtime_mode: RuntimeMode,
    /// Project.
    pub project_id: ProjectId,
    /// Latest run.
    pub run_id: RunId,
    /// Issue, if any.
    pub issue_number: Option<i64>,
    /// Agent of the latest run, if known.
    pub agent_key: Option<&'a str>,
    /// Correlation id of the latest run.
    pub correlation_id: &'a CorrelationId,
}

/// Labels of a run namespace.
pub fn namespace_labels(metadata: &NamespaceMetadata<'_>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([
        (key("managed-by"), MANAGED_BY.to_owned()),
        (key("namespace-purpose"), "run".to_owned()),
        (key("runtime-mode"), metadata.runtime_mode.to_string()),
        (key("project-id"), metadata.project_id.to_string()),
        (key("run-id"), metadata.run_id.to_string()),
        (key("network-zone"), "project".to_owned()),
        (key("instance"), metadata.instance.to_owned()),
    ]);
    if let Some(number) = metadata.issue_number.filter(|number| *number > 0) {
        labels.insert(key("issue-number"), number.to_string());
    }
    if let Some(agent) = metadata.agent_key {
        labels.insert(key("agent-key"), agent.to_owned());
    }
    labels
}

/// Annotations of a run namespace, lease included.
pub fn namespace_annotations(
    metadata: &NamespaceMetadata<'_>,
    lease: &Lease,
    now: DateTime<Utc>,
) -> BTreeMap<String, String> {
    BTreeMap::from([
        (key("correlation-id"), metadata.correlation_id.to_string()),
        (key("namespace-lease-ttl"), lease.ttl_text()),
        (key("namespace-lease-expires-at"), rfc3339(lease.expires_at)),
        (key("namespace-lease-updated-at"), rfc3339(now)),
    ])
}

/// RFC 3339 in UTC with whole seconds, as annotations bear it.
pub fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A namespace lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// TTL in seconds.
    pub ttl_seconds: i64,
    /// When the namespace may go.
    pub expires_at: DateTime<Utc>,
}

impl Lease {
    /// A lease that begins now.
    pub fn starting(now: DateTime<Utc>, ttl_seconds: i64) -> Self {
        Self {
            ttl_seconds,
            expires_at: now + TimeDelta::seconds(ttl_seconds),
        }
    }

    /// The TTL as people write it: `24h`, `90m`, `45s`.
    pub fn ttl_text(&self) -> String {
        format_seconds(self.ttl_seconds)
    }
}

/// Seconds in the largest unit that needs no fraction.
pub fn format_seconds(seconds: i64) -> String {
    match seconds {
        whole if whole % 3600 == 0 => format!("{}h", whole / 3600),
        whole if whole % 60 == 0 => format!("{}m", whole / 60),
        _ => format!("{seconds}s"),
    }
}

/// What a project's services.yaml says of the TTL of a role's namespace, in seconds. A decision keeps it with the
/// run, so that the lease does not depend on what becomes of the file meanwhile.
pub fn project_namespace_ttl(agent_key: &str, runtime: &WebhookRuntime) -> Option<i64> {
    first_positive([
        runtime.namespace_ttl_by_role.get(agent_key).copied(),
        runtime.default_namespace_ttl,
    ])
}

/// TTL of a role's namespace in seconds, in the order of R-44: the project's word before the platform's.
pub fn namespace_ttl_seconds(project: Option<i64>, agent_key: &str, policy: &Policy) -> i64 {
    let role = Role::from_text(agent_key);
    first_positive([
        project,
        role.and_then(|role| policy.namespace_ttl_by_role.get(&role).copied()),
        policy.default_namespace_ttl,
    ])
    .unwrap_or(DEFAULT_NAMESPACE_TTL_SECONDS)
}

/// Only positive durations are valid.
fn first_positive<const N: usize>(candidates: [Option<i64>; N]) -> Option<i64> {
    candidates
        .into_iter()
        .flatten()
        .find(|seconds| *seconds > 0)
}
