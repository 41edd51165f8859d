//! Which objects a stack may bring into a run namespace.
//!
//! A manifest stands on a branch that an agent may write, and is applied by an account that may do more than the agent.
//! What an agent may not do itself, a manifest may therefore not do for it.

use serde_json::Value;

use crate::namespaces::KEY_PREFIX;
use crate::stages::spelled;

spelled!(
    /// The kinds that a stack is made of: namespaced ones that guard nothing.
    ManifestKind {
        /// Data.
        ConfigMap = "ConfigMap",
        /// Work on a schedule.
        CronJob = "CronJob",
        /// One Pod on every node.
        DaemonSet = "DaemonSet",
        /// Pods that are alike.
        Deployment = "Deployment",
        /// A way in from outside.
        Ingress = "Ingress",
        /// Work that ends.
        Job = "Job",
        /// Disk space.
        PersistentVolumeClaim = "PersistentVolumeClaim",
        /// A name in the cluster.
        Service = "Service",
        /// Pods with a disk each.
        StatefulSet = "StatefulSet",
    }
);

impl ManifestKind {
    /// API group, empty for the core, and the name in addresses.
    pub fn resource(self) -> (&'static str, &'static str) {
        match self {
            Self::ConfigMap => ("", "configmaps"),
            Self::CronJob => ("batch", "cronjobs"),
            Self::DaemonSet => ("apps", "daemonsets"),
            Self::Deployment => ("apps", "deployments"),
            Self::Ingress => ("networking.k8s.io", "ingresses"),
            Self::Job => ("batch", "jobs"),
            Self::PersistentVolumeClaim => ("", "persistentvolumeclaims"),
            Self::Service => ("", "services"),
            Self::StatefulSet => ("apps", "statefulsets"),
        }
    }

    /// All of them are served in their first stable version.
    pub fn api_version(self) -> String {
        match self.resource().0 {
            "" => "v1".to_owned(),
            group => format!("{group}/v1"),
        }
    }

    fn pod_template(self) -> Option<&'static str> {
        match self {
            Self::CronJob => Some("/spec/jobTemplate/spec/template"),
            Self::DaemonSet | Self::Deployment | Self::Job | Self::StatefulSet => {
                Some("/spec/template")
            }
            Self::ConfigMap | Self::Ingress | Self::PersistentVolumeClaim | Self::Service => None,
        }
    }
}

/// An object that may be applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Its kind.
    pub kind: ManifestKind,
    /// Its name.
    pub name: String,
    /// As written, rendered.
    pub object: Value,
}

/// Why an object is not applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestRefusal {
    /// Cluster-scoped, or a guard of the namespace, or unknown.
    #[error(
        "{api_version} {kind} is none of the kinds that a stack may bring: {}",
        kinds()
    )]
    Kind {
        /// As written.
        api_version: String,
        /// As written.
        kind: String,
    },
    /// No name.
    #[error("{0} has no metadata.name")]
    Nameless(ManifestKind),
    /// Meant for elsewhere.
    #[error("{object} is meant for namespace {namespace:?}")]
    Namespace {
        /// Kind and name.
        object: String,
        /// The other namespace.
        namespace: String,
    },
    /// Reaches for what an agent may not have.
    #[error("{object} may not have {what}")]
    Forbidden {
        /// Kind and name.
        object: String,
        /// What it asks for, as a path with its reason.
        what: String,
    },
}

fn kinds() -> String {
    let names: Vec<&str> = ManifestKind::ALL.iter().map(|kind| kind.as_str()).collect();
    names.join(", ")
}

/// Volumes that cannot hold a Secret; the disk of the node holds those of all.
const VOLUME_KINDS: [&str; 6] = [
    "configMap",
    "emptyDir",
    "downwardAPI",
    "persistentVolumeClaim",
    "ephemeral",
    "projected",
];
/// Ways out of a Pod onto its node.
const NODE_FLAGS: [&str; 3] = ["hostNetwork", "hostPID", "hostIPC"];

/// Takes an object for a namespace, or says why not.
///
/// # Errors
/// When the object is of another kind or for another namespace, or its Pods would reach for Secrets, for another account
/// or for the node.
pub fn check(object: Value, namespace: &str) -> Result<Manifest, ManifestRefusal> {
    let field = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (api_version, kind_text) = (field("/apiVersion"), field("/kind"));
    let kind = ManifestKind::from_text(&kind_text)
        .filter(|kind| kind.api_version() == api_version)
        .ok_or(ManifestRefusal::Kind {
            api_version,
            kind: kind_text,
        })?;
    let name = field("/metadata/name");
    if name.is_empty() {
        return Err(ManifestRefusal::Nameless(kind));
    }
    let described = format!("{kind} {name}");
    let elsewhere = field("/metadata/namespace");
    if !elsewhere.is_empty() && elsewhere != namespace {
        return Err(ManifestRefusal::Namespace {
            object: described,
            namespace: elsewhere,
        });
    }
    let template = kind
        .pod_template()
        .and_then(|pointer| object.pointer(pointer));
    let forbidden = [Some(&object), template]
        .into_iter()
        .flatten()
        .find_map(forbidden_label)
        .or_else(|| template.and_then(|template| forbidden_in_pod(&template["spec"])));
    if let Some(what) = forbidden {
        return Err(ManifestRefusal::Forbidden {
            object: described,
            what,
        });
    }
    Ok(Manifest { kind, name, object })
}

/// The platform knows its own Jobs, Pods and namespaces by such labels.
fn forbidden_label(object: &Value) -> Option<String> {
    object["metadata"]["labels"]
        .as_object()
        .into_iter()
        .flatten()
        .find(|(key, _)| key.starts_with(KEY_PREFIX))
        .map(|(key, _)| format!("the label {key}: it is the platform's own"))
}

fn forbidden_in_pod(pod: &Value) -> Option<String> {
    if let Some(flag) = NODE_FLAGS.iter().find(|flag| pod[**flag] == true) {
        return Some(format!("{flag}: it leads onto the node"));
    }
    for field in ["serviceAccountName", "serviceAccount"] {
        let account = pod[field].as_str().unwrap_or_default();
        if !matches!(account, "" | "default") {
            return Some(format!(
                "{field} {account:?}: only the account without rights"
            ));
        }
    }
    if list(&pod["imagePullSecrets"]).next().is_some() {
        return Some("imagePullSecrets: Secrets are not deployed".to_owned());
    }
    list(&pod["volumes"])
        .find_map(forbidden_volume)
        .or_else(|| {
            ["initContainers", "containers"]
                .into_iter()
                .flat_map(|field| list(&pod[field]))
                .find_map(forbidden_in_container)
        })
}

fn forbidden_volume(volume: &Value) -> Option<String> {
    let name = volume["name"].as_str().unwrap_or("-");
    let sources: Vec<&String> = volume
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key)
        .filter(|key| *key != "name")
        .collect();
    if let Some(other) = sources
        .iter()
        .find(|source| !VOLUME_KINDS.contains(&source.as_str()))
    {
        return Some(format!("volume {name:?} of kind {other}"));
    }
    list(&volume["projected"]["sources"])
        .any(|source| source.get("secret").is_some())
        .then(|| format!("volume {name:?} with a Secret"))
}

fn forbidden_in_container(container: &Value) -> Option<String> {
    let name = container["name"].as_str().unwrap_or("-");
    let context = &container["securityContext"];
    if context["privileged"] == true || list(&context["capabilities"]["add"]).next().is_some() {
        return Some(format!("container {name:?} with privileges on the node"));
    }
    let secret = list(&container["env"])
        .any(|variable| variable["valueFrom"].get("secretKeyRef").is_some())
        || list(&container["envFrom"]).any(|source| source.get("secretRef").is_some());
    secret.then(|| format!("container {name:?} with a Secret in its environment"))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn deployment(pod: Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop"},
               "spec": {"template": {"spec": pod}}})
    }

    #[test]
    fn a_plain_workload_is_taken() {
        let pod = json!({
            "serviceAccountName": "default",
            "volumes": [{"name": "a", "configMap": {}}, {"name": "b", "projected": {"sources": [{"configMap": {}}]}}],
            "containers": [{"name": "shop", "env": [{"name": "A", "value": "1"}], "envFrom": [{"configMapRef": {}}]}],
        });
        let manifest = check(deployment(pod), "n").unwrap();
        assert_eq!(
            (manifest.kind, manifest.name.as_str()),
            (ManifestKind::Deployment, "shop")
        );
        let cron = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c", "namespace": "n"}});
        assert_eq!(check(cron, "n").unwrap().kind, ManifestKind::CronJob);
    }

    #[test]
    fn guards_and_cluster_scoped_kinds_are_refused() {
        for (api_version, kind) in [
            ("rbac.authorization.k8s.io/v1", "ClusterRole"),
            ("rbac.authorization.k8s.io/v1", "RoleBinding"),
            ("v1", "Namespace"),
            ("v1", "Secret"),
            ("v1", "ServiceAccount"),
            ("v1", "ResourceQuota"),
            ("networking.k8s.io/v1", "NetworkPolicy"),
            ("v1", "Pod"),
            ("apps/v1beta1", "Deployment"),
            ("", ""),
        ] {
            let object =
                json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}});
            assert!(
                matches!(check(object, "n"), Err(ManifestRefusal::Kind { .. })),
                "{kind}"
            );
        }
        let elsewhere = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "m"}});
        assert_eq!(
            check(elsewhere, "n").unwrap_err().to_string(),
            "ConfigMap x is meant for namespace \"m\""
        );
        let disguised = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"},
            "spec": {"template": {"metadata": {"labels": {"codex-k8s.dev/run-id": "1"}}}}});
        assert_eq!(
            check(disguised, "n").unwrap_err().to_string(),
            "Job x may not have the label codex-k8s.dev/run-id: it is the platform's own"
        );
        let nameless = json!({"apiVersion": "v1", "kind": "Service"});
        assert_eq!(
            check(nameless, "n"),
            Err(ManifestRefusal::Nameless(ManifestKind::Service))
        );
    }

    #[test]
    fn pods_that_reach_for_secrets_accounts_or_the_node_are_refused() {
        let containers = |container: Value| json!({"containers": [{"name": "ok"}], "initContainers": [container]});
        for (pod, what) in [
            (json!({"hostNetwork": true}), "hostNetwork"),
            (json!({"hostPID": true}), "hostPID"),
            (
                json!({"serviceAccountName": "codex-runner"}),
                "serviceAccountName",
            ),
            (json!({"serviceAccount": "codex-runner"}), "serviceAccount"),
            (
                json!({"imagePullSecrets": [{"name": "s"}]}),
                "imagePullSecrets",
            ),
            (
                json!({"volumes": [{"name": "v", "secret": {}}]}),
                "of kind secret",
            ),
            (
                json!({"volumes": [{"name": "v", "hostPath": {}}]}),
                "of kind hostPath",
            ),
            (
                json!({"volumes": [{"name": "v", "projected": {"sources": [{"secret": {}}]}}]}),
                "with a Secret",
            ),
            (
                containers(json!({"name": "c", "securityContext": {"privileged": true}})),
                "privileges",
            ),
            (
                containers(
                    json!({"name": "c", "securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}),
                ),
                "privileges",
            ),
            (
                containers(json!({"name": "c", "env": [{"valueFrom": {"secretKeyRef": {}}}]})),
                "environment",
            ),
            (
                containers(json!({"name": "c", "envFrom": [{"secretRef": {}}]})),
                "environment",
            ),
        ] {
            let refusal = check(deployment(pod.clone()), "n").unwrap_err().to_string();
            assert!(
                refusal.starts_with("Deployment shop may not have ") && refusal.contains(what),
                "{pod}: {refusal}"
            );
            let cron = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "shop"},
                              "spec": {"jobTemplate": {"spec": {"template": {"spec": pod}}}}});
            assert!(check(cron, "n").is_err());
        }
    }
}
