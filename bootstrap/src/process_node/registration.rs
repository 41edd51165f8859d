//! The Node object and its Lease, kept alive while the process node runs.

use std::net::SocketAddr;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::capabilities::NOT_HONOURED;
use super::error::ProcessNodeError;

const FIELD_MANAGER: &str = "process-node";
const LEASE_NAMESPACE: &str = "kube-node-lease";
/// A kubelet's values: the node counts as lost after 40 s without a renewal.
const LEASE_SECONDS: u32 = 40;
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Processes share one machine, so room for Pods is bounded by this number alone, not by requests of CPU or memory.
const POD_CAPACITY: &str = "500";
const CPU_CAPACITY: &str = "512";
const MEMORY_CAPACITY: &str = "2Ti";

/// Creates or updates the Node and says that it is ready.
pub(super) async fn register(
    client: &kube::Client,
    name: &str,
    address: SocketAddr,
    started: Timestamp,
) -> Result<(), ProcessNodeError> {
    let nodes = Api::<Node>::all(client.clone());
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": architecture(),
            },
            "annotations": {
                "gonogo.dev/node-kind": "process",
                "gonogo.dev/not-honoured": NOT_HONOURED.join(", "),
            },
        },
    });
    nodes
        .patch(name, &parameters, &Patch::Apply(&node))
        .await
        .map_err(|source| ProcessNodeError::Api {
            action: "register the node",
            source,
        })?;
    write_status(&nodes, name, address, started)
        .await
        .map_err(|source| ProcessNodeError::Api {
            action: "report the node as ready",
            source,
        })
}

/// Renews Lease and status until the task is aborted.
pub(super) async fn heartbeat(
    client: kube::Client,
    name: String,
    address: SocketAddr,
    started: Timestamp,
) {
    let nodes = Api::<Node>::all(client.clone());
    let mut ticks = tokio::time::interval(HEARTBEAT);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = renew_lease(&client, &name).await {
            tracing::debug!(%error, "failed to renew the node lease");
        }
        // The API server may have been restarted or the Node changed by a controller.
        if let Err(error) = write_status(&nodes, &name, address, started).await {
            tracing::debug!(%error, "failed to renew the node status");
        }
    }
}

async fn renew_lease(client: &kube::Client, name: &str) -> Result<(), kube::Error> {
    let leases = Api::<Lease>::namespaced(client.clone(), LEASE_NAMESPACE);
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name},
        "spec": {
            "holderIdentity": name,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": format!("{:.6}", Timestamp::now()),
        },
    });
    leases
        .patch(
            name,
            &PatchParams::apply(FIELD_MANAGER).force(),
            &Patch::Apply(&lease),
        )
        .await
        .map(drop)
}

async fn write_status(
    nodes: &Api<Node>,
    name: &str,
    address: SocketAddr,
    started: Timestamp,
) -> Result<(), kube::Error> {
    let status = Patch::Strategic(json!({"status": status(address, started)}));
    nodes
        .patch_status(name, &PatchParams::default(), &status)
        .await
        .map(drop)
}

fn status(address: SocketAddr, started: Timestamp) -> Value {
    let now = format!("{:.0}", Timestamp::now());
    let since = format!("{started:.0}");
    let resources = json!({"cpu": CPU_CAPACITY, "memory": MEMORY_CAPACITY, "pods": POD_CAPACITY});
    let condition = |kind: &str, holds: bool, reason: &str| {
        json!({
            "type": kind,
            "status": if holds { "True" } else { "False" },
            "reason": reason,
            "message": "reported by the process node",
            "lastHeartbeatTime": now,
            "lastTransitionTime": since,
        })
    };
    json!({
        "capacity": resources,
        "allocatable": resources,
        "addresses": [{"type": "InternalIP", "address": address.ip().to_string()}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": address.port()}},
        "nodeInfo": {
            "architecture": architecture(),
            "bootID": "", "containerRuntimeVersion": "process://1", "kernelVersion": "",
            "kubeProxyVersion": "", "kubeletVersion": format!("v{}-process-node", env!("CARGO_PKG_VERSION")),
            "machineID": "", "operatingSystem": "linux", "osImage": "local processes", "systemUUID": "",
        },
        "conditions": [
            condition("MemoryPressure", false, "NotMeasured"),
            condition("DiskPressure", false, "NotMeasured"),
            condition("PIDPressure", false, "NotMeasured"),
            condition("Ready", true, "ProcessNodeReady"),
        ],
    })
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
