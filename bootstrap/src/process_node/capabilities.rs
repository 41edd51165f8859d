//! What this node does not honour, and what it refuses.

use k8s_openapi::api::core::v1::{Container, Pod, Volume};

/// Parts of a Pod that are accepted without effect, named in the Node's annotation.
pub(super) const NOT_HONOURED: &[&str] = &[
    "image",
    "imagePullPolicy",
    "securityContext",
    "resources",
    "network isolation and port mapping",
    "read-only root file system",
    "refresh of mounted Secrets, ConfigMaps and tokens after the start",
];

/// The first thing in a Pod that this node cannot do, if any.
pub(super) fn unsupported(pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    for volume in spec.volumes.iter().flatten() {
        if !is_supported_volume(volume) {
            return Some(format!("type of volume \"{}\"", volume.name));
        }
    }
    for container in spec.init_containers.iter().flatten() {
        if container.restart_policy.is_some() {
            return Some(format!(
                "restartPolicy of init container \"{}\"",
                container.name
            ));
        }
        if let Some(feature) = unsupported_in_container(container) {
            return Some(feature);
        }
    }
    if spec
        .ephemeral_containers
        .as_ref()
        .is_some_and(|list| !list.is_empty())
    {
        return Some("ephemeral containers".to_owned());
    }
    spec.containers.iter().find_map(unsupported_in_container)
}

fn is_supported_volume(volume: &Volume) -> bool {
    volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.empty_dir.is_some()
        || volume.host_path.is_some()
        || volume.persistent_volume_claim.is_some()
        || volume.downward_api.is_some()
        || volume.projected.as_ref().is_some_and(|projected| {
            projected.sources.iter().flatten().all(|source| {
                source.cluster_trust_bundle.is_none() && source.pod_certificate.is_none()
            })
        })
}

fn unsupported_in_container(container: &Container) -> Option<String> {
    let name = &container.name;
    let features = [
        ("livenessProbe", container.liveness_probe.is_some()),
        ("readinessProbe", container.readiness_probe.is_some()),
        ("startupProbe", container.startup_probe.is_some()),
        ("lifecycle", container.lifecycle.is_some()),
        ("stdin", container.stdin.unwrap_or(false)),
        ("tty", container.tty.unwrap_or(false)),
        (
            "volumeDevices",
            container
                .volume_devices
                .as_ref()
                .is_some_and(|list| !list.is_empty()),
        ),
        (
            "the image entry point",
            container.command.as_ref().is_none_or(Vec::is_empty)
                && container.args.as_ref().is_none_or(Vec::is_empty),
        ),
    ];
    if let Some((feature, _)) = features.iter().find(|(_, present)| *present) {
        return Some(format!("{feature} of container \"{name}\""));
    }
    container
        .volume_mounts
        .iter()
        .flatten()
        .find(|mount| mount.sub_path_expr.is_some())
        .map(|mount| {
            format!(
                "subPathExpr of mount \"{}\" in container \"{name}\"",
                mount.name
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(spec: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).expect("a pod")
    }

    #[test]
    fn an_ordinary_job_pod_is_accepted() {
        let pod = pod(json!({
            "containers": [{"name": "run", "command": ["true"], "image": "x", "securityContext": {"runAsUser": 1000}}],
            "volumes": [{"name": "w", "emptyDir": {}}, {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}],
        }));
        assert_eq!(unsupported(&pod), None);
    }

    #[test]
    fn the_unknown_is_named() {
        let nfs = pod(
            json!({"containers": [{"name": "run", "command": ["true"]}], "volumes": [{"name": "n", "nfs": {"server": "s", "path": "/"}}]}),
        );
        assert_eq!(unsupported(&nfs).as_deref(), Some("type of volume \"n\""));
        let probe =
            pod(json!({"containers": [{"name": "run", "command": ["true"], "livenessProbe": {}}]}));
        assert_eq!(
            unsupported(&probe).as_deref(),
            Some("livenessProbe of container \"run\"")
        );
        let image_only = pod(json!({"containers": [{"name": "run"}]}));
        assert_eq!(
            unsupported(&image_only).as_deref(),
            Some("the image entry point of container \"run\"")
        );
    }
}
