//! What RBAC cannot say of an agent's workloads: no Secret in them, and no other account (R-39, G-115).
//!
//! A right to write Pods is a right to read every Secret of the namespace through one, unless admission refuses it.

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::Client;
use serde_json::{Value, json};

use super::cluster::{INSTANCE, create};
use super::spec::LaneSpec;
use crate::error::Result;

/// Name of policy and binding before the instance's suffix.
const POLICY: &str = "codex-k8s-run-identities";
/// The label that run namespaces bear (R-34).
const PURPOSE: &str = "codex-k8s.dev/namespace-purpose";

/// Accounts that agents work under in a run namespace (G-109 to G-111).
const RUN_IDENTITIES: [&str; 3] = ["codex-runner", "codex-runner-readonly", "codex-runner-qa"];

/// Whoever the request is of, in the namespace that it is about.
const IS_RUN_IDENTITY: &str = "NAMES.exists(name, request.userInfo.username == 'system:serviceaccount:' + request.namespace + ':' + name)";

/// Where each kind keeps what its Pods will be.
const POD_SPEC: &str = "object.kind == 'Pod' ? object.spec : \
    object.kind == 'CronJob' ? object.spec.jobTemplate.spec.template.spec : object.spec.template.spec";

const CONTAINERS: &str = "variables.pod.containers \
    + (has(variables.pod.initContainers) ? variables.pod.initContainers : []) \
    + (has(variables.pod.ephemeralContainers) ? variables.pod.ephemeralContainers : [])";

const NO_SECRET_IN_ENVIRONMENT: &str = "variables.containers.all(container, \
    (!has(container.env) || container.env.all(variable, \
        !has(variable.valueFrom) || !has(variable.valueFrom.secretKeyRef))) \
    && (!has(container.envFrom) || container.envFrom.all(source, !has(source.secretRef))))";

/// Named are the kinds that cannot hold a Secret: many of the others can, and the disk of the node holds those of all.
const NO_SECRET_IN_VOLUMES: &str = "!has(variables.pod.volumes) || variables.pod.volumes.all(volume, \
    has(volume.configMap) || has(volume.emptyDir) || has(volume.downwardAPI) \
    || has(volume.persistentVolumeClaim) || has(volume.ephemeral) \
    || (has(volume.projected) && (!has(volume.projected.sources) \
        || volume.projected.sources.all(source, !has(source.secret)))))";

/// The default account holds no right, so that a Pod which names none gains nothing by it.
const NO_OTHER_ACCOUNT: &str = "!has(variables.pod.serviceAccountName) \
    || variables.pod.serviceAccountName in ['', 'default'] \
    || request.userInfo.username \
        == 'system:serviceaccount:' + request.namespace + ':' + variables.pod.serviceAccountName";

/// Makes policy and binding of one instance.
pub(super) async fn prepare(client: &Client, spec: &LaneSpec) -> Result<()> {
    let name = spec.suffixed(POLICY);
    let metadata = json!({"name": name, "labels": {INSTANCE: spec.instance}});
    create::<ValidatingAdmissionPolicy>(client, policy(&metadata)).await?;
    let binding = json!({
        "metadata": metadata,
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {
                PURPOSE: "run", INSTANCE: spec.instance,
            }}},
        },
    });
    create::<ValidatingAdmissionPolicyBinding>(client, binding).await
}

fn policy(metadata: &Value) -> Value {
    let written = |group: &str, resources: &[&str]| {
        json!({
            "apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
            "resources": resources,
        })
    };
    let refused = |expression: &str, message: &str| json!({"expression": expression, "message": message, "reason": "Forbidden"});
    json!({
        "metadata": metadata,
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [
                written("", &["pods", "replicationcontrollers"]),
                written("apps", &["deployments", "daemonsets", "replicasets", "statefulsets"]),
                written("batch", &["jobs", "cronjobs"]),
            ]},
            "matchConditions": [{
                "name": "of-a-run-identity",
                "expression": IS_RUN_IDENTITY.replace("NAMES", &json!(RUN_IDENTITIES).to_string()),
            }],
            "variables": [
                {"name": "pod", "expression": POD_SPEC},
                {"name": "containers", "expression": CONTAINERS},
            ],
            "validations": [
                refused(NO_SECRET_IN_ENVIRONMENT, "an agent's workload takes no Secret into its environment (R-39)"),
                refused(NO_SECRET_IN_VOLUMES, "an agent's workload mounts nothing that can hold a Secret (R-39)"),
                refused(NO_OTHER_ACCOUNT, "an agent's workload uses no other account than the agent's (R-39)"),
            ],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_workload_that_an_agent_may_write_is_judged() {
        let policy = policy(&json!({}));
        let rules = policy["spec"]["matchConstraints"]["resourceRules"]
            .as_array()
            .expect("rules")
            .iter()
            .flat_map(|rule| rule["resources"].as_array().expect("resources").clone())
            .filter_map(|resource| resource.as_str().map(str::to_owned))
            .collect::<Vec<_>>();
        // What G-109 lets `codex-runner` write: Pods, replication controllers, and all of the groups apps and batch.
        for kind in [
            "pods",
            "replicationcontrollers",
            "deployments",
            "daemonsets",
            "replicasets",
            "statefulsets",
            "jobs",
            "cronjobs",
        ] {
            assert!(rules.iter().any(|rule| rule == kind), "{kind}");
        }
        let condition = policy["spec"]["matchConditions"][0]["expression"]
            .as_str()
            .expect("expression");
        assert!(
            condition.starts_with(
                r#"["codex-runner","codex-runner-readonly","codex-runner-qa"].exists("#
            )
        );
    }
}
