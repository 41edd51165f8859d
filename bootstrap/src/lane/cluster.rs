//! What a lane needs in Kubernetes: its namespaces, the rights of control-plane and worker, and the policy of admission.
//!
//! Kubernetes lets an account hand out only rights that it holds, so the worker holds those of
//! every agent account (G-109 to G-112). It holds none on Secrets (G-113), and no `escalate`.

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::Client;
use kube::api::{Api, PostParams};
use kube::runtime::wait::await_condition;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::admission;
use super::spec::{LaneSpec, Processes};
use crate::error::{Error, Result};

pub(super) const CONTROL_PLANE: &str = "codex-k8s-control-plane";
pub(super) const WORKER: &str = "codex-k8s-worker";
/// The label that tells instances apart.
pub(super) const INSTANCE: &str = "codex-k8s.dev/instance";

/// Names of the namespaces a lane starts with.
pub(super) struct Namespaces {
    pub(super) platform: String,
    pub(super) code_runs: String,
}

pub(super) async fn prepare(client: &Client, spec: &LaneSpec) -> Result<Namespaces> {
    let namespaces = Namespaces {
        platform: spec.suffixed("codex-k8s-ai-staging"),
        code_runs: spec.suffixed("codex-k8s-code-runs"),
    };
    let (control_plane, worker) = (spec.suffixed(CONTROL_PLANE), spec.suffixed(WORKER));
    // One process with all parts has one account.
    let mut decides = control_plane_rules();
    if let (Processes::All, Value::Array(rules), Value::Array(more)) =
        (spec.processes, &mut decides, worker_rules())
    {
        rules.extend(more);
    }
    tokio::try_join!(
        namespace(client, spec, &namespaces.platform),
        namespace(client, spec, &namespaces.code_runs),
        rights(client, spec, &control_plane, decides),
        rights(client, spec, &worker, worker_rules()),
        admission::prepare(client, spec),
    )?;
    Ok(namespaces)
}

async fn namespace(client: &Client, spec: &LaneSpec, name: &str) -> Result<()> {
    create::<Namespace>(
        client,
        json!({"metadata": {"name": name, "labels": {INSTANCE: spec.instance}}}),
    )
    .await?;
    // Pods are refused before the namespace's account exists.
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), name);
    await_condition(accounts, "default", |account: Option<&ServiceAccount>| {
        account.is_some()
    })
    .await
    .map_err(|error| Error::NotReady {
        what: format!("the default service account of {name}"),
        seconds: 0,
        last_seen: error.to_string(),
    })?;
    Ok(())
}

async fn rights(client: &Client, spec: &LaneSpec, user: &str, rules: Value) -> Result<()> {
    let metadata = json!({"name": user, "labels": {INSTANCE: spec.instance}});
    create::<ClusterRole>(client, json!({"metadata": metadata, "rules": rules})).await?;
    let binding = json!({
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": user},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    });
    create::<ClusterRoleBinding>(client, binding).await
}

pub(super) async fn create<K>(client: &Client, object: Value) -> Result<()>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Serialize,
{
    let object: K = serde_json::from_value(object)?;
    let api: Api<K> = Api::all(client.clone());
    match api.create(&PostParams::default(), &object).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        result => result
            .map(|_| ())
            .map_err(Error::kubernetes(format!("create a {}", K::kind(&())))),
    }
}

/// Roles of the agents in a run namespace (runtime 2.1), and of a repair in LIVE_NS (G-112).
const AGENT_ROLES: [&str; 4] = [
    "codex-runner",
    "codex-runner-readonly",
    "codex-runner-qa",
    "codex-runner-repair",
];

/// The worker: run namespaces with everything in them but Secrets.
pub(super) fn worker_rules() -> Value {
    const MANAGE: [&str; 7] = [
        "get", "list", "watch", "create", "update", "patch", "delete",
    ];
    json!([
        {"apiGroups": [""], "resources": ["namespaces", "serviceaccounts", "resourcequotas", "limitranges"], "verbs": MANAGE},
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": MANAGE},
        // A binding is checked against a cache of roles that does not know a role of the same moment yet. The worker
        // holds what these roles hold, so the right to bind them gives it nothing more.
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["bind"], "resourceNames": AGENT_ROLES},
        {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": MANAGE},
        {"apiGroups": [""], "resources": [
            "configmaps", "endpoints", "events", "persistentvolumeclaims", "pods", "pods/attach", "pods/exec", "pods/log",
            "pods/portforward", "replicationcontrollers", "services", "services/proxy",
        ], "verbs": ["*"]},
        {"apiGroups": ["apps", "batch", "autoscaling", "policy"], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"], "verbs": ["*"]},
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["get", "list", "watch"]},
    ])
}

/// The control-plane: the only account that writes Secrets; it also applies the stacks of projects, which are of these
/// kinds only, and removes what a closed Issue leaves.
pub(super) fn control_plane_rules() -> Value {
    const DEPLOY: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];
    json!([
        {"apiGroups": [""], "resources": ["configmaps", "persistentvolumeclaims", "services"], "verbs": DEPLOY},
        {"apiGroups": ["apps"], "resources": ["daemonsets", "deployments", "statefulsets"], "verbs": DEPLOY},
        {"apiGroups": ["batch"], "resources": ["cronjobs", "jobs"], "verbs": DEPLOY},
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"], "verbs": DEPLOY},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"]},
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch", "patch", "delete"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "delete"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["get", "list"]},
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers_secrets(rules: &Value) -> bool {
        rules.as_array().expect("rules").iter().any(|rule| {
            let has = |field: &str, wanted: &[&str]| {
                rule[field].as_array().is_some_and(|values| {
                    values
                        .iter()
                        .any(|value| value.as_str().is_some_and(|value| wanted.contains(&value)))
                })
            };
            has("apiGroups", &["", "*"]) && has("resources", &["secrets", "*"])
        })
    }

    #[test]
    fn only_the_control_plane_has_a_verb_on_secrets() {
        assert!(!covers_secrets(&worker_rules()));
        assert!(covers_secrets(&control_plane_rules()));
    }

    #[test]
    fn nobody_may_escalate_or_impersonate_and_only_agent_roles_are_bound() {
        for rules in [worker_rules(), control_plane_rules()] {
            let text = rules.to_string();
            for verb in ["escalate", "impersonate"] {
                assert!(!text.contains(verb));
            }
            for rule in rules.as_array().expect("rules") {
                if rule["verbs"].to_string().contains("\"bind\"") {
                    assert_eq!(rule["resourceNames"], json!(AGENT_ROLES));
                }
            }
        }
    }
}
